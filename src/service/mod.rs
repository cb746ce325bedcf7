//! What systemd is told of the node, if it runs it: ready, reloading, ending, how it does, and that it is alive
//! (sd_notify(3)).
//!
//! A thread of its own says so, because the socket may be full; whoever has something to say never waits.

mod condition;

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nix::time::{ClockId, clock_gettime};

pub use condition::Observer;

/// How often it is looked how the node does, unless the watchdog wants it more often.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// Events that wait to be told, at most: many more than there are between two looks of a systemd that does anything.
const QUEUE_EVENTS_MAX: usize = 64;

/// How long one datagram waits for room at systemd's.
const SEND_TIME_MAX: Duration = Duration::from_secs(1);

/// Something that happens to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All addresses are open and all threads run; or the configuration has been read again, for better or worse.
    Ready,
    /// The configuration is being read again.
    Reloading,
    /// The node has been asked to end.
    Stopping,
}

/// How the node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// All threads turn. If they don't for as long as `WatchdogSec` says, systemd starts the node anew.
    pub alive: bool,
    /// One line for `systemctl status`.
    pub status: String,
}

/// The thread that tells systemd.
#[derive(Debug)]
pub struct Service {
    voice: Voice,
    thread: Option<JoinHandle<()>>,
}

/// By which events get to that thread. Clones speak to the same.
#[derive(Clone, Debug)]
pub struct Voice(Option<Sender<Told>>);

/// What waits to be told.
#[derive(Debug)]
enum Told {
    Event(Event),
    /// Nothing more comes.
    End,
}

impl Service {
    /// Starts the thread if the environment says that systemd wants to be told (`NOTIFY_SOCKET`, `WATCHDOG_USEC`);
    /// otherwise everything said is heard by nobody.
    ///
    /// # Errors
    /// When the socket can't be made, or the system gives no thread.
    pub fn start(look: impl FnMut() -> Condition + Send + 'static) -> io::Result<Service> {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else {
            return Ok(Service { voice: Voice(None), thread: None });
        };
        let manager = Manager::connect(name.as_bytes())?;
        let watchdog = watchdog(|name| env::var(name).ok());
        let (voice, events) = bounded(QUEUE_EVENTS_MAX);
        let thread = thread::Builder::new()
            .name("service".into())
            .spawn(move || tell(&events, watchdog, look, |state| manager.send(state)))?;
        Ok(Service { voice: Voice(Some(voice)), thread: Some(thread) })
    }

    /// For those who have something to say.
    #[must_use]
    pub fn voice(&self) -> Voice {
        self.voice.clone()
    }

    /// Waits until all that has been said is told, unless systemd does not listen.
    pub fn finish(self) {
        if let (Some(queue), Some(thread)) = (self.voice.0, self.thread)
            && queue.try_send(Told::End).is_ok()
        {
            // It has nothing to panic for; and the node is ending.
            let _ = thread.join();
        }
    }
}

impl Voice {
    /// Says that `event` happens.
    pub fn say(&self, event: Event) {
        if let Some(queue) = &self.0 {
            // No room: systemd has not listened for many reloads.
            let _ = queue.try_send(Told::Event(event));
        }
    }
}

/// The other end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    fn connect(name: &[u8]) -> io::Result<Manager> {
        let address = match name.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(OsStr::from_bytes(name))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIME_MAX))?;
        Ok(Manager { socket, address })
    }

    fn send(&self, state: &str) {
        if let Err(error) = self.socket.send_to_addr(state.as_bytes(), &self.address) {
            log::warn!("systemd can't be told {state:?}: {error}");
        }
    }
}

/// How long systemd goes without a sign of life, if this process is to give any.
fn watchdog(variable: impl Fn(&str) -> Option<String>) -> Option<Duration> {
    let is_for_another = variable("WATCHDOG_PID").is_some_and(|pid| pid != process::id().to_string());
    let microseconds = variable("WATCHDOG_USEC")?.parse().ok()?;
    (!is_for_another && microseconds > 0).then_some(Duration::from_micros(microseconds))
}

/// Tells events as they come and, between them, how the node does, until nothing more comes.
fn tell(
    events: &Receiver<Told>,
    watchdog: Option<Duration>,
    mut look: impl FnMut() -> Condition,
    mut send: impl FnMut(&str),
) {
    // Twice as often as it must be, as sd_watchdog_enabled(3) has it.
    let period = watchdog.map_or(LOOK_PERIOD, |limit| LOOK_PERIOD.min(limit / 2));
    let mut told = String::new();
    loop {
        match events.recv_timeout(period) {
            Ok(Told::Event(Event::Ready)) => send("READY=1"),
            Ok(Told::Event(Event::Reloading)) => send(&reloading()),
            Ok(Told::Event(Event::Stopping)) => send("STOPPING=1"),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Told::End) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let Condition { alive, status } = look();
        if alive && watchdog.is_some() {
            send("WATCHDOG=1");
        }
        if status != told {
            send(&format!("STATUS={status}"));
            told = status;
        }
    }
}

/// By the time systemd knows that this answers the reload that it asked for, and not an earlier one.
fn reloading() -> String {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_watchdog_is_of_this_process() {
        assert_eq!(watchdog(variables(&[])), None);
        assert_eq!(watchdog(variables(&[("WATCHDOG_USEC", "30000000")])), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(variables(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "1")])), None);
        for nonsense in [&[("WATCHDOG_USEC", "soon")], &[("WATCHDOG_USEC", "0")]] {
            assert_eq!(watchdog(variables(nonsense)), None);
        }
    }

    /// What is told if these events come and then nothing for two looks.
    fn told(events: &[Event], watchdog: Option<Duration>, alive: bool) -> Vec<String> {
        let (voice, heard) = bounded(QUEUE_EVENTS_MAX);
        events.iter().for_each(|event| voice.send(Told::Event(*event)).unwrap());
        let (mut voice, mut looks, mut said) = (Some(voice), 0, Vec::new());
        let look = || {
            looks += 1;
            if looks == events.len() + 2 {
                voice = None;
            }
            Condition { alive, status: if looks < 2 { "begins".into() } else { "goes on".into() } }
        };
        tell(&heard, watchdog, look, |state| said.push(state.to_owned()));
        said
    }

    #[test]
    fn a_node_that_does_not_turn_gives_no_sign_of_life() {
        let limit = Some(Duration::from_millis(2));
        let alive = told(&[Event::Ready], limit, true);
        let expected =
            ["READY=1", "WATCHDOG=1", "STATUS=begins", "WATCHDOG=1", "STATUS=goes on", "WATCHDOG=1"];
        assert_eq!(alive, expected);
        assert_eq!(told(&[Event::Ready], limit, false), ["READY=1", "STATUS=begins", "STATUS=goes on"]);
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let limit = Some(Duration::from_millis(2));
        let said = told(&[Event::Reloading, Event::Ready], limit, false);
        let begun = said[0].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(begun.parse::<u64>().unwrap() > 0);
        assert_eq!(said[2], "READY=1");
    }
}
