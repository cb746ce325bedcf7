//! The chunk in the making: gathers, and seals when full, at entry points, and when told to.

use std::time::Instant;

use crate::chunk::{Entry, FrameBuilder, Sealed, TS_PACKET_BYTES};
use crate::ingest::framer::ChunkStart;
use crate::proto::ts::health::Health;
use crate::proto::ts::packet::Packet;
use crate::proto::ts::watch::{Position, Video, Watch};

/// What is to become the next chunk of one publisher. By default: of a new one.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// The chunk that an entry point has just cut off. It goes out with the entry's own: an encoder sends its tables
    /// and the keyframe after them in one burst, and every receiver is to be sent them in one call.
    cut_off: Option<Sealed>,
    builder: FrameBuilder,
    /// When the first bytes in the builder came; `None` while it is empty.
    received: Option<Instant>,
    entry: Option<Entry>,
    /// Not known before its first packet of video.
    starts_at_frame: Option<bool>,
    /// A chunk of the same publisher has been sealed before.
    continues: bool,
}

impl Cutter {
    /// When the first byte that waits came, if any does.
    pub fn received(&self) -> Option<Instant> {
        self.cut_off.as_ref().map(|sealed| sealed.received).or(self.received)
    }

    /// Gathers bytes of which nothing is known. A receiver may begin with any chunk of them.
    pub fn gather_opaque(&mut self, bytes: &[u8], now: Instant, sealed: &mut Vec<Sealed>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (fits, later) = rest.split_at(rest.len().min(self.builder.room()));
            self.entry = Some(Entry::default());
            self.starts_at_frame = Some(true);
            self.append(fits, now, sealed);
            rest = later;
        }
    }

    /// Gathers a `run` of whole packets, from the publisher's first entry point on.
    pub fn gather_packets(
        &mut self,
        run: &[u8],
        now: Instant,
        watch: &mut Watch,
        health: &mut Health,
        sealed: &mut Vec<Sealed>,
    ) {
        let (packets, _) = run.as_chunks::<TS_PACKET_BYTES>();
        // Packets before this one have been dealt with; those from here to `index` go to the builder in one copy.
        let mut start = 0;
        for (index, bytes) in packets.iter().enumerate() {
            let packet = Packet::new(bytes);
            let is_first = index == start && self.builder.is_empty();
            let position = if is_first { Position::ChunkStart } else { Position::Within };
            if let Some(entry) = watch.entry(packet, position, now, health) {
                self.append(packets[start..index].as_flattened(), now, sealed);
                sealed.extend(self.cut_off.take());
                self.cut_off = self.cut();
                start = index;
                self.entry = Some(entry);
            }
            let video = watch.take(packet, now, health);
            if !watch.has_begun() {
                health.bytes_before_entry += TS_PACKET_BYTES as u64;
                start = index + 1;
                continue;
            }
            if self.starts_at_frame.is_none() {
                self.starts_at_frame = starts_at_frame(video, watch);
            }
            if (index + 1 - start) * TS_PACKET_BYTES == self.builder.room() {
                self.append(packets[start..=index].as_flattened(), now, sealed);
                start = index + 1;
            }
        }
        self.append(packets[start..].as_flattened(), now, sealed);
    }

    /// Gathers the packets of a chunk that another node has cut, from the publisher's first entry point on. There must be
    /// nothing gathered yet.
    pub fn gather_chunk(
        &mut self,
        packets: &[[u8; TS_PACKET_BYTES]],
        start: ChunkStart,
        now: Instant,
        watch: &mut Watch,
        health: &mut Health,
        sealed: &mut Vec<Sealed>,
    ) {
        if let (ChunkStart::Entry, Some(first)) = (start, packets.first()) {
            self.entry = watch.entry_as_told(Packet::new(first), now, health);
        }
        for bytes in packets {
            let video = watch.take(Packet::new(bytes), now, health);
            if self.starts_at_frame.is_none() {
                self.starts_at_frame = starts_at_frame(video, watch);
            }
        }
        if watch.has_begun() {
            self.append(packets.as_flattened(), now, sealed);
        } else {
            self.starts_at_frame = None;
            health.bytes_before_entry += packets.as_flattened().len() as u64;
        }
    }

    /// Seals what there is, if there is anything.
    pub fn seal(&mut self, sealed: &mut Vec<Sealed>) {
        sealed.extend(self.cut_off.take());
        sealed.extend(self.cut());
    }

    fn cut(&mut self) -> Option<Sealed> {
        Some(Sealed {
            received: self.received.take()?,
            body: self.builder.seal(),
            entry: self.entry.take(),
            follows_discontinuity: !std::mem::replace(&mut self.continues, true),
            starts_at_frame: self.starts_at_frame.take().unwrap_or_default(),
        })
    }

    /// Adds `bytes`, of which there must be room for, and seals what is then full.
    fn append(&mut self, bytes: &[u8], now: Instant, sealed: &mut Vec<Sealed>) {
        if bytes.is_empty() {
            return;
        }
        self.received.get_or_insert(now);
        self.builder.extend(bytes);
        if self.builder.room() == 0 {
            self.seal(sealed);
        }
    }
}

/// What a packet tells of the chunk that it is in, if no packet before it in that chunk has told.
fn starts_at_frame(video: Video, watch: &Watch) -> Option<bool> {
    match video {
        Video::FrameStart => Some(true),
        Video::FrameRest => Some(false),
        // Without video no frame is ever open. With it, one may be open all through the chunk.
        Video::Other => watch.is_without_video().then_some(true),
    }
}
