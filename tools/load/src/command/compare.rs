//! `tsload compare`.

use std::process::ExitCode;

use tsload::document;
use tsload::lab::{Scenario, Shape, Source};
use tsload::metric::{COST, MEMORY, Metric, P99};
use tsload::plot;
use tsload::results::Results;
use tsload::servers::Server;
use tsload::table::{Row, Table, Verdict, overview};

use super::lab::{self, warn_if_disturbed};
use super::values::bits;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Servers, the first of which the others are compared with: tsstream, tsstream:udp1316, :udp1472, :rtp, :http,
    /// floor-send, floor-ring, nchan, node-ws, tokio-relay
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "floor-send,tsstream,nchan,node-ws,tokio-relay"
    )]
    servers: Vec<String>,
    /// Receivers; with several numbers, separated by commas, one comparison for each, and plots over them
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_value = "1000")]
    receivers: Vec<usize>,
    /// Bits a second of the stream
    #[arg(long, value_name = "BITS", default_value = "2M", value_parser = bits)]
    rate: u64,
    /// Bursts a second
    #[arg(long, value_name = "COUNT", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    bursts: u32,
    /// Receivers beside them that never read
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    stalled: usize,
    #[command(flatten)]
    lab: lab::Arguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let scenarios = arguments.scenarios()?;
    let lab = arguments.lab.lab()?;
    let results = arguments.lab.run(&lab, "", &scenarios);
    warn_if_disturbed([&results]);
    let table = arguments.table(&results);
    let setting = arguments.lab.setting();
    if let Some(directory) = &arguments.lab.write {
        let page = arguments.markdown(&table, &setting);
        document::write(directory, "compare", &page, &setting, &table, &results, &arguments.plots(&results))?;
    }
    if arguments.lab.json {
        println!("{}", serde_json::to_string_pretty(&table).map_err(|error| error.to_string())?);
    } else {
        table.rows.iter().for_each(|row| println!("{:<28} {:<70} {}", row.what, row.found, row.target));
    }
    let is_good = table.rows.iter().all(|row| row.verdict != Verdict::Void);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    fn scenarios(&self) -> Result<Vec<Scenario>, String> {
        let mut scenarios = Vec::new();
        for receivers in &self.receivers {
            for name in &self.servers {
                let server = Server::named(name).map_err(|error| format!("--servers: {error}"))?;
                let source = Source::Synthetic(self.rate, self.bursts);
                let shape = Shape { source, stalled: self.stalled, ..Shape::of(*receivers, self.rate) };
                scenarios.push(Scenario { key: key(name, *receivers), server, shape });
            }
        }
        Ok(scenarios)
    }

    /// A line for each server and number of receivers, with its cost against that of the first server.
    fn table(&self, results: &Results) -> Table {
        let mut table = Table::default();
        for receivers in &self.receivers {
            let first = key(&self.servers[0], *receivers);
            for name in &self.servers {
                let key = key(name, *receivers);
                let ratio = results.ratio([&key, &first], COST.of);
                let (found, verdict) = match overview(results, &key) {
                    Ok(words) if results.doubt(&key).is_none() => (words, Verdict::None),
                    Ok(words) | Err(words) => (words, Verdict::Void),
                };
                let target =
                    ratio.map_or(String::new(), |ratio| format!("{:.2} x {}", ratio.median, self.servers[0]));
                table.rows.push(Row { case: '-', what: key, found, target, verdict });
            }
        }
        table
    }

    fn markdown(&self, table: &Table, setting: &document::Setting) -> String {
        let rows: String = table
            .rows
            .iter()
            .map(|Row { what, found, target, .. }| {
                format!("| {what} | {} | {target} |\n", found.replace('\n', " "))
            })
            .collect();
        let document::Setting { command, machine, rounds, seconds } = setting;
        format!(
            "`{command}`  \n{machine}; {rounds} runs of {seconds} s each, median [least-most]\n\n\
             | server, receivers | found | CPU per GB |\n|---|---|---|\n{rows}"
        )
    }

    fn plots(&self, results: &Results) -> Vec<(String, String)> {
        let plot = |(metric, name): (Metric, &str)| {
            let figure = |server: &str, receivers: usize| {
                results.figure(&key(server, receivers), metric.of).map(|figure| figure.median)
            };
            let title = format!(
                "{} at {:.2} Mb/s, {} bursts a second",
                metric.name,
                self.rate as f64 / 1e6,
                self.bursts
            );
            let svg = match self.receivers.as_slice() {
                [receivers] => {
                    let values = self
                        .servers
                        .iter()
                        .filter_map(|name| Some((name.clone(), figure(name, *receivers)?)));
                    plot::bars(&title, metric.unit, &values.collect::<Vec<_>>())
                }
                many => {
                    let points = |name: &String| {
                        let points =
                            many.iter().filter_map(|count| Some((*count as f64, figure(name, *count)?)));
                        (name.clone(), points.collect())
                    };
                    let series: Vec<plot::Series> = self.servers.iter().map(points).collect();
                    plot::lines(&title, "receivers", metric.unit, plot::Scale::Logarithmic, &series)
                }
            };
            (format!("compare-{name}"), svg)
        };
        [(COST, "cpu"), (P99, "p99"), (MEMORY, "memory")].map(plot).into()
    }
}

fn key(server: &str, receivers: usize) -> String {
    format!("{server} {receivers}")
}
