//! Runs of many scenarios, several of each, and what they come to.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::lab::{Lab, Scenario};
use crate::report::Report;

/// Reports by the key of their scenario, in the order of the runs.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Results {
    runs: BTreeMap<String, Vec<Report>>,
    /// Scenarios that could not be run, and why.
    #[serde(skip)]
    pub failed: BTreeMap<String, String>,
}

/// A figure of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The middle one.
    pub median: f64,
    /// The least one.
    pub least: f64,
    /// The greatest one.
    pub most: f64,
}

/// Runs each of `scenarios` `rounds` times: all of them in turn, then all again in the opposite order, so that whatever
/// else the machine does, and what a run leaves behind for the next, meets all alike. A scenario that fails once is left
/// out from then on. `title` is told beside the progress; `on_report` sees each run.
pub fn run_all(
    lab: &Lab,
    title: &str,
    scenarios: &[Scenario],
    rounds: usize,
    mut on_report: impl FnMut(&Scenario, &Result<Report, String>),
) -> Results {
    let mut results = Results::default();
    for round in 1..=rounds {
        let mut order: Vec<&Scenario> = scenarios.iter().collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for (number, scenario) in (1..).zip(order) {
            if results.failed.contains_key(&scenario.key) {
                continue;
            }
            lab.progress.set_prefix(format!(
                "{title}round {round}/{rounds}, {number}/{} {}",
                scenarios.len(),
                scenario.key
            ));
            let report = lab.measure(scenario);
            on_report(scenario, &report);
            match report {
                Ok(report) => results.add(&scenario.key, report),
                Err(why) => drop(results.failed.insert(scenario.key.clone(), why)),
            }
        }
    }
    results
}

impl Figure {
    /// `None` without values.
    fn of(mut values: Vec<f64>) -> Option<Figure> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Figure { median, least, most })
    }
}

impl Results {
    /// Adds a run.
    pub fn add(&mut self, key: &str, report: Report) {
        self.runs.entry(key.to_owned()).or_default().push(report);
    }

    /// All runs of a scenario.
    #[must_use]
    pub fn runs(&self, key: &str) -> &[Report] {
        self.runs.get(key).map_or(&[], Vec::as_slice)
    }

    /// `figure` over the runs of a scenario; `None` without runs, or if one of them does not have it.
    pub fn figure(&self, key: &str, figure: impl Fn(&Report) -> Option<f64>) -> Option<Figure> {
        Figure::of(self.runs(key).iter().map(figure).collect::<Option<Vec<f64>>>()?)
    }

    /// A figure of one scenario divided by that of another, round by round: what slows the machine down for a while
    /// slows down both.
    pub fn ratio(&self, keys: [&str; 2], figure: impl Fn(&Report) -> Option<f64>) -> Option<Figure> {
        let rounds = self.runs(keys[0]).iter().zip(self.runs(keys[1]));
        let ratios = rounds.map(|(ours, theirs)| Some(figure(ours)? / figure(theirs)?));
        Figure::of(ratios.collect::<Option<Vec<f64>>>()?)
    }

    /// Runs of all scenarios, and how many of them were disturbed by other programs.
    #[must_use]
    pub fn disturbed(&self) -> (usize, usize) {
        let all = || self.runs.values().flatten();
        (all().count(), all().filter(|report| report.is_disturbed()).count())
    }

    /// Why a scenario does not count: it failed, or a run of it was not what it should have been.
    #[must_use]
    pub fn doubt(&self, key: &str) -> Option<String> {
        let invalid = self.runs(key).iter().flat_map(|report| report.invalid.first());
        let not_run = self.runs(key).is_empty().then(|| "was not run".to_owned());
        self.failed.get(key).or(invalid.into_iter().next()).cloned().or(not_run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(seconds: f64) -> Report {
        Report { seconds, feed: None, groups: vec![], server: None, others: 0.0, invalid: vec![] }
    }

    #[test]
    fn the_middle_is_found() {
        let mut results = Results::default();
        [5.0, 1.0, 3.0].into_iter().for_each(|seconds| results.add("odd", report(seconds)));
        [5.0, 1.0].into_iter().for_each(|seconds| results.add("even", report(seconds)));
        let seconds = |report: &Report| Some(report.seconds);
        assert_eq!(results.figure("odd", seconds), Some(Figure { median: 3.0, least: 1.0, most: 5.0 }));
        assert_eq!(results.figure("even", seconds).unwrap().median, 3.0);
        assert_eq!(results.figure("none", seconds), None);
        assert_eq!(results.figure("odd", |_| None), None);
        assert_eq!(
            results.ratio(["odd", "even"], seconds),
            Some(Figure { median: 1.0, least: 1.0, most: 1.0 })
        );
        assert_eq!(results.doubt("odd"), None);
        assert_eq!(results.doubt("none").unwrap(), "was not run");
    }
}
