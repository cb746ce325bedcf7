//! Input in portions.

/// The longest portion.
const PORTION_BYTES_MAX: usize = 23;

/// `bytes` in portions whose lengths, from 1 on, follow from `seed`.
pub(crate) fn portions(bytes: &[u8], seed: u64) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    let mut state = seed | 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // xorshift64: any lengths will do, as long as a finding can be had again.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = 1 + (state % PORTION_BYTES_MAX as u64) as usize;
        let (portion, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        Some(portion)
    })
}

/// A seed that follows from the input.
pub(crate) fn seed(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0x2545_f491_4f6c_dd1d, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
