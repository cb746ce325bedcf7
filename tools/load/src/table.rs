//! What was found, line by line, and whether it is what it should be.

use serde::Serialize;

use crate::metric::{CORE, COST, MEMORY, Metric, P99, steady};
use crate::report::{GroupReport, Report};
use crate::results::{Figure, Results};

/// The share that counts as all of it: a burst on its way when counting began or ended may be missing from the sum.
const COMPLETE: f64 = 0.99999;

/// All lines.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Table {
    /// In the order of the cases.
    pub rows: Vec<Row>,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Letter of its case.
    pub case: char,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What it should be; empty if that is not said.
    pub target: String,
    /// Whether it is.
    pub verdict: Verdict,
}

/// Whether a target is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Missed,
    /// There is none.
    None,
    /// A run did not work, or bytes were wrong: it does not count.
    Void,
}

impl Table {
    /// A figure of one scenario against that of another: at most `bound` times it.
    pub fn ratio(&mut self, case: char, results: &Results, metric: Metric, keys: [&str; 2], bound: f64) {
        let what = format!("{}: {} against {}", metric.name, keys[0], keys[1]);
        let target = format!("<= {bound:.2} x");
        let figures = keys.map(|key| results.figure(key, metric.of));
        let found =
            results.ratio(keys, metric.of).zip(figures[0].zip(figures[1])).map(|(ratio, (ours, theirs))| {
                let (ours, theirs) = (short(ours.median), short(theirs.median));
                (
                    ratio.median <= bound,
                    format!("{} x ({ours} against {theirs} {})", spread(ratio), metric.unit),
                )
            });
        self.add(case, what, target, results, &keys, found);
    }

    /// What a byte costs one scenario against another: at most `bound` times it by the processes' time; told by the
    /// core's as well.
    pub fn cost(&mut self, case: char, results: &Results, keys: [&str; 2], bound: f64) {
        self.ratio(case, results, COST, keys, bound);
        let (Some(ratio), None) = (results.ratio(keys, CORE.of), results.doubt(keys[0])) else { return };
        let what = format!("{}: {} against {}", CORE.name, keys[0], keys[1]);
        let found = format!("{} x", spread(ratio));
        self.rows.push(Row { case, what, found, target: String::new(), verdict: Verdict::None });
    }

    /// A figure of one scenario: at most `bound`.
    pub fn limit(&mut self, case: char, results: &Results, key: &str, metric: &Metric, bound: f64) {
        let found = results.figure(key, metric.of);
        let found =
            found.map(|figure| (figure.median <= bound, format!("{} {}", spread(figure), metric.unit)));
        let target = format!("<= {bound} {}", metric.unit);
        self.add(case, format!("{}: {key}", metric.name), target, results, &[key], found);
    }

    /// A figure of one scenario less that of another: at most `bound`.
    pub fn difference(
        &mut self,
        case: char,
        results: &Results,
        metric: &Metric,
        keys: [&str; 2],
        bound: f64,
    ) {
        let what = format!("{}: {} less {}", metric.name, keys[0], keys[1]);
        let found = match keys.map(|key| results.figure(key, metric.of)) {
            [Some(ours), Some(theirs)] => {
                let difference = ours.median - theirs.median;
                Some((difference <= bound, format!("{difference:.1} {}", metric.unit)))
            }
            _ => None,
        };
        self.add(case, what, format!("<= {bound} {}", metric.unit), results, &keys, found);
    }

    /// Everything was delivered in every run, and no sampled receiver missed anything.
    pub fn complete(&mut self, case: char, results: &Results, key: &str) {
        let groups: Option<Vec<&GroupReport>> = results.runs(key).iter().map(steady).collect();
        let found = groups.filter(|groups| !groups.is_empty()).map(|groups| {
            let delivered = groups.iter().filter_map(|group| group.delivered).fold(1.0, f64::min);
            let skips: u64 = groups.iter().map(|group| group.findings.skips + group.findings.gaps).sum();
            let closed: u64 = groups.iter().map(|group| group.closed).sum();
            let words = format!("{:.3} % delivered, {skips} skips, {closed} closed", delivered * 100.0);
            (delivered >= COMPLETE && skips == 0 && closed == 0, words)
        });
        let target = "100 % delivered, no skip".to_owned();
        self.add(case, format!("delivery: {key}"), target, results, &[key], found);
    }

    /// The main figures of a scenario, without a target.
    pub fn overview(&mut self, case: char, results: &Results, key: &str) {
        let row = Row {
            case,
            what: key.to_owned(),
            found: overview(results, key).unwrap_or_else(|why| why),
            target: String::new(),
            verdict: Verdict::None,
        };
        self.rows.push(row);
    }

    fn add(
        &mut self,
        case: char,
        what: String,
        target: String,
        results: &Results,
        keys: &[&str],
        found: Option<(bool, String)>,
    ) {
        let doubt = keys.iter().find_map(|key| Some(format!("{key}: {}", results.doubt(key)?)));
        let (verdict, found) = match (doubt, found) {
            (Some(doubt), _) => (Verdict::Void, doubt),
            (None, Some((true, words))) => (Verdict::Met, words),
            (None, Some((false, words))) => (Verdict::Missed, words),
            (None, None) => (Verdict::Void, "no figure".to_owned()),
        };
        self.rows.push(Row { case, what, found, target, verdict });
    }
}

/// Cost, latency, delivery and memory of a scenario in one line.
///
/// # Errors
/// Why it was not run.
pub fn overview(results: &Results, key: &str) -> Result<String, String> {
    if results.runs(key).is_empty() {
        return Err(results.doubt(key).unwrap_or_default());
    }
    let figure = |of: fn(&Report) -> Option<f64>| results.figure(key, of);
    let p50: fn(&Report) -> Option<f64> = |report| Some(steady(report)?.latency_ms.p50);
    let delivered: fn(&Report) -> Option<f64> = |report| Some(steady(report)?.delivered? * 100.0);
    let parts = [
        figure(COST.of).map(|cost| format!("{} s/GB", spread(cost))),
        figure(CORE.of).map(|cost| format!("whole core {}", spread(cost))),
        figure(p50).map(|p50| format!("p50 {} ms", short(p50.median))),
        figure(P99.of).map(|p99| format!("p99 {} ms", spread(p99))),
        figure(delivered).map(|share| format!("{:.2} % delivered", share.least)),
        figure(MEMORY.of).map(|memory| format!("{} MiB", short(memory.median))),
        results.doubt(key).map(|doubt| format!("does not count: {doubt}")),
    ];
    Ok(parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Median, and from where to where the runs go if there are several.
fn spread(figure: Figure) -> String {
    let Figure { median, least, most } = figure;
    if least == most {
        short(median)
    } else {
        format!("{} [{}-{}]", short(median), short(least), short(most))
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.3}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
