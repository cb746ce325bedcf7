//! A listener and its connections on one `mio::Poll`, which whoever runs the thread may watch other things with.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

use super::Desk;
use super::conn::{Conn, Life};

/// How often timeouts are looked at, and how soon accepting is tried again after it failed.
const TICK: Duration = Duration::from_millis(250);

/// Connections accepted in a row before those that are open get their turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

const LISTENER: Token = Token(usize::MAX);

/// See the module.
#[derive(Debug)]
pub struct Server<D> {
    /// Who answers.
    pub desk: D,
    poll: Poll,
    listener: TcpListener,
    connections: Slab<Conn>,
    /// Connections at once. One more takes the place of the one that has been asking for longest without an end.
    connections_max: usize,
    /// When to accept without an event: the listener may have a connection waiting of which none will tell.
    accept_at: Option<Instant>,
    tick_at: Instant,
}

impl<D: Desk> Server<D> {
    /// The first token that the server leaves to the owner of the thread. (The last of all is the server's as well.)
    pub const FIRST_FREE_TOKEN: usize = usize::MAX / 2;

    /// Serves those who connect to `listener`, `connections_max` at once.
    ///
    /// # Errors
    /// When the system can't watch the listener.
    pub fn new(
        poll: Poll,
        mut listener: TcpListener,
        connections_max: usize,
        desk: D,
        now: Instant,
    ) -> io::Result<Server<D>> {
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let connections = Slab::with_capacity(connections_max);
        Ok(Server { desk, poll, listener, connections, connections_max, accept_at: None, tick_at: now })
    }

    /// Where the owner of the thread registers what else it watches, with tokens from
    /// [`FIRST_FREE_TOKEN`](Self::FIRST_FREE_TOKEN) on.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// One turn of the loop, of `patience` at most. The owner's own events are left to it in `events`.
    ///
    /// # Errors
    /// When polling fails.
    pub fn turn(&mut self, events: &mut Events, patience: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, self.patience(patience)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = clock();
        let mut accepting = self.accept_at.is_some_and(|at| now >= at);
        for event in events.iter() {
            match event.token() {
                LISTENER => accepting = true,
                Token(key) => self.go_on(key, now),
            }
        }
        if now >= self.tick_at {
            self.tick_at = now + TICK;
            let overdue = |(key, conn): (usize, &Conn)| conn.is_overdue(now).then_some(key);
            let overdue: Vec<usize> = self.connections.iter().filter_map(overdue).collect();
            overdue.into_iter().for_each(|key| self.close(key));
        }
        if accepting {
            self.accept(now);
        }
        Ok(())
    }

    /// Hands out the answers that connections have waited for and that are there now.
    pub fn answer_waiting(&mut self, now: Instant) {
        let waiting = self.connections.iter().filter_map(|(key, conn)| Some((key, conn.ticket()?)));
        for (key, ticket) in waiting.collect::<Vec<_>>() {
            if let Some(answer) = self.desk.ready(ticket, now) {
                self.connections[key].answer(answer, now);
                self.go_on(key, now);
            }
        }
    }

    /// How long to wait for an event.
    fn patience(&self, most: Option<Duration>) -> Option<Duration> {
        let until = |at: Instant| at.saturating_duration_since(clock());
        let tick = (!self.connections.is_empty()).then(|| until(self.tick_at));
        tick.into_iter().chain(self.accept_at.map(until)).chain(most).min()
    }

    fn go_on(&mut self, key: usize, now: Instant) {
        let Some(conn) = self.connections.get_mut(key) else { return };
        if conn.go_on(&mut self.desk, now) == Life::Over {
            self.close(key);
        }
    }

    fn close(&mut self, key: usize) {
        if let Some(ticket) = self.connections.remove(key).ticket() {
            self.desk.forget(ticket);
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
        if self.connections.len() >= self.connections_max {
            let since = |(_, conn): &(usize, &Conn)| (!conn.is_asking(), conn.since);
            let Some((oldest, _)) = self.connections.iter().min_by_key(since) else { return };
            self.close(oldest);
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
