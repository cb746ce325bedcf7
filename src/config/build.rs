//! What the program runs on, from what was written. Goes by what the file chooses: of what is not in use, only syntax
//! and names have been checked, since files list hosts that are never dialled and inputs that are never opened.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::mailbox::StreamId;

use super::addresses::{self, Listener, Transport};
use super::inputs;
use super::outputs::{Names, Outputs};
use super::problem::Findings;
use super::scope::Scope;
use super::values;
use super::written::Written;
use super::{
    Authority, Config, Datagrams, Format, Framing, HopProtocol, InputProtocol, IpList, NextHop, RunMode,
    Secret, Stream,
};

/// The most that a limit on the number of receivers may be set to: more than a system has descriptors.
const CLIENTS_MAX: usize = 10_000_000;

/// Nodes that a monitor keeps in mind if the file does not say, and the most that it may say.
const NODES_MAX_DEFAULT: usize = 1_000;
const NODES_MAX: usize = 10_000;

/// The most letters in the name of a node.
const NODE_NAME_LETTERS_MAX: usize = 64;

/// All settings. What is wrong is told in `found`; the result counts only if nothing was.
pub(super) fn config(written: &Written, found: &mut Findings) -> Config {
    let app = written.main("app");
    let run_modes = [("normal", RunMode::Normal), ("extra", RunMode::Extra), ("monitor", RunMode::Monitor)];
    let mut config = Config {
        run_mode: app.read("RunMode", RunMode::Normal, found, values::choice(&run_modes)),
        node: app.read("Node", None, found, |text| node_name(text).map(Some)),
        workers: app.read("Workers", 0, found, values::number(0..=256)),
        drain: app.read("Drain", Duration::from_secs(5), found, values::seconds(0.0..=600.0)),
        monitor: None,
        streams: Vec::new(),
        authority: Authority::Anyone,
        ports: Vec::new(),
        next_hops: Vec::new(),
        clients_max: 0,
        clients_per_ip_max: 0,
        trusted_proxies: IpList::default(),
        admin: None,
        monitor_bind: None,
        monitor_secret: written.main("monitor").read("Secret", Secret::default(), found, values::secret),
        monitor_nodes_max: NODES_MAX_DEFAULT,
    };
    let mut listeners = match config.run_mode {
        RunMode::Normal | RunMode::Extra => forwarder(&mut config, written, found),
        RunMode::Monitor => collector(&mut config, written, found),
    };
    admin(&mut config, &mut listeners, written.main("admin"), found);
    addresses::check_conflicts(&listeners, found);
    config
}

fn node_name(text: &str) -> Result<String, String> {
    if text.chars().count() > NODE_NAME_LETTERS_MAX {
        return Err(format!("the name of a node has at most {NODE_NAME_LETTERS_MAX} letters"));
    }
    Ok(text.to_owned())
}

/// RunMode `normal` and `extra`: streams come in and go out.
fn forwarder<'a>(config: &mut Config, written: &'a Written, found: &mut Findings) -> Vec<Listener<'a>> {
    config.monitor = written.main("app").read("Monitor", None, found, values::some(values::http_url));
    config.authority = authority(&written.main("authority"), found);

    let inputs = inputs::streams(written, config.run_mode, found);
    let names: Names =
        inputs.iter().zip(0..).map(|((_, it), index)| (it.name.as_str(), StreamId(index))).collect();
    let mut outputs = Outputs::read(written, &names, found);

    let mut listeners = Vec::with_capacity(inputs.len() + outputs.ports.len());
    let mut open = Vec::new();
    for (section, stream) in &inputs {
        let transport = match stream.protocol {
            InputProtocol::Http => Transport::SharedTcp,
            InputProtocol::Tcp => Transport::Tcp,
            InputProtocol::Udp => Transport::Udp,
            InputProtocol::Pull => continue,
        };
        let listener = Listener { section: *section, transport, address: stream.bind };
        if config.authority == Authority::Anyone && stream.secret.is_empty() {
            open.push(listener);
        }
        listeners.push(listener);
    }
    warn_of_open_inputs(config.run_mode, &open, found);
    for (section, port) in &outputs.ports {
        listeners.push(Listener { section: *section, transport: Transport::Tcp, address: port.bind });
    }

    addresses::check_upstreams(&inputs, &listeners, found);
    config.streams = inputs.into_iter().map(|(_, stream)| stream).collect();
    if !outputs.ports.is_empty() {
        limits(config, &written.main("custom"), found);
    }
    config.ports = outputs.ports.into_iter().map(|(_, port)| port).collect();
    addresses::check_hops(&outputs.next_hops, &listeners, found);
    set_framing(&mut outputs.next_hops, &config.streams, found);
    config.next_hops = outputs.next_hops.into_iter().map(|(_, hop)| hop).collect();
    listeners
}

fn authority(section: &Scope, found: &mut Findings) -> Authority {
    if !section.read("Use", false, found, values::choice(&[("True", true), ("False", false)])) {
        return Authority::Anyone;
    }
    match section.read("Ips", None, found, values::some(values::ip_list)) {
        Some(ips) => Authority::Only(ips),
        None => {
            found.warning(
                "[authority] Use = True with an empty list lets anyone publish: name the publishers in Ips."
                    .to_owned(),
            );
            Authority::Anyone
        }
    }
}

fn limits(config: &mut Config, custom: &Scope, found: &mut Findings) {
    let clients = values::number(0..=CLIENTS_MAX);
    config.clients_max = custom.read("MaxClients", 0, found, &clients);
    config.clients_per_ip_max = custom.read("MaxClientsPerIp", 0, found, &clients);
    config.trusted_proxies = custom.read("TrustedProxies", IpList::default(), found, values::ip_list);
    if config.trusted_proxies.0.iter().any(|net| net.prefix_len() == 0) {
        found.warning(
            "[custom] TrustedProxies is everybody, so that anybody may claim any address: name the proxies."
                .to_owned(),
        );
    }
}

/// What goes out as RTP must be MPEG-TS: its payload type says so. Messages go out as they came, one in a datagram.
fn set_framing(hops: &mut [(Scope, NextHop)], streams: &[Stream], found: &mut Findings) {
    for (section, hop) in hops {
        let HopProtocol::Udp(Datagrams { framing, .. }) = &mut hop.protocol else { continue };
        let stream = &streams[hop.stream.0];
        let format = match stream.format {
            Format::Ts => continue,
            Format::Bytes => "bytes",
            Format::Messages => "messages",
        };
        if *framing == Framing::Rtp {
            let message = format!("RTP carries MPEG-TS, and [{}] has Format = {format}", stream.section);
            section.problem("Framing", message, found);
        }
        if stream.format == Format::Messages {
            *framing = Framing::Message;
        }
    }
}

fn warn_of_open_inputs(run_mode: RunMode, open: &[Listener], found: &mut Findings) {
    let Some(sections) = addresses::reachable(open) else { return };
    let secret = match run_mode {
        RunMode::Normal => ", or set Protocol = HTTP and a Secret (which TCP and UDP don't ask for)",
        RunMode::Extra | RunMode::Monitor => "",
    };
    found.warning(format!(
        "Anyone who reaches {sections} may publish: name the publishers in [authority], or set Bind = 127.0.0.1{secret}."
    ));
}

/// RunMode `monitor`: no streams, only the reports of other nodes.
fn collector<'a>(config: &mut Config, written: &'a Written, found: &mut Findings) -> Vec<Listener<'a>> {
    let section = written.main("monitor");
    let address = SocketAddr::new(
        section.read("Bind", Ipv4Addr::UNSPECIFIED.into(), found, values::bind),
        section.read("Port", 50000, found, values::port),
    );
    config.monitor_bind = Some(address);
    config.monitor_nodes_max =
        section.read("MaxNodes", NODES_MAX_DEFAULT, found, values::number(1..=NODES_MAX));
    config.authority = authority(&written.main("authority"), found);
    let listener = Listener { section, transport: Transport::Tcp, address };
    if config.authority == Authority::Anyone
        && config.monitor_secret.is_empty()
        && let Some(sections) = addresses::reachable(&[listener])
    {
        found.warning(format!(
            "Anyone who reaches {sections} may send reports: set a Secret, or name the nodes in [authority]."
        ));
    }
    vec![listener]
}

fn admin<'a>(
    config: &mut Config,
    listeners: &mut Vec<Listener<'a>>,
    section: Scope<'a>,
    found: &mut Findings,
) {
    let Some(port) = section.read("Port", None, found, values::some(values::port)) else { return };
    let ip: IpAddr = section.read("Bind", Ipv4Addr::LOCALHOST.into(), found, values::bind);
    let address = SocketAddr::new(ip, port);
    let listener = Listener { section, transport: Transport::Tcp, address };
    if config.run_mode == RunMode::Monitor {
        found.warning(
            "[admin] is for nodes with streams: in RunMode monitor, [monitor] has /metrics.".to_owned(),
        );
        return;
    }
    if let Some(sections) = addresses::reachable(&[listener]) {
        found.warning(format!("{sections} asks nobody for a password: set Bind = 127.0.0.1, or shield it."));
    }
    config.admin = Some(address);
    listeners.push(listener);
}
