//! All that is known of one publisher's transport stream, brought up to date with every packet.

use std::time::{Duration, Instant};

use crate::chunk::Entry;

use super::Codecs;
use super::continuity::{Continuity, Verdict};
pub(crate) use super::entry::Position;
use super::entry::{Entries, Kind};
use super::health::Health;
use super::packet::{PID_PAT, Packet};
use super::preamble;
use super::tables::Tables;

/// Looks at every packet, in order, just before it is forwarded.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    tables: Tables,
    continuity: Continuity,
    entries: Entries,
    last_pat: Option<Instant>,
    last_keyframe: Option<Instant>,
}

/// What a packet means for the chunk that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Video {
    /// It starts a frame of the video that receivers begin with.
    FrameStart,
    /// It goes on with one.
    FrameRest,
    /// It is not of that video.
    Other,
}

impl Watch {
    /// Of a publisher that has come just now.
    pub fn starting(now: Instant) -> Watch {
        Watch { entries: Entries::starting(now), ..Watch::default() }
    }

    /// What a receiver must be sent before `packet`, if it may begin there. To be called before [`take`](Self::take).
    pub fn entry(
        &mut self,
        packet: Packet,
        position: Position,
        now: Instant,
        health: &mut Health,
    ) -> Option<Entry> {
        if packet.transport_error() {
            return None;
        }
        let kind = self.entries.kind(packet, position, &self.tables, now)?;
        Some(self.pass(kind, packet, now, health))
    }

    /// What a receiver must be sent before `packet`, where another node has found that it may begin.
    pub fn entry_as_told(&mut self, packet: Packet, now: Instant, health: &mut Health) -> Entry {
        let kind = self.entries.kind(packet, Position::ChunkStart, &self.tables, now);
        self.pass(kind.unwrap_or(Kind::Elapsed), packet, now, health)
    }

    fn pass(&mut self, kind: Kind, packet: Packet, now: Instant, health: &mut Health) -> Entry {
        if kind == Kind::Keyframe
            && let Some(last) = self.last_keyframe.replace(now)
        {
            health.keyframe_interval.record(now.saturating_duration_since(last));
        }
        let entry = preamble::before(packet, &self.tables, &self.continuity);
        self.entries.pass(kind, packet, now);
        self.continuity.pass_entry();
        entry
    }

    /// Takes `packet`. Of one with `transport_error` no field can be relied on.
    pub fn take(&mut self, packet: Packet, now: Instant, health: &mut Health) -> Video {
        if packet.transport_error() {
            health.transport_errors += 1;
            return Video::Other;
        }
        let pid = packet.pid();
        let verdict = self.continuity.take(packet);
        if verdict == Verdict::Broken {
            health.continuity_error(pid);
        }
        if let Some(pcr) = packet.pcr()
            && let Some(last) = self.continuity.replace_pcr(pid, pcr)
            && self.tables.main().pcr_pid == Some(pid)
            && !packet.discontinuity()
            && let Some(micros) = pcr.micros_since(last)
        {
            health.pcr_interval.record(Duration::from_micros(micros));
        }
        if pid == PID_PAT
            && packet.unit_start()
            && let Some(last) = self.last_pat.replace(now)
        {
            health.pat_interval.record(now.saturating_duration_since(last));
        }
        self.tables.take(packet, verdict, health);
        match (self.tables.main().video_pid == Some(pid), packet.unit_start()) {
            (true, true) => Video::FrameStart,
            (true, false) if packet.has_payload() => Video::FrameRest,
            _ => Video::Other,
        }
    }

    /// There has been an entry point.
    pub fn has_begun(&self) -> bool {
        self.entries.any()
    }

    /// The tables are here and have no video, so that no frame is ever open.
    pub fn is_without_video(&self) -> bool {
        self.tables.main().without_video
    }

    /// What receivers will have to decode.
    pub fn codecs(&self) -> Codecs {
        self.tables.main().codecs
    }
}
