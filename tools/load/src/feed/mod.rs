//! The feed: one thread that sends the bursts of all streams, each when it is due.
//!
//! A burst is due at a time that was fixed at the start, so that a late one does not put off those that follow. How late
//! each was is kept: a feed that could not keep up measures itself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use hdrhistogram::Histogram;

use crate::address::Address;
use crate::content::{Content, mark};
use crate::host::{now_ns, sleep_until, take_precedence};

mod carrier;

use carrier::Carrier;

/// A burst that waits longer than this for its time is waited for in pieces, so that the end is not missed.
const SLEEP_NS_MAX: u64 = 50_000_000;

/// Before burst 0: so that every stream is connected when the first is due.
const LEAD_NS: u64 = 20_000_000;

/// What has been sent of one stream, while it is being sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// Whole bursts.
    pub bursts: AtomicU64,
    /// Bytes of transport stream.
    pub bytes: AtomicU64,
}

/// A feed that is running.
#[derive(Debug)]
pub struct Feed {
    sent: Arc<Vec<Sent>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Lateness, String>>,
    /// When burst 0 of the first stream is due.
    pub origin_ns: u64,
}

/// How late bursts were, in microseconds.
pub type Lateness = Histogram<u64>;

impl Feed {
    /// Connects every stream to its address and begins to send.
    ///
    /// # Errors
    /// When an address can't be reached or refuses to be fed.
    pub fn start(streams: Vec<(Arc<Content>, Address)>) -> Result<Feed, String> {
        let sent: Arc<Vec<Sent>> = Arc::new(streams.iter().map(|_| Sent::default()).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let mut open = Vec::new();
        for (content, address) in streams {
            open.push(Stream { carrier: Carrier::open(&address)?, content, burst: Vec::new(), number: 0 });
        }
        let origin_ns = now_ns() + LEAD_NS;
        let (all_sent, stopped) = (Arc::clone(&sent), Arc::clone(&stop));
        let thread = std::thread::spawn(move || feed(open, &all_sent, &stopped, origin_ns));
        Ok(Feed { sent, stop, thread, origin_ns })
    }

    /// What has been sent of each stream so far.
    #[must_use]
    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// Whether it has ended by itself, which it does only on an error.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.thread.is_finished() && !self.stop.load(Ordering::Relaxed)
    }

    /// No burst is sent any more. The connections stay open until [`end`](Self::end).
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Closes the connections; says how late bursts were.
    ///
    /// # Errors
    /// When a server broke off a stream.
    pub fn end(self) -> Result<Lateness, String> {
        self.stop();
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_else(|_| Err("the feed's thread has ended in a bug".to_owned()))
    }
}

struct Stream {
    carrier: Carrier,
    content: Arc<Content>,
    burst: Vec<u8>,
    number: u64,
}

fn feed(
    mut streams: Vec<Stream>,
    sent: &[Sent],
    stop: &AtomicBool,
    origin_ns: u64,
) -> Result<Lateness, String> {
    take_precedence();
    let mut lateness = Histogram::new_with_max(60_000_000, 3).map_err(|error| error.to_string())?;
    // Streams are spread over the time between two bursts, as they would be if they had nothing to do with each other.
    let spread_ns = |index: usize| streams[index].content.due_ns(1) * index as u64 / streams.len() as u64;
    let starts_ns: Vec<u64> = (0..streams.len()).map(|index| origin_ns + spread_ns(index)).collect();
    let mut due: BinaryHeap<Reverse<(u64, usize)>> =
        starts_ns.iter().enumerate().map(|(index, start_ns)| Reverse((*start_ns, index))).collect();
    while let Some(Reverse((due_ns, index))) = due.pop() {
        let stream = &mut streams[index];
        stream.burst.clear();
        stream.content.burst(stream.number, &mut stream.burst);
        while now_ns() < due_ns && !stop.load(Ordering::Acquire) {
            sleep_until(due_ns.min(now_ns() + SLEEP_NS_MAX));
        }
        if stop.load(Ordering::Acquire) {
            break;
        }
        let sent_ns = now_ns();
        lateness.saturating_record((sent_ns - due_ns) / 1000);
        mark::stamp(&mut stream.burst, sent_ns);
        stream.carrier.send(&stream.burst)?;
        sent[index].bursts.fetch_add(1, Ordering::Relaxed);
        sent[index].bytes.fetch_add(stream.burst.len() as u64, Ordering::Relaxed);
        stream.number += 1;
        due.push(Reverse((starts_ns[index] + stream.content.due_ns(stream.number), index)));
    }
    wait_for_end(stop);
    Ok(lateness)
}

/// Keeps the connections open until [`Feed::end`]: receivers may still be waiting for what was sent last.
fn wait_for_end(stop: &AtomicBool) {
    debug_assert!(stop.load(Ordering::Acquire));
    std::thread::park_timeout(std::time::Duration::from_secs(60));
}
