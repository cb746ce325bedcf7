//! `[backstream]`, or in RunMode `extra` `[pushstream]`, and their suffixed sections: the streams.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::problem::Findings;
use super::scope::Scope;
use super::values;
use super::written::Written;
use super::{
    Buffer, Format, InputProtocol, RunMode, STREAMS_MAX, Secret, Stream, Takeover, UPSTREAMS_MAX, Upstream,
};

/// The name of the stream whose section has no suffix.
const MAIN_STREAM: &str = "live";

/// `Timeout`: how long a publisher may be silent, who alone has the stream, and how long an upstream, when there may be
/// another.
const TIMEOUT_PUSHED: Duration = Duration::from_secs(10);
const TIMEOUT_PULLED: Duration = Duration::from_secs(3);

/// A stream with the section that it was read from.
pub(super) type Input<'a> = (Scope<'a>, Stream);

/// What the two kinds of input differ in.
struct Kind {
    section: &'static str,
    protocols: &'static [(&'static str, InputProtocol)],
    /// Where the section isn't there at all.
    protocol_absent: InputProtocol,
    /// Where the section is there, and leaves the protocol out or empty.
    protocol_empty: InputProtocol,
    bind: IpAddr,
    port: u16,
}

/// RunMode `normal`. Closed to other machines until a file says otherwise.
const BACKSTREAM: Kind = Kind {
    section: "backstream",
    protocols: &[("HTTP", InputProtocol::Http), ("TCP", InputProtocol::Tcp), ("UDP", InputProtocol::Udp)],
    protocol_absent: InputProtocol::Tcp,
    protocol_empty: InputProtocol::Http,
    bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
    port: 50001,
};

/// RunMode `extra`. What feeds it is, as a rule, another machine.
const PUSHSTREAM: Kind = Kind {
    section: "pushstream",
    protocols: &[("TCP", InputProtocol::Tcp), ("UDP", InputProtocol::Udp), ("PULL", InputProtocol::Pull)],
    protocol_absent: InputProtocol::Tcp,
    protocol_empty: InputProtocol::Tcp,
    bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    port: 55001,
};

/// The streams of the file, `live` first. RunMode `monitor` has none.
pub(super) fn streams<'a>(written: &'a Written, run_mode: RunMode, found: &mut Findings) -> Vec<Input<'a>> {
    let kind = match run_mode {
        RunMode::Normal => BACKSTREAM,
        RunMode::Extra => PUSHSTREAM,
        RunMode::Monitor => return Vec::new(),
    };
    let cut = Cut::read(written, found);
    let mut streams = Vec::new();
    for section in written.all(kind.section) {
        if section.suffix == Some(MAIN_STREAM) {
            let message = format!("the stream `{MAIN_STREAM}` is [{}] itself", kind.section);
            section.problem_of_section(message, found);
            continue;
        }
        if streams.len() == STREAMS_MAX {
            section.problem_of_section(format!("there are more than {STREAMS_MAX} streams"), found);
            break;
        }
        streams.push((section, stream(&section, &kind, &cut, found)));
    }
    streams
}

/// How streams are cut and kept, all of them alike.
struct Cut {
    coalesce: Duration,
    quiet: Option<Duration>,
    buffer: Buffer,
}

impl Cut {
    fn read(written: &Written, found: &mut Findings) -> Cut {
        let app = written.main("app");
        let coalesce =
            app.read("Coalesce", Duration::from_millis(2), found, values::milliseconds(0.0..=1000.0));
        let quiet = app.read("Quiet", Some(Duration::from_micros(500)), found, |text| {
            if text.eq_ignore_ascii_case("off") {
                return Ok(None);
            }
            let time = values::milliseconds(0.0..=1000.0)(text);
            time.map(Some).map_err(|message| format!("{message}, or off"))
        });
        let buffer = written.main("buffer");
        let time = buffer.read("Seconds", Duration::from_secs(10), found, values::seconds(0.0..=600.0));
        let megabytes = buffer.read("Megabytes", 32, found, values::number(1..=4096));
        Cut { coalesce, quiet, buffer: Buffer { time, bytes: megabytes.saturating_mul(1024 * 1024) } }
    }
}

fn stream(section: &Scope, kind: &Kind, cut: &Cut, found: &mut Findings) -> Stream {
    let protocol_default = if section.says("Protocol") || section.main_is_written() {
        kind.protocol_empty
    } else {
        kind.protocol_absent
    };
    let protocol = section.read("Protocol", protocol_default, found, values::choice(kind.protocols));
    let upstreams = match protocol {
        InputProtocol::Pull => upstreams(section, found),
        InputProtocol::Tcp | InputProtocol::Udp | InputProtocol::Http => Vec::new(),
    };
    let timeout = match protocol {
        InputProtocol::Pull => TIMEOUT_PULLED,
        InputProtocol::Tcp | InputProtocol::Udp | InputProtocol::Http => TIMEOUT_PUSHED,
    };
    let ip = section.read("Bind", kind.bind, found, values::bind);
    if ip.is_multicast() && !matches!(protocol, InputProtocol::Udp | InputProtocol::Pull) {
        let message = format!("{ip} is a multicast group, which goes with Protocol = UDP only");
        section.problem("Bind", message, found);
    }
    let udp = (protocol == InputProtocol::Udp).then_some(ip);
    let secret = match protocol {
        InputProtocol::Http => section.read("Secret", Secret::default(), found, values::secret),
        InputProtocol::Tcp | InputProtocol::Udp | InputProtocol::Pull => Secret::default(),
    };
    let formats = [("ts", Format::Ts), ("bytes", Format::Bytes), ("messages", Format::Messages)];
    let format = section.read("Format", Format::Ts, found, values::choice(&formats));
    if format == Format::Messages && matches!(protocol, InputProtocol::Tcp | InputProtocol::Http) {
        let message = "messages come one in a datagram, which goes with Protocol = UDP only";
        section.problem("Format", message, found);
    }
    let takeovers =
        [("same-address", Takeover::SameAddress), ("never", Takeover::Never), ("always", Takeover::Always)];
    Stream {
        name: section.suffix.unwrap_or(MAIN_STREAM).to_owned(),
        section: section.name(),
        format,
        protocol,
        bind: SocketAddr::new(ip, port(section, protocol, kind.port, found)),
        source: multicast_address("Source", section, udp, found),
        interface: multicast_address("Interface", section, udp, found),
        upstreams,
        secret,
        timeout: section.read("Timeout", timeout, found, values::seconds(0.1..=3600.0)),
        takeover: section.read("Takeover", Takeover::SameAddress, found, values::choice(&takeovers)),
        coalesce: cut.coalesce,
        quiet: cut.quiet,
        buffer: cut.buffer,
    }
}

/// Where the stream is pulled from, best first.
fn upstreams(section: &Scope, found: &mut Findings) -> Vec<Upstream> {
    let needed =
        "needed with Protocol = PULL: ws://host:port/name of a node, or several with commas between them";
    let upstreams = section.require("Upstreams", needed, found, values::list(values::ws_url));
    let upstreams = upstreams.unwrap_or_default();
    if upstreams.len() > UPSTREAMS_MAX {
        section.problem("Upstreams", format!("there are more than {UPSTREAMS_MAX}"), found);
    }
    upstreams
}

/// Over HTTP the path tells the streams apart, so that they may share a port; over TCP and UDP nothing else does.
fn port(section: &Scope, protocol: InputProtocol, default: u16, found: &mut Findings) -> u16 {
    if protocol == InputProtocol::Pull {
        return 0;
    }
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

/// `Source` or `Interface`, which only joining a group makes use of. `udp_bind` is the `Bind` of a UDP input.
fn multicast_address(
    key: &'static str,
    section: &Scope,
    udp_bind: Option<IpAddr>,
    found: &mut Findings,
) -> Option<IpAddr> {
    let group = udp_bind?;
    let address = section.read(key, None, found, values::some(values::ip))?;
    if !group.is_multicast() {
        section.problem(key, format!("goes with a multicast group in Bind, and {group} is none"), found);
    } else if group.is_ipv4() != address.is_ipv4() {
        section.problem(key, format!("{address} is not of the same IP version as the group {group}"), found);
    }
    Some(address)
}
