//! What is fed and what must arrive: a transport stream in which every packet can be foretold.
//!
//! The stream comes in *bursts*, numbered from 0, as an encoder sends one picture after the other. Each burst ends in a
//! *mark*, a packet on a PID of its own with the number of the burst and the time it was sent. All else follows from the
//! number, so that a receiver can check each byte without having seen what was sent.

use std::sync::Arc;

pub mod file;
pub mod mark;
pub mod packet;
pub mod synthetic;

pub use file::FileContent;
pub use mark::Mark;
pub use packet::{PACKET_BYTES, Packet};
pub use synthetic::Synthetic;

/// One stream to feed.
#[derive(Debug)]
pub enum Content {
    /// Made up at a constant rate.
    Synthetic(Synthetic),
    /// A file at its own pace, over and over.
    File(Arc<FileContent>, u32),
}

impl Content {
    /// Appends burst `number`, its mark with a time of zero last.
    pub fn burst(&self, number: u64, out: &mut Vec<u8>) {
        match self {
            Content::Synthetic(synthetic) => synthetic.burst(number, out),
            Content::File(file, stream) => file.burst(*stream, number, out),
        }
    }

    /// When burst `number` is due, in nanoseconds after burst 0.
    #[must_use]
    pub fn due_ns(&self, number: u64) -> u64 {
        match self {
            Content::Synthetic(synthetic) => synthetic.due_ns(number),
            Content::File(file, _) => file.due_ns(number),
        }
    }

    /// Which stream this is: marks carry it, so that streams taken for one another are found.
    #[must_use]
    pub fn stream(&self) -> u32 {
        match self {
            Content::Synthetic(synthetic) => synthetic.stream,
            Content::File(_, stream) => *stream,
        }
    }
}

/// The bursts made last, for receivers that all ask for the same ones.
#[derive(Debug)]
pub struct Expected {
    content: Arc<Content>,
    bursts: Vec<(Option<u64>, Vec<u8>)>,
}

/// Bursts kept: with 25 a second, receivers more than a second apart make each other's bursts anew, which is merely slow.
const BURSTS_KEPT: usize = 32;

impl Expected {
    /// What receivers of `content` must get.
    #[must_use]
    pub fn new(content: Arc<Content>) -> Expected {
        Expected { content, bursts: vec![(None, Vec::new()); BURSTS_KEPT] }
    }

    /// Burst `number`, its mark with a time of zero.
    pub fn burst(&mut self, number: u64) -> &[u8] {
        let (kept, bytes) = &mut self.bursts[(number % BURSTS_KEPT as u64) as usize];
        if *kept != Some(number) {
            bytes.clear();
            self.content.burst(number, bytes);
            *kept = Some(number);
        }
        bytes
    }

    /// The stream's number.
    #[must_use]
    pub fn stream(&self) -> u32 {
        self.content.stream()
    }
}
