//! A publisher that goes on pushing the demo's picture, faster than it plays, until it is told to stop.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tsstream::demo::Looper;

use super::publish::Publisher;

/// Between two frames: twelve times as fast as it plays, some 8 Mb/s.
const PAUSE: Duration = Duration::from_millis(3);

/// The running publisher, stopped with the value.
pub struct Live {
    published: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// Pushes over TCP.
    pub fn start(address: SocketAddr) -> Live {
        Live::start_at(address, PAUSE)
    }

    /// Pushes over TCP, a frame after each `pause`.
    pub fn start_at(address: SocketAddr, pause: Duration) -> Live {
        let mut publisher = Publisher::tcp(address);
        let (published, stop) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicBool>::default());
        let thread = thread::spawn({
            let (published, stop) = (Arc::clone(&published), Arc::clone(&stop));
            move || {
                for burst in Looper::default() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // First, so that nothing arrives that is not on record.
                    published.lock().expect("the record is whole").extend_from_slice(&burst.packets);
                    if publisher.send(&burst.packets).is_err() {
                        return;
                    }
                    thread::sleep(pause);
                }
            }
        });
        Live { published, stop, thread: Some(thread) }
    }

    /// How many bytes have been pushed so far.
    pub fn length(&self) -> usize {
        self.published.lock().expect("the record is whole").len()
    }

    /// All that has been pushed so far.
    pub fn so_far(&self) -> Vec<u8> {
        self.published.lock().expect("the record is whole").clone()
    }

    /// Stops, and returns all that was pushed.
    pub fn stop(mut self) -> Vec<u8> {
        self.end();
        std::mem::take(&mut *self.published.lock().expect("the record is whole"))
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the publisher ends in order");
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.end();
    }
}
