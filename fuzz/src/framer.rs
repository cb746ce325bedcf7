//! Bytes that should be a transport stream, from a publisher to sealed chunks.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tsstream::chunk::{PAYLOAD_BYTES_MAX, Sealed, TS_PACKET_BYTES};
use tsstream::config::Format;
use tsstream::demo::Looper;
use tsstream::ingest::framer::{Framer, FramerSettings};

use crate::portions::{portions, seed};

/// The most that one input makes.
const BYTES_MAX: usize = 256 << 10;

/// The start of a real picture, as an encoder sends it.
static PICTURE: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| Looper::default().take(60).map(|burst| burst.packets).collect());

/// What a publisher does.
enum Step {
    Send(Vec<u8>),
    Wait(Duration),
}

/// The input says what to send and when: bytes as they are, packets, tables with a right checksum, a real picture, damage.
pub fn check(data: &[u8]) {
    let steps = steps(data);
    let whole = frame(&steps, |bytes, push| push(bytes));
    let in_portions = frame(&steps, |bytes, push| portions(bytes, seed(data)).for_each(push));
    if whole.sync_losses == 0 {
        // With damage, what is trusted depends on whether it is seen to be followed by a packet.
        assert_eq!(whole.payload, in_portions.payload);
        assert_eq!(whole.entries, in_portions.entries);
    }
}

struct Outcome {
    payload: Vec<u8>,
    entries: usize,
    sync_losses: u64,
}

fn frame(steps: &[Step], mut send: impl FnMut(&[u8], &mut dyn FnMut(&[u8]))) -> Outcome {
    let settings = FramerSettings {
        format: Format::Ts,
        coalesce: Duration::from_millis(2),
        quiet: Some(Duration::from_micros(500)),
    };
    let mut framer = Framer::new(settings);
    let mut now = Instant::now();
    let mut sealed = Vec::new();
    framer.start_session(now);
    for step in steps {
        match step {
            Step::Send(bytes) => send(bytes, &mut |portion| framer.push(portion, now, &mut sealed)),
            Step::Wait(time) => {
                now += *time;
                framer.seal_due(now, &mut sealed);
                assert!(framer.deadline().is_none_or(|deadline| deadline > now), "what is due is sealed");
            }
        }
    }
    framer.end_session(&mut sealed);
    assert_eq!(framer.deadline(), None, "nothing is left");
    check_chunks(&sealed);
    let health = framer.health();
    let payload: Vec<u8> = sealed.iter().flat_map(|sealed| sealed.body.payload()).copied().collect();
    let packets_bytes = health.packets * TS_PACKET_BYTES as u64;
    assert_eq!(health.bytes, packets_bytes + health.bytes_dropped, "every byte is accounted for");
    assert_eq!(
        packets_bytes,
        payload.len() as u64 + health.bytes_before_entry,
        "packets go out, or came too early"
    );
    let by_pid: u64 = health.continuity_errors_by_pid.iter().map(|(_, count)| count).sum();
    assert!(by_pid <= health.continuity_errors && health.continuity_errors <= health.packets);
    let entries = sealed.iter().filter(|sealed| sealed.entry.is_some()).count();
    Outcome { payload, entries, sync_losses: health.sync_losses }
}

fn check_chunks(chunks: &[Sealed]) {
    for (index, chunk) in chunks.iter().enumerate() {
        check_packets(chunk.body.payload());
        assert!(!chunk.body.payload().is_empty());
        assert_eq!(
            chunk.follows_discontinuity,
            index == 0,
            "the first chunk does not continue, all others do"
        );
        assert!(index > 0 || chunk.entry.is_some(), "the first chunk can be begun with");
        if let Some(entry) = &chunk.entry {
            check_packets(entry.join.payload());
            check_packets(entry.jump.payload());
            assert!(entry.jump.payload().ends_with(entry.join.payload()));
        }
        assert!(index == 0 || chunks[index - 1].received <= chunk.received);
    }
}

fn check_packets(payload: &[u8]) {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX && payload.len().is_multiple_of(TS_PACKET_BYTES));
    assert!(payload.iter().step_by(TS_PACKET_BYTES).all(|byte| *byte == 0x47));
}

/// Reads what to do: a byte that says what, then what it takes.
fn steps(data: &[u8]) -> Vec<Step> {
    let mut rest = data;
    let mut picture = PICTURE.iter().cloned().cycle();
    let mut steps = Vec::new();
    let mut made = 0;
    while let Some((what, after)) = rest.split_first() {
        rest = after;
        let amount = usize::from(what >> 3);
        let bytes = match what & 7 {
            0 => take(&mut rest, amount * 8).to_vec(),
            1 | 2 => packet(take(&mut rest, 3 + amount)),
            3 => section(take(&mut rest, 2 + amount * 4)),
            4 | 5 => picture.by_ref().take(1 + amount / 8).flatten().collect(),
            6 => {
                let mut bytes: Vec<u8> = picture.next().unwrap_or_default();
                let place = take(&mut rest, 2).iter().fold(0, |place, byte| place << 8 | usize::from(*byte));
                let place = place % bytes.len().max(1);
                bytes.drain(place..(place + amount * 7).min(bytes.len()));
                bytes
            }
            _ => {
                steps.push(Step::Wait(Duration::from_micros(1 << amount.min(25))));
                continue;
            }
        };
        made += bytes.len();
        if made > BYTES_MAX {
            break;
        }
        steps.push(Step::Send(bytes));
    }
    steps
}

/// A packet that goes on as `start` says, after its sync byte.
fn packet(start: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xff; TS_PACKET_BYTES];
    packet[0] = 0x47;
    packet[1..=start.len()].copy_from_slice(start);
    packet
}

/// A packet with one section of a table: PID in two bytes, then the section, to which length and checksum are added.
fn section(start: &[u8]) -> Vec<u8> {
    let Some(([high, low], content)) = start.split_first_chunk() else { return Vec::new() };
    let mut section =
        vec![content.first().copied().unwrap_or_default(), 0xb0, content.len().max(1) as u8 + 3];
    section.extend(content.iter().skip(1));
    section.extend(checksum(&section).to_be_bytes());
    let header = [&[high & 0x1f | 0x40, *low, 0x10, 0][..], &section].concat();
    packet(&header[..header.len().min(TS_PACKET_BYTES - 1)])
}

/// CRC_32 of ISO/IEC 13818-1 annex A.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
        })
    })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(count.min(rest.len()));
    *rest = after;
    taken
}
