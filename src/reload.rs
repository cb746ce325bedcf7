//! What a configuration that has been read again comes to: what a running node can take over, and what needs a restart.
//! Pure.
//!
//! Nobody who is connected is dropped for a changed key. What would take that (another port, another protocol, a stream
//! or a next hop that is gone) stays as it is until the node is started again, and is named.

use std::mem;
use std::net::SocketAddr;

use crate::config::{
    Config, Datagrams, HopProtocol, NEXT_HOPS_MAX, NextHop, ReceiverPort, ReceiverProtocol, RunMode,
    STREAMS_MAX, Stream,
};
use crate::mailbox::StreamId;

/// What comes of reading the configuration again.
#[derive(Debug)]
pub struct Plan {
    /// What the node runs on from now on. Streams and ports keep their places; new ones come after them.
    pub config: Config,
    /// What is taken over: `[section] Key`, or `[section]` for one that is new.
    pub applied: Vec<String>,
    /// What needs a restart, likewise; `[section]` for one that is gone.
    pub postponed: Vec<String>,
}

/// Compares what the node runs on with what has been `read`.
#[must_use]
pub fn plan(running: &Config, read: &Config) -> Plan {
    let mut plan = Plan { config: running.clone(), applied: Vec::new(), postponed: Vec::new() };
    if read.run_mode != running.run_mode {
        // All else has another meaning.
        plan.postponed.push(place("app", "RunMode"));
        return plan;
    }
    // Every setting is named, here and for streams and ports below, so that a new one does not compile until it is decided
    // what becomes of it.
    let Config {
        run_mode,
        node,
        workers,
        drain,
        monitor,
        streams,
        authority,
        ports,
        next_hops: _,
        clients_max,
        clients_per_ip_max,
        trusted_proxies,
        admin,
        monitor_bind,
        monitor_secret,
        monitor_nodes_max,
    } = read;
    let Plan { config, .. } = &mut plan;
    let mut changes = Changes { applied: Vec::new(), postponed: Vec::new() };
    changes.apply("app", "Node", &mut config.node, node);
    changes.apply("app", "Drain", &mut config.drain, drain);
    changes.keep("app", "Workers", &config.workers, workers);
    changes.keep("app", "Monitor", &config.monitor, monitor);
    changes.apply("authority", "Ips", &mut config.authority, authority);
    match run_mode {
        RunMode::Monitor => changes.apply("monitor", "Secret", &mut config.monitor_secret, monitor_secret),
        // The reporter has it, and is not told.
        RunMode::Normal | RunMode::Extra => {
            changes.keep("monitor", "Secret", &config.monitor_secret, monitor_secret);
        }
    }
    changes.keep("monitor", "MaxNodes", &config.monitor_nodes_max, monitor_nodes_max);
    changes.streams(&mut config.streams, streams);
    changes.ports(config, read);
    if !ports.is_empty() {
        changes.apply("custom", "MaxClients", &mut config.clients_max, clients_max);
        changes.apply("custom", "MaxClientsPerIp", &mut config.clients_per_ip_max, clients_per_ip_max);
        changes.apply("custom", "TrustedProxies", &mut config.trusted_proxies, trusted_proxies);
    }
    changes.next_hops(config, read);
    changes.address("monitor", config.monitor_bind, *monitor_bind);
    changes.address("admin", config.admin, *admin);
    (plan.applied, plan.postponed) = (changes.applied, changes.postponed);
    plan
}

/// What has been found to differ so far.
struct Changes {
    applied: Vec<String>,
    postponed: Vec<String>,
}

impl Changes {
    /// A running node can take this key over.
    fn apply<T: Clone + PartialEq>(&mut self, section: &str, key: &str, running: &mut T, read: &T) {
        if running != read {
            running.clone_from(read);
            self.applied.push(place(section, key));
        }
    }

    /// This key stays as it is.
    fn keep<T: PartialEq>(&mut self, section: &str, key: &str, running: &T, read: &T) {
        if running != read {
            self.postponed.push(place(section, key));
        }
    }

    /// Where something listens stays as it is.
    fn address(&mut self, section: &str, running: Option<SocketAddr>, read: Option<SocketAddr>) {
        self.keep(section, "Port", &running.map(|it| it.port()), &read.map(|it| it.port()));
        if let (Some(running), Some(read)) = (running, read) {
            self.keep(section, "Bind", &running.ip(), &read.ip());
        }
    }

    fn streams(&mut self, running: &mut Vec<Stream>, read: &[Stream]) {
        self.cut(running, read);
        for stream in &mut *running {
            match read.iter().find(|it| it.name == stream.name) {
                Some(read) => self.stream(stream, read),
                None => self.postponed.push(format!("[{}]", stream.section)),
            }
        }
        for stream in read {
            if running.iter().any(|it| it.name == stream.name) {
                continue;
            }
            let list = if running.len() < STREAMS_MAX { &mut self.applied } else { &mut self.postponed };
            list.push(format!("[{}]", stream.section));
            if running.len() < STREAMS_MAX {
                running.push(stream.clone());
            }
        }
    }

    /// How streams are cut and kept is the same for all of them.
    fn cut(&mut self, running: &mut [Stream], read: &[Stream]) {
        let (Some((first, others)), Some(read)) = (running.split_first_mut(), read.first()) else { return };
        self.apply("app", "Coalesce", &mut first.coalesce, &read.coalesce);
        self.apply("app", "Quiet", &mut first.quiet, &read.quiet);
        self.apply("buffer", "Seconds", &mut first.buffer.time, &read.buffer.time);
        self.apply("buffer", "Megabytes", &mut first.buffer.bytes, &read.buffer.bytes);
        for other in others {
            (other.coalesce, other.quiet, other.buffer) = (first.coalesce, first.quiet, first.buffer);
        }
    }

    fn stream(&mut self, running: &mut Stream, read: &Stream) {
        let Stream {
            name: _,
            section,
            format,
            protocol,
            bind,
            source,
            interface,
            upstreams,
            secret,
            timeout,
            takeover,
            // The same for all streams: see above.
            coalesce: _,
            quiet: _,
            buffer: _,
        } = read;
        if running.protocol != *protocol {
            // Then other keys count, and other defaults.
            return self.postponed.push(place(section, "Protocol"));
        }
        self.address(section, Some(running.bind), Some(*bind));
        self.keep(section, "Format", &running.format, format);
        self.keep(section, "Source", &running.source, source);
        self.keep(section, "Interface", &running.interface, interface);
        self.keep(section, "Upstreams", &running.upstreams, upstreams);
        self.apply(section, "Secret", &mut running.secret, secret);
        self.apply(section, "Timeout", &mut running.timeout, timeout);
        self.apply(section, "Takeover", &mut running.takeover, takeover);
    }

    fn ports(&mut self, config: &mut Config, read: &Config) {
        for port in &mut config.ports {
            match read.ports.iter().find(|it| it.section == port.section) {
                Some(read) => self.port(port, read),
                None => self.postponed.push(format!("[{}]", port.section)),
            }
        }
        for port in &read.ports {
            if config.ports.iter().any(|it| it.section == port.section) {
                continue;
            }
            let name = read.streams.get(port.stream.0).map(|stream| &stream.name);
            let Some(stream) = config.streams.iter().position(|it| Some(&it.name) == name) else {
                self.postponed.push(format!("[{}]", port.section));
                continue;
            };
            self.applied.push(format!("[{}]", port.section));
            config.ports.push(ReceiverPort { stream: StreamId(stream), ..port.clone() });
        }
    }

    fn port(&mut self, running: &mut ReceiverPort, read: &ReceiverPort) {
        let ReceiverPort {
            section,
            protocol,
            bind,
            stream: _,
            filter,
            origins,
            directory,
            start,
            lag_max,
            stall_max,
        } = read;
        if running.protocol != *protocol {
            return self.postponed.push(place(section, "Protocol"));
        }
        self.address(section, Some(running.bind), Some(*bind));
        self.apply(section, "Start", &mut running.start, start);
        self.apply(section, "LagLimit", &mut running.lag_max, lag_max);
        self.apply(section, "StallLimit", &mut running.stall_max, stall_max);
        match protocol {
            ReceiverProtocol::WebSocket => {
                self.apply(section, "Origins", &mut running.origins, origins);
                self.apply(section, "Directory", &mut running.directory, directory);
            }
            ReceiverProtocol::Tcp => self.apply(section, "FilterIps", &mut running.filter, filter),
        }
    }

    /// There may be further next hops of a stream. If one of those that there are is gone, all stay as they are: what has
    /// another address is one that is gone and one that is new.
    fn next_hops(&mut self, config: &mut Config, read: &Config) {
        let hops = |config: &Config, name: &str| -> Vec<NextHop> {
            let stream = config.streams.iter().position(|stream| stream.name == name);
            config.next_hops.iter().filter(|hop| Some(hop.stream.0) == stream).cloned().collect()
        };
        // The streams that have been read are among those that run by now, but for what is beyond the bound.
        let names: Vec<String> = config.streams.iter().map(|stream| stream.name.clone()).collect();
        for (index, name) in names.iter().enumerate() {
            let section = if index == 0 { "dispatch".to_owned() } else { format!("dispatch.{name}") };
            let running = hops(config, name);
            let stream = StreamId(index);
            let read: Vec<_> = hops(read, name).into_iter().map(|hop| NextHop { stream, ..hop }).collect();
            let mut new = read.clone();
            let stay = running.iter().all(|hop| {
                let place = new.iter().position(|it| it == hop);
                place.map(|place| new.remove(place)).is_some()
            });
            if !stay || config.next_hops.len() + new.len() > NEXT_HOPS_MAX {
                self.keep_hops(&section, &running, &read);
            } else if !new.is_empty() {
                self.applied.push(place(&section, "Hosts"));
                config.next_hops.append(&mut new);
            }
        }
    }

    /// Names the keys by which they differ.
    fn keep_hops(&mut self, section: &str, running: &[NextHop], read: &[NextHop]) {
        self.keep_each(section, "Hosts", running, read, |hop| &hop.host);
        if read.is_empty() {
            return;
        }
        self.keep_each(section, "Ports", running, read, |hop| hop.port);
        self.keep_each(section, "Protocol", running, read, |hop| mem::discriminant(&hop.protocol));
        self.keep_each(section, "Framing", running, read, |hop| datagrams(hop).map(|it| it.framing));
        self.keep_each(section, "Ttl", running, read, |hop| datagrams(hop).map(|it| it.multicast_ttl));
        self.keep_each(section, "Interface", running, read, |hop| datagrams(hop).map(|it| it.interface));
    }

    /// This key, of which these next hops have one value or several, stays as it is.
    fn keep_each<'a, T: PartialEq>(
        &mut self,
        section: &str,
        key: &str,
        running: &'a [NextHop],
        read: &'a [NextHop],
        value: impl Fn(&'a NextHop) -> T,
    ) {
        let values = |hops: &'a [NextHop]| {
            let mut values = Vec::new();
            for value in hops.iter().map(&value) {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            values
        };
        self.keep(section, key, &values(running), &values(read));
    }
}

fn datagrams(hop: &NextHop) -> Option<Datagrams> {
    match hop.protocol {
        HopProtocol::Tcp => None,
        HopProtocol::Udp(datagrams) => Some(datagrams),
    }
}

fn place(section: &str, key: &str) -> String {
    format!("[{section}] {key}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn read(text: &str) -> Config {
        config::parse("f", text).unwrap().config
    }

    fn planned(before: &str, after: &str) -> Plan {
        plan(&read(before), &read(after))
    }

    #[track_caller]
    fn assert_lists(before: &str, after: &str, applied: &[&str], postponed: &[&str]) {
        let plan = planned(before, after);
        assert_eq!((plan.applied, plan.postponed), (to_owned(applied), to_owned(postponed)), "{after}");
    }

    fn to_owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn the_same_file_changes_nothing() {
        let text = "[backstream]\nProtocol=HTTP\nSecret=s\n[backstream.a]\n[custom.a]\nPort=9\n\
                    [dispatch.a]\nProtocol=UDP\nHosts=h\nPorts=1\n[authority]\nUse=True\nIps=10.0.0.1";
        assert_lists(text, text, &[], &[]);
        assert_eq!(planned(text, text).config, read(text));
    }

    #[test]
    fn what_is_taken_over() {
        let after = "[app]\nNode=n\nDrain=1\nCoalesce=3\nQuiet=off\n[buffer]\nSeconds=1\nMegabytes=2\n\
            [authority]\nUse=True\nIps=10.0.0.1\n[backstream]\nProtocol=TCP\nTimeout=3\nTakeover=never\n\
            [custom]\nStart=live\nLagLimit=1\nStallLimit=3\nOrigins=http://a\n\
            MaxClients=1\nMaxClientsPerIp=2\nTrustedProxies=::1\n";
        let keys = [
            "[app] Node",
            "[app] Drain",
            "[authority] Ips",
            "[app] Coalesce",
            "[app] Quiet",
            "[buffer] Seconds",
            "[buffer] Megabytes",
            "[backstream] Timeout",
            "[backstream] Takeover",
            "[custom] Start",
            "[custom] LagLimit",
            "[custom] StallLimit",
            "[custom] Origins",
            "[custom] MaxClients",
            "[custom] MaxClientsPerIp",
            "[custom] TrustedProxies",
        ];
        assert_lists("[backstream]\nProtocol=TCP", after, &keys, &[]);
        assert_eq!(planned("[backstream]\nProtocol=TCP", after).config, read(after));
        assert_lists(
            "[custom]\nProtocol=TCP",
            "[custom]\nProtocol=TCP\nFilterIps=::1",
            &["[custom] FilterIps"],
            &[],
        );
        let (before, after) = ("[backstream]\nSecret=a", "[backstream]\nSecret=b");
        assert_lists(before, after, &["[backstream] Secret"], &[]);
    }

    #[test]
    fn what_needs_a_restart() {
        let after = "[app]\nWorkers=3\nMonitor=http://h/\n[backstream]\nProtocol=UDP\nTimeout=3\n\
            [custom]\nBind=127.0.0.1\nPort=9\n[monitor]\nSecret=s\nMaxNodes=9\n[admin]\nPort=4\n\
            [dispatch]\nProtocol=CUSTOM,TCP\nHosts=h,i\nPorts=1,2\n";
        let keys = [
            "[app] Workers",
            "[app] Monitor",
            "[monitor] Secret",
            "[backstream] Protocol",
            "[custom] Port",
            "[custom] Bind",
            "[dispatch] Hosts",
            "[dispatch] Ports",
            "[admin] Port",
        ];
        let before = "[dispatch]\nProtocol=CUSTOM,TCP\nHosts=g\nPorts=1\n";
        assert_lists(before, after, &[], &keys);
        assert_eq!(planned(before, after).config, read(before), "it stays as it is");
        assert_lists("", "[app]\nRunMode=extra\nNode=n", &[], &["[app] RunMode"]);
        let monitor = "[app]\nRunMode=monitor\n";
        let after =
            format!("{monitor}[authority]\nUse=True\nIps=::1\n[monitor]\nSecret=s\nMaxNodes=9\nPort=1");
        let (applied, postponed) =
            (["[authority] Ips", "[monitor] Secret"], ["[monitor] MaxNodes", "[monitor] Port"]);
        assert_lists(monitor, &after, &applied, &postponed);
        let group = |more: &str| format!("[backstream]\nProtocol=UDP\nBind=239.0.0.1\n{more}");
        let keys = ["[backstream] Format", "[backstream] Source", "[backstream] Interface"];
        let more = group("Format=bytes\nSource=10.0.0.1\nInterface=127.0.0.1");
        assert_lists(&group(""), &more, &[], &keys);
        let hop = |more: &str| format!("[dispatch]\nProtocol=UDP\nHosts=h\nPorts=1\n{more}");
        let keys = ["[dispatch] Framing", "[dispatch] Ttl", "[dispatch] Interface"];
        assert_lists(&hop(""), &hop("Framing=RTP\nTtl=3\nInterface=10.0.0.1"), &[], &keys);
        let upstream = |host: &str| {
            format!("[app]\nRunMode=extra\n[pushstream]\nProtocol=PULL\nUpstreams=ws://{host}:1/live")
        };
        assert_lists(&upstream("a"), &upstream("b"), &[], &["[pushstream] Upstreams"]);
    }

    #[test]
    fn new_streams_and_ports_come_after_those_that_run() {
        let before = "[backstream]\n[backstream.a]\n[custom.a]\nPort=1";
        let after = "[backstream]\n[backstream.b]\n[backstream.a]\n[custom.b]\nPort=2\n[custom.a]\nPort=1";
        let plan = planned(before, after);
        assert_eq!((plan.applied, plan.postponed), (to_owned(&["[backstream.b]", "[custom.b]"]), vec![]));
        let names: Vec<&str> = plan.config.streams.iter().map(|stream| stream.name.as_str()).collect();
        assert_eq!(names, ["live", "a", "b"]);
        let ports: Vec<_> = plan.config.ports.iter().map(|it| (it.section.as_str(), it.stream.0)).collect();
        assert_eq!(ports, [("custom", 0), ("custom.a", 1), ("custom.b", 2)]);
    }

    #[test]
    fn new_next_hops_come_after_those_that_are_sent_to() {
        let hops =
            |more: &str| format!("[backstream]\n[dispatch]\nProtocol=CUSTOM,TCP\nHosts=a{more}\nPorts=1");
        let after = hops(",b").replace("Hosts=a,b", "Hosts=b,a")
            + ",1\n[backstream.s]\n[backstream.r]\n[dispatch.r]\nProtocol=UDP\nHosts=c\nPorts=1\n";
        let keys = ["[backstream.s]", "[backstream.r]", "[dispatch] Hosts", "[dispatch.r] Hosts"];
        assert_lists(&hops(""), &after, &keys, &[]);
        let config = planned(&hops(""), &after).config;
        let hops: Vec<_> = config.next_hops.iter().map(|hop| (hop.host.as_str(), hop.stream.0)).collect();
        assert_eq!(hops, [("a", 0), ("b", 0), ("c", 2)]);
    }

    #[test]
    fn what_is_gone_stays_until_a_restart() {
        let before = "[backstream]\n[backstream.a]\n[custom.a]\nPort=1\n[dispatch]\nProtocol=CUSTOM\n\
                      [dispatch.a]\nProtocol=UDP\nHosts=h\nPorts=1";
        let gone = ["[backstream.a]", "[custom.a]"];
        assert_lists(before, "[backstream]", &[], &[&gone[..], &["[dispatch.a] Hosts"]].concat());
        assert_eq!(planned(before, "[backstream]").config, read(before));
    }

    #[test]
    fn there_is_a_bound_to_streams_that_were_there_at_any_time() {
        let streams = |letter: char| -> String {
            let sections = (1..STREAMS_MAX).map(|number| format!("[backstream.{letter}{number}]\n"));
            "[backstream]\n".chars().chain(sections.collect::<String>().chars()).collect()
        };
        let plan = planned(&streams('a'), &(streams('b') + "[custom.b1]\nPort=1\n"));
        assert_eq!(plan.config.streams.len(), STREAMS_MAX);
        assert_eq!((plan.applied.len(), plan.postponed.len()), (0, 2 * (STREAMS_MAX - 1) + 1));
    }
}
