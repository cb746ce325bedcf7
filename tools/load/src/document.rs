//! The table of cases and comparisons as text, Markdown, JSON and plots, in files of one directory.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::cases::Case;
use crate::table::{Row, Table, Verdict};

/// Widths of the columns of text.
const WIDTHS: [usize; 2] = [58, 62];

/// What everything was measured with.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// The command that does it again.
    pub command: String,
    /// Processor, cores, kernel.
    pub machine: String,
    /// Runs of each scenario.
    pub rounds: usize,
    /// Measured seconds of each run.
    pub seconds: f64,
}

impl Setting {
    /// This machine.
    #[must_use]
    pub fn here(command: String, rounds: usize, measure_ns: u64) -> Setting {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo");
        // Not those that this process may use: it has gone to one of them.
        let cores = processor.lines().filter(|line| line.starts_with("processor")).count();
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = read("/proc/sys/kernel/osrelease");
        let machine = format!(
            "{}, {cores} cores, Linux {}",
            processor.map_or("unknown processor", |(_, name)| name),
            kernel.trim()
        );
        Setting { command, machine, rounds, seconds: measure_ns as f64 / 1e9 }
    }
}

/// The word for a verdict.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::Missed => "MISSED",
        Verdict::None => "",
        Verdict::Void => "VOID",
    }
}

/// The table as text.
#[must_use]
pub fn text(cases: &[&Case], table: &Table) -> String {
    let mut text = String::new();
    for case in cases {
        add(&mut text, format_args!("{}. {}\n", case.letter, case.title));
        for Row { what, found, target, verdict, .. } in rows(table, case.letter) {
            let [first, second] = WIDTHS;
            let line = format!("   {what:<first$} {found:<second$} {target:<24} {}", word(*verdict));
            add(&mut text, format_args!("{}\n", line.trim_end()));
        }
    }
    let count = |verdict| table.rows.iter().filter(|row| row.verdict == verdict).count();
    let (met, missed, void) = (count(Verdict::Met), count(Verdict::Missed), count(Verdict::Void));
    add(&mut text, format_args!("{met} targets met, {missed} missed, {void} void\n"));
    text
}

/// The table as Markdown, with how to repeat it.
#[must_use]
pub fn markdown(cases: &[&Case], table: &Table, setting: &Setting) -> String {
    let mut text = String::new();
    let Setting { command, machine, rounds, seconds } = setting;
    add(
        &mut text,
        format_args!("`{command}`  \n{machine}; {rounds} runs of {seconds} s each, median [least-most]\n\n"),
    );
    add(&mut text, format_args!("| | case | found | target | verdict |\n|---|---|---|---|---|\n"));
    for case in cases {
        add(&mut text, format_args!("| **{}** | **{}** | | | |\n", case.letter, case.title));
        for Row { what, found, target, verdict, .. } in rows(table, case.letter) {
            let found = found.replace('|', "\\|").replace('\n', " ");
            add(&mut text, format_args!("| | {what} | {found} | {target} | {} |\n", word(*verdict)));
        }
    }
    text
}

/// Everything, for programs.
#[derive(Debug, Serialize)]
struct Everything<'a, R> {
    setting: &'a Setting,
    table: &'a Table,
    runs: &'a R,
}

/// Writes `NAME.md`, `NAME.json` and the plots into `directory`.
///
/// # Errors
/// Names the file that can't be written.
pub fn write(
    directory: &Path,
    name: &str,
    markdown: &str,
    setting: &Setting,
    table: &Table,
    runs: &impl Serialize,
    plots: &[(String, String)],
) -> Result<(), String> {
    let json = serde_json::to_string_pretty(&Everything { setting, table, runs })
        .map_err(|error| error.to_string())?;
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut page = markdown.to_owned();
    for (plot, _) in plots {
        add(&mut page, format_args!("\n![{plot}]({plot}.svg)\n"));
    }
    let texts = [(format!("{name}.md"), page), (format!("{name}.json"), json)];
    let plots = plots.iter().map(|(plot, svg)| (format!("{plot}.svg"), svg.clone()));
    for (file, text) in texts.into_iter().chain(plots) {
        let path = directory.join(file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn rows(table: &Table, case: char) -> impl Iterator<Item = &Row> {
    table.rows.iter().filter(move |row| row.case == case)
}

fn add(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = text.write_fmt(words);
}
