//! Transport stream packets (ISO/IEC 13818-1 §2.4.3): their fields, and tables to fill them with.

/// Bytes of one packet.
pub const PACKET_BYTES: usize = 188;

/// What every packet starts with.
pub const SYNC_BYTE: u8 = 0x47;

/// PID of the program association table.
pub const PID_PAT: u16 = 0;

/// A view on one packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(pub &'a [u8; PACKET_BYTES]);

impl<'a> Packet<'a> {
    /// The packets of `bytes`; what is left over at the end is ignored.
    pub fn all(bytes: &'a [u8]) -> impl DoubleEndedIterator<Item = Packet<'a>> + ExactSizeIterator {
        bytes.as_chunks::<PACKET_BYTES>().0.iter().map(Packet)
    }

    /// `PID`.
    #[must_use]
    pub fn pid(self) -> u16 {
        u16::from_be_bytes([self.0[1] & 0x1f, self.0[2]])
    }

    /// `payload_unit_start_indicator`.
    #[must_use]
    pub fn unit_start(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    /// The packet is all adaptation field, with `discontinuity_indicator` set.
    #[must_use]
    pub fn only_says_discontinuity(self) -> bool {
        self.0[3] & 0x30 == 0x20 && self.0[4] > 0 && self.0[5] & 0x80 != 0
    }

    /// `program_clock_reference` in ticks of 27 MHz.
    #[must_use]
    pub fn pcr(self) -> Option<u64> {
        if self.0[3] & 0x20 == 0 || self.0[4] < 7 || self.0[5] & 0x10 == 0 {
            return None;
        }
        let bits = self.0[6..12].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Some((bits >> 15) * 300 + (bits & 0x1ff))
    }

    /// A PES packet starts here (§2.4.3.6).
    #[must_use]
    pub fn starts_pes(self) -> bool {
        self.unit_start() && self.payload().starts_with(&[0, 0, 1])
    }

    /// What follows header and adaptation field; empty if nothing does.
    fn payload(self) -> &'a [u8] {
        let start = match self.0[3] & 0x30 {
            0x10 => 4,
            0x30 => 5 + usize::from(self.0[4]),
            _ => return &[],
        };
        self.0.get(start..).unwrap_or_default()
    }

    /// The section that starts and ends in this packet, if its checksum is right.
    #[must_use]
    pub fn section(self) -> Option<&'a [u8]> {
        if !self.unit_start() {
            return None;
        }
        let (pointer, rest) = self.payload().split_first()?;
        let section = rest.get(usize::from(*pointer)..)?;
        let length = usize::from(u16::from_be_bytes([*section.get(1)? & 0x0f, *section.get(2)?]));
        let section = section.get(..3 + length)?;
        (crc(section) == 0).then_some(section)
    }
}

/// A packet with a whole `section`, to which the checksum is added.
#[must_use]
pub fn section_packet(pid: u16, counter: u8, section: &[u8]) -> [u8; PACKET_BYTES] {
    let mut packet = [0xff; PACKET_BYTES];
    packet[..5].copy_from_slice(&[SYNC_BYTE, 0x40 | (pid >> 8) as u8, pid as u8, 0x10 | counter & 15, 0]);
    packet[5..5 + section.len()].copy_from_slice(section);
    packet[5 + section.len()..][..4].copy_from_slice(&crc(section).to_be_bytes());
    packet
}

/// CRC-32 of sections (ISO/IEC 13818-1 annex A); zero over a section with its checksum.
#[must_use]
pub fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 24), |crc, _| (crc << 1) ^ ((crc >> 31) * 0x04c1_1db7))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_again_and_damage_is_seen() {
        let section = [0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0];
        let mut packet = section_packet(PID_PAT, 3, &section);
        assert_eq!(Packet(&packet).section().unwrap()[..12], section);
        // The checksum of this very PAT, as ffmpeg's muxer writes it for a PMT at PID 0x100.
        assert_eq!(Packet(&packet).section().unwrap().len(), 16);
        packet[9] ^= 1;
        assert_eq!(Packet(&packet).section(), None);
    }

    #[test]
    fn the_checksum_is_mpegs() {
        assert_eq!(crc(b"123456789"), 0x0376_e6e7);
    }
}
