//! Where a receiver may begin: at keyframes, and what there is instead in streams without.

use std::time::{Duration, Instant};

use super::packet::{PID_PAT, Packet};
use super::tables::Tables;

/// Between two entry points that are not keyframes.
const SPACING: Duration = Duration::from_millis(500);

/// So long keyframes are waited for, from the first packet on; after that, entry points are made up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What makes a packet an entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It starts a keyframe: `random_access_indicator` on the video PID. (On others it says nothing: ffmpeg sets it on
    /// every packet of audio.)
    Keyframe,
    /// It starts a frame of audio in a stream without video.
    Audio,
    /// Nothing but the time: it starts a PAT, or whatever there is in a stream without one.
    Elapsed,
}

/// Tells the entry points of one publisher.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    /// When the first packet came.
    started: Option<Instant>,
    last: Option<Instant>,
    /// There has been one that was more than elapsed time.
    proper: bool,
}

/// Whether a packet would be the first of its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    ChunkStart,
    Within,
}

impl Entries {
    /// Packets have come.
    pub fn start(&mut self, now: Instant) {
        self.started.get_or_insert(now);
    }

    /// Whether `packet`, which `tables` have not taken yet, is an entry point.
    pub fn kind(&self, packet: Packet, position: Position, tables: &Tables, now: Instant) -> Option<Kind> {
        let main = tables.main();
        let pid = Some(packet.pid());
        if packet.unit_start() && pid == main.video_pid {
            return packet.random_access().then_some(Kind::Keyframe);
        }
        // Few packets get further.
        if !packet.unit_start() && position == Position::Within || !self.is_spaced(now) {
            return None;
        }
        if packet.unit_start() && pid == main.audio_pid && main.without_video {
            return Some(Kind::Audio);
        }
        let may_begin = if tables.has_pat() {
            packet.unit_start() && pid == Some(PID_PAT)
        } else {
            position == Position::ChunkStart
        };
        (may_begin && self.is_overdue(now)).then_some(Kind::Elapsed)
    }

    /// An entry point of this `kind` has been passed.
    pub fn pass(&mut self, kind: Kind, now: Instant) {
        self.last = Some(now);
        self.proper |= kind != Kind::Elapsed;
    }

    /// There has been one.
    pub fn any(&self) -> bool {
        self.last.is_some()
    }

    fn is_spaced(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= SPACING)
    }

    fn is_overdue(&self, now: Instant) -> bool {
        !self.proper && self.started.is_some_and(|started| now.saturating_duration_since(started) >= PATIENCE)
    }
}
