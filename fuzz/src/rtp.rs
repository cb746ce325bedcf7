//! Datagrams that may be RTP.

use tsstream::chunk::TS_PACKET_BYTES;
use tsstream::ingest::rtp::{Arrival, Numbering, parse};

/// The longest datagram that the input is cut into.
const DATAGRAM_BYTES_MAX: usize = 1500;

/// The input is datagrams, each after its length in two bytes.
pub fn check(data: &[u8]) {
    let mut numbering = Numbering::default();
    let mut newest: Option<(u32, u16)> = None;
    let mut rest = data;
    while let Some(([high, low], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])) % DATAGRAM_BYTES_MAX;
        let (datagram, after) = after.split_at(length.min(after.len()));
        rest = after;
        let Some(packet) = parse(datagram) else { continue };
        assert_ne!(datagram[0], 0x47, "plain packets are no RTP");
        assert!(
            packet.payload.len().is_multiple_of(TS_PACKET_BYTES) && packet.payload.first() == Some(&0x47)
        );
        assert!(
            packet.payload.len() < datagram.len()
                && datagram.as_ptr_range().contains(&packet.payload.as_ptr())
        );
        match (numbering.arrive(&packet), newest) {
            (Arrival::Late, newest) => {
                let (source, number) = newest.expect("nothing is late that comes first");
                assert!(source == packet.source && number.wrapping_sub(packet.sequence) < 100);
                continue;
            }
            (Arrival::After { lost }, Some((source, number))) if source == packet.source => {
                let ahead = packet.sequence.wrapping_sub(number).wrapping_sub(1);
                assert!(lost == ahead || lost == 0 && ahead >= 1 << 15);
            }
            (Arrival::After { lost }, _) => {
                assert_eq!(lost, 0, "before the first of a source nothing is missing")
            }
        }
        newest = Some((packet.source, packet.sequence));
    }
}
