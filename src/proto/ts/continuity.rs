//! The continuity counter and the clock of each PID in use (ISO/IEC 13818-1 §2.4.3.3).

use super::packet::{PID_COUNT, PID_NULL, Packet, Pcr};

/// The most PIDs that are kept in mind at a time, the first to come. The packets of further ones are carried unchecked.
pub(crate) const PIDS_MAX: usize = 128;

/// A PID that has not been seen over so many entry points is no longer in use.
const ENTRIES_UNSEEN_MAX: u32 = 8;

/// What has been seen of every PID in use.
#[derive(Debug)]
pub(crate) struct Continuity {
    /// By PID: one more than its index in `states`, or zero.
    places: Box<[u8; PID_COUNT]>,
    states: Vec<PidState>,
    /// Entry points so far.
    entries: u32,
}

#[derive(Debug)]
struct PidState {
    pid: u16,
    counter: u8,
    /// The packet with this counter has come twice.
    repeated: bool,
    /// The end of the last packet with a payload.
    tail: [u8; 8],
    pcr: Option<Pcr>,
    /// [`Continuity::entries`] when it was last seen.
    seen: u32,
}

/// How a packet relates to the one before on its PID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one, or the first.
    Follows,
    /// It is the same one again, which is allowed once.
    Repeated,
    /// It says itself that it does not follow.
    Restarts,
    /// Packets are missing.
    Broken,
}

impl Default for Continuity {
    fn default() -> Self {
        Continuity { places: Box::new([0; PID_COUNT]), states: Vec::new(), entries: 0 }
    }
}

impl Continuity {
    /// Takes the next packet of any PID.
    pub fn take(&mut self, packet: Packet) -> Verdict {
        let pid = packet.pid();
        if pid == PID_NULL {
            return Verdict::Follows;
        }
        let entries = self.entries;
        let Some(state) = self.state(pid) else {
            self.add(packet);
            return Verdict::Follows;
        };
        state.seen = entries;
        state.take(packet)
    }

    /// The clock last seen on `pid`.
    pub fn pcr(&self, pid: u16) -> Option<Pcr> {
        self.place(pid).and_then(|place| self.states[place].pcr)
    }

    /// Remembers the clock of `pid`, of which a packet has been taken, and returns the one seen before.
    pub fn replace_pcr(&mut self, pid: u16, pcr: Pcr) -> Option<Pcr> {
        self.state(pid).and_then(|state| state.pcr.replace(pcr))
    }

    /// PIDs in use, with the counter last seen.
    pub fn counters(&self) -> impl Iterator<Item = (u16, u8)> {
        self.states.iter().map(|state| (state.pid, state.counter))
    }

    /// An entry point has been passed: forgets the PIDs that are no longer in use.
    pub fn pass_entry(&mut self) {
        self.entries += 1;
        let entries = self.entries;
        self.states.retain(|state| entries - state.seen <= ENTRIES_UNSEEN_MAX);
        self.places.fill(0);
        for (place, state) in self.states.iter().enumerate() {
            self.places[usize::from(state.pid)] = place as u8 + 1;
        }
    }

    fn add(&mut self, packet: Packet) {
        if self.states.len() == PIDS_MAX {
            return;
        }
        self.states.push(PidState {
            pid: packet.pid(),
            counter: packet.continuity_counter(),
            repeated: false,
            tail: packet.tail(),
            pcr: None,
            seen: self.entries,
        });
        self.places[usize::from(packet.pid())] = self.states.len() as u8;
    }

    fn place(&self, pid: u16) -> Option<usize> {
        usize::from(self.places[usize::from(pid)]).checked_sub(1)
    }

    fn state(&mut self, pid: u16) -> Option<&mut PidState> {
        self.place(pid).map(|place| &mut self.states[place])
    }
}

impl PidState {
    fn take(&mut self, packet: Packet) -> Verdict {
        let counter = packet.continuity_counter();
        let before = std::mem::replace(&mut self.counter, counter);
        let follows = if packet.has_payload() {
            let tail = std::mem::replace(&mut self.tail, packet.tail());
            if counter == before && tail == self.tail && !self.repeated {
                self.repeated = true;
                return Verdict::Repeated;
            }
            self.repeated = false;
            counter == (before + 1) & 0x0f
        } else {
            // Without a payload it does not count up.
            counter == before
        };
        match (follows, packet.discontinuity()) {
            (true, _) => Verdict::Follows,
            (false, true) => Verdict::Restarts,
            (false, false) => Verdict::Broken,
        }
    }
}
