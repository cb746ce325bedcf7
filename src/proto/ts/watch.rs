//! All that is known of one publisher's transport stream, brought up to date with every packet.

use std::time::{Duration, Instant};

use crate::chunk::{Entry, TS_PACKET_BYTES};

use super::continuity::{Continuity, Verdict};
pub(crate) use super::entry::Position;
use super::entry::{Entries, Kind};
use super::health::{Health, Lacks};
use super::packet::{PID_PAT, Packet};
use super::preamble;
use super::tables::Tables;
use super::{Codecs, VideoCodec, sequence};

/// Looks at every packet, in order, just before it is forwarded.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    tables: Tables,
    continuity: Continuity,
    entries: Entries,
    /// What the last entry point cost: bytes of its preambles.
    entry_bytes: usize,
    /// Bytes of the stream since then.
    bytes_since_entry: usize,
    /// When the publisher came.
    started: Option<Instant>,
    last_packet: Option<Instant>,
    last_pat: Option<Instant>,
    last_pmt: Option<Instant>,
    last_keyframe: Option<Instant>,
    /// Which MPEG video the keyframes are, if they are any.
    mpeg_video: Option<VideoCodec>,
}

/// A stream ought to have a PAT twice a second. One without for so long is said to lack it.
const PAT_TIME_MAX: Duration = Duration::from_secs(10);

/// A stream with video that has had no keyframe for so long is said to lack them.
const KEYFRAME_TIME_MAX: Duration = Duration::from_secs(60);

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
        Watch { entries: Entries::starting(now), started: Some(now), ..Watch::default() }
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
        self.note(kind, now, health);
        self.is_affordable().then(|| self.pass(kind, packet, now))
    }

    /// The same, where another node has found that a receiver may begin.
    pub fn entry_as_told(&mut self, packet: Packet, now: Instant, health: &mut Health) -> Option<Entry> {
        let kind = self.entries.kind(packet, Position::ChunkStart, &self.tables, now);
        let kind = kind.unwrap_or(Kind::Elapsed);
        self.note(kind, now, health);
        self.is_affordable().then(|| self.pass(kind, packet, now))
    }

    fn note(&mut self, kind: Kind, now: Instant, health: &mut Health) {
        if kind == Kind::Keyframe
            && let Some(last) = self.last_keyframe.replace(now)
        {
            health.keyframe_interval.record(now.saturating_duration_since(last));
        }
    }

    /// Whether as much of the stream has come as the last entry point cost. A publisher that calls every packet a keyframe
    /// would else cost far more work and memory than what it sends.
    fn is_affordable(&self) -> bool {
        !self.entries.any() || self.bytes_since_entry >= self.entry_bytes
    }

    fn pass(&mut self, kind: Kind, packet: Packet, now: Instant) -> Entry {
        let entry = preamble::before(packet, &self.tables, &self.continuity);
        self.entries.pass(kind, packet, now);
        self.continuity.pass_entry();
        self.entry_bytes = entry.join.payload().len() + entry.jump.payload().len();
        self.bytes_since_entry = 0;
        entry
    }

    /// Takes `packet`. Of one with `transport_error` no field can be relied on.
    pub fn take(&mut self, packet: Packet, now: Instant, health: &mut Health) -> Video {
        self.bytes_since_entry += TS_PACKET_BYTES;
        self.last_packet = Some(now);
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
        {
            let micros = pcr.micros_since(last);
            health.pcr(micros.map(Duration::from_micros));
            if micros.is_some() {
                health.see(pcr, last, now);
            }
        }
        if packet.unit_start() {
            self.table(pid, now, health);
        }
        self.tables.take(packet, verdict, health);
        if self.tables.main().video_pid == Some(pid) && packet.unit_start() && packet.random_access() {
            self.look_into_keyframe(packet);
        }
        match (self.tables.main().video_pid == Some(pid), packet.unit_start()) {
            (true, true) => Video::FrameStart,
            (true, false) if packet.has_payload() => Video::FrameRest,
            _ => Video::Other,
        }
    }

    /// A section may begin on `pid`.
    fn table(&mut self, pid: u16, now: Instant, health: &mut Health) {
        let since = |last: Option<Instant>| last.map(|last| now.saturating_duration_since(last));
        if pid == PID_PAT {
            since(self.last_pat.replace(now)).into_iter().for_each(|interval| health.pat(interval));
        } else if self.tables.main().map_pid == Some(pid) {
            since(self.last_pmt.replace(now)).into_iter().for_each(|interval| health.pmt(interval));
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

    /// What has been missing for long, as of the last packet: a publisher that is silent lacks nothing else.
    pub fn lacks(&self) -> Lacks {
        let missing = |last: Option<Instant>, time_max| match (last.or(self.started), self.last_packet) {
            (Some(since), Some(until)) => until.saturating_duration_since(since) >= time_max,
            _ => false,
        };
        Lacks {
            pat: missing(self.last_pat, PAT_TIME_MAX),
            keyframe: self.tables.main().video_pid.is_some()
                && missing(self.last_keyframe, KEYFRAME_TIME_MAX),
        }
    }

    /// What receivers will have to decode.
    pub fn codecs(&self) -> Codecs {
        let Codecs { video, audio } = self.tables.main().codecs;
        let video = if is_mpeg(video) { self.mpeg_video.or(video) } else { video };
        Codecs { video, audio }
    }

    /// `stream_type` is not to be relied on between the two MPEG videos.
    fn look_into_keyframe(&mut self, packet: Packet) {
        if is_mpeg(self.tables.main().codecs.video)
            && !packet.scrambled()
            && let Some(codec) = sequence::codec(packet.payload())
        {
            self.mpeg_video = Some(codec);
        }
    }
}

fn is_mpeg(video: Option<VideoCodec>) -> bool {
    matches!(video, Some(VideoCodec::Mpeg1 | VideoCodec::Mpeg2))
}
