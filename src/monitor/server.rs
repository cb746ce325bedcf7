//! The monitor's only thread: one `mio::Poll` over a listener, its connections, and the signals that end the process.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use super::conn::{Conn, Life};
use super::routes::Desk;
use crate::config::Config;
use crate::net::{self, BindError};

/// Connections at once. One more takes the place of the one that has been asking for longest without an end; with the
/// bounds of a head and a report, some 30 MiB.
const CONNECTIONS_MAX: usize = 256;

/// How often timeouts are looked at, and how soon accepting is tried again after it failed.
const TICK: Duration = Duration::from_millis(250);

/// Connections accepted in a row before those that are open get their turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

const LISTENER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);

/// A monitor, listening and not running yet.
#[derive(Debug)]
pub struct Monitor {
    listener: TcpListener,
    address: SocketAddr,
    desk: Desk,
}

impl Monitor {
    /// Listens at `address`.
    ///
    /// # Errors
    /// When that can't be.
    pub fn bind(config: &Config, address: SocketAddr) -> Result<Monitor, BindError> {
        let listener = net::listen("monitor", address)?;
        let address = listener.local_addr().unwrap_or(address);
        let secret = config.monitor_secret.clone();
        let desk = Desk::new(config.monitor_nodes_max, secret, config.authority.clone(), clock());
        Ok(Monitor { listener, address, desk })
    }

    /// Where it listens; with the real port for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until a signal asks the process to end.
    ///
    /// # Errors
    /// When the system gives no descriptor for polling or for signals.
    pub fn run(self) -> io::Result<()> {
        let mut server = Loop::new(self)?;
        let mut events = Events::with_capacity(CONNECTIONS_MAX);
        log::info!("ready");
        while !server.turn(&mut events)? {}
        log::info!("asked to end");
        Ok(())
    }
}

struct Loop {
    poll: Poll,
    listener: TcpListener,
    signals: Signals,
    desk: Desk,
    connections: Slab<Conn>,
    /// When to accept without an event: the listener may have a connection waiting of which none will tell.
    accept_at: Option<Instant>,
    tick_at: Instant,
}

impl Loop {
    fn new(monitor: Monitor) -> io::Result<Loop> {
        let Monitor { mut listener, desk, .. } = monitor;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let connections = Slab::with_capacity(CONNECTIONS_MAX);
        Ok(Loop { poll, listener, signals, desk, connections, accept_at: None, tick_at: clock() })
    }

    /// One turn of the loop. Returns whether a signal asked to end.
    fn turn(&mut self, events: &mut Events) -> io::Result<bool> {
        match self.poll.poll(events, self.patience()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = clock();
        let mut accepting = self.accept_at.is_some_and(|at| now >= at);
        for event in events.iter() {
            match event.token() {
                LISTENER => accepting = true,
                SIGNALS if self.signals.pending().next().is_some() => return Ok(true),
                SIGNALS => {}
                Token(key) => self.go_on(key, now),
            }
        }
        if now >= self.tick_at {
            self.tick_at = now + TICK;
            let overdue = |(key, conn): (usize, &Conn)| conn.is_overdue(now).then_some(key);
            let overdue: Vec<usize> = self.connections.iter().filter_map(overdue).collect();
            overdue.into_iter().for_each(|key| drop(self.connections.remove(key)));
        }
        if accepting {
            self.accept(now);
        }
        Ok(false)
    }

    /// How long to wait for an event.
    fn patience(&self) -> Option<Duration> {
        let until = |at: Instant| at.saturating_duration_since(clock());
        let tick = (!self.connections.is_empty()).then(|| until(self.tick_at));
        tick.into_iter().chain(self.accept_at.map(until)).min()
    }

    fn go_on(&mut self, key: usize, now: Instant) {
        let Some(conn) = self.connections.get_mut(key) else { return };
        if conn.go_on(&mut self.desk, now) == Life::Over {
            self.connections.remove(key);
        }
    }

    fn accept(&mut self, now: Instant) {
        self.accept_at = Some(now);
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            match self.listener.accept() {
                Ok((socket, peer)) => self.welcome(socket, peer, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.accept_at = None;
                    return;
                }
                // The peer was gone before it was accepted, or there is no descriptor.
                Err(_) => {
                    self.accept_at = Some(now + TICK);
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, mut socket: TcpStream, peer: SocketAddr, now: Instant) {
        if self.connections.len() >= CONNECTIONS_MAX {
            let since = |(_, conn): &(usize, &Conn)| (!conn.is_asking(), conn.since);
            let Some((oldest, _)) = self.connections.iter().min_by_key(since) else { return };
            self.connections.remove(oldest);
        }
        let entry = self.connections.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut socket, Token(entry.key()), interest).is_ok() {
            entry.insert(Conn::new(socket, peer, now));
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the loop of the thread reads the clock for all that it calls")]
fn clock() -> Instant {
    Instant::now()
}
