//! The metrics of single things: names, types, and where the values are.

use super::observer::ThreadTrack;
use super::process::Process;
use crate::metrics::{HopMetrics, StreamInputMetrics, StreamOutputMetrics};
use crate::proto::ts::health::{Health, Interval};
use crate::web::prometheus::Kind;

/// A metric: name, type, what it is, and its value of a thing.
pub type Family<T> = (&'static str, Kind, &'static str, fn(&T) -> f64);

/// The names of these are the same for all programs.
pub const PROCESS: [Family<Process>; 7] = [
    ("process_open_fds", Kind::Gauge, "Open descriptors", |it| it.descriptors as f64),
    ("process_max_fds", Kind::Gauge, "The most descriptors that there may be", |it| {
        it.descriptors_max as f64
    }),
    ("process_resident_memory_bytes", Kind::Gauge, "Resident memory", |it| it.resident_bytes as f64),
    ("process_virtual_memory_bytes", Kind::Gauge, "Address space", |it| it.virtual_bytes as f64),
    ("process_cpu_seconds_total", Kind::Counter, "Processor time of all threads", |it| it.cpu_seconds),
    ("process_start_time_seconds", Kind::Gauge, "When it was started, in seconds since 1970", |it| {
        it.started_unix_seconds
    }),
    ("process_threads", Kind::Gauge, "Threads", |it| it.threads as f64),
];

/// With the label `thread`.
pub const THREAD: [Family<ThreadTrack>; 4] = [
    ("tsstream_thread_turns_total", Kind::Counter, "Turns of the loop", |it| it.turns() as f64),
    (
        "tsstream_thread_busy_seconds_total",
        Kind::Counter,
        "Time that the loop did not wait for events",
        |it| it.busy().as_secs_f64(),
    ),
    ("tsstream_thread_longest_turn_seconds", Kind::Gauge, "The longest turn of the last minute", |it| {
        it.longest().as_secs_f64()
    }),
    (
        "tsstream_thread_silence_seconds",
        Kind::Gauge,
        "Time for which the loop has not been seen to turn",
        |it| it.silence().as_secs_f64(),
    ),
];

/// With the label `stream`, like all that follow.
pub const INPUT: [Family<StreamInputMetrics>; 10] = [
    ("tsstream_stream_live", Kind::Gauge, "The stream can be played", |it| flag(it.state.value().live)),
    ("tsstream_stream_publisher_connected", Kind::Gauge, "There is a publisher", |it| {
        flag(it.state.value().publisher.is_some())
    }),
    ("tsstream_stream_publishers_total", Kind::Counter, "Publishers that were let in", |it| {
        it.publishers.value() as f64
    }),
    ("tsstream_stream_input_bytes_total", Kind::Counter, "Bytes of the stream taken in", |it| {
        it.bytes.value() as f64
    }),
    ("tsstream_stream_chunks_total", Kind::Counter, "Chunks made", |it| it.chunks.value() as f64),
    (
        "tsstream_stream_chunks_lost_total",
        Kind::Counter,
        "Chunks that a worker had no room for, by worker",
        |it| it.chunks_lost.value() as f64,
    ),
    (
        "tsstream_stream_kernel_drops_total",
        Kind::Counter,
        "Datagrams that the kernel dropped because the receive buffer was full",
        |it| it.kernel_drops.value() as f64,
    ),
    (
        "tsstream_stream_rtp_lost_total",
        Kind::Counter,
        "RTP packets that are missing by their numbers",
        |it| it.rtp_lost.value() as f64,
    ),
    (
        "tsstream_stream_rtp_late_total",
        Kind::Counter,
        "RTP packets dropped since they came twice or too late",
        |it| it.rtp_late.value() as f64,
    ),
    (
        "tsstream_stream_pull_latency_seconds",
        Kind::Gauge,
        "From the upstream to here, by the clocks of both",
        |it| it.pull.hop_latency_us.value() as f64 / 1e6,
    ),
];

/// Named after ETSI TR 101 290 where it has a name.
pub const HEALTH: [Family<Health>; 9] = [
    ("tsstream_stream_packets_total", Kind::Counter, "TS packets", |it| it.packets as f64),
    (
        "tsstream_stream_dropped_bytes_total",
        Kind::Counter,
        "Bytes that were not part of any TS packet",
        |it| it.bytes_dropped as f64,
    ),
    ("tsstream_stream_sync_losses_total", Kind::Counter, "TS_sync_loss, TR 101 290 1.1", |it| {
        it.sync_losses as f64
    }),
    ("tsstream_stream_pat_errors_total", Kind::Counter, "PAT_error, TR 101 290 1.3", |it| {
        it.pat_errors as f64
    }),
    (
        "tsstream_stream_continuity_errors_total",
        Kind::Counter,
        "Continuity_count_error, TR 101 290 1.4",
        |it| it.continuity_errors as f64,
    ),
    ("tsstream_stream_pmt_errors_total", Kind::Counter, "PMT_error, TR 101 290 1.5", |it| {
        it.pmt_errors as f64
    }),
    ("tsstream_stream_transport_errors_total", Kind::Counter, "Transport_error, TR 101 290 2.1", |it| {
        it.transport_errors as f64
    }),
    ("tsstream_stream_crc_errors_total", Kind::Counter, "CRC_error in PAT or PMT, TR 101 290 2.2", |it| {
        it.crc_errors as f64
    }),
    ("tsstream_stream_pcr_errors_total", Kind::Counter, "PCR_error, TR 101 290 2.3", |it| {
        it.pcr_errors as f64
    }),
];

/// An interval: its name, what it is between, and where it is.
pub type Between = (&'static str, &'static str, fn(&Health) -> Interval);

pub const INTERVALS: [Between; 4] = [
    ("pat", "PATs", |it| it.pat_interval),
    ("pmt", "PMTs of the main program", |it| it.pmt_interval),
    ("pcr", "clocks of the main program", |it| it.pcr_interval),
    ("keyframe", "keyframes", |it| it.keyframe_interval),
];

/// Of streams that are pulled.
pub const PULL: [Family<StreamInputMetrics>; 5] = [
    ("tsstream_stream_pull_upstreams_total", Kind::Counter, "Times that an upstream was taken up", |it| {
        it.pull.upstreams.value() as f64
    }),
    (
        "tsstream_stream_pull_resumed_total",
        Kind::Counter,
        "Of those, times that it went on without a gap",
        |it| it.pull.resumed.value() as f64,
    ),
    (
        "tsstream_stream_pull_discontinuities_total",
        Kind::Counter,
        "Times that what came did not continue what had come",
        |it| it.pull.discontinuities.value() as f64,
    ),
    (
        "tsstream_stream_pull_chunks_skipped_total",
        Kind::Counter,
        "Chunks that the upstream did not send",
        |it| it.pull.chunks_skipped.value() as f64,
    ),
    (
        "tsstream_stream_pull_chunks_missed_total",
        Kind::Counter,
        "Chunks that are missing since they were made, wherever they were lost",
        |it| it.pull.chunks_missed.value() as f64,
    ),
];

/// Summed up over the workers.
pub const OUTPUT: [Family<StreamOutputMetrics>; 3] = [
    (
        "tsstream_stream_output_bytes_total",
        Kind::Counter,
        "Bytes sent to receivers, framing included",
        |it| it.bytes.value() as f64,
    ),
    ("tsstream_stream_output_writes_total", Kind::Counter, "System calls that sent something", |it| {
        it.writes.value() as f64
    }),
    (
        "tsstream_stream_skips_total",
        Kind::Counter,
        "Times that a slow receiver skipped to a keyframe",
        |it| it.skips.value() as f64,
    ),
];

/// With the labels `protocol` and `address` as well.
pub const HOP: [Family<HopMetrics>; 9] = [
    ("tsstream_next_hop_connected", Kind::Gauge, "The next hop is being sent to", |it| {
        flag(it.state.value().connected)
    }),
    (
        "tsstream_next_hop_connections_total",
        Kind::Counter,
        "Connections made; over UDP, sockets opened",
        |it| it.connections.value() as f64,
    ),
    ("tsstream_next_hop_connections_lost_total", Kind::Counter, "Connections that ended", |it| {
        it.lost.value() as f64
    }),
    ("tsstream_next_hop_failed_tries_total", Kind::Counter, "Tries that led to no connection", |it| {
        it.failed_tries.value() as f64
    }),
    ("tsstream_next_hop_bytes_total", Kind::Counter, "Bytes sent", |it| it.bytes.value() as f64),
    (
        "tsstream_next_hop_skips_total",
        Kind::Counter,
        "Times that it skipped to a keyframe, or started anew",
        |it| it.skips.value() as f64,
    ),
    ("tsstream_next_hop_datagrams_total", Kind::Counter, "Datagrams sent", |it| it.datagrams.value() as f64),
    ("tsstream_next_hop_datagrams_dropped_total", Kind::Counter, "Datagrams that could not be sent", |it| {
        it.datagrams_dropped.value() as f64
    }),
    ("tsstream_next_hop_send_errors_total", Kind::Counter, "Errors of sending", |it| {
        it.send_errors.value() as f64
    }),
];

fn flag(flag: bool) -> f64 {
    f64::from(u8::from(flag))
}
