//! The receivers: who they are, the threads that they live on, and what came of them.
//!
//! Most of them leave their bytes in the kernel (`recv` with `MSG_TRUNC`), so that thousands cost little. A sample that is
//! spread over the order of connecting reads all of it, on a thread of its own: what it measures does not wait behind
//! those thousands.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use mio::Waker;

use crate::content::Content;
use crate::host::{now_ns, sleep_until};

/// So long a thread may take to notice that it counts now.
const HEED_NS_MAX: u64 = 1_000_000_000;

/// How often that is looked at.
const HEED_TICK_NS: u64 = 500_000;

mod connection;
mod fleet;
mod outcome;
mod plan;
mod socket;

pub use outcome::{GroupOutcome, Outcome};
pub use plan::{Begin, Behaviour, Group, Plan, Receiver, Target};

/// How receivers that are not sampled are emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Whenever something comes, as a program on another machine would.
    OnEvent,
    /// Each of them once in so many milliseconds: costs less where there are very many.
    EveryMs(u64),
}

/// What is said to the threads, and heard from them, while they run.
#[derive(Debug, Default)]
pub struct Control {
    /// When measuring began, on the clock of [`now_ns`](crate::host::now_ns); `u64::MAX` before that.
    measure_from_ns: AtomicU64,
    /// Bytes fed of each stream when measuring began and when the feed ended.
    fed: OnceLock<[Vec<u64>; 2]>,
    /// Threads that count.
    measuring: AtomicUsize,
    end: AtomicBool,
    /// Receivers whose connection has neither succeeded nor failed, those that are served, those that failed and those
    /// that the server has closed.
    pub(crate) waiting: AtomicUsize,
    pub(crate) served: AtomicUsize,
    pub(crate) failed: AtomicUsize,
    pub(crate) closed: AtomicUsize,
    /// Bytes that came, of all receivers.
    pub(crate) bytes: AtomicU64,
}

/// How many receivers are in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Not connected yet.
    pub waiting: usize,
    /// Connected, and answered if there was something to ask for.
    pub served: usize,
    /// Not connected, for good.
    pub failed: usize,
    /// Connected once, and closed by the server.
    pub closed: usize,
    /// Bytes that came so far, with framing.
    pub bytes: u64,
}

/// Receivers that are running.
#[derive(Debug)]
pub struct Receivers {
    control: Arc<Control>,
    threads: Vec<(Waker, JoinHandle<Outcome>)>,
}

impl Receivers {
    /// Begins to connect the receivers of `plan`. `contents` are the streams to compare with, by number; none if what
    /// comes is not known.
    ///
    /// # Errors
    /// When the system has no descriptor left for a poll.
    pub fn start(plan: &Plan, contents: &[Arc<Content>], drain: Drain) -> Result<Receivers, String> {
        // Where nothing is fed there is no steady state to wait for: a download counts from its first byte.
        let measure_from_ns = if contents.is_empty() { now_ns() } else { u64::MAX };
        let control =
            Arc::new(Control { measure_from_ns: AtomicU64::new(measure_from_ns), ..Control::default() });
        control.waiting.store(plan.at_start(), Ordering::Relaxed);
        let mut threads = Vec::new();
        for (share, precedence) in plan.shares() {
            let fleet = fleet::Fleet::new(share, plan, contents, drain, Arc::clone(&control));
            let (fleet, waker) = fleet.map_err(|error| format!("no poll for receivers: {error}"))?;
            threads.push((waker, std::thread::spawn(move || fleet.run(precedence))));
        }
        Ok(Receivers { control, threads })
    }

    /// How they are doing.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Control { waiting, served, failed, closed, bytes, .. } = &*self.control;
        Counts {
            waiting: waiting.load(Ordering::Relaxed),
            served: served.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            closed: closed.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
        }
    }

    /// From now on it counts. Returns once every thread has begun to, so that no receiver is taken to have missed what
    /// is fed after this.
    pub fn measure(&self) {
        self.control.measure_from_ns.store(now_ns(), Ordering::Release);
        self.wake();
        let deadline_ns = now_ns() + HEED_NS_MAX;
        while self.control.measuring.load(Ordering::Acquire) < self.threads.len() && now_ns() < deadline_ns {
            sleep_until(now_ns() + HEED_TICK_NS);
        }
    }

    /// Disconnects everybody. So many bytes of each stream had been fed when measuring began, and when the feed ended.
    ///
    /// # Errors
    /// When one of our threads has ended in a bug.
    pub fn end(self, fed: [Vec<u64>; 2]) -> Result<Outcome, String> {
        let _ = self.control.fed.set(fed);
        self.control.end.store(true, Ordering::Release);
        self.wake();
        let mut sum = Outcome::default();
        for (_, thread) in self.threads {
            sum.add(thread.join().map_err(|_| "a thread of the receivers has ended in a bug".to_owned())?);
        }
        Ok(sum)
    }

    fn wake(&self) {
        for (waker, _) in &self.threads {
            // They look by themselves soon enough.
            let _ = waker.wake();
        }
    }
}
