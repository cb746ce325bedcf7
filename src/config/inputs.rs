//! `[backstream]`, or in RunMode `extra` `[pushstream]`, and their suffixed sections: the streams.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::problem::Findings;
use super::scope::Scope;
use super::values::{self, Unit};
use super::written::Written;
use super::{Buffer, Format, InputProtocol, RunMode, Secret, Stream, Takeover};

/// The most streams: each costs memory (`[buffer]`), and each worker is told of each.
const STREAMS_MAX: usize = 1_000;

/// The name of the stream whose section has no suffix.
const MAIN_STREAM: &str = "live";

/// A stream with the section that it was read from.
pub(super) type Input<'a> = (Scope<'a>, Stream);

/// The streams of the file, `live` first. RunMode `monitor` has none.
pub(super) fn streams<'a>(written: &'a Written, run_mode: RunMode, found: &mut Findings) -> Vec<Input<'a>> {
    let section = match run_mode {
        RunMode::Normal => "backstream",
        RunMode::Extra => "pushstream",
        RunMode::Monitor => return Vec::new(),
    };
    let defaults = Defaults::of(written, run_mode, found);
    let mut streams = Vec::new();
    for scope in written.all(section) {
        if scope.suffix == Some(MAIN_STREAM) {
            scope.problem_of_section(format!("the stream `{MAIN_STREAM}` is [{section}] itself"), found);
            continue;
        }
        if streams.len() == STREAMS_MAX {
            scope.problem_of_section(format!("there are more than {STREAMS_MAX} streams"), found);
            break;
        }
        streams.push((scope, stream(&scope, &defaults, found)));
    }
    streams
}

/// What a stream is made of that its own section doesn't say.
struct Defaults {
    protocols: &'static [(&'static str, InputProtocol)],
    /// Where no section says a protocol.
    protocol_absent: InputProtocol,
    /// Where it is left empty, or not said in a section that is there.
    protocol_empty: InputProtocol,
    bind: IpAddr,
    port: u16,
    coalesce: Duration,
    quiet: Option<Duration>,
    buffer: Buffer,
}

impl Defaults {
    fn of(written: &Written, run_mode: RunMode, found: &mut Findings) -> Defaults {
        use InputProtocol::{Http, Tcp, Udp};
        let app = written.main("app");
        let coalesce = app.read("Coalesce", Duration::from_millis(2), found, |text| {
            values::time(text, Unit::Milliseconds, 0.0..=1000.0)
        });
        let quiet = app.read("Quiet", Some(Duration::from_micros(500)), found, |text| {
            if text.eq_ignore_ascii_case("off") {
                return Ok(None);
            }
            let time = values::time(text, Unit::Milliseconds, 0.0..=1000.0);
            time.map(Some).map_err(|message| format!("{message}, or off"))
        });
        let buffer = buffer(&written.main("buffer"), found);
        // From outside only once it is said: [backstream] is what a publisher on this machine feeds. An extra node is
        // fed by another machine.
        match run_mode {
            RunMode::Extra => Defaults {
                protocols: &[("TCP", Tcp), ("UDP", Udp)],
                protocol_absent: Tcp,
                protocol_empty: Tcp,
                bind: Ipv4Addr::UNSPECIFIED.into(),
                port: 55001,
                coalesce,
                quiet,
                buffer,
            },
            RunMode::Normal | RunMode::Monitor => Defaults {
                protocols: &[("HTTP", Http), ("TCP", Tcp), ("UDP", Udp)],
                protocol_absent: if written.has("backstream") { Http } else { Tcp },
                protocol_empty: Http,
                bind: Ipv4Addr::LOCALHOST.into(),
                port: 50001,
                coalesce,
                quiet,
                buffer,
            },
        }
    }
}

fn buffer(section: &Scope, found: &mut Findings) -> Buffer {
    let time = section.read("Seconds", Duration::from_secs(10), found, |text| {
        values::time(text, Unit::Seconds, 0.0..=600.0)
    });
    let megabytes = section.read("Megabytes", 32, found, |text| values::number(text, 1..=4096));
    Buffer { time, bytes: megabytes << 20 }
}

fn stream(section: &Scope, defaults: &Defaults, found: &mut Findings) -> Stream {
    let protocol_default =
        if section.says("Protocol") { defaults.protocol_empty } else { defaults.protocol_absent };
    let protocol =
        section.read("Protocol", protocol_default, found, |text| values::choice(text, defaults.protocols));
    let ip = section.read("Bind", defaults.bind, found, values::bind);
    let port = port(section, protocol, defaults.port, found);
    if ip.is_multicast() && protocol != InputProtocol::Udp {
        section.problem(
            "Bind",
            format!("{ip} is a multicast group, which goes with Protocol = UDP only"),
            found,
        );
    }
    let group = (protocol == InputProtocol::Udp).then_some(ip);
    let secret = match protocol {
        InputProtocol::Http => section.read("Secret", Secret::default(), found, values::secret),
        InputProtocol::Tcp | InputProtocol::Udp => Secret::default(),
    };
    let formats = [("ts", Format::Ts), ("bytes", Format::Bytes)];
    let takeovers =
        [("same-address", Takeover::SameAddress), ("never", Takeover::Never), ("always", Takeover::Always)];
    Stream {
        name: section.suffix.unwrap_or(MAIN_STREAM).to_owned(),
        section: section.name(),
        format: section.read("Format", Format::Ts, found, |text| values::choice(text, &formats)),
        protocol,
        bind: SocketAddr::new(ip, port),
        source: multicast_address("Source", section, group, found),
        interface: multicast_address("Interface", section, group, found),
        secret,
        timeout: section.read("Timeout", Duration::from_secs(10), found, |text| {
            values::time(text, Unit::Seconds, 0.1..=3600.0)
        }),
        takeover: section
            .read("Takeover", Takeover::SameAddress, found, |text| values::choice(text, &takeovers)),
        coalesce: defaults.coalesce,
        quiet: defaults.quiet,
        buffer: defaults.buffer,
    }
}

/// Over HTTP the path tells the streams apart, so that they may share a port; over TCP and UDP nothing else does.
fn port(section: &Scope, protocol: InputProtocol, default: u16, found: &mut Findings) -> u16 {
    if section.suffix.is_none() {
        return section.read("Port", default, found, values::port);
    }
    if protocol == InputProtocol::Http {
        let shared = section.parent().read("Port", default, found, values::port);
        return section.read("Port", shared, found, values::port);
    }
    section
        .require("Port", "a stream over TCP or UDP needs a port of its own", found, values::port)
        .unwrap_or(0)
}

/// `Source` or `Interface`, which only joining a group makes use of. `listen` is the `Bind` of a UDP input.
fn multicast_address(
    key: &'static str,
    section: &Scope,
    listen: Option<IpAddr>,
    found: &mut Findings,
) -> Option<IpAddr> {
    let group = listen?;
    let address = section.read(key, None, found, |text| values::ip(text).map(Some))?;
    if !group.is_multicast() {
        section.problem(key, format!("goes with a multicast group in Bind, and {group} is none"), found);
    } else if group.is_ipv4() != address.is_ipv4() {
        section.problem(key, format!("{address} is not of the same IP version as the group {group}"), found);
    }
    Some(address)
}
