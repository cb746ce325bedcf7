//! A timer finer than a millisecond, which is the finest that `mio::Poll` can wait.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Wakes the poll at a deadline, once.
#[derive(Debug)]
pub struct Timer {
    descriptor: TimerFd,
    armed: Option<Instant>,
}

impl Timer {
    /// A timer that `registry` will know by `token`.
    ///
    /// # Errors
    /// When the system has no descriptor left for it.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let descriptor = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        registry.register(&mut SourceFd(&descriptor.as_fd().as_raw_fd()), token, Interest::READABLE)?;
        Ok(Timer { descriptor, armed: None })
    }

    /// Sees to it that the poll wakes by `deadline`, or soon after. It may wake earlier: a timer set too early is left to fire, since
    /// deadlines move back with every read and setting it anew each time would cost more.
    pub fn wake_by(&mut self, deadline: Instant, now: Instant) {
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return;
        }
        // Zero would disarm it.
        let wait = deadline.saturating_duration_since(now).max(Duration::from_nanos(1));
        let once = Expiration::OneShot(TimeSpec::from(wait));
        match self.descriptor.set(once, TimerSetTimeFlags::empty()) {
            Ok(()) => self.armed = Some(deadline),
            Err(error) => log::error!("setting a timer: {error}"),
        }
    }

    /// The poll has reported the timer. It need not be read: setting it again resets it.
    pub fn fired(&mut self) {
        self.armed = None;
    }
}
