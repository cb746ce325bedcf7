//! The fields of one transport stream packet (ISO/IEC 13818-1 §2.4.3). Reads only; makes nothing of them.

use crate::chunk::TS_PACKET_BYTES;

/// What every packet starts with.
pub const SYNC_BYTE: u8 = 0x47;

/// How many PIDs there are.
pub const PID_COUNT: usize = 0x2000;

/// PID of the program association table.
pub const PID_PAT: u16 = 0;

/// PID of packets that carry nothing; their continuity counter has no meaning.
pub const PID_NULL: u16 = 0x1fff;

/// A view on 188 bytes. Total: whatever they are, every question has an answer.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8; TS_PACKET_BYTES]);

impl<'a> Packet<'a> {
    /// A view on `bytes`, which the aligner found to start with [`SYNC_BYTE`].
    #[must_use]
    pub fn new(bytes: &'a [u8; TS_PACKET_BYTES]) -> Packet<'a> {
        Packet(bytes)
    }

    /// `transport_error_indicator`: damaged on its way to us, so that no other field can be relied on.
    #[must_use]
    pub fn transport_error(self) -> bool {
        self.0[1] & 0x80 != 0
    }

    /// `payload_unit_start_indicator`, of a packet that has a payload: a PES packet or a section starts here.
    #[must_use]
    pub fn unit_start(self) -> bool {
        self.0[1] & 0x40 != 0 && self.has_payload()
    }

    /// `PID`.
    #[must_use]
    pub fn pid(self) -> u16 {
        u16::from_be_bytes([self.0[1] & 0x1f, self.0[2]])
    }

    /// `transport_scrambling_control`: the payload can't be read.
    #[must_use]
    pub fn scrambled(self) -> bool {
        self.0[3] & 0xc0 != 0
    }

    /// Whether `adaptation_field_control` announces a payload; only such packets are counted by the continuity counter.
    #[must_use]
    pub fn has_payload(self) -> bool {
        self.0[3] & 0x10 != 0
    }

    /// `continuity_counter`, 0 to 15.
    #[must_use]
    pub fn continuity_counter(self) -> u8 {
        self.0[3] & 0x0f
    }

    /// `discontinuity_indicator`: the counter or the clock of this PID starts anew here.
    #[must_use]
    pub fn discontinuity(self) -> bool {
        self.adaptation_flags() & 0x80 != 0
    }

    /// `random_access_indicator`: a decoder may start with this PID here.
    #[must_use]
    pub fn random_access(self) -> bool {
        self.adaptation_flags() & 0x40 != 0
    }

    /// `program_clock_reference`.
    #[must_use]
    pub fn pcr(self) -> Option<Pcr> {
        if self.adaptation_flags() & 0x10 == 0 {
            return None;
        }
        self.adaptation_field().get(1..7).and_then(|bytes| bytes.try_into().ok()).map(Pcr)
    }

    /// The payload; empty if there is none, or if the adaptation field claims more than the packet.
    #[must_use]
    pub fn payload(self) -> &'a [u8] {
        let start = match self.0[3] & 0x30 {
            0x10 => 4,
            0x30 => 5 + usize::from(self.0[4]),
            _ => return &[],
        };
        self.0.get(start..).unwrap_or_default()
    }

    /// The last eight bytes: enough to tell a packet sent twice from another one with the same counter.
    #[must_use]
    pub fn tail(self) -> [u8; 8] {
        let mut tail = [0; 8];
        tail.copy_from_slice(&self.0[TS_PACKET_BYTES - 8..]);
        tail
    }

    fn adaptation_flags(self) -> u8 {
        self.adaptation_field().first().copied().unwrap_or_default()
    }

    /// The adaptation field after its length; empty if there is none, or if it claims more than the packet.
    fn adaptation_field(self) -> &'a [u8] {
        if self.0[3] & 0x20 == 0 {
            return &[];
        }
        self.0.get(5..5 + usize::from(self.0[4])).unwrap_or_default()
    }
}

/// A program clock reference as it stands in an adaptation field (ISO/IEC 13818-1 §2.4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcr(pub [u8; 6]);

impl Pcr {
    /// Ticks of 27 MHz after which the clock starts again at zero: some 26.5 hours.
    const PERIOD: u64 = (1 << 33) * 300;

    /// Microseconds from `earlier` to `self`; `None` if that is more than half the period of the clock, that is, if the
    /// clock went back.
    #[must_use]
    pub fn micros_since(self, earlier: Pcr) -> Option<u64> {
        let ticks = (self.ticks() + Pcr::PERIOD - earlier.ticks()) % Pcr::PERIOD;
        (ticks < Pcr::PERIOD / 2).then_some(ticks / 27)
    }

    /// Whole seconds of the clock.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.ticks() / 27_000_000
    }

    /// Ticks of 27 MHz: a base of 33 bits in units of 300 ticks, 6 bits reserved, an extension of 9 bits.
    #[must_use]
    pub fn ticks(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        let bits = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        ((bits >> 15) * 300 + (bits & 0x1ff)) % Pcr::PERIOD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(head: &[u8]) -> [u8; TS_PACKET_BYTES] {
        let mut bytes = [0xaa; TS_PACKET_BYTES];
        bytes[..head.len()].copy_from_slice(head);
        bytes
    }

    #[test]
    fn reads_the_header() {
        let bytes = packet(&[0x47, 0x41, 0x23, 0x1a]);
        let packet = Packet::new(&bytes);
        assert_eq!((packet.pid(), packet.continuity_counter()), (0x123, 10));
        assert!(packet.unit_start() && packet.has_payload());
        assert!(!packet.transport_error() && !packet.scrambled() && !packet.random_access());
        assert_eq!(packet.payload().len(), 184);
        assert_eq!(packet.pcr(), None);
    }

    #[test]
    fn reads_the_adaptation_field() {
        let bytes = packet(&[0x47, 0x01, 0x00, 0x30, 7, 0xd0, 0, 0, 0, 0, 0x80, 0x01]);
        let packet = Packet::new(&bytes);
        assert!(packet.discontinuity() && packet.random_access());
        assert_eq!(packet.pcr(), Some(Pcr([0, 0, 0, 0, 0x80, 0x01])));
        assert_eq!(packet.pcr().map(Pcr::ticks), Some(301));
        assert_eq!(packet.payload().len(), 188 - 12);
    }

    #[test]
    fn a_field_longer_than_the_packet_says_nothing() {
        let bytes = packet(&[0x47, 0x41, 0x00, 0x30, 184, 0xff]);
        let packet = Packet::new(&bytes);
        assert!(!packet.random_access() && packet.pcr().is_none() && packet.payload().is_empty());
        let bytes = self::packet(&[0x47, 0x41, 0x00, 0x20, 1, 0x10]);
        assert_eq!(Packet::new(&bytes).pcr(), None, "the flag without room for the value");
    }

    #[test]
    fn the_clock_goes_round_and_never_back() {
        let (first, last) = (Pcr([0, 0, 0, 0, 0, 54]), Pcr([0xff, 0xff, 0xff, 0xff, 0x80, 0]));
        assert_eq!(first.micros_since(last), Some((54 + 300) / 27));
        assert_eq!(last.micros_since(first), None);
        assert_eq!(first.micros_since(first), Some(0));
    }
}
