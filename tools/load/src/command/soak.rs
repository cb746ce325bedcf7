//! `tsload soak`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use tsload::host::allow_descriptors_as_many_as_possible;
use tsload::servers::Programs;
use tsload::soak::soak;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long, in minutes
    #[arg(long, value_name = "COUNT", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: u64,
    /// The release build of tsstream [default: beside this program]
    #[arg(long, value_name = "FILE")]
    tsstream: Option<PathBuf>,
    /// Where to write soak.csv, memory.svg and descriptors.svg
    #[arg(long, value_name = "DIRECTORY", default_value = "soak")]
    write: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    allow_descriptors_as_many_as_possible();
    let programs = Programs::beside(arguments.tsstream.clone(), PathBuf::new())?;
    let soaked = soak(arguments.minutes, &programs, |words| println!("{words}"))?;
    let directory = &arguments.write;
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let plots = soaked.samples.plots();
    let plots = plots.iter().map(|(name, svg)| (*name, svg.as_str()));
    for (name, text) in [("soak.csv", &*soaked.samples.csv())].into_iter().chain(plots) {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    print!("{}", soaked.samples.summary());
    println!("{} rounds, {} connections of viewers served", soaked.rounds, soaked.served);
    let faults: Vec<String> = soaked.samples.growth().into_iter().chain(soaked.faults).collect();
    faults.iter().for_each(|fault| println!("FAULT {fault}"));
    println!("{}", if faults.is_empty() { "flat" } else { "NOT flat" });
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
