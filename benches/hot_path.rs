//! What a byte costs on its way, station by station, without the system calls: the scan and cut of a transport stream,
//! the making of a chunk, the visit of a receiver, the parsing of a request.
//!
//! `cargo bench --bench hot_path`; compare figures of one run only.

use std::hint::black_box;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use tsstream::chunk::{Chunk, Entry, Framed, Sealed, TS_PACKET_BYTES};
use tsstream::config::{Buffer, Format};
use tsstream::demo::Looper;
use tsstream::ingest::framer::{Framer, FramerSettings};
use tsstream::proto::http::parse_request;
use tsstream::ring::Ring;
use tsstream::worker::outbox::{Form, Outbox};
use tsstream::worker::streaming::{Patience, Streaming};

const BURST_BYTES: usize = 10_000 / TS_PACKET_BYTES * TS_PACKET_BYTES;
const RECEIVERS: usize = 1_000;

fn framer(c: &mut Criterion) {
    let stream: Vec<u8> = Looper::default().take(2_000).flat_map(|burst| burst.packets).collect();
    let mut group = c.benchmark_group("framer");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    for read_bytes in [1_316, 1_472, 16_384, 65_536] {
        group.bench_function(format!("reads of {read_bytes} bytes"), |b| {
            b.iter_batched(
                || {
                    Framer::new(FramerSettings {
                        format: Format::Ts,
                        coalesce: Duration::from_millis(2),
                        quiet: None,
                    })
                },
                |mut framer| {
                    let (now, mut sealed) = (clock(), Vec::new());
                    framer.start_session(now);
                    for read in stream.chunks(read_bytes) {
                        framer.push(read, now, &mut sealed);
                        // As in a ring that is full: memory is taken and given back at the same pace.
                        sealed.clear();
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn seal(c: &mut Criterion) {
    let burst = vec![0x47; BURST_BYTES];
    let mut group = c.benchmark_group("chunk");
    group.throughput(Throughput::Bytes(BURST_BYTES as u64));
    group.bench_function("copy, frame and seal a burst", |b| b.iter(|| Framed::binary(black_box(&burst))));
    group.finish();
}

fn visit(c: &mut Criterion) {
    let patience = Patience { lag_max: Duration::from_secs(2), stall_max: Duration::from_secs(10) };
    let mut group = c.benchmark_group("receiver");
    group.throughput(Throughput::Elements(RECEIVERS as u64));
    for (name, chunks) in [("one chunk, one send", 1), ("eight chunks, one writev", 8)] {
        group.bench_function(name, |b| {
            let now = clock();
            let mut ring = Ring::new(Buffer { time: Duration::from_secs(10), bytes: 32 << 20 });
            let mut sequence = 0;
            push(&mut ring, &mut sequence, 1, now);
            let receiver = || Streaming::new(Outbox::at_entry(Form::Frames, 0), now);
            let mut receivers: Vec<Streaming> = (0..RECEIVERS).map(|_| receiver()).collect();
            b.iter(|| {
                push(&mut ring, &mut sequence, chunks, now);
                for receiver in &mut receivers {
                    receiver.pump(&mut Swallow, &ring, || patience, now).expect("it takes everything");
                }
            });
        });
    }
    group.finish();
}

fn head(c: &mut Criterion) {
    let head = b"GET /live HTTP/1.1\r\nHost: node.example.org:8088\r\nConnection: keep-alive, Upgrade\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\nUpgrade: websocket\r\n\
        Origin: http://node.example.org\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: null\r\n\r\n";
    c.bench_function("request head of a browser", |b| b.iter(|| parse_request(black_box(head))));
}

fn push(ring: &mut Ring, sequence: &mut u64, chunks: u64, now: Instant) {
    for _ in 0..chunks {
        let body = Framed::binary(&[0x47; BURST_BYTES]);
        let entry = (*sequence == 0).then(Entry::default);
        let sealed =
            Sealed { body, received: now, entry, follows_discontinuity: false, starts_at_frame: true };
        ring.push(Arc::new(Chunk { sequence: *sequence, sealed }));
        *sequence += 1;
    }
}

/// A socket that takes everything.
struct Swallow;

impl Write for Swallow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice]) -> io::Result<usize> {
        Ok(black_box(slices).iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "any instant will do")]
fn clock() -> Instant {
    Instant::now()
}

criterion_group!(hot_path, framer, seal, visit, head);
criterion_main!(hot_path);
