//! Values of arguments: bit rates and seconds.

/// Reads bits a second: `2000000`, `410k`, `2M`, `1G`.
pub(crate) fn bits(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1e3),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1e6),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let bits = digits.parse::<f64>().ok().map(|number| number * factor);
    match bits.filter(|bits| (1.0..=100e9).contains(bits)) {
        Some(bits) => Ok(bits as u64),
        None => Err("expected bits a second, such as 410k, 2M or 1G, up to 100G".to_owned()),
    }
}

/// Reads seconds, up to an hour, as nanoseconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    match text.parse::<f64>().ok().filter(|seconds| (0.0..=3600.0).contains(seconds)) {
        Some(seconds) => Ok((seconds * 1e9) as u64),
        None => Err("expected seconds, 0 to 3600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_times_are_read() {
        assert_eq!(
            ["2M", "410k", "0.5M", "1G", "7"].map(|text| bits(text).unwrap()),
            [2_000_000, 410_000, 500_000, 1_000_000_000, 7]
        );
        assert!(["", "M", "2x", "-1M", "1000G", "NaN"].iter().all(|text| bits(text).is_err()));
        assert_eq!(seconds("0.5"), Ok(500_000_000));
        assert!(["", "-1", "3601", "inf"].iter().all(|text| seconds(text).is_err()));
    }
}
