//! Sections: the pieces that tables are sent in (ISO/IEC 13818-1 §2.4.4), put together from packets and taken apart
//! into packets.

use crate::chunk::TS_PACKET_BYTES;

use super::packet::{Packet, SYNC_BYTE};

/// The longest section of a PAT or PMT: `section_length` is at most 1021 (§2.4.4.4, §2.4.4.9).
const SECTION_BYTES_MAX: usize = 1024;

/// Table id of what fills the packet after the last section.
const STUFFING: u8 = 0xff;

/// Puts the sections of one PID together.
#[derive(Debug, Default)]
pub(crate) struct SectionReader {
    /// A section whose end has not come; less than [`SECTION_BYTES_MAX`] from packet to packet.
    partial: Vec<u8>,
}

impl SectionReader {
    /// Takes the next packet and calls `section` with each section that it completes, unchecked.
    pub fn push(&mut self, packet: Packet, mut section: impl FnMut(&[u8])) {
        if !packet.unit_start() {
            return self.go_on(packet.payload(), &mut section);
        }
        let pointed = packet.payload().split_first();
        let Some((end_of_old, fresh)) =
            pointed.and_then(|(&pointer, rest)| rest.split_at_checked(usize::from(pointer)))
        else {
            return self.reset();
        };
        self.go_on(end_of_old, &mut section);
        self.reset();
        self.take(fresh, &mut section);
    }

    /// Packets are missing: a section that had begun can't be completed.
    pub fn reset(&mut self) {
        self.partial.clear();
    }

    fn go_on(&mut self, bytes: &[u8], section: &mut impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            self.take(bytes, section);
        }
    }

    fn take(&mut self, bytes: &[u8], section: &mut impl FnMut(&[u8])) {
        self.partial.extend_from_slice(bytes);
        let mut rest = &self.partial[..];
        while let [table_id, high, low, ..] = *rest {
            let bytes = 3 + usize::from(u16::from_be_bytes([high & 0x0f, low]));
            if table_id == STUFFING || bytes > SECTION_BYTES_MAX {
                rest = &[];
            }
            let Some((complete, later)) = rest.split_at_checked(bytes) else { break };
            section(complete);
            rest = later;
        }
        let done = self.partial.len() - rest.len();
        self.partial.drain(..done);
    }
}

/// How many packets [`packetise`] makes of `sections`.
pub(crate) fn packet_count(sections: &[&[u8]]) -> usize {
    // The pointer takes one byte of the first packet of each.
    sections.iter().map(|section| (1 + section.len()).div_ceil(TS_PACKET_BYTES - 4)).sum()
}

/// Appends packets of `pid` with `sections` to `out`, each section starting a packet. The last packet has
/// `last_counter`, the ones before it count up to that.
pub(crate) fn packetise(pid: u16, sections: &[&[u8]], last_counter: u8, out: &mut Vec<u8>) {
    let mut before = packet_count(sections);
    let [pid_high, pid_low] = pid.to_be_bytes();
    for section in sections {
        let pointed = [&[0], *section].concat();
        for (index, payload) in pointed.chunks(TS_PACKET_BYTES - 4).enumerate() {
            before -= 1;
            let unit_start = if index == 0 { 0x40 } else { 0 };
            let counter = last_counter.wrapping_sub(before as u8) & 0x0f;
            out.extend_from_slice(&[SYNC_BYTE, unit_start | pid_high, pid_low, 0x10 | counter]);
            out.extend_from_slice(payload);
            out.resize(out.len().next_multiple_of(TS_PACKET_BYTES), STUFFING);
        }
    }
}

/// Whether the CRC at the end of `section` is right (ISO/IEC 13818-1 annex A).
pub(crate) fn is_intact(section: &[u8]) -> bool {
    crc_32(section) == 0
}

/// CRC-32/MPEG-2. Over a section with its own at the end: zero.
pub(crate) fn crc_32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table();
    bytes.iter().fold(!0, |crc, &byte| crc << 8 ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn section(table_id: u8, body_len: usize) -> Vec<u8> {
        let [high, low] = (body_len as u16).to_be_bytes();
        [vec![table_id, 0xb0 | high, low], vec![table_id; body_len]].concat()
    }

    /// What a reader makes of `packets`.
    fn read(packets: &[u8]) -> Vec<Vec<u8>> {
        let (mut reader, mut sections) = (SectionReader::default(), Vec::new());
        for bytes in packets.as_chunks().0 {
            reader.push(Packet::new(bytes), |section| sections.push(section.to_vec()));
            assert!(reader.partial.len() < SECTION_BYTES_MAX);
        }
        sections
    }

    #[test]
    fn crc_has_the_published_check_value() {
        assert_eq!(crc_32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn what_is_packetised_is_read_again() {
        let sections: Vec<_> = [9, 180, 181, 500, 1021].into_iter().map(|len| section(2, len)).collect();
        let parts: Vec<_> = sections.iter().map(Vec::as_slice).collect();
        let mut packets = Vec::new();
        packetise(0x1000, &parts, 3, &mut packets);
        assert_eq!(packets.len(), packet_count(&parts) * TS_PACKET_BYTES);
        assert_eq!(read(&packets), sections);
        let counters: Vec<_> =
            packets.as_chunks().0.iter().map(|bytes| Packet::new(bytes).continuity_counter()).collect();
        assert_eq!(counters.last(), Some(&3));
        assert!(counters.windows(2).all(|pair| (pair[0] + 1) & 0x0f == pair[1]));
    }

    #[test]
    fn several_sections_share_packets() {
        let all = [section(1, 20), section(2, 200), section(3, 10)].concat();
        let head = [SYNC_BYTE, 0x40, 0, 0x10];
        let first = [&head[..], &[0], &all[..183]].concat();
        let second = [&head[..], &[(all.len() - 13 - 183) as u8], &all[183..], &[STUFFING; 184]].concat();
        assert_eq!(read(&[&first, &second[..TS_PACKET_BYTES]].concat()).concat(), all);
    }

    #[test]
    fn a_section_without_its_start_is_skipped() {
        let mut packets = Vec::new();
        packetise(0, &[&section(2, 500), &section(3, 50)], 0, &mut packets);
        assert_eq!(read(&packets[TS_PACKET_BYTES..]), [section(3, 50)]);
    }

    proptest! {
        #[test]
        fn any_packets_are_survived(starts in prop::collection::vec((any::<bool>(), any::<[u8; 12]>()), 0..60)) {
            let packet = |&(unit_start, payload): &(bool, [u8; 12])| {
                let head = [SYNC_BYTE, if unit_start { 0x40 } else { 0 }, 0, 0x10];
                head.into_iter().chain(payload.into_iter().cycle()).take(TS_PACKET_BYTES).collect::<Vec<_>>()
            };
            for section in read(&starts.iter().flat_map(packet).collect::<Vec<_>>()) {
                prop_assert!((3..=SECTION_BYTES_MAX).contains(&section.len()));
            }
        }
    }
}
