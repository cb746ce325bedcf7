//! Who may publish, and the record of those who were turned away.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;

use crate::config::Authority;
use crate::metrics::InputMetrics;

/// Refusals logged in one [`WINDOW`]; further ones are counted only.
const LINES_PER_WINDOW_MAX: u64 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// Keeps `[authority]`, counts every refusal and logs the first few of each ten seconds.
#[derive(Debug)]
pub struct Gate {
    authority: Authority,
    metrics: Arc<InputMetrics>,
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u64,
}

/// Why somebody may not publish.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// `[authority]` does not list the address.
    Authority,
    /// Another publisher is connected, and `Takeover` does not let this one replace it.
    Taken(SocketAddr),
    /// It was replaced by another, which is still there.
    Replaced(SocketAddr),
    /// The UDP sender is not the `Source` of the configuration.
    NotTheSource,
    /// An HTTP request that was answered with this status.
    Http(u16),
    /// Made room for a newer connection: too many had not completed their request.
    Crowded,
}

impl Gate {
    /// A gate that has refused nobody yet.
    pub fn new(authority: Authority, metrics: Arc<InputMetrics>) -> Gate {
        Gate { authority, metrics, window: None }
    }

    /// From now on these may publish. Who publishes already goes on.
    pub fn set_authority(&mut self, authority: Authority) {
        self.authority = authority;
    }

    /// Whether `[authority]` lets `address` publish.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.authority.allows(address)
    }

    /// Records that `peer` was turned away from `place`: a stream or an address.
    pub fn refuse(&mut self, place: &dyn fmt::Display, peer: SocketAddr, refusal: Refusal, now: Instant) {
        self.metrics.refused.add(1);
        self.say(format_args!("publisher of {place} refused: {peer}: {refusal}"), now);
    }

    /// Records that the system failed us at `place`.
    pub fn trouble(&mut self, place: &dyn fmt::Display, error: &io::Error, now: Instant) {
        self.say(format_args!("publisher of {place} has to wait: {error}"), now);
    }

    /// Ends the window if its time has come.
    pub fn tick(&mut self, now: Instant) {
        if let Some(window) = self.window.take_if(|window| now.duration_since(window.began) >= WINDOW) {
            let unsaid = window.lines.saturating_sub(LINES_PER_WINDOW_MAX);
            if unsaid > 0 {
                warn!("publishers refused: {unsaid} more in {} s", WINDOW.as_secs());
            }
        }
    }

    fn say(&mut self, line: fmt::Arguments, now: Instant) {
        self.tick(now);
        let window = self.window.get_or_insert(Window { began: now, lines: 0 });
        window.lines += 1;
        if window.lines <= LINES_PER_WINDOW_MAX {
            warn!("{line}");
        }
    }

    /// Whether [`tick`](Self::tick) has something to wait for.
    pub fn is_waiting(&self) -> bool {
        self.window.is_some()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Authority => write!(f, "not listed in [authority]"),
            Refusal::Taken(by) => write!(f, "{by} is publishing"),
            Refusal::Replaced(by) => write!(f, "was replaced by {by}, which is publishing"),
            Refusal::NotTheSource => write!(f, "not the configured Source"),
            Refusal::Http(status) => write!(f, "answered {status}"),
            Refusal::Crowded => write!(f, "too many connections without a complete request"),
        }
    }
}
