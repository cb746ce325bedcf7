//! The last bursts, and for each receiver how far it is.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};

use mio::net::TcpStream;

use super::{Fanout, Left, Ports};

/// Bytes kept; a receiver that is further behind is dropped.
const RING_BYTES_MAX: usize = 32 << 20;

/// Slices of one `writev`.
const SLICES_MAX: usize = 64;

/// Receivers written to between two looks at the feed.
const WRITES_PER_LOOK: usize = 256;

#[derive(Default)]
pub(super) struct Ring {
    bursts: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Number of the first burst that is kept.
    first: u64,
    receivers: Vec<Receiver>,
    /// Who is next.
    turn: usize,
    /// Receivers left in this round.
    to_visit: usize,
    /// Somebody in this round could not take everything.
    is_blocked: bool,
}

struct Receiver {
    socket: TcpStream,
    /// Number of the burst that it is in, and bytes of it that it has.
    burst: u64,
    offset: usize,
}

/// Whether a receiver has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    CaughtUp,
    Blocked,
}

impl Fanout for Ring {
    fn welcome(&mut self, socket: TcpStream) {
        self.receivers.push(Receiver { socket, burst: self.first + self.bursts.len() as u64, offset: 0 });
    }

    /// Goes a piece of the way round the receivers. The round ends when each has been written to since the last burst
    /// came: one that comes meanwhile starts a new round from where this one is, and whoever was not reached yet gets
    /// both bursts at once.
    fn pass_on(&mut self, ports: &mut Ports) -> Left {
        if self.take_in(ports) || (self.to_visit == 0 && self.is_blocked) {
            self.to_visit = self.receivers.len();
            self.is_blocked = false;
        }
        for _ in 0..self.to_visit.min(WRITES_PER_LOOK) {
            self.write_to_next();
            self.to_visit -= 1;
        }
        match (self.to_visit, self.is_blocked) {
            (0, false) => Left::Nothing,
            (0, true) => Left::Blocked,
            _ => Left::Turn,
        }
    }
}

impl Ring {
    /// Gives whether there was anything.
    fn take_in(&mut self, ports: &mut Ports) -> bool {
        let burst = ports.read();
        if burst.is_empty() {
            return false;
        }
        self.bytes += burst.len();
        self.bursts.push_back(burst.into());
        while self.bytes > RING_BYTES_MAX {
            self.bytes -= self.bursts.pop_front().map_or(0, |burst| burst.len());
            self.first += 1;
        }
        true
    }

    fn write_to_next(&mut self) {
        if self.turn >= self.receivers.len() {
            self.turn = 0;
        }
        let Some(receiver) = self.receivers.get_mut(self.turn) else { return };
        match receiver.write(self.first, &self.bursts) {
            Ok(progress) => {
                self.is_blocked |= progress == Progress::Blocked;
                self.turn += 1;
            }
            Err(_) => drop(self.receivers.swap_remove(self.turn)),
        }
    }
}

impl Receiver {
    fn write(&mut self, first: u64, bursts: &VecDeque<Box<[u8]>>) -> io::Result<Progress> {
        let behind = self.burst.checked_sub(first).ok_or(ErrorKind::TimedOut)?;
        let pending = bursts.range(behind as usize..);
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        let mut offset = self.offset;
        for (slice, burst) in slices.iter_mut().zip(pending) {
            *slice = IoSlice::new(&burst[offset..]);
            offset = 0;
            count += 1;
        }
        let outcome = match count {
            0 => return Ok(Progress::CaughtUp),
            1 => self.socket.write(&slices[0]),
            _ => self.socket.write_vectored(&slices[..count]),
        };
        let mut written = match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Blocked),
            outcome => outcome?,
        };
        for slice in &slices[..count] {
            if written < slice.len() {
                self.offset += written;
                return Ok(Progress::Blocked);
            }
            written -= slice.len();
            self.burst += 1;
            self.offset = 0;
        }
        Ok(if count == SLICES_MAX { Progress::Blocked } else { Progress::CaughtUp })
    }
}
