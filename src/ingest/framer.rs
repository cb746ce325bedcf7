//! Where a stream is cut into chunks, and which of them a receiver may begin with.

mod cutter;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::chunk::{PAYLOAD_BYTES_MAX, Sealed, TS_PACKET_BYTES};
use crate::config::Format;
use crate::proto::ts::Codecs;
use crate::proto::ts::health::{Health, Lacks};
use crate::proto::ts::packet::{Packet, SYNC_BYTE};
use crate::proto::ts::sync::Aligner;
use crate::proto::ts::watch::Watch;

use cutter::Cutter;

/// What a [`Framer`] goes by.
#[derive(Clone, Copy, Debug)]
pub struct FramerSettings {
    /// What the bytes are.
    pub format: Format,
    /// A chunk is sealed at the latest so long after its first byte; with zero, at the end of each push.
    pub coalesce: Duration,
    /// A chunk is sealed earlier once no byte has come for so long; `None` is never.
    pub quiet: Option<Duration>,
}

/// Whether a receiver may begin with a chunk, as the node that cut it has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkStart {
    /// It may.
    Entry,
    /// It may not.
    Within,
}

/// What another node has sent is not what a transport stream is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPackets;

/// Cuts a byte stream into sealed chunks.
///
/// Of a transport stream nothing leaves but whole packets, unaltered; a publisher's first chunk is its first entry
/// point, and every further entry point starts a chunk. Opaque bytes are cut anywhere, and may be begun with anywhere.
/// Of messages each is a chunk.
#[derive(Debug)]
pub struct Framer {
    settings: FramerSettings,
    cutter: Cutter,
    aligner: Aligner,
    watch: Watch,
    /// When the last byte came.
    last_byte: Option<Instant>,
    health: Health,
}

impl Framer {
    /// A framer that has seen nothing.
    #[must_use]
    pub fn new(settings: FramerSettings) -> Framer {
        Framer {
            settings,
            cutter: Cutter::default(),
            aligner: Aligner::default(),
            watch: Watch::default(),
            last_byte: None,
            health: Health::default(),
        }
    }

    /// It is cut like this from now on; what it is stays the same.
    pub fn set_settings(&mut self, settings: FramerSettings) {
        self.settings = settings;
    }

    /// A publisher has come: nothing of the one before continues. Its first chunk, even if it is the first of all, has
    /// `follows_discontinuity` set. What an [`end_session`](Self::end_session) not called would have sealed is dropped.
    pub fn start_session(&mut self, now: Instant) {
        self.health.bytes_dropped += self.aligner.reset();
        self.health.start_session();
        self.cutter = Cutter::default();
        self.watch = Watch::starting(now);
        self.last_byte = None;
    }

    /// Takes `bytes` as read, in order, in any portions; of messages one at a time. A message that is longer than a chunk
    /// may be is dropped.
    pub fn push(&mut self, bytes: &[u8], now: Instant, sealed: &mut Vec<Sealed>) {
        if bytes.is_empty() {
            return;
        }
        self.health.bytes += bytes.len() as u64;
        self.last_byte = Some(now);
        match self.settings.format {
            Format::Bytes => self.cutter.gather_opaque(bytes, now, sealed),
            Format::Messages if bytes.len() > PAYLOAD_BYTES_MAX => {
                self.health.bytes_dropped += bytes.len() as u64
            }
            Format::Messages => self.cutter.gather_opaque(bytes, now, sealed),
            Format::Ts => self.push_transport_stream(bytes, now, sealed),
        }
        if self.settings.format == Format::Messages || self.settings.coalesce.is_zero() {
            self.cutter.seal(sealed);
        }
    }

    /// Takes a chunk that another node has cut, and seals it as it is. Where that node has found that a receiver may
    /// begin, one may here; nowhere else.
    ///
    /// # Errors
    /// Takes nothing of what is not whole packets, though the format is.
    pub fn push_chunk(
        &mut self,
        chunk: &[u8],
        start: ChunkStart,
        now: Instant,
        sealed: &mut Vec<Sealed>,
    ) -> Result<(), NotPackets> {
        match self.settings.format {
            Format::Bytes | Format::Messages => self.cutter.gather_opaque(chunk, now, sealed),
            Format::Ts => {
                let packets = whole_packets(chunk)?;
                self.health.packets += packets.len() as u64;
                self.cutter.gather_chunk(packets, start, now, &mut self.watch, &mut self.health, sealed);
            }
        }
        self.health.bytes += chunk.len() as u64;
        self.cutter.seal(sealed);
        Ok(())
    }

    /// Takes to heart what another node sends before a chunk that does not continue; nothing of it is sealed.
    ///
    /// # Errors
    /// When it is not whole packets.
    pub fn learn(&mut self, preamble: &[u8], now: Instant) -> Result<(), NotPackets> {
        for packet in whole_packets(preamble)? {
            self.watch.take(Packet::new(packet), now, &mut self.health);
        }
        Ok(())
    }

    /// When [`seal_due`](Self::seal_due) wants to be called at the latest, if anything waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let coalesced = self.cutter.received()? + self.settings.coalesce;
        let quiet = self.settings.quiet.and_then(|quiet| Some(self.last_byte? + quiet));
        Some(quiet.map_or(coalesced, |quiet| quiet.min(coalesced)))
    }

    /// Seals what has waited long enough.
    pub fn seal_due(&mut self, now: Instant, sealed: &mut Vec<Sealed>) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.cutter.seal(sealed);
        }
    }

    /// The publisher has gone: seals what is left, whole packets only.
    pub fn end_session(&mut self, sealed: &mut Vec<Sealed>) {
        self.health.bytes_dropped += self.aligner.reset();
        self.cutter.seal(sealed);
    }

    /// What the current publisher's stream is coded in, as far as known.
    #[must_use]
    pub fn codecs(&self) -> Codecs {
        self.watch.codecs()
    }

    /// What the current publisher's stream has lacked for long. Opaque bytes lack nothing.
    #[must_use]
    pub fn lacks(&self) -> Lacks {
        self.watch.lacks()
    }

    /// How the stream is doing.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    fn push_transport_stream(&mut self, bytes: &[u8], now: Instant, sealed: &mut Vec<Sealed>) {
        let Framer { aligner, watch, cutter, health, .. } = self;
        let damage = aligner.push(bytes, |run| {
            health.packets += (run.len() / TS_PACKET_BYTES) as u64;
            cutter.gather_packets(run, now, watch, health, sealed);
        });
        health.bytes_dropped += damage.bytes_dropped;
        health.sync_losses += damage.sync_losses;
    }
}

fn whole_packets(bytes: &[u8]) -> Result<&[[u8; TS_PACKET_BYTES]], NotPackets> {
    let (packets, rest) = bytes.as_chunks::<TS_PACKET_BYTES>();
    let in_sync = packets.iter().all(|packet| packet[0] == SYNC_BYTE);
    if in_sync && rest.is_empty() { Ok(packets) } else { Err(NotPackets) }
}
