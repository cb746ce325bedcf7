//! The front thread: accepts receivers, enforces limits, gives each socket to the least loaded worker; hears signals.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::balance::Balance;
use crate::logging::LogBudget;
use crate::mailbox::{Mailbox, Sender, Service, ToFront, ToWorker, mailbox};
use crate::metrics::OutputMetrics;
use crate::pulse;
use crate::service::{Event, Voice};

/// Connections accepted from one port before the others are looked at.
const ACCEPTS_PER_TURN_MAX: usize = 256;

/// After running out of descriptors, accepting is tried again after this: the waiting connections are not announced
/// again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Messages that may wait: there is one at a time.
const MAIL_MAX: usize = 4;

/// While the node ends, how often it is looked whether everybody has gone.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

const SIGNALS: Token = Token(usize::MAX);
const MAIL: Token = Token(usize::MAX - 1);

/// What the front is told when the configuration has been read again.
#[derive(Debug)]
pub struct Renewal {
    /// Further ports for receivers, after those that there are.
    pub listeners: Vec<TcpListener>,
    /// How long receivers may take to be told goodbye.
    pub drain: Duration,
}

/// Who hears of what the front is asked by signals.
pub struct Hearers {
    /// Who is told when the node ends, the workers among them.
    pub told: Vec<Sender<ToWorker>>,
    /// Who reads the configuration again.
    pub reload: crossbeam_channel::Sender<()>,
    /// Who tells systemd.
    pub service: Voice,
    /// Where the front says that the node ends, and that it turns.
    pub metrics: Arc<OutputMetrics>,
}

/// The front before it runs.
pub struct Front {
    poll: Poll,
    listeners: Vec<TcpListener>,
    /// Listeners that may have a connection waiting of which no event will tell.
    waiting: Vec<usize>,
    signals: Signals,
    mailbox: Mailbox<ToFront>,
    workers: Balance,
    hearers: Hearers,
    drain: Duration,
    now: Instant,
    retry_at: Option<Instant>,
    log: LogBudget,
}

impl Front {
    /// Takes over `listeners`, whose order is that of the receiver ports in the configuration, and the signals that end
    /// the process or have the configuration read again, of which the `hearers` are told. The end takes `drain` at most.
    /// The sender is for telling the front.
    ///
    /// # Errors
    /// When the system gives no descriptor for polling or for signals.
    pub fn new(
        mut listeners: Vec<TcpListener>,
        workers: Balance,
        hearers: Hearers,
        drain: Duration,
        now: Instant,
    ) -> io::Result<(Front, Sender<ToFront>)> {
        let poll = Poll::new()?;
        let (sender, mailbox) = mailbox(MAIL_MAX, poll.registry(), MAIL)?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(index), Interest::READABLE)?;
        }
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let log = LogBudget::new(10, 1, now);
        let (waiting, retry_at) = (Vec::new(), None);
        let front =
            Front { poll, listeners, waiting, signals, mailbox, workers, hearers, drain, now, retry_at, log };
        Ok((front, sender))
    }

    /// Accepts receivers until a signal asks the process to end, then sees them off; a second signal cuts that short.
    /// After this, the workers may be stopped.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(64);
        while !self.turn(&mut events) {}
        self.hearers.service.say(Event::Stopping);
        log::info!("asked to end: saying goodbye to {} connections", self.workers.connections());
        self.hearers.metrics.is_ending.set(1);
        self.listeners.clear();
        self.see_off(&mut events);
    }

    /// One turn of the loop. Returns whether a signal asked to end.
    fn turn(&mut self, events: &mut Events) -> bool {
        self.wait(events);
        for event in events.iter() {
            match event.token() {
                SIGNALS => {
                    if self.is_asked_to_end() {
                        return true;
                    }
                }
                MAIL => self.empty_mailbox(),
                Token(index) if !self.waiting.contains(&index) => self.waiting.push(index),
                Token(_) => {}
            }
        }
        if self.retry_at.is_none_or(|at| self.now >= at) {
            self.retry_at = None;
            for index in std::mem::take(&mut self.waiting) {
                self.accept(index);
            }
        }
        self.workers.flush();
        self.hearers.metrics.front.turned(self.now.elapsed());
        false
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the loop of the thread reads the clock for all that it calls"
    )]
    fn wait(&mut self, events: &mut Events) {
        let timeout = match self.retry_at {
            Some(at) => Some(at.saturating_duration_since(self.now)),
            None if self.waiting.is_empty() => None,
            None => Some(Duration::ZERO),
        };
        if let Err(error) = self.poll.poll(events, pulse::rest(timeout))
            && error.kind() != ErrorKind::Interrupted
        {
            log::error!("front: polling failed: {error}");
        }
        self.now = Instant::now();
    }

    fn empty_mailbox(&mut self) {
        self.mailbox.look();
        while let Some(ToFront::Renew(Renewal { listeners, drain })) = self.mailbox.take() {
            self.drain = drain;
            for mut listener in listeners {
                let token = Token(self.listeners.len());
                if let Err(error) = self.poll.registry().register(&mut listener, token, Interest::READABLE) {
                    log::error!("a new port for receivers can't be watched: {error}");
                }
                self.listeners.push(listener);
            }
        }
    }

    /// Hears the signals: one that ends the process, or SIGHUP, by which the configuration is read again.
    fn is_asked_to_end(&mut self) -> bool {
        let (hang_ups, ends): (Vec<i32>, Vec<i32>) =
            self.signals.pending().partition(|&signal| signal == SIGHUP);
        if !hang_ups.is_empty() {
            // Where one request waits already, it stands for this one as well.
            let _ = self.hearers.reload.try_send(());
        }
        !ends.is_empty()
    }

    /// Takes what waits at a listener, up to a bound.
    fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            match self.listeners[index].accept() {
                Ok((socket, peer)) => self.assign(socket, peer, index),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    // The peer was gone before it was accepted.
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted => {}
                    _ => {
                        if let Some(spent) = self.log.spend(self.now) {
                            log::error!(
                                "receivers can't be accepted for now: {error}; raise LimitNOFILE{spent}"
                            );
                        }
                        self.retry_at = Some(self.now + ACCEPT_PAUSE);
                        break;
                    }
                },
            }
        }
        self.waiting.push(index);
    }

    /// Gives a connection to the worker with the fewest.
    fn assign(&mut self, socket: TcpStream, peer: SocketAddr, port: usize) {
        if self.workers.assign(socket, peer, Service::Port { index: port }).is_err()
            && let Some(spent) = self.log.spend(self.now)
        {
            log::warn!("{peer} was turned away: more connections at once than the workers can take{spent}");
        }
    }

    /// Tells the workers to say goodbye and waits until the last connection has gone, the time is over, or another
    /// signal comes.
    fn see_off(&mut self, events: &mut Events) {
        let deadline = self.now + self.drain;
        let mut untold = std::mem::take(&mut self.hearers.told);
        loop {
            // A full mailbox refuses the message; its worker is about to make room. (One that has ended always does.)
            untold.retain_mut(|sender| {
                let refused = sender.post(ToWorker::Drain).is_err();
                sender.flush();
                refused
            });
            if self.workers.connections() == 0 || self.now >= deadline {
                return;
            }
            self.retry_at = Some(self.now + DRAIN_LOOK);
            self.wait(events);
            if self.is_asked_to_end() {
                log::info!("asked again: ending at once");
                return;
            }
        }
    }
}
