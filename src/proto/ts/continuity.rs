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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ts::testing::{Mux, packets};

    fn verdicts(continuity: &mut Continuity, stream: &[u8]) -> Vec<Verdict> {
        packets(stream).map(|packet| continuity.take(packet)).collect()
    }

    /// One packet of PID 0x55 for each counter, payload by number.
    fn counted(list: &[(u8, u8)]) -> Vec<u8> {
        let packet = |&(counter, number)| [vec![0x47, 0, 0x55, 0x10 | counter], vec![number; 184]].concat();
        list.iter().flat_map(packet).collect()
    }

    #[test]
    fn counts_every_pid_for_itself_and_null_packets_not_at_all() {
        let mut mux = Mux::with_video_and_audio();
        for _ in 0..20 {
            mux.tables().keyframe(5).nulls(3).audio_frame().video_frame(30);
        }
        let verdicts = verdicts(&mut Continuity::default(), &mux.take());
        assert!(verdicts.iter().all(|&verdict| verdict == Verdict::Follows));
    }

    #[test]
    fn tells_repetition_from_loss() {
        use Verdict::{Broken, Follows, Repeated};
        for (list, expected) in [
            (&[(14, 1), (15, 2), (0, 3)][..], vec![Follows, Follows, Follows]),
            (&[(3, 1), (5, 2), (6, 3)], vec![Follows, Broken, Follows]),
            (&[(3, 1), (3, 1), (4, 2)], vec![Follows, Repeated, Follows]),
            (&[(3, 1), (3, 1), (3, 1), (4, 2)], vec![Follows, Repeated, Broken, Follows]),
            (&[(3, 1), (3, 2)], vec![Follows, Broken]),
        ] {
            assert_eq!(verdicts(&mut Continuity::default(), &counted(list)), expected, "{list:?}");
        }
    }

    #[test]
    fn packets_without_payload_do_not_count_up() {
        let mut stream = counted(&[(3, 1), (3, 2), (4, 3), (9, 4), (10, 5), (2, 6)]);
        for (index, flags) in [(1, 0), (3, 0x80), (5, 0)] {
            let packet = &mut stream[index * 188..];
            packet[3] = 0x20 | packet[3] & 0x0f;
            packet[4..6].copy_from_slice(&[183, flags]);
        }
        use Verdict::{Broken, Follows, Restarts};
        let verdicts = verdicts(&mut Continuity::default(), &stream);
        assert_eq!(verdicts, [Follows, Follows, Follows, Restarts, Follows, Broken]);
    }

    #[test]
    fn forgets_what_is_no_longer_there() {
        let mut mux = Mux::new();
        let mut continuity = Continuity::default();
        for pid in 0x20..0x20 + PIDS_MAX as u16 {
            mux.raw(pid);
        }
        verdicts(&mut continuity, &mux.raw(0x500).take());
        assert_eq!(continuity.counters().count(), PIDS_MAX);
        for _ in 0..=ENTRIES_UNSEEN_MAX {
            verdicts(&mut continuity, &mux.raw(0x21).take());
            continuity.pass_entry();
        }
        assert_eq!(continuity.counters().map(|(pid, _)| pid).collect::<Vec<_>>(), [0x21]);
        verdicts(&mut continuity, &mux.raw(0x500).raw(0x21).take());
        assert_eq!(continuity.counters().count(), 2);
    }
}
