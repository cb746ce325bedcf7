//! MPEG transport streams (ISO/IEC 13818-1).
//!
//! `sync` finds the [`packet`]s in a byte stream. `watch` looks at each: it checks `continuity`, keeps the `tables`
//! (whose sections are the business of `psi` and `program`), tells whether it is an `entry` point and if so, makes the
//! `preamble` for those who begin there (of MPEG video, with a look into the `sequence`), and writes down the [`health`] of it all.

mod continuity;
mod entry;
pub mod health;
pub mod packet;
mod preamble;
mod program;
mod psi;
mod sequence;
pub(crate) mod sync;
mod tables;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod watch;

/// What the PMT says that the streams of a program are coded in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codecs {
    /// Of the first video stream.
    pub video: Option<VideoCodec>,
    /// Of the first audio stream.
    pub audio: Option<AudioCodec>,
}

/// Video codecs told apart by `stream_type` (ISO/IEC 13818-1 table 2-34).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// ISO/IEC 11172-2 (0x01; ffmpeg calls it 0x02, so that the video itself is looked at).
    Mpeg1,
    /// ISO/IEC 13818-2 (0x02).
    Mpeg2,
    /// ISO/IEC 14496-10 (0x1b).
    H264,
    /// ISO/IEC 23008-2 (0x24).
    Hevc,
    /// Another `stream_type` that is video.
    Other(u8),
}

/// Audio codecs told apart by `stream_type` and descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioCodec {
    /// ISO/IEC 11172-3 or 13818-3, any layer (0x03, 0x04).
    Mpeg,
    /// AAC in ADTS or LATM (0x0f, 0x11).
    Aac,
    /// AC-3 or E-AC-3 (0x81, 0x87, or 0x06 with a descriptor of ETSI EN 300 468 annex D).
    Ac3,
    /// Another `stream_type` that is audio.
    Other(u8),
}
