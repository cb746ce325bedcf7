//! A next hop over UDP: a socket, and what becomes of each batch of datagrams given to it. Nothing is ever sent twice,
//! and nothing waits: what does not go out at once is counted and forgotten.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::own;
use super::target::{Desk, Target};
use crate::config::Datagrams;
use crate::metrics::Counter;
use crate::net;

/// The longest datagram, and the most bytes that the kernel cuts into datagrams at once (65,535 less the headers of IPv4
/// and UDP). With datagrams of 1316 bytes these are 49, and it takes 64.
pub const SEND_BYTES_MAX: usize = 65_507;

/// A socket by which nothing has gone out for so long is replaced, after asking for the address again.
const FAILING_TIME_MAX: Duration = Duration::from_secs(5);

/// A next hop over UDP.
#[derive(Debug)]
pub struct UdpHop {
    target: Target,
    datagrams: Datagrams,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Tried at that time.
    Waiting(Instant),
    Resolving,
    Open(Open),
}

#[derive(Debug)]
struct Open {
    socket: UdpSocket,
    /// The kernel cuts what it is given into datagrams.
    segments: bool,
    since: Instant,
    /// It has been sent an entry, and what follows it.
    joined: bool,
    /// Since when nothing has gone out but errors have come.
    failing_since: Option<Instant>,
}

/// What has become of some datagrams.
#[derive(Debug, Default)]
struct Outcome {
    sent: usize,
    errors: u64,
    last_error: Option<io::Error>,
}

impl UdpHop {
    /// A hop that is tried at once.
    #[must_use]
    pub fn new(target: Target, datagrams: Datagrams, now: Instant) -> UdpHop {
        UdpHop { target, datagrams, state: State::Waiting(now) }
    }

    /// When [`due`](Self::due) wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if let State::Waiting(at) = self.state { Some(at) } else { None }
    }

    /// Its deadline has come.
    pub fn due(&mut self, desk: &mut Desk) {
        self.state = State::Resolving;
        self.target.ask(desk);
    }

    /// What [`due`](Self::due) asked for has come.
    pub fn resolved(
        &mut self,
        addresses: io::Result<Vec<SocketAddr>>,
        datagram_bytes: usize,
        desk: &mut Desk,
    ) {
        let opened = addresses.and_then(|addresses| {
            let mut error = io::Error::from(ErrorKind::NotFound);
            for address in addresses {
                match self.open(address, datagram_bytes, desk) {
                    Ok(open) => return Ok((open, address)),
                    Err(failure) => error = failure,
                }
            }
            Err(error)
        });
        self.state = match opened {
            Ok((open, address)) => {
                self.target.connected(open.socket.local_addr().ok(), address, desk);
                State::Open(open)
            }
            Err(error) => State::Waiting(self.target.failed(&error, desk)),
        };
    }

    /// It can be sent to, and begins with the next entry.
    #[must_use]
    pub fn wants_entry(&self) -> bool {
        matches!(&self.state, State::Open(Open { joined: false, .. }))
    }

    /// Begins with these datagrams, if it has not begun yet.
    pub fn join(&mut self, batch: &[u8], datagram_bytes: usize, desk: &mut Desk) {
        if let State::Open(open) = &mut self.state
            && !open.joined
        {
            open.joined = true;
            self.send(batch, datagram_bytes, desk);
        }
    }

    /// Goes on elsewhere in the stream after these datagrams, if it has begun.
    pub fn jump(&mut self, batch: &[u8], datagram_bytes: usize, desk: &mut Desk) {
        if let State::Open(Open { joined: true, .. }) = &self.state {
            self.target.metrics(desk).skips.add(1);
            self.send(batch, datagram_bytes, desk);
        }
    }

    /// Sends these datagrams, if it has begun.
    pub fn send(&mut self, batch: &[u8], datagram_bytes: usize, desk: &mut Desk) {
        let State::Open(open) = &mut self.state else { return };
        if !open.joined {
            return;
        }
        let metrics = self.target.metrics(desk);
        let mut error = None;
        for piece in batch.chunks(SEND_BYTES_MAX / datagram_bytes * datagram_bytes) {
            let outcome = open.send(piece, datagram_bytes);
            let dropped = piece.len().div_ceil(datagram_bytes) - outcome.sent;
            metrics.datagrams.add(outcome.sent as u64);
            metrics.bytes.add(piece.len().min(outcome.sent * datagram_bytes) as u64);
            metrics.datagrams_dropped.add(dropped as u64);
            metrics.send_errors.add(outcome.errors);
            if outcome.sent > 0 {
                open.failing_since = None;
            }
            error = outcome.last_error.or(error);
        }
        if let Some(error) = error {
            self.complain(&error, desk);
        }
    }

    /// The node ends.
    pub fn end(&mut self, desk: &mut Desk) {
        if let State::Open(open) = &self.state {
            let lasted = desk.now.saturating_duration_since(open.since);
            let metrics = self.target.metrics(desk);
            let [sent, bytes, dropped] =
                [&metrics.datagrams, &metrics.bytes, &metrics.datagrams_dropped].map(Counter::value);
            let why =
                format!("the node is ending; {sent} datagrams, {bytes} bytes, {dropped} datagrams dropped");
            self.target.left(lasted, &why, desk);
        }
    }

    fn open(&self, address: SocketAddr, datagram_bytes: usize, desk: &Desk) -> io::Result<Open> {
        let Datagrams { multicast_ttl, interface, .. } = self.datagrams;
        let segment_bytes = (datagram_bytes < SEND_BYTES_MAX).then_some(datagram_bytes);
        let (socket, segments) = net::udp_hop(address, segment_bytes, multicast_ttl, interface)?;
        if own::leads_to(&desk.own.udp, socket.local_addr()?, address) {
            return Err(io::Error::other("that is this node itself"));
        }
        Ok(Open { socket, segments, since: desk.now, joined: false, failing_since: None })
    }

    fn complain(&mut self, error: &io::Error, desk: &mut Desk) {
        let State::Open(open) = &mut self.state else { return };
        let failing = desk.now.saturating_duration_since(*open.failing_since.get_or_insert(desk.now));
        if failing < FAILING_TIME_MAX {
            return self.target.tell(&format!("can't be sent to: {error}"), "; sending on", desk);
        }
        let lasted = desk.now.saturating_duration_since(open.since);
        self.state = State::Waiting(self.target.lost(lasted, error, desk));
    }
}

impl Open {
    /// Sends datagrams of `datagram_bytes`, but for the last, in one call if the kernel cuts them.
    fn send(&mut self, datagrams: &[u8], datagram_bytes: usize) -> Outcome {
        let mut outcome = Outcome::default();
        if self.segments && datagrams.len() > datagram_bytes {
            match self.send_once(datagrams, &mut outcome) {
                Ok(()) => outcome.sent = datagrams.len().div_ceil(datagram_bytes),
                Err(error) if is_about_segments(&error) => {
                    self.segments = false;
                    outcome.last_error = net::send_whole(&self.socket).err();
                }
                Err(error) => outcome.fail(error),
            }
            if self.segments {
                return outcome;
            }
        }
        for datagram in datagrams.chunks(datagram_bytes) {
            if let Err(error) = self.send_once(datagram, &mut outcome) {
                outcome.fail(error);
                return outcome;
            }
            outcome.sent += 1;
        }
        outcome
    }

    /// One system call, but for a refusal: that answers an earlier datagram, and this one has not been sent for it.
    fn send_once(&mut self, bytes: &[u8], outcome: &mut Outcome) -> io::Result<()> {
        match self.socket.send(bytes) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                outcome.fail(error);
                self.socket.send(bytes).map(drop)
            }
            sent => sent.map(drop),
        }
    }
}

impl Outcome {
    /// A send buffer that is full is no error: the rest is dropped, and nothing is wrong with the hop.
    fn fail(&mut self, error: io::Error) {
        if error.kind() != ErrorKind::WouldBlock {
            self.errors += 1;
            self.last_error = Some(error);
        }
    }
}

/// The kernel, or the device on the way, does not cut: no checksum offload there (`EIO`), datagrams longer than the
/// device takes (`EINVAL`, since Linux 6.14 `EMSGSIZE`).
fn is_about_segments(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE | Errno::EOPNOTSUPP))
}
