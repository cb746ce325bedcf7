//! Finds the packets in bytes that come in any portions, and drops what is none.
//!
//! In sync, whole packets are handed on as they lie in the input. Bytes are copied only around the ends of portions, and
//! while hunting for sync.

use crate::chunk::TS_PACKET_BYTES;

use super::packet::SYNC_BYTE;

/// Sync bytes, one packet apart, that it takes to be in sync.
const CONFIRMATIONS: usize = 5;

/// Bytes from the first of those sync bytes to the last, both included.
const CONFIRMED_SPAN: usize = (CONFIRMATIONS - 1) * TS_PACKET_BYTES + 1;

/// The most bytes kept from one portion to the next. Never more whole packets than confirm each other, so that what is
/// found in here is in sync to its end.
const KEPT_BYTES_MAX: usize = CONFIRMATIONS * TS_PACKET_BYTES;

/// Aligns a byte stream to its packets.
#[derive(Debug, Default)]
pub(crate) struct Aligner {
    /// In sync: the start of a packet whose end has not come. Hunting: what sync may still be found in. At most
    /// [`KEPT_BYTES_MAX`].
    kept: Vec<u8>,
    in_sync: bool,
}

/// What was wrong with a portion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Bytes that are not part of any packet.
    pub bytes_dropped: u64,
    /// Times that sync was lost.
    pub sync_losses: u64,
}

impl Aligner {
    /// Takes the next `bytes` and calls `run` with every run of whole packets that they complete.
    ///
    /// A packet whose successor is there and has no sync byte is not trusted: as a rule bytes are missing within it,
    /// and what looks like its end is the start of another one.
    pub fn push(&mut self, mut bytes: &[u8], mut run: impl FnMut(&[u8])) -> Damage {
        let mut damage = Damage::default();
        while !bytes.is_empty() {
            bytes = if self.in_sync {
                self.follow(bytes, &mut damage, &mut run)
            } else {
                self.hunt(bytes, &mut damage, &mut run)
            };
        }
        damage
    }

    /// Forgets everything: what comes next is another stream. Returns how many bytes that drops.
    pub fn reset(&mut self) -> u64 {
        let dropped = self.kept.len() as u64;
        *self = Aligner::default();
        dropped
    }

    /// In sync: returns the bytes from where it is lost.
    fn follow<'a>(&mut self, bytes: &'a [u8], damage: &mut Damage, run: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let mut bytes = bytes;
        if !self.kept.is_empty() {
            let missing = TS_PACKET_BYTES - self.kept.len();
            let (end, rest) = bytes.split_at(missing.min(bytes.len()));
            self.kept.extend_from_slice(end);
            bytes = rest;
            if self.kept.len() < TS_PACKET_BYTES {
                return bytes;
            }
            if bytes.first().is_some_and(|&byte| byte != SYNC_BYTE) {
                self.lose(damage);
                return bytes;
            }
            run(&self.kept);
            self.kept.clear();
        }
        let starts = bytes.iter().step_by(TS_PACKET_BYTES).take_while(|&&byte| byte == SYNC_BYTE).count();
        let lost = starts < bytes.len().div_ceil(TS_PACKET_BYTES);
        let trusted = if lost { starts.saturating_sub(1) } else { bytes.len() / TS_PACKET_BYTES };
        let (packets, rest) = bytes.split_at(trusted * TS_PACKET_BYTES);
        if !packets.is_empty() {
            run(packets);
        }
        if lost {
            self.lose(damage);
            return rest;
        }
        self.kept.extend_from_slice(rest);
        &[]
    }

    fn lose(&mut self, damage: &mut Damage) {
        self.in_sync = false;
        damage.sync_losses += 1;
    }

    /// Out of sync: takes as much of `bytes` as there is room for, and returns the rest.
    fn hunt<'a>(&mut self, bytes: &'a [u8], damage: &mut Damage, run: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let room = KEPT_BYTES_MAX - self.kept.len();
        let (taken, rest) = bytes.split_at(room.min(bytes.len()));
        self.kept.extend_from_slice(taken);

        let candidates = (self.kept.len() + 1).saturating_sub(CONFIRMED_SPAN);
        let found = (0..candidates).find(|&at| is_confirmed(&self.kept[at..]));
        self.in_sync = found.is_some();

        let mut done = found.unwrap_or(candidates);
        damage.bytes_dropped += done as u64;
        if self.in_sync {
            let packets = (self.kept.len() - done) / TS_PACKET_BYTES * TS_PACKET_BYTES;
            run(&self.kept[done..done + packets]);
            done += packets;
        }
        self.kept.drain(..done);
        rest
    }
}

/// Whether a packet starts at the start of `bytes`, of which there are at least [`CONFIRMED_SPAN`].
fn is_confirmed(bytes: &[u8]) -> bool {
    bytes[..CONFIRMED_SPAN].iter().step_by(TS_PACKET_BYTES).all(|&byte| byte == SYNC_BYTE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packet number `number`, with its number all over it and no sync byte but the first.
    fn packet(number: u8) -> Vec<u8> {
        let mut packet = vec![number | 0x80; TS_PACKET_BYTES];
        packet[0] = SYNC_BYTE;
        packet
    }

    fn packets(numbers: std::ops::Range<u8>) -> Vec<u8> {
        numbers.flat_map(packet).collect()
    }

    fn align(portions: &[&[u8]]) -> (Vec<u8>, Damage, Aligner) {
        let mut aligner = Aligner::default();
        let (mut out, mut total) = (Vec::new(), Damage::default());
        for portion in portions {
            let damage = aligner.push(portion, |run| out.extend_from_slice(run));
            total.bytes_dropped += damage.bytes_dropped;
            total.sync_losses += damage.sync_losses;
            assert!(aligner.kept.len() < KEPT_BYTES_MAX);
        }
        (out, total, aligner)
    }

    #[test]
    fn skips_to_the_first_packet() {
        let input = [vec![1, 2, 0x47, 3], packets(0..8)].concat();
        let (out, damage, _) = align(&[&input]);
        assert_eq!(out, packets(0..8));
        assert_eq!(damage, Damage { bytes_dropped: 4, sync_losses: 0 });
    }

    #[test]
    fn is_in_sync_with_the_fifth_sync_byte() {
        let input = packets(0..5);
        let (out, ..) = align(&[&input[..4 * TS_PACKET_BYTES]]);
        assert!(out.is_empty());
        let (out, _, mut aligner) = align(&[&input[..=4 * TS_PACKET_BYTES]]);
        assert_eq!(out, packets(0..4));
        assert_eq!(aligner.reset(), 1);
    }

    #[test]
    fn a_packet_cut_off_goes_alone() {
        for kept in [1, 100, 187] {
            let cut = packet(6)[..kept].to_vec();
            let input = [packets(0..6), cut, packets(7..12)].concat();
            let (out, damage, _) = align(&[&input]);
            assert_eq!(out, [packets(0..6), packets(7..12)].concat(), "{kept} bytes left of it");
            assert_eq!(damage, Damage { bytes_dropped: kept as u64, sync_losses: 1 });
        }
    }

    #[test]
    fn a_packet_cut_off_between_portions_goes_alone() {
        let input = [packets(0..6), packet(6)[..100].to_vec()].concat();
        let (out, ..) = align(&[&input, &packets(7..12)]);
        assert_eq!(out, [packets(0..6), packets(7..12)].concat());
    }

    #[test]
    fn a_bad_sync_byte_costs_its_packet_and_the_one_before() {
        let mut input = packets(0..12);
        input[6 * TS_PACKET_BYTES] = 0x46;
        let (out, damage, _) = align(&[&input]);
        assert_eq!(out, [packets(0..5), packets(7..12)].concat());
        assert_eq!(damage, Damage { bytes_dropped: 2 * 188, sync_losses: 1 });
    }

    proptest! {
        #[test]
        fn portions_make_no_difference(junk in 0..500_usize, sizes in prop::collection::vec(1..600_usize, 1..60)) {
            let input = [vec![0x11; junk], packets(0..60)].concat();
            let (mut portions, mut rest, mut sizes) = (Vec::new(), &input[..], sizes.iter().cycle());
            while !rest.is_empty() {
                let (portion, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                portions.push(portion);
                rest = later;
            }
            let (out, damage, _) = align(&portions);
            prop_assert_eq!(out, packets(0..60));
            prop_assert_eq!(damage, Damage { bytes_dropped: junk as u64, sync_losses: 0 });
        }

        #[test]
        fn in_sync_again_within_five_good_packets(
            damaged in prop::collection::vec(prop_oneof![3 => Just(0x47_u8), 7 => any::<u8>()], 0..800),
            portion in 1..3000_usize,
        ) {
            let input = [packets(0..6), damaged.clone(), packets(10..30)].concat();
            let (out, damage, aligner) = align(&input.chunks(portion).collect::<Vec<_>>());
            prop_assert!(out.as_chunks::<TS_PACKET_BYTES>().0.iter().all(|packet| packet[0] == SYNC_BYTE));
            prop_assert!(out.ends_with(&packets(15..30)), "all but the first five");
            let accounted = out.len() as u64 + damage.bytes_dropped + aligner.kept.len() as u64;
            prop_assert_eq!(accounted, input.len() as u64);
        }
    }
}
