//! What an operator should know of a stream that comes in, beyond what is counted: stated once for each publisher.

use std::fmt;

use crate::proto::ts::health::Lacks;
use crate::ring::Fit;

/// What there is to be said of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// What its publisher does not send.
    pub lacks: Lacks,
    /// Whether the buffer holds what it is to hold.
    pub buffer: Fit,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// See [`Lacks::pat`].
    NoPat,
    /// See [`Lacks::keyframe`].
    NoKeyframe,
    /// See [`Fit::CutShort`].
    BufferCutShort,
    /// See [`Fit::NoEntry`].
    GroupExceedsBuffer,
}

impl Notices {
    /// All that holds.
    pub fn all(self) -> impl Iterator<Item = Notice> {
        let lacks = [(self.lacks.pat, Notice::NoPat), (self.lacks.keyframe, Notice::NoKeyframe)];
        let buffer = match self.buffer {
            Fit::Whole => None,
            Fit::CutShort => Some(Notice::BufferCutShort),
            Fit::NoEntry => Some(Notice::GroupExceedsBuffer),
        };
        lacks.into_iter().filter_map(|(holds, notice)| holds.then_some(notice)).chain(buffer)
    }
}

impl Notice {
    /// A word for programs, which stays the same from version to version.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Notice::NoPat => "no-pat",
            Notice::NoKeyframe => "no-keyframe",
            Notice::BufferCutShort => "buffer-cut-short",
            Notice::GroupExceedsBuffer => "group-exceeds-buffer",
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Notice::NoPat => {
                "no PAT for 10 s: receivers begin with whatever comes, and players may make nothing of it"
            }
            Notice::NoKeyframe => {
                "no keyframe for 60 s: receivers begin at a PAT, and see nothing until there is one"
            }
            Notice::BufferCutShort => {
                "it brings more than the buffer holds of Seconds: receivers that lag skip earlier; raise Megabytes in \
                 [buffer], or lower Seconds"
            }
            Notice::GroupExceedsBuffer => {
                "its newest group of pictures is larger than the buffer: newcomers wait for the next keyframe; raise \
                 Megabytes in [buffer], or let the encoder send keyframes more often"
            }
        })
    }
}
