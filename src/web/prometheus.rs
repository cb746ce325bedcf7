//! The text format of Prometheus, version 0.0.4. Pure.

use std::fmt::Write;

/// Its content type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Beyond so much, the rest is left out: a monitor's thousand nodes of ten streams each take half of it.
const TEXT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A text in the making.
#[derive(Debug, Default)]
pub struct Text(String);

/// The types of metrics in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends with `_total`.
    Counter,
    /// Comes and goes.
    Gauge,
    /// See [`Text::histogram`].
    Histogram,
}

impl Text {
    /// Begins a metric, of which all [`line`](Self::line)s must follow.
    pub fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    }

    /// One value of the metric just begun.
    pub fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        if self.0.len() > TEXT_BYTES_MAX {
            return;
        }
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            // Names come from other machines: a label ends where it says so and nowhere else.
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A metric of a single value.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    /// One histogram of the metric just begun: `counts` by upper bound, the last without one, and the sum of all values.
    pub fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        let mut below = 0;
        for (index, count) in counts.iter().enumerate() {
            below += count;
            let bound = bounds.get(index).map_or("+Inf".to_owned(), f64::to_string);
            self.line(&format!("{name}_bucket"), &[labels, &[("le", &bound)]].concat(), below as f64);
        }
        self.line(&format!("{name}_sum"), labels, sum);
        self.line(&format!("{name}_count"), labels, below as f64);
    }

    /// The text.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.single("a_total", Kind::Counter, "What is counted", 3.0);
        text.head("lag_seconds", Kind::Histogram, "Lag");
        text.histogram("lag_seconds", &[("stream", "a\"b\\\nc")], &[0.1, 1.0], &[2, 0, 1], 4.5);
        let expected = "# HELP a_total What is counted.\n# TYPE a_total counter\na_total 3\n\
            # HELP lag_seconds Lag.\n# TYPE lag_seconds histogram\n\
            lag_seconds_bucket{stream=\"a\\\"b\\\\\\nc\",le=\"0.1\"} 2\n\
            lag_seconds_bucket{stream=\"a\\\"b\\\\\\nc\",le=\"1\"} 2\n\
            lag_seconds_bucket{stream=\"a\\\"b\\\\\\nc\",le=\"+Inf\"} 3\n\
            lag_seconds_sum{stream=\"a\\\"b\\\\\\nc\"} 4.5\n\
            lag_seconds_count{stream=\"a\\\"b\\\\\\nc\"} 3\n";
        assert_eq!(String::from_utf8(text.into_bytes()).unwrap(), expected);
    }
}
