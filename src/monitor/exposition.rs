//! The whole tree in the text format of Prometheus, version 0.0.4. Pure.

use std::fmt::Write;
use std::time::Instant;

use super::collector::{Collector, Node};
use super::report::{HopReport, StreamReport};
use super::tree::Counts;

/// Beyond so much, the rest is left out: a thousand nodes of ten streams each take half of it.
const TEXT_BYTES_MAX: usize = 32 * 1024 * 1024;

type Family<T> = (&'static str, &'static str, &'static str, fn(&T) -> f64);

/// Of a stream at a node.
const STREAM: [Family<StreamReport>; 13] = [
    ("live", "gauge", "The stream can be played", |it| f64::from(u8::from(it.live))),
    ("input_bytes_total", "counter", "Bytes taken in", |it| it.bytes_in as f64),
    ("continuity_errors_total", "counter", "Continuity_count_error of ETSI TR 101 290", |it| {
        it.continuity_errors as f64
    }),
    ("sync_losses_total", "counter", "TS_sync_loss of ETSI TR 101 290", |it| it.sync_losses as f64),
    ("lost_total", "counter", "Packets lost on the way to the node", |it| it.lost as f64),
    ("chunks_lost_total", "counter", "Chunks lost within the node", |it| it.chunks_lost as f64),
    ("websocket_receivers", "gauge", "Receivers over WebSocket", |it| it.receivers.websocket as f64),
    ("http_receivers", "gauge", "Receivers over HTTP", |it| it.receivers.http as f64),
    ("tcp_receivers", "gauge", "Receivers over TCP", |it| it.receivers.tcp as f64),
    ("output_bytes_total", "counter", "Bytes sent to receivers", |it| it.bytes_out as f64),
    ("skips_total", "counter", "Skips of slow receivers", |it| it.skips as f64),
    ("stalled_total", "counter", "Receivers given up as stalled", |it| it.stalled as f64),
    ("lag_seconds", "gauge", "Lag of the slowest receiver", |it| it.lag_ms as f64 / 1e3),
];

/// Of a next hop of a node.
const HOP: [Family<HopReport>; 3] = [
    ("connected", "gauge", "The next hop is being sent to", |it| f64::from(u8::from(it.connected))),
    ("bytes_total", "counter", "Bytes sent to the next hop", |it| it.bytes as f64),
    ("drops_total", "counter", "Chunks or datagrams that the next hop did not take", |it| it.drops as f64),
];

/// The text.
#[must_use]
pub fn text(collector: &Collector, counts: Counts, now: Instant) -> String {
    let mut out = String::new();
    let mut own = |name: &str, help: &str, value: u64| {
        head(&mut out, name, "counter", help);
        line(&mut out, name, &[], value as f64);
    };
    own("tsstream_monitor_reports_total", "Reports taken", counts.reports);
    own("tsstream_monitor_refused_total", "Reports refused", counts.refused);
    let of_node: [Family<(&Node, Instant)>; 5] = [
        ("up", "gauge", "The node reports", |(node, now)| f64::from(u8::from(!node.is_silent(*now)))),
        ("report_age_seconds", "gauge", "Time since its last report", |(node, now)| {
            node.age(*now).as_secs_f64()
        }),
        ("receivers", "gauge", "Receivers connected", |(node, _)| node.totals().receivers as f64),
        ("uptime_seconds", "gauge", "Time since its start", |(node, _)| {
            node.report.tsstream.as_ref().map_or(0.0, |details| details.uptime_ms as f64 / 1e3)
        }),
        ("load", "gauge", "Load average of its machine, one minute", |(node, _)| {
            node.report.tsstream.as_ref().map_or(0.0, |details| details.load)
        }),
    ];
    for (name, kind, help, value) in of_node {
        let name = format!("tsstream_node_{name}");
        head(&mut out, &name, kind, help);
        for node in collector.nodes() {
            line(&mut out, &name, &labels(node), value(&(node, now)));
        }
    }
    for (name, kind, help, value) in STREAM {
        let name = format!("tsstream_stream_{name}");
        head(&mut out, &name, kind, help);
        for node in collector.nodes() {
            for stream in node.report.tsstream.iter().flat_map(|details| &details.streams) {
                let labels = [&labels(node)[..], &[("stream", stream.name.as_str())]].concat();
                line(&mut out, &name, &labels, value(stream));
            }
        }
    }
    for (name, kind, help, value) in HOP {
        let name = format!("tsstream_hop_{name}");
        head(&mut out, &name, kind, help);
        for node in collector.nodes() {
            for hop in node.report.tsstream.iter().flat_map(|details| &details.next_hops) {
                let of_hop = [
                    ("stream", hop.stream.as_str()),
                    ("protocol", hop.protocol.as_str()),
                    ("address", hop.address.as_str()),
                ];
                line(&mut out, &name, &[&labels(node)[..], &of_hop].concat(), value(hop));
            }
        }
    }
    out
}

fn labels(node: &Node) -> [(&'static str, &str); 2] {
    [("node", &node.key), ("name", &node.report.nodeinfo.name)]
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}.\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    if out.len() > TEXT_BYTES_MAX {
        return;
    }
    out.push_str(name);
    for (index, (label, text)) in labels.iter().enumerate() {
        // Names come from other machines: a label ends where it says so and nowhere else.
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' });
    }
    let _ = writeln!(out, "{} {value}", if labels.is_empty() { "" } else { "}" });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{from, hop, normal, original};
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn names_of_other_machines_stay_within_their_quotes() {
        let (mut collector, now) = (Collector::new(10), Instant::now());
        let mut report = normal("a\"} 1\\", 1);
        report.tsstream.as_mut().unwrap().next_hops = vec![hop("b:1")];
        collector.take(report, from(1), now).unwrap();
        collector.take(original(55001), from(2), now).unwrap();
        let text = text(&collector, Counts { reports: 2, refused: 1 }, now);
        assert!(text.contains("tsstream_monitor_refused_total 1\n"), "{text}");
        assert!(
            text.contains(
                "tsstream_stream_live{node=\"0000000000000001\",name=\"a\\\"} 1\\\\\",stream=\"live\"} 1\n"
            ),
            "{text}"
        );
        assert!(text.contains("tsstream_hop_connected{") && text.contains("address=\"b:1\"} 0\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("tsstream_node_up{")).count(), 2);
    }
}
