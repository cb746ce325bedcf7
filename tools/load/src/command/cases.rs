//! `tsload cases`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use tsload::cases::{CASES, Case};
use tsload::document;
use tsload::metric::{COST, P99};
use tsload::plot;
use tsload::results::Results;
use tsload::table::{Table, Verdict};

use super::lab::{self, warn_if_disturbed};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only these cases, by letter
    #[arg(long, value_name = "LETTERS", value_delimiter = ',')]
    only: Vec<char>,
    /// Say what the cases are, and run none
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    lab: lab::Arguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let cases = arguments.cases()?;
    if arguments.list {
        for case in &cases {
            let keys: Vec<String> = case.scenarios().into_iter().map(|scenario| scenario.key).collect();
            println!("{}. {}\n     runs: {}", case.letter, case.title, keys.join(", "));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let lab = arguments.lab.lab()?;
    let mut table = Table::default();
    let mut results = BTreeMap::new();
    for case in &cases {
        let runs = arguments.lab.run(&lab, &format!("case {}, ", case.letter), &case.scenarios());
        case.judge(&runs, &mut table);
        results.insert(case.letter, runs);
    }
    warn_if_disturbed(results.values());
    let setting = arguments.lab.setting();
    if let Some(directory) = &arguments.lab.write {
        let page = document::markdown(&cases, &table, &setting);
        document::write(directory, "cases", &page, &setting, &table, &results, &plots(&cases, &results))?;
    }
    if arguments.lab.json {
        println!("{}", serde_json::to_string_pretty(&table).map_err(|error| error.to_string())?);
    } else {
        print!("{}", document::text(&cases, &table));
    }
    let is_good = table.rows.iter().all(|row| matches!(row.verdict, Verdict::Met | Verdict::None));
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    fn cases(&self) -> Result<Vec<&'static Case>, String> {
        if let Some(unknown) =
            self.only.iter().find(|letter| CASES.iter().all(|case| case.letter != **letter))
        {
            let letters: String = CASES.iter().map(|case| case.letter).collect();
            return Err(format!("--only: there is no case \"{unknown}\"; there are {letters}"));
        }
        Ok(CASES.iter().filter(|case| self.only.is_empty() || self.only.contains(&case.letter)).collect())
    }
}

/// Cost and latency of each scenario, by case; for case i one against the other.
fn plots(cases: &[&Case], results: &BTreeMap<char, Results>) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    for case in cases {
        let keys: Vec<String> = case.scenarios().into_iter().map(|scenario| scenario.key).collect();
        for (metric, name) in [(COST, "cpu"), (P99, "p99")] {
            let values: Vec<(String, f64)> = keys
                .iter()
                .filter_map(|key| Some((key.clone(), results[&case.letter].figure(key, metric.of)?.median)))
                .filter(|(_, value)| *value > 0.0)
                .collect();
            if values.len() > 1 {
                let title = format!("{}. {}: {}", case.letter, case.title, metric.name);
                plots
                    .push((format!("case-{}-{name}", case.letter), plot::bars(&title, metric.unit, &values)));
            }
        }
    }
    plots
}
