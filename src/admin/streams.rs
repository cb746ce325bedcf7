//! `/api/streams`: the node, its streams and next hops, from the counters. Pure but for a look at the process.

use std::time::{Duration, Instant};

use super::api;
use super::observer::Observer;
use super::process;
use crate::metrics::{StreamInputMetrics, StreamOutputMetrics};
use crate::monitor;
use crate::worker::directory::{audio_token, video_token};

/// All of it.
#[must_use]
pub fn streams(observer: &Observer, now: Instant) -> api::Streams {
    let layout = observer.source().layout.value();
    api::Streams {
        node: node(observer, now),
        streams: layout
            .streams
            .iter()
            .enumerate()
            .map(|(index, (name, _))| stream(observer, index, name))
            .collect(),
        next_hops: layout
            .hops
            .iter()
            .enumerate()
            .map(|(index, hop)| next_hop(observer, index, hop))
            .collect(),
    }
}

fn node(observer: &Observer, now: Instant) -> api::Node {
    let process = process::look();
    let thread = |thread: &super::observer::ThreadTrack| api::Thread {
        name: thread.name(),
        busy_share: thread.busy_share(),
        longest_turn_seconds: thread.longest().as_secs_f64(),
        silent_seconds: thread.silence().as_secs_f64(),
    };
    api::Node {
        id: observer.source().identity,
        name: observer.source().layout.value().name.clone().unwrap_or_else(monitor::host_name),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: observer.uptime(now).as_secs_f64(),
        cpu_seconds: process.cpu_seconds,
        memory_bytes: process.resident_bytes,
        descriptors: process.descriptors,
        descriptors_max: process.descriptors_max,
        threads: observer.threads().map(thread).collect(),
    }
}

fn stream(observer: &Observer, index: usize, name: &str) -> api::Stream {
    let (bits_in, bits_out) = observer.stream_rates(index);
    let mut stream = api::Stream {
        name: name.to_owned(),
        live: false,
        publisher: None,
        video: None,
        audio: None,
        notices: Vec::new(),
        input: api::Input { bits_per_second: bits_in, ..api::Input::default() },
        receivers: api::Receivers::default(),
        output: api::Output { bits_per_second: bits_out, ..api::Output::default() },
    };
    if let Some(metrics) = observer.source().input.streams.get(index) {
        let state = metrics.state.value();
        stream.live = state.live;
        stream.notices = state.notices.all().map(|notice| notice.token().to_owned()).collect();
        stream.publisher = state.publisher;
        stream.video = state.codecs.video.map(video_token).map(str::to_owned);
        stream.audio = state.codecs.audio.map(audio_token).map(str::to_owned);
        add_input(&mut stream.input, metrics);
    }
    for metrics in observer.source().output.workers.iter().filter_map(|worker| worker.get(index)) {
        add_output(&mut stream, metrics);
    }
    stream
}

fn add_input(input: &mut api::Input, metrics: &StreamInputMetrics) {
    let health = metrics.health.value();
    let seconds = |interval: Duration| interval.as_secs_f64();
    input.publishers = metrics.publishers.value();
    input.bytes = metrics.bytes.value();
    input.packets = health.packets;
    input.dropped_bytes = health.bytes_dropped;
    input.sync_losses = health.sync_losses;
    input.pat_errors = health.pat_errors;
    input.continuity_errors = health.continuity_errors;
    input.pmt_errors = health.pmt_errors;
    input.transport_errors = health.transport_errors;
    input.crc_errors = health.crc_errors;
    input.pcr_errors = health.pcr_errors;
    input.pat_interval_seconds = seconds(health.pat_interval.last);
    input.pmt_interval_seconds = seconds(health.pmt_interval.last);
    input.pcr_interval_seconds = seconds(health.pcr_interval.last);
    input.keyframe_interval_seconds = seconds(health.keyframe_interval.last);
    input.lost = metrics.rtp_lost.value() + metrics.kernel_drops.value();
    input.chunks = metrics.chunks.value();
    input.chunks_lost = metrics.chunks_lost.value();
}

/// Adds the receivers of one worker.
fn add_output(stream: &mut api::Stream, metrics: &StreamOutputMetrics) {
    let api::Receivers { websocket, http, tcp, relay } = &mut stream.receivers;
    *websocket += metrics.websocket.value();
    *http += metrics.http.value();
    *tcp += metrics.tcp.value();
    *relay += metrics.relay.value();
    let output = &mut stream.output;
    output.bytes += metrics.bytes.value();
    output.writes += metrics.writes.value();
    output.skips += metrics.skips.value();
    output.stalled += metrics.stalled.value();
    output.lag_seconds = output.lag_seconds.max(metrics.lag_ms.value() as f64 / 1e3);
}

fn next_hop(observer: &Observer, index: usize, hop: &crate::layout::Hop) -> api::NextHop {
    let metrics = observer.source().output.hops.get(index);
    api::NextHop {
        stream: hop.stream.clone(),
        protocol: hop.protocol.to_owned(),
        address: hop.address(),
        connected: metrics.is_some_and(|metrics| metrics.state.value().connected),
        bytes: metrics.map_or(0, |metrics| metrics.bytes.value()),
        bits_per_second: observer.hop_rate(index),
        drops: metrics.map_or(0, |metrics| metrics.skips.value() + metrics.datagrams_dropped.value()),
    }
}
