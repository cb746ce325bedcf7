//! The command `tsstream`: arguments, exit codes and the text of errors; everything else is in the library.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tsstream::app::App;
use tsstream::arguments::{Arguments, Command, DEFAULT_CONFIG};
use tsstream::config::{self, Loaded, Problem};
use tsstream::demo::{self, Publisher};
use tsstream::{limits, logging, top};

/// There is an error in the configuration: EX_CONFIG of sysexits(3), by which systemd knows that starting the node again
/// won't help.
const EXIT_CODE_OF_CONFIGURATION: u8 = 78;

/// Why the program ends otherwise than by a signal.
struct Failure {
    words: String,
    code: u8,
}

impl From<String> for Failure {
    fn from(words: String) -> Failure {
        Failure { words, code: 1 }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { words, code }) => {
            eprintln!("{words}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(Command::Top { address: Some(address), once }) = &arguments.command {
        return Ok(show(address, *once)?);
    }
    let is_demo = matches!(arguments.command, Some(Command::Demo));
    let read = {
        let path = arguments.config.clone();
        move || load(path.as_deref(), is_demo)
    };
    let Loaded { config, warnings } = read().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure { words: lines.join("\n"), code: EXIT_CODE_OF_CONFIGURATION }
    })?;
    if let Some(Command::Top { address: None, once }) = &arguments.command {
        let configured = config.admin.filter(|address| address.port() != 0).map(top::reachable);
        let address = configured
            .ok_or("the configuration has no [admin] Port: tsstream top HOST:PORT")
            .map_err(str::to_owned)?;
        return Ok(show(&address, *once)?);
    }
    if arguments.test {
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        println!("the configuration is good");
        return Ok(());
    }
    let log = logging::Log::start().map_err(|error| format!("the log can't be started: {error}"))?;
    if let Err(error) = limits::raise_descriptors() {
        log::warn!("the limit of open files can't be raised: {error}");
    }
    let app = App::open(config).map_err(|error| error.to_string())?;
    log.print(format!("tsstream {}\n{}", env!("CARGO_PKG_VERSION"), app.greeting()));
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    let picture = match app.inputs().first() {
        Some((_, address)) if is_demo => Some(Publisher::start(*address)),
        _ => None,
    };
    let picture =
        picture.transpose().map_err(|error| format!("the test picture can't be started: {error}"))?;
    let outcome = app.run(Box::new(read));
    drop(picture);
    log.flush();
    Ok(outcome.map_err(|error| error.to_string())?)
}

/// `tsstream top`.
fn show(address: &str, once: bool) -> Result<(), String> {
    if once { top::once(address) } else { top::run(address) }
}

fn load(path: Option<&Path>, is_demo: bool) -> Result<Loaded, Vec<Problem>> {
    let default = Path::new(DEFAULT_CONFIG);
    let mut loaded = match path {
        Some(path) => config::load(path)?,
        None if default.exists() => config::load(default)?,
        None => config::defaults(),
    };
    if is_demo {
        demo::take_over_input(&mut loaded.config);
    }
    Ok(loaded)
}
