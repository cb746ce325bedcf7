//! Where a receiver may begin: at keyframes, and what there is instead in streams without.

use std::time::{Duration, Instant};

use super::packet::{PID_PAT, Packet};
use super::tables::{Main, Tables};

/// Between two entry points that are not keyframes.
const SPACING: Duration = Duration::from_millis(500);

/// So long keyframes are waited for, from the publisher's coming on; after that, entry points are made up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same where there have been keyframes, and there are no more.
const PATIENCE_BETWEEN: Duration = Duration::from_secs(60);

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
    /// When the publisher came.
    started: Option<Instant>,
    /// When the last one came.
    last: Option<Instant>,
    /// PID and time of the last one that was more than elapsed time.
    proper: Option<(u16, Instant)>,
}

/// Whether a packet would be the first of its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    ChunkStart,
    Within,
}

impl Entries {
    /// Of a publisher that has come just now.
    pub fn starting(now: Instant) -> Entries {
        Entries { started: Some(now), ..Entries::default() }
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
        (may_begin && self.is_overdue(main, now)).then_some(Kind::Elapsed)
    }

    /// `packet` was an entry point of this `kind`.
    pub fn pass(&mut self, kind: Kind, packet: Packet, now: Instant) {
        self.last = Some(now);
        if kind != Kind::Elapsed {
            self.proper = Some((packet.pid(), now));
        }
    }

    /// There has been one.
    pub fn any(&self) -> bool {
        self.last.is_some()
    }

    fn is_spaced(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= SPACING)
    }

    /// Whether what should bring entry points has not brought any for too long. Where it has, it is relied on for longer.
    fn is_overdue(&self, main: &Main, now: Instant) -> bool {
        let (since, patience) = match self.proper {
            Some((pid, at)) if Some(pid) == main.video_pid.or(main.audio_pid) => (Some(at), PATIENCE_BETWEEN),
            Some((_, at)) => (Some(at), PATIENCE),
            None => (self.started, PATIENCE),
        };
        since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
    }
}
