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

pub(super) struct Ring {
    bursts: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Number of the first burst that is kept.
    first: u64,
    receivers: Vec<Receiver>,
    /// Who is next.
    turn: usize,
    /// Since the round began.
    left: Left,
}

impl Default for Ring {
    fn default() -> Ring {
        Ring {
            bursts: VecDeque::new(),
            bytes: 0,
            first: 0,
            receivers: Vec::new(),
            turn: 0,
            left: Left::Nothing,
        }
    }
}

struct Receiver {
    socket: TcpStream,
    /// Number of the burst that it is in, and bytes of it that it has.
    burst: u64,
    offset: usize,
}

impl Fanout for Ring {
    fn welcome(&mut self, socket: TcpStream) {
        self.receivers.push(Receiver { socket, burst: self.first + self.bursts.len() as u64, offset: 0 });
    }

    /// Goes round the receivers until each has been written to since the last burst came. A burst that comes meanwhile
    /// starts a new round from where this one is: whoever was not reached yet gets both at once.
    fn pass_on(&mut self, ports: &mut Ports) -> Left {
        let is_new = self.take_in(ports);
        let mut left = if is_new || self.left == Left::Something { self.receivers.len() } else { 0 };
        self.left = Left::Nothing;
        while left > 0 {
            for _ in 0..left.min(WRITES_PER_LOOK) {
                self.write_to_next();
                left -= 1;
            }
            if self.take_in(ports) {
                left = self.receivers.len();
            }
            left = left.min(self.receivers.len());
        }
        self.left
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
            Ok(Left::Nothing) => self.turn += 1,
            Ok(Left::Something) => {
                self.left = Left::Something;
                self.turn += 1;
            }
            Err(_) => drop(self.receivers.swap_remove(self.turn)),
        }
    }
}

impl Receiver {
    fn write(&mut self, first: u64, bursts: &VecDeque<Box<[u8]>>) -> io::Result<Left> {
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
            0 => return Ok(Left::Nothing),
            1 => self.socket.write(&slices[0]),
            _ => self.socket.write_vectored(&slices[..count]),
        };
        let mut written = match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Left::Something),
            outcome => outcome?,
        };
        for slice in &slices[..count] {
            if written < slice.len() {
                self.offset += written;
                return Ok(Left::Something);
            }
            written -= slice.len();
            self.burst += 1;
            self.offset = 0;
        }
        Ok(Left::Nothing)
    }
}
