//! MPEG-TS in RTP (RFC 3550 §5.1, RFC 2250 §2): the header off, and which packets are missing. Pure.

use crate::chunk::TS_PACKET_BYTES;

/// MP2T (RFC 3551 table 5).
const PAYLOAD_TYPE_MP2T: u8 = 33;

const HEADER_BYTES: usize = 12;

/// A packet so far behind the newest is late; one further behind begins another count (RFC 3550 §A.1, `MAX_MISORDER`).
const MISORDER_MAX: u16 = 100;

/// One datagram of RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who numbers the packets.
    pub source: u32,
    /// Number of the packet, modulo 2^16.
    pub sequence: u16,
    /// Whole TS packets.
    pub payload: &'a [u8],
}

/// Reads `datagram` as RTP that carries MPEG-TS. `None` if it is anything else: plain TS can't pass for it, because no
/// length of whole TS packets is left whole by taking a header off.
#[must_use]
pub fn parse(datagram: &[u8]) -> Option<Packet<'_>> {
    let (header, mut rest) = datagram.split_at_checked(HEADER_BYTES)?;
    let (version, padded, extended, csrc_count) =
        (header[0] >> 6, header[0] & 0x20 != 0, header[0] & 0x10 != 0, usize::from(header[0] & 0x0f));
    if version != 2 || header[1] & 0x7f != PAYLOAD_TYPE_MP2T {
        return None;
    }
    rest = rest.get(csrc_count * 4..)?;
    if extended {
        let words = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        rest = rest.get(4 + words * 4..)?;
    }
    if padded {
        let padding = usize::from(*rest.last()?);
        rest = rest.get(..rest.len().checked_sub(padding)?)?;
    }
    let whole = rest.first() == Some(&0x47) && rest.len().is_multiple_of(TS_PACKET_BYTES);
    whole.then_some(Packet {
        source: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        sequence: u16::from_be_bytes([header[2], header[3]]),
        payload: rest,
    })
}

/// Follows the numbers of one publisher's packets.
#[derive(Debug, Default)]
pub struct Numbering {
    /// Source of the newest packet and the number that must come next.
    expected: Option<(u32, u16)>,
}

/// What the number of a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// In order, after so many that are missing.
    After {
        /// How many.
        lost: u16,
    },
    /// A duplicate, or already counted as missing.
    Late,
}

impl Numbering {
    /// Takes the packet as the next to have arrived.
    pub fn arrive(&mut self, packet: &Packet<'_>) -> Arrival {
        let expected = match self.expected {
            Some((source, expected)) if source == packet.source => expected,
            _ => packet.sequence,
        };
        let ahead = packet.sequence.wrapping_sub(expected);
        let behind = expected.wrapping_sub(packet.sequence);
        if (1..=MISORDER_MAX).contains(&behind) {
            return Arrival::Late;
        }
        self.expected = Some((packet.source, packet.sequence.wrapping_add(1)));
        Arrival::After { lost: if ahead < 1 << 15 { ahead } else { 0 } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ts(packets: usize) -> Vec<u8> {
        [vec![0x47], vec![0; 187]].concat().repeat(packets)
    }

    fn header(first: u8, second: u8) -> Vec<u8> {
        vec![first, second, 0x12, 0x34, 0, 0, 0, 0, 9, 8, 7, 6]
    }

    fn packet(source: u32, sequence: u16) -> Packet<'static> {
        Packet { source, sequence, payload: &[] }
    }

    #[test]
    fn header_of_every_shape_is_taken_off() {
        let ts = ts(7);
        let extension = [vec![0xbe, 0xde, 0, 2], vec![7; 8]].concat();
        for datagram in [
            [header(0x80, 33), ts.clone()].concat(),
            [header(0x80, 0x80 | 33), ts.clone()].concat(),
            [header(0x82, 33), vec![5; 8], ts.clone()].concat(),
            [header(0x90, 33), extension.clone(), ts.clone()].concat(),
            [header(0xa0, 33), ts.clone(), vec![0, 0, 0, 4]].concat(),
            [header(0xb1, 33), vec![5; 4], extension, ts.clone(), vec![1]].concat(),
        ] {
            let expected = Packet { source: 0x0908_0706, sequence: 0x1234, payload: &ts };
            assert_eq!(parse(&datagram), Some(expected), "{:x?}", &datagram[..12]);
        }
    }

    #[test]
    fn what_is_not_rtp_with_ts_is_left_alone() {
        for datagram in [
            vec![],
            ts(7),
            [ts(7), ts(1)[..156].to_vec()].concat(),
            header(0x80, 33),
            [header(0x80, 96), ts(1)].concat(),
            [header(0x40, 33), ts(1)].concat(),
            [header(0x80, 33), ts(1)[1..].to_vec()].concat(),
            [header(0x80, 33), vec![0; 188]].concat(),
            [header(0x8f, 33), ts(1)[..20].to_vec()].concat(),
            [header(0xa0, 33), ts(1), vec![255]].concat(),
        ] {
            assert_eq!(parse(&datagram), None, "{:x?}", datagram);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(datagram in proptest::collection::vec(any::<u8>(), 0..60), bits in any::<u8>()) {
            let datagram = [vec![0x80 | bits & 0x3f, 33], datagram].concat();
            let _ = parse(&datagram);
        }

        /// However packets get lost, what arrives and what is counted as lost make up what was sent.
        #[test]
        fn losses_are_exact(first in any::<u16>(), arrives in proptest::collection::vec(any::<bool>(), 1..500)) {
            let mut numbering = Numbering::default();
            let (mut arrived, mut lost) = (0, 0);
            let from = arrives.iter().position(|&arrives| arrives).unwrap_or(arrives.len());
            let to = arrives.iter().rposition(|&arrives| arrives).map_or(from, |last| last + 1);
            for (number, _) in arrives.iter().enumerate().filter(|(_, arrives)| **arrives) {
                match numbering.arrive(&packet(1, first.wrapping_add(number as u16))) {
                    Arrival::After { lost: more } => (arrived, lost) = (arrived + 1, lost + usize::from(more)),
                    Arrival::Late => prop_assert!(false, "none is late"),
                }
            }
            prop_assert_eq!(arrived + lost, to - from);
        }
    }

    #[test]
    fn late_and_twice_is_late_and_a_new_count_is_no_loss() {
        let mut numbering = Numbering::default();
        let mut arrive = |source, sequence| numbering.arrive(&packet(source, sequence));
        assert_eq!(arrive(1, 65_534), Arrival::After { lost: 0 });
        assert_eq!(arrive(1, 1), Arrival::After { lost: 2 });
        assert_eq!(arrive(1, 0), Arrival::Late);
        assert_eq!(arrive(1, 1), Arrival::Late);
        assert_eq!(arrive(1, 2), Arrival::After { lost: 0 });
        assert_eq!(arrive(1, 40_000), Arrival::After { lost: 0 }, "far behind: the sender counts anew");
        assert_eq!(arrive(2, 39_999), Arrival::After { lost: 0 }, "another source");
    }
}
