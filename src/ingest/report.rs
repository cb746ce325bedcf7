//! What the log says of a publisher: why it is gone, what it sent.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ts::{AudioCodec, Codecs, VideoCodec};

/// Why a publisher is gone.
#[derive(Debug)]
pub enum Departure {
    /// It closed the connection.
    Closed,
    /// It ended its HTTP request in order.
    Completed,
    /// It was silent for `Timeout`.
    Silent(Duration),
    /// This one took its place.
    Replaced(SocketAddr),
    /// The connection failed.
    Failed(io::Error),
    /// The body of its HTTP request can't be read on.
    Malformed,
    /// None of its upstreams can be had.
    NoUpstream,
    /// An operator has asked for it, by the admin port.
    Dismissed,
    /// The program ends.
    Stopped,
}

/// What the line about a publisher's leaving tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Bytes of the stream.
    pub bytes: u64,
    /// Continuity_count_error of ETSI TR 101 290.
    pub continuity_errors: u64,
    /// TS_sync_loss of the same.
    pub sync_losses: u64,
    /// RTP packets that are missing by their numbers.
    pub rtp_lost: u64,
    /// Datagrams that the kernel dropped.
    pub kernel_drops: u64,
}

/// Codecs in words.
#[derive(Debug)]
pub struct Description(pub Codecs);

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Departure::Closed => write!(f, "closed by publisher"),
            Departure::Completed => write!(f, "completed"),
            Departure::Silent(timeout) => write!(f, "silent for {:.1} s", timeout.as_secs_f64()),
            Departure::Replaced(by) => write!(f, "replaced by {by}"),
            Departure::Failed(error) => write!(f, "{error}"),
            Departure::Malformed => write!(f, "malformed body"),
            Departure::NoUpstream => write!(f, "no upstream can be had"),
            Departure::Dismissed => write!(f, "disconnected by the operator"),
            Departure::Stopped => write!(f, "stopped here"),
        }
    }
}

impl Counts {
    /// What has been added since `before`.
    pub fn since(self, before: Counts) -> Counts {
        Counts {
            bytes: self.bytes - before.bytes,
            continuity_errors: self.continuity_errors - before.continuity_errors,
            sync_losses: self.sync_losses - before.sync_losses,
            rtp_lost: self.rtp_lost - before.rtp_lost,
            kernel_drops: self.kernel_drops - before.kernel_drops,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        write!(f, "{megabytes:.1} MB, {} continuity errors", self.continuity_errors)?;
        write!(f, ", {} sync losses", self.sync_losses)?;
        if self.rtp_lost > 0 {
            write!(f, ", {} RTP packets lost", self.rtp_lost)?;
        }
        if self.kernel_drops > 0 {
            write!(f, ", {} datagrams dropped by the kernel", self.kernel_drops)?;
        }
        Ok(())
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.video {
            Some(VideoCodec::Mpeg1) => write!(f, "MPEG-1 video"),
            Some(VideoCodec::Mpeg2) => write!(f, "MPEG-2 video"),
            Some(VideoCodec::H264) => write!(f, "H.264 video"),
            Some(VideoCodec::Hevc) => write!(f, "HEVC video"),
            Some(VideoCodec::Other(stream_type)) => write!(f, "video of type {stream_type:#04x}"),
            None => write!(f, "no video"),
        }?;
        match self.0.audio {
            Some(AudioCodec::Mpeg) => write!(f, ", MPEG audio"),
            Some(AudioCodec::Aac) => write!(f, ", AAC audio"),
            Some(AudioCodec::Ac3) => write!(f, ", AC-3 audio"),
            Some(AudioCodec::Other(stream_type)) => write!(f, ", audio of type {stream_type:#04x}"),
            None => Ok(()),
        }
    }
}
