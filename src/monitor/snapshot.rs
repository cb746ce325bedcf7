//! The report of this node, from its counters.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use md5::{Digest, Md5};
use nix::ifaddrs::getifaddrs;

use super::links::RECEIVERS;
use super::report::{
    ADDRESSES_MAX, Details, HopReport, NAME_LETTERS_MAX, NodeInfo, PullReport, REPORT_BYTES_MAX, Receivers,
    Report, StreamReport, UpstreamReport, hash,
};
use crate::identity::NodeId;
use crate::layout::{CurrentLayout, Hop, Layout};
use crate::metrics::{InputMetrics, OutputMetrics};
use crate::proto::ts::{AudioCodec, Codecs, VideoCodec};

/// What a report is made of.
#[derive(Clone, Debug)]
pub struct Source {
    /// Who this node is.
    pub identity: NodeId,
    /// RunMode `normal`.
    pub genesis: bool,
    /// What it is made of.
    pub layout: Arc<CurrentLayout>,
    /// Counters of the input side.
    pub input: Arc<InputMetrics>,
    /// Counters of the output side.
    pub output: Arc<OutputMetrics>,
}

/// Makes reports, and from one to the next rates.
#[derive(Debug)]
pub struct Reports {
    source: Source,
    network: NodeId,
    cores: u64,
    interval: Duration,
    started: Instant,
    previous: Option<Previous>,
}

/// Bytes as of the last report.
#[derive(Debug)]
struct Previous {
    at: Instant,
    /// In and out, by stream.
    streams: Vec<(u64, u64)>,
    hops: Vec<u64>,
}

impl Reports {
    /// Of what `source` counts, from now on and each `interval`.
    #[must_use]
    pub fn new(source: Source, interval: Duration, now: Instant) -> Reports {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        Reports { source, network: network(), cores, interval, started: now, previous: None }
    }

    /// The next report, as JSON of at most [`REPORT_BYTES_MAX`]: of more streams and next hops than fit, it names the
    /// first ones only.
    pub fn next(&mut self, now: Instant) -> Vec<u8> {
        let mut report = self.report(now);
        loop {
            let json = serde_json::to_vec(&report).expect("our own types have nothing that JSON can't say");
            if json.len() <= REPORT_BYTES_MAX {
                return json;
            }
            shorten(&mut report);
        }
    }

    fn report(&mut self, now: Instant) -> Report {
        let seconds = self.previous.as_ref().map(|previous| now.duration_since(previous.at).as_secs_f64());
        let rate = |before: Option<u64>, bytes: u64| match (before, seconds) {
            (Some(before), Some(seconds)) if seconds > 0.0 => {
                (bytes.saturating_sub(before) as f64 * 8.0 / seconds) as u64
            }
            _ => 0,
        };
        let previous = self.previous.as_ref();
        let layout = self.source.layout.value();
        let name = layout.name.clone().unwrap_or_else(host_name);
        let streams: Vec<StreamReport> = (layout.streams.iter().enumerate())
            .map(|(index, (name, listening))| {
                let mut stream = self.stream(index, name, *listening);
                let before = previous.and_then(|previous| previous.streams.get(index));
                stream.bits_in = rate(before.map(|it| it.0), stream.bytes_in);
                stream.bits_out = rate(before.map(|it| it.1), stream.bytes_out);
                stream
            })
            .collect();
        let next_hops: Vec<HopReport> = (layout.hops.iter().enumerate())
            .map(|(index, hop)| {
                let mut hop = self.hop(index, hop);
                hop.bits = rate(previous.and_then(|previous| previous.hops.get(index).copied()), hop.bytes);
                hop
            })
            .collect();
        self.previous = Some(Previous {
            at: now,
            streams: streams.iter().map(|stream| (stream.bytes_in, stream.bytes_out)).collect(),
            hops: next_hops.iter().map(|hop| hop.bytes).collect(),
        });
        let receivers =
            streams.iter().map(|it| it.receivers.websocket + it.receivers.http + it.receivers.tcp);
        let listening = layout.streams.first().and_then(|(_, listening)| *listening);
        let bound = listening.or_else(|| layout.ports.first().copied());
        Report {
            nodeinfo: info(
                &name,
                bound.map(|it| it.ip().to_string()),
                bound.map(|it| it.port()),
                receivers.sum(),
            ),
            packages: self.source.input.streams.iter().map(|stream| stream.chunks.value()).sum(),
            nextnode: next_nodes(&layout),
            genesis: self.source.genesis,
            tsstream: Some(Details {
                node: self.source.identity,
                network: self.network,
                name,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                time_ms: wall_clock_ms(),
                uptime_ms: now.duration_since(self.started).as_millis() as u64,
                interval_ms: self.interval.as_millis() as u64,
                load: load(),
                cores: self.cores,
                addresses: addresses(),
                streams,
                next_hops,
                left_out: 0,
            }),
        }
    }

    fn stream(&self, index: usize, name: &str, listening: Option<SocketAddr>) -> StreamReport {
        let mut report = StreamReport { name: name.to_owned(), listening, ..StreamReport::default() };
        if let Some(input) = self.source.input.streams.get(index) {
            let state = input.state.value();
            report.live = state.live;
            report.codecs = codecs(state.codecs);
            report.publisher = state.publisher;
            report.upstream = state.upstream.map(|it| UpstreamReport { node: it.node, hops: it.hops });
            report.latency_us = state.upstream.map(|_| input.pull.hop_latency_us.value());
            report.clock = input.sightings.value().into_iter().flatten().collect();
            report.bytes_in = input.bytes.value();
            report.continuity_errors = input.continuity_errors.value();
            report.sync_losses = input.sync_losses.value();
            let pull = &input.pull;
            report.lost = input.rtp_lost.value() + input.kernel_drops.value() + pull.chunks_lost.value();
            // One that is pulled is listened for nowhere.
            report.pull = listening.is_none().then(|| PullReport::of(pull));
            report.chunks_lost = input.chunks_lost.value();
        }
        for output in self.source.output.workers.iter().filter_map(|worker| worker.get(index)) {
            let Receivers { websocket, http, tcp } = &mut report.receivers;
            *websocket += output.websocket.value();
            *http += output.http.value();
            *tcp += output.tcp.value();
            report.bytes_out += output.bytes.value();
            report.skips += output.skips.value();
            report.stalled += output.stalled.value();
            report.lag_ms = report.lag_ms.max(output.lag_ms.value());
        }
        report
    }

    fn hop(&self, index: usize, hop: &Hop) -> HopReport {
        let mut report = HopReport {
            stream: hop.stream.clone(),
            protocol: hop.protocol.to_owned(),
            address: hop.address(),
            ..HopReport::default()
        };
        if let Some(metrics) = self.source.output.hops.get(index) {
            let state = metrics.state.value();
            report.connected = state.connected;
            report.local = state.local;
            report.peer = state.peer;
            report.bytes = metrics.bytes.value();
            report.drops = metrics.skips.value() + metrics.datagrams_dropped.value();
        }
        report
    }
}

/// As the original lists them.
fn next_nodes(layout: &Layout) -> Vec<NodeInfo> {
    let hops = layout.hops.iter().zip(1..);
    let hops =
        hops.map(|(hop, number)| info(&format!("extra{number}"), Some(hop.host.clone()), Some(hop.port), 0));
    let ports = layout.ports.iter();
    hops.chain(ports.map(|port| info(RECEIVERS, Some(port.ip().to_string()), Some(port.port()), 0))).collect()
}

fn info(name: &str, bind: Option<String>, port: Option<u16>, connects: u64) -> NodeInfo {
    let bind = bind.unwrap_or_default();
    let port = port.map(|port| port.to_string()).unwrap_or_default();
    NodeInfo { name: name.to_owned(), connects, hash: hash(&bind, &port), bind, port }
}

/// Halves what there are most of.
fn shorten(report: &mut Report) {
    let Some(details) = &mut report.tsstream else { return };
    let (streams, hops) = (details.streams.len(), details.next_hops.len());
    if streams >= hops {
        details.streams.truncate(streams / 2);
        details.left_out += (streams - streams / 2) as u64;
    } else {
        details.next_hops.truncate(hops / 2);
        report.nextnode.truncate(hops / 2);
        details.left_out += (hops - hops / 2) as u64;
    }
}

fn codecs(codecs: Codecs) -> String {
    let video = codecs.video.map(|video| match video {
        VideoCodec::Mpeg1 => "MPEG-1",
        VideoCodec::Mpeg2 => "MPEG-2",
        VideoCodec::H264 => "H.264",
        VideoCodec::Hevc => "HEVC",
        VideoCodec::Other(_) => "other video",
    });
    let audio = codecs.audio.map(|audio| match audio {
        AudioCodec::Mpeg => "MPEG audio",
        AudioCodec::Aac => "AAC",
        AudioCodec::Ac3 => "AC-3",
        AudioCodec::Other(_) => "other audio",
    });
    let names: Vec<&str> = video.into_iter().chain(audio).collect();
    names.join(" + ")
}

/// The name of the machine.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "node".to_owned(),
        name => name.chars().filter(|letter| !letter.is_control()).take(NAME_LETTERS_MAX).collect(),
    }
}

/// What no other network stack has: a number for this run of the kernel together with the one that it gave the stack.
/// Hashed, since the first is nobody else's business. Where the system tells neither, this process alone.
fn network() -> NodeId {
    let kernel = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let stack = fs::read_link("/proc/self/ns/net");
    let (Ok(kernel), Ok(stack)) = (kernel, stack) else { return NodeId::random() };
    let sum = Md5::new().chain_update(kernel).chain_update(stack.as_os_str().as_encoded_bytes()).finalize();
    let digits: String = sum.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    digits.parse().unwrap_or_else(|_| NodeId::random())
}

/// Addresses by which others may know this machine.
fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let address = |storage: nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    let addresses = interfaces.filter_map(|interface| address(interface.address?));
    addresses.filter(|address| !address.is_loopback()).take(ADDRESSES_MAX).collect()
}

/// The load average of the last minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[allow(clippy::disallowed_methods, reason = "a report carries the time, for people")]
fn wall_clock_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::super::report::parse;
    use super::*;
    use crate::metrics::{HopState, InputState};

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn reports(streams: usize, hops: usize) -> (Reports, Instant) {
        let now = Instant::now();
        let layout = Layout {
            name: Some("tower".to_owned()),
            streams: (0..streams)
                .map(|n| (format!("s{n}"), Some(SocketAddr::from(([0, 0, 0, 0], 50001)))))
                .collect(),
            ports: vec![([0, 0, 0, 0], 8088).into()],
            hops: (0..hops)
                .map(|n| Hop { stream: "s0".to_owned(), protocol: "TCP", host: format!("h{n}"), port: 55001 })
                .collect(),
        };
        let source = Source {
            identity: NodeId::random(),
            genesis: true,
            layout: CurrentLayout::new(layout),
            input: Arc::new(InputMetrics::new(streams)),
            output: Arc::new(OutputMetrics::new(2, streams, hops)),
        };
        (Reports::new(source, Duration::from_secs(2), now), now)
    }

    #[test]
    fn counters_become_numbers_and_rates() {
        let (mut reports, now) = reports(1, 1);
        reports.next(now);
        let (input, output) = (Arc::clone(&reports.source.input), Arc::clone(&reports.source.output));
        input.streams[0].bytes.add(1_000);
        assert!(input.streams[0].state.try_set(InputState { live: true, ..InputState::default() }));
        output.workers[0][0].websocket.set(2);
        output.workers[1][0].tcp.set(3);
        output.workers[1][0].bytes.set(5_000);
        output.hops[0].bytes.add(250);
        assert!(output.hops[0].state.try_set(HopState { connected: true, ..HopState::default() }));
        let report = parse(&reports.next(now + Duration::from_secs(2))).unwrap();
        assert_eq!((report.nodeinfo.connects, report.genesis, report.nextnode.len()), (5, true, 2));
        let details = report.tsstream.unwrap();
        let stream = &details.streams[0];
        assert_eq!((stream.live, stream.bits_in, stream.bits_out), (true, 4_000, 20_000));
        let hop = &details.next_hops[0];
        assert_eq!((hop.connected, hop.bits, hop.address.as_str()), (true, 1_000, "h0:55001"));
        assert_eq!((details.uptime_ms, details.network), (2_000, network()));
    }

    #[test]
    fn a_report_fits_whatever_the_node_has() {
        let (mut reports, now) = reports(500, 1_000);
        let report = parse(&reports.next(now)).unwrap();
        let details = report.tsstream.unwrap();
        assert_eq!(details.left_out as usize + details.streams.len() + details.next_hops.len(), 1_500);
        assert!(details.streams.len() > 30 && details.next_hops.len() > 30);
    }
}
