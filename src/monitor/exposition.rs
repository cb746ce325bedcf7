//! The whole tree as metrics. Pure.

use std::time::Instant;

use super::collector::{Collector, Node};
use super::report::{HopReport, PullReport, StreamReport};
use super::tree::Counts;
use crate::web::prometheus::{Kind, Text};

type Family<T> = (&'static str, Kind, &'static str, fn(&T) -> f64);

/// Of a stream at a node.
const STREAM: [Family<StreamReport>; 13] = [
    ("live", Kind::Gauge, "The stream can be played", |it| f64::from(u8::from(it.live))),
    ("input_bytes_total", Kind::Counter, "Bytes taken in", |it| it.bytes_in as f64),
    ("continuity_errors_total", Kind::Counter, "Continuity_count_error of ETSI TR 101 290", |it| {
        it.continuity_errors as f64
    }),
    ("sync_losses_total", Kind::Counter, "TS_sync_loss of ETSI TR 101 290", |it| it.sync_losses as f64),
    ("lost_total", Kind::Counter, "Packets lost on the way to the node", |it| it.lost as f64),
    ("chunks_lost_total", Kind::Counter, "Chunks lost within the node", |it| it.chunks_lost as f64),
    ("websocket_receivers", Kind::Gauge, "Receivers over WebSocket", |it| it.receivers.websocket as f64),
    ("http_receivers", Kind::Gauge, "Receivers over HTTP", |it| it.receivers.http as f64),
    ("tcp_receivers", Kind::Gauge, "Receivers over TCP", |it| it.receivers.tcp as f64),
    ("output_bytes_total", Kind::Counter, "Bytes sent to receivers", |it| it.bytes_out as f64),
    ("skips_total", Kind::Counter, "Skips of slow receivers", |it| it.skips as f64),
    ("stalled_total", Kind::Counter, "Receivers given up as stalled", |it| it.stalled as f64),
    ("lag_seconds", Kind::Gauge, "Lag of the slowest receiver", |it| it.lag_ms as f64 / 1e3),
];

/// Of a stream that a node fetches.
const PULL: [Family<PullReport>; 4] = [
    ("upstreams_total", Kind::Counter, "Times that an upstream was taken up", |it| it.upstreams as f64),
    ("resumed_total", Kind::Counter, "Of those, the times that the stream went on without a gap", |it| {
        it.resumed as f64
    }),
    ("discontinuities_total", Kind::Counter, "Times that what came did not continue what had come", |it| {
        it.discontinuities as f64
    }),
    ("chunks_missed_total", Kind::Counter, "Chunks missed since the stream was made", |it| it.missed as f64),
];

/// Of a next hop of a node.
const HOP: [Family<HopReport>; 3] = [
    ("connected", Kind::Gauge, "The next hop is being sent to", |it| f64::from(u8::from(it.connected))),
    ("bytes_total", Kind::Counter, "Bytes sent to the next hop", |it| it.bytes as f64),
    ("drops_total", Kind::Counter, "Chunks or datagrams that the next hop did not take", |it| {
        it.drops as f64
    }),
];

/// The text.
#[must_use]
pub fn text(collector: &Collector, counts: Counts, now: Instant) -> Vec<u8> {
    let mut out = Text::default();
    let mut own = |name, help, value| out.single(name, Kind::Counter, help, value as f64);
    own("tsstream_monitor_reports_total", "Reports taken", counts.reports);
    own("tsstream_monitor_refused_total", "Reports refused", counts.refused);
    let of_node: [Family<(&Node, Instant)>; 5] = [
        ("up", Kind::Gauge, "The node reports", |(node, now)| f64::from(u8::from(!node.is_silent(*now)))),
        ("report_age_seconds", Kind::Gauge, "Time since its last report", |(node, now)| {
            node.age(*now).as_secs_f64()
        }),
        ("receivers", Kind::Gauge, "Receivers connected", |(node, _)| node.totals().receivers as f64),
        ("uptime_seconds", Kind::Gauge, "Time since its start", |(node, _)| {
            node.report.tsstream.as_ref().map_or(0.0, |details| details.uptime_ms as f64 / 1e3)
        }),
        ("load", Kind::Gauge, "Load average of its machine, one minute", |(node, _)| {
            node.report.tsstream.as_ref().map_or(0.0, |details| details.load)
        }),
    ];
    for (name, kind, help, value) in of_node {
        let name = format!("tsstream_node_{name}");
        out.head(&name, kind, help);
        for node in collector.nodes() {
            out.line(&name, &labels(node), value(&(node, now)));
        }
    }
    for (name, kind, help, value) in STREAM {
        let name = format!("tsstream_stream_{name}");
        out.head(&name, kind, help);
        for node in collector.nodes() {
            for stream in node.report.tsstream.iter().flat_map(|details| &details.streams) {
                let labels = [&labels(node)[..], &[("stream", stream.name.as_str())]].concat();
                out.line(&name, &labels, value(stream));
            }
        }
    }
    for (name, kind, help, value) in PULL {
        let name = format!("tsstream_pull_{name}");
        out.head(&name, kind, help);
        for (labels, pull) in pulled(collector) {
            out.line(&name, &labels, value(&pull));
        }
    }
    let name = "tsstream_pull_failures_total";
    out.head(name, Kind::Counter, "Upstreams given up");
    for (labels, pull) in pulled(collector) {
        for (reason, count) in pull.failures.by_reason() {
            let labels = [&labels[..], &[("reason", reason)]].concat();
            out.line(name, &labels, count as f64);
        }
    }
    for (name, kind, help, value) in HOP {
        let name = format!("tsstream_hop_{name}");
        out.head(&name, kind, help);
        for node in collector.nodes() {
            for hop in node.report.tsstream.iter().flat_map(|details| &details.next_hops) {
                let of_hop = [
                    ("stream", hop.stream.as_str()),
                    ("protocol", hop.protocol.as_str()),
                    ("address", hop.address.as_str()),
                ];
                out.line(&name, &[&labels(node)[..], &of_hop].concat(), value(hop));
            }
        }
    }
    out.into_bytes()
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// All streams that nodes fetch.
fn pulled(collector: &Collector) -> impl Iterator<Item = (Labels<'_>, PullReport)> {
    collector.nodes().flat_map(|node| {
        let streams = node.report.tsstream.iter().flat_map(|details| &details.streams);
        streams.filter_map(|stream| {
            Some(([&labels(node)[..], &[("stream", stream.name.as_str())]].concat(), stream.pull?))
        })
    })
}

fn labels(node: &Node) -> [(&'static str, &str); 2] {
    [("node", &node.key), ("name", &node.report.nodeinfo.name)]
}

#[cfg(test)]
mod tests {
    use super::super::report::Failures;
    use super::super::testing::{from, hop, normal, original};
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn names_of_other_machines_stay_within_their_quotes() {
        let (mut collector, now) = (Collector::new(10), Instant::now());
        let mut report = normal("a\"} 1\\", 1);
        let details = report.tsstream.as_mut().unwrap();
        details.next_hops = vec![hop("b:1")];
        let failures = Failures { looped: 3, ..Failures::default() };
        details.streams[0].pull = Some(PullReport { resumed: 2, failures, ..PullReport::default() });
        collector.take(report, from(1), now).unwrap();
        collector.take(original(55001), from(2), now).unwrap();
        let text = text(&collector, Counts { reports: 2, refused: 1 }, now);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("tsstream_monitor_refused_total 1\n"), "{text}");
        assert!(
            text.contains(
                "tsstream_stream_live{node=\"0000000000000001\",name=\"a\\\"} 1\\\\\",stream=\"live\"} 1\n"
            ),
            "{text}"
        );
        assert!(text.contains("tsstream_hop_connected{") && text.contains("address=\"b:1\"} 0\n"), "{text}");
        assert!(text.contains(",stream=\"live\"} 2\n") && text.contains(",reason=\"looped\"} 3\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("tsstream_node_up{")).count(), 2);
    }
}
