//! Numbers for people. Pure.

/// Bits per second: `4.02 Mb/s`; a dash for none.
#[must_use]
pub fn rate(bits_per_second: u64) -> String {
    if bits_per_second == 0 { "-".to_owned() } else { scaled(bits_per_second as f64, "b/s") }
}

/// Bytes: `12.3 GB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, "B")
}

/// `12,345`; in millions from there on.
#[must_use]
pub fn count(number: u64) -> String {
    if number >= 10_000_000 {
        return format!("{:.1} M", number as f64 / 1e6);
    }
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `12:34`, `1:02:03`, `4 d 05:06`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, _) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{days} d {hours:02}:{minutes:02}"),
    }
}

/// A lag or a turn: `1.9 s`, `120 ms`, `0.3 ms`; a dash for none.
#[must_use]
pub fn time(seconds: f64) -> String {
    match seconds {
        0.0 => "-".to_owned(),
        1.0.. => format!("{seconds:.1} s"),
        0.01.. => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{:.1} ms", seconds * 1e3),
    }
}

/// A share of one, as percent.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Three digits and a prefix.
fn scaled(value: f64, unit: &str) -> String {
    let mut value = value;
    let mut prefix = "";
    for next in ["k", "M", "G", "T", "P"] {
        // What would be shown as 1000 is shown with the next prefix.
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        prefix = next;
    }
    let decimals = match value {
        _ if prefix.is_empty() => 0,
        99.95.. => 0,
        9.995.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {prefix}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let rates = [0, 1, 999, 1_000, 9_994, 9_996, 99_940, 999_400, 999_600, 4_020_000, 12_345_678_901];
        let shown = [
            "-",
            "1 b/s",
            "999 b/s",
            "1.00 kb/s",
            "9.99 kb/s",
            "10.0 kb/s",
            "99.9 kb/s",
            "999 kb/s",
            "1.00 Mb/s",
            "4.02 Mb/s",
            "12.3 Gb/s",
        ];
        assert_eq!(rates.map(rate), shown);
        assert_eq!([0, 12_345_678].map(bytes), ["0 B", "12.3 MB"]);
        assert_eq!(
            [0, 999, 1_000, 1_234_567, 12_345_678].map(count),
            ["0", "999", "1,000", "1,234,567", "12.3 M"]
        );
        assert_eq!(
            [0.0, 59.9, 3_599.0, 3_723.0, 363_960.0].map(duration),
            ["0:00", "0:59", "59:59", "1:02:03", "4 d 05:06"]
        );
        assert_eq!([0.0, 0.0003, 0.12, 1.94].map(time), ["-", "0.3 ms", "120 ms", "1.9 s"]);
        assert_eq!(percent(0.126), "13 %");
    }
}
