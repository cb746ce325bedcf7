//! Something to publish, as far and as fast as a test wants it, and the check of what receivers have of it.

use std::net::SocketAddr;

use tsstream::demo::Looper;

use super::publish::Publisher;
use super::receive::Receiver;
use super::{ts, wait_until};

/// The demo's picture, its publisher, and all that has been published.
pub struct Show {
    /// Who publishes it.
    pub publisher: Publisher,
    /// What comes next.
    pub looper: Looper,
    /// All of it so far.
    pub published: Vec<u8>,
}

impl Show {
    /// Connects to a TCP input.
    #[track_caller]
    pub fn start(address: SocketAddr) -> Show {
        Show::of(Publisher::tcp(address))
    }

    /// By this publisher.
    pub fn of(publisher: Publisher) -> Show {
        Show { publisher, looper: Looper::default(), published: Vec::new() }
    }

    /// Publishes so many frames.
    pub fn go_on(&mut self, bursts: usize) {
        for burst in self.looper.by_ref().take(bursts) {
            self.publisher.send(&burst.packets).unwrap();
            self.published.extend(burst.packets);
        }
    }

    /// The last packet.
    pub fn tail(&self) -> &[u8] {
        &self.published[self.published.len() - ts::PACKET..]
    }

    /// Waits until the receiver has the last packet, then checks that it has a whole run of the stream.
    #[track_caller]
    pub fn check(&self, receiver: &Receiver) {
        wait_until("the last packet", || receiver.ends_with(self.tail()));
        ts::joined(&receiver.so_far().bytes, &self.published).unwrap();
    }
}
