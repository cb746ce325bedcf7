//! Where a stream is cut into chunks, and which of them a receiver may begin with.

use std::time::{Duration, Instant};

use crate::chunk::{Entry, FrameBuilder, Sealed};
use crate::config::Format;
use crate::proto::ts::Codecs;
use crate::proto::ts::health::Health;

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

/// Cuts a byte stream into sealed chunks.
#[derive(Debug)]
pub struct Framer {
    settings: FramerSettings,
    builder: FrameBuilder,
    /// When the first byte in `builder` came.
    received: Option<Instant>,
    /// When the last byte came.
    last_byte: Option<Instant>,
    follows_discontinuity: bool,
    health: Health,
}

impl Framer {
    /// A framer that has seen nothing.
    #[must_use]
    pub fn new(settings: FramerSettings) -> Framer {
        Framer {
            settings,
            builder: FrameBuilder::default(),
            received: None,
            last_byte: None,
            follows_discontinuity: true,
            health: Health::default(),
        }
    }

    /// A publisher has come: nothing of the one before continues. Its first chunk, even if it is the first of all, has
    /// `follows_discontinuity` set.
    pub fn start_session(&mut self, _now: Instant) {
        self.follows_discontinuity = true;
        self.health.start_session();
    }

    /// Takes `bytes` as read, in order, in any portions.
    pub fn push(&mut self, bytes: &[u8], now: Instant, sealed: &mut Vec<Sealed>) {
        if bytes.is_empty() {
            return;
        }
        self.health.bytes += bytes.len() as u64;
        self.last_byte = Some(now);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now_fits, later) = rest.split_at(rest.len().min(self.builder.room()));
            self.builder.extend(now_fits);
            self.received.get_or_insert(now);
            rest = later;
            if self.builder.room() == 0 {
                self.seal(sealed);
            }
        }
        if self.settings.coalesce.is_zero() {
            self.seal(sealed);
        }
    }

    /// When [`seal_due`](Self::seal_due) wants to be called at the latest, if anything waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let coalesced = self.received? + self.settings.coalesce;
        let quiet = self.settings.quiet.and_then(|quiet| Some(self.last_byte? + quiet));
        Some(quiet.map_or(coalesced, |quiet| quiet.min(coalesced)))
    }

    /// Seals what has waited long enough.
    pub fn seal_due(&mut self, now: Instant, sealed: &mut Vec<Sealed>) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.seal(sealed);
        }
    }

    /// The publisher has gone: seals what is left, whole packets only.
    pub fn end_session(&mut self, sealed: &mut Vec<Sealed>) {
        self.seal(sealed);
    }

    /// What the current publisher's stream is coded in, as far as known.
    #[must_use]
    pub fn codecs(&self) -> Codecs {
        Codecs::default()
    }

    /// How the stream is doing.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    fn seal(&mut self, sealed: &mut Vec<Sealed>) {
        let Some(received) = self.received.take() else { return };
        sealed.push(Sealed {
            body: self.builder.seal(),
            received,
            entry: Some(Entry::default()),
            follows_discontinuity: std::mem::take(&mut self.follows_discontinuity),
            starts_at_frame: true,
        });
    }
}
