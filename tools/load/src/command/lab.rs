//! What `tsload cases` and `tsload compare` share: servers started by the harness, on a core of their own.

use std::path::PathBuf;

use tsload::document::Setting;
use tsload::host::{allow_descriptors_as_many_as_possible, cores, stay_on};
use tsload::lab::{Lab, Scenario};
use tsload::report::Report;
use tsload::results::{Results, run_all};
use tsload::servers::Programs;

use super::run::progress;
use super::values::seconds;

#[derive(Debug, clap::Args)]
#[group(id = "lab")]
pub(crate) struct Arguments {
    /// How long each run measures, in seconds [default: 8, with --short 3]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<u64>,
    /// How often each scenario is run; the median counts [default: 5, with --short 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: Option<u32>,
    /// One short run of each scenario: fit for daily use, not for figures to quote
    #[arg(long)]
    short: bool,
    /// The core that servers run on; the load runs on the other one named
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    server_core: usize,
    /// The core that feed and receivers run on
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    load_core: usize,
    /// The release build of tsstream [default: beside this program]
    #[arg(long, value_name = "FILE")]
    tsstream: Option<PathBuf>,
    /// The directory with the peers
    #[arg(long, value_name = "DIRECTORY", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers"))]
    peers: PathBuf,
    /// Write the table as Markdown and JSON, and plots as SVG, into this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) write: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    fn rounds(&self) -> usize {
        self.runs.map_or(if self.short { 1 } else { 5 }, |runs| runs as usize)
    }

    /// Runs `scenarios`, with a line on standard error for each run.
    pub(crate) fn run(&self, lab: &Lab, title: &str, scenarios: &[Scenario]) -> Results {
        let results =
            run_all(lab, title, scenarios, self.rounds(), |scenario, report| say(lab, scenario, report));
        lab.progress.finish_and_clear();
        results
    }

    fn measure_ns(&self) -> u64 {
        self.seconds.unwrap_or(if self.short { 3_000_000_000 } else { 8_000_000_000 })
    }

    /// Takes this process to its core, and says where everything is.
    pub(crate) fn lab(&self) -> Result<Lab, String> {
        allow_descriptors_as_many_as_possible();
        let programs = Programs::beside(self.tsstream.clone(), self.peers.clone())?;
        let has_both = cores() > self.server_core.max(self.load_core);
        if !has_both {
            eprintln!(
                "tsload: warning: cores {} and {} are not both there: nothing is pinned",
                self.server_core, self.load_core
            );
        } else {
            stay_on(self.load_core)?;
        }
        Ok(Lab {
            programs,
            server_core: has_both.then_some(self.server_core),
            measure_ns: self.measure_ns(),
            progress: progress(),
        })
    }

    pub(crate) fn setting(&self) -> Setting {
        let words: Vec<String> = std::env::args().skip(1).collect();
        Setting::here(format!("tsload {}", words.join(" ")), self.rounds(), self.measure_ns())
    }
}

/// A warning if figures are rough because the machine was not left alone.
pub(crate) fn warn_if_disturbed<'a>(results: impl IntoIterator<Item = &'a Results>) {
    let counts = results.into_iter().map(Results::disturbed);
    let (runs, disturbed) = counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    if disturbed > 0 {
        eprintln!(
            "tsload: warning: other programs were busy during {disturbed} of {runs} runs: figures are rough"
        );
    }
}

fn say(lab: &Lab, scenario: &Scenario, report: &Result<Report, String>) {
    let words = match report {
        Ok(report) => {
            let steady = report.group("steady");
            let cost = report.server.as_ref().and_then(|server| server.cpu_s_per_gb);
            format!(
                "{:<24} {} p99 {:.2} ms, {}{}{}",
                scenario.key,
                cost.map_or("-".to_owned(), |cost| format!("{cost:.3} s/GB")),
                steady.map_or(0.0, |steady| steady.latency_ms.p99),
                steady
                    .and_then(|steady| steady.delivered)
                    .map_or("-".to_owned(), |share| format!("{:.3} %", share * 100.0)),
                if report.is_disturbed() {
                    format!("; others used {:.0} % of a core", report.others * 100.0)
                } else {
                    String::new()
                },
                report.invalid.iter().map(|doubt| format!("; does not count: {doubt}")).collect::<String>(),
            )
        }
        Err(why) => format!("{:<24} failed: {why}", scenario.key),
    };
    lab.progress.suspend(|| eprintln!("{words}"));
}
