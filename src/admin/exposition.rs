//! `/metrics`. The names are a promise: dashboards and alarms are made of them.

use std::sync::Arc;

use super::families::{HEALTH, HOP, INPUT, INTERVALS, OUTPUT, PROCESS, PULL, THREAD};
use super::observer::Observer;
use super::process::{self, Process};
use crate::layout::Layout;
use crate::metrics::{LAG_BOUNDS_MS, StreamInputMetrics, StreamOutputMetrics};
use crate::monitor::Source;
use crate::proto::ts::health::Health;
use crate::web::prometheus::{Kind, Text};
use crate::worker::directory::{audio_token, video_token};
use crate::worker::leave::REASONS;

/// A number of receivers.
type Count = fn(&StreamOutputMetrics) -> u64;

/// All of them.
#[must_use]
pub fn text(observer: &Observer) -> Vec<u8> {
    let page = Page { observer, source: observer.source(), layout: observer.source().layout.value() };
    let mut out = Text::default();
    page.process(&process::look(), &mut out);
    page.threads(&mut out);
    page.inputs(&mut out);
    page.health(&mut out);
    page.pulls(&mut out);
    page.outputs(&mut out);
    page.next_hops(&mut out);
    out.into_bytes()
}

struct Page<'a> {
    observer: &'a Observer,
    source: &'a Source,
    layout: Arc<Layout>,
}

impl Page<'_> {
    fn process(&self, process: &Process, out: &mut Text) {
        for (name, kind, help, value) in PROCESS {
            out.single(name, kind, help, value(process));
        }
        out.head("tsstream_build_info", Kind::Gauge, "The program");
        out.line("tsstream_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        out.head("tsstream_node_info", Kind::Gauge, "The node; its id is another one after each start");
        let name = self.layout.name.clone().unwrap_or_else(crate::monitor::host_name);
        let id = self.source.identity.to_string();
        out.line("tsstream_node_info", &[("node", &id), ("name", &name)], 1.0);
        let refused = self.source.input.refused.value() as f64;
        out.single(
            "tsstream_publishers_refused_total",
            Kind::Counter,
            "Would-be publishers refused; over UDP, datagrams",
            refused,
        );
        let name = "tsstream_connections_unserved_total";
        out.head(
            name,
            Kind::Counter,
            "Connections to the ports for receivers that ended without a stream, by reason",
        );
        for (index, reason) in REASONS.iter().enumerate() {
            let sum: u64 = self.source.output.unserved.iter().map(|worker| worker[index].value()).sum();
            out.line(name, &[("reason", reason)], sum as f64);
        }
    }

    fn threads(&self, out: &mut Text) {
        for (name, kind, help, value) in THREAD {
            out.head(name, kind, help);
            for thread in self.observer.threads() {
                out.line(name, &[("thread", &thread.name())], value(thread));
            }
        }
    }

    /// Name and counters of each stream that is taken in.
    fn streams(&self) -> impl Iterator<Item = (usize, &str, &StreamInputMetrics)> {
        let named = self.layout.streams.iter().enumerate();
        named.filter_map(|(index, (name, _))| Some((index, &**name, self.source.input.streams.get(index)?)))
    }

    fn inputs(&self, out: &mut Text) {
        for (name, kind, help, value) in INPUT {
            out.head(name, kind, help);
            for (_, stream, metrics) in self.streams() {
                out.line(name, &[("stream", stream)], value(metrics));
            }
        }
        let name = "tsstream_stream_info";
        out.head(name, Kind::Gauge, "What the stream is coded in, as far as known");
        for (_, stream, metrics) in self.streams() {
            let codecs = metrics.state.value().codecs;
            let (video, audio) = (codecs.video.map_or("", video_token), codecs.audio.map_or("", audio_token));
            out.line(name, &[("stream", stream), ("video", video), ("audio", audio)], 1.0);
        }
        let name = "tsstream_stream_notice";
        out.head(name, Kind::Gauge, "What an operator should know of the stream, 1 while it holds");
        for (_, stream, metrics) in self.streams() {
            for notice in metrics.state.value().notices.all() {
                out.line(name, &[("stream", stream), ("notice", notice.token())], 1.0);
            }
        }
        let rates = self.streams().map(|(index, stream, _)| (stream, self.observer.stream_rates(index)));
        let rates: Vec<(&str, (u64, u64))> = rates.collect();
        let name = "tsstream_stream_input_bytes_per_second";
        out.head(name, Kind::Gauge, "Bytes taken in, over the last two seconds");
        rates
            .iter()
            .for_each(|(stream, (bits, _))| out.line(name, &[("stream", stream)], *bits as f64 / 8.0));
        let name = "tsstream_stream_output_bytes_per_second";
        out.head(name, Kind::Gauge, "Bytes sent to receivers, over the last two seconds");
        rates
            .iter()
            .for_each(|(stream, (_, bits))| out.line(name, &[("stream", stream)], *bits as f64 / 8.0));
    }

    fn health(&self, out: &mut Text) {
        let healths: Vec<(&str, Health)> =
            self.streams().map(|(_, stream, metrics)| (stream, metrics.health.value())).collect();
        for (name, kind, help, value) in HEALTH {
            out.head(name, kind, help);
            for (stream, health) in &healths {
                out.line(name, &[("stream", stream)], value(health));
            }
        }
        let name = "tsstream_stream_pid_continuity_errors_total";
        out.head(name, Kind::Counter, "Continuity_count_error by PID, of the first 64 PIDs that had any");
        for (stream, health) in &healths {
            for (pid, count) in health.continuity_errors_by_pid.iter() {
                let pid = format!("{pid:#06x}");
                out.line(name, &[("stream", stream), ("pid", &pid)], count as f64);
            }
        }
        for (middle, between, interval) in INTERVALS {
            let last = format!("tsstream_stream_{middle}_interval_seconds");
            out.head(
                &last,
                Kind::Gauge,
                &format!("Between the last two {between}; 0 until there have been two"),
            );
            for (stream, health) in &healths {
                out.line(&last, &[("stream", stream)], interval(health).last.as_secs_f64());
            }
            let max = format!("tsstream_stream_{middle}_interval_max_seconds");
            out.head(
                &max,
                Kind::Gauge,
                &format!("The longest between two {between} of the current publisher"),
            );
            for (stream, health) in &healths {
                out.line(&max, &[("stream", stream)], interval(health).max.as_secs_f64());
            }
        }
    }

    fn pulls(&self, out: &mut Text) {
        // Those that have never had or lost an upstream are not pulled, or have nothing to say of it.
        let pulled = || {
            self.streams().filter(|(_, _, it)| {
                it.pull.upstreams.value() > 0
                    || it.pull.failures.by_reason().iter().any(|(_, count)| *count > 0)
            })
        };
        for (name, kind, help, value) in PULL {
            out.head(name, kind, help);
            for (_, stream, metrics) in pulled() {
                out.line(name, &[("stream", stream)], value(metrics));
            }
        }
        let name = "tsstream_stream_pull_failures_total";
        out.head(name, Kind::Counter, "Upstreams given up, by reason");
        for (_, stream, metrics) in pulled() {
            for (reason, count) in metrics.pull.failures.by_reason() {
                out.line(name, &[("stream", stream), ("reason", reason)], count as f64);
            }
        }
    }

    /// The counters of each worker for the stream with that index.
    fn workers(&self, index: usize) -> impl Iterator<Item = &StreamOutputMetrics> {
        self.source.output.workers.iter().filter_map(move |worker| worker.get(index))
    }

    fn outputs(&self, out: &mut Text) {
        let protocols: [(_, Count); 4] = [
            ("websocket", |it| it.websocket.value()),
            ("http", |it| it.http.value()),
            ("tcp", |it| it.tcp.value()),
            ("relay", |it| it.relay.value()),
        ];
        let name = "tsstream_stream_receivers";
        out.head(name, Kind::Gauge, "Receivers connected; relay are nodes that pull");
        for (index, stream, _) in self.streams() {
            for (protocol, count) in protocols {
                let sum: u64 = self.workers(index).map(count).sum();
                out.line(name, &[("stream", stream), ("protocol", protocol)], sum as f64);
            }
        }
        for (name, kind, help, value) in OUTPUT {
            out.head(name, kind, help);
            for (index, stream, _) in self.streams() {
                out.line(name, &[("stream", stream)], self.workers(index).map(value).sum());
            }
        }
        let name = "tsstream_stream_disconnects_total";
        out.head(name, Kind::Counter, "Receivers that have left, by reason");
        for (index, stream, _) in self.streams() {
            for (number, reason) in REASONS.iter().enumerate() {
                let sum: u64 = self.workers(index).map(|worker| worker.left[number].value()).sum();
                out.line(name, &[("stream", stream), ("reason", reason)], sum as f64);
            }
        }
        self.lags(out);
    }

    fn lags(&self, out: &mut Text) {
        let name = "tsstream_stream_lag_max_seconds";
        out.head(name, Kind::Gauge, "Lag of the slowest receiver");
        for (index, stream, _) in self.streams() {
            let lag_ms = self.workers(index).map(|worker| worker.lag_ms.value()).max().unwrap_or(0);
            out.line(name, &[("stream", stream)], lag_ms as f64 / 1e3);
        }
        let name = "tsstream_receiver_lag_seconds";
        out.head(name, Kind::Histogram, "Lag of receivers, each looked at four times a second");
        let bounds = LAG_BOUNDS_MS.map(|bound| bound as f64 / 1e3);
        for (index, stream, _) in self.streams() {
            let mut counts = [0; LAG_BOUNDS_MS.len() + 1];
            for worker in self.workers(index) {
                counts.iter_mut().zip(&worker.lags).for_each(|(count, lags)| *count += lags.value());
            }
            let sum_ms: u64 = self.workers(index).map(|worker| worker.lags_ms.value()).sum();
            out.histogram(name, &[("stream", stream)], &bounds, &counts, sum_ms as f64 / 1e3);
        }
    }

    fn next_hops(&self, out: &mut Text) {
        for (name, kind, help, value) in HOP {
            out.head(name, kind, help);
            for (index, hop) in self.layout.hops.iter().enumerate() {
                let Some(metrics) = self.source.output.hops.get(index) else { continue };
                let address = hop.address();
                let labels = [("stream", &*hop.stream), ("protocol", hop.protocol), ("address", &address)];
                out.line(name, &labels, value(metrics));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::observer::tests::observer;
    use super::*;

    #[test]
    fn every_name_is_there_once_and_has_its_unit_last() {
        let text = String::from_utf8(text(&observer(2).0)).unwrap();
        let mut names = BTreeSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(names.insert(name), "{name} twice");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} {kind}");
            assert!(name.starts_with("tsstream_") || name.starts_with("process_"), "{name}");
        }
        assert!(text.contains(
            "tsstream_next_hop_connected{stream=\"s0\",protocol=\"TCP\",address=\"[::1]:55001\"} 0\n"
        ));
        assert!(
            text.contains("tsstream_stream_receivers{stream=\"s1\",protocol=\"websocket\"} 0\n"),
            "{text}"
        );
        assert!(text.contains("tsstream_receiver_lag_seconds_bucket{stream=\"s1\",le=\"0\"} 0\n"), "{text}");
        assert!(
            text.contains("tsstream_receiver_lag_seconds_bucket{stream=\"s1\",le=\"+Inf\"} 0\n"),
            "{text}"
        );
    }
}
