//! The command `tsstream`: arguments, exit codes and the text of errors; everything else is in the library.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tsstream::app::App;
use tsstream::config::{self, Loaded, Problem};
use tsstream::demo::{self, Publisher};
use tsstream::{limits, logging, top};

/// Read when no `-c` is given.
const DEFAULT_CONFIG: &str = "conf/app.conf";

/// Receives live streams, above all MPEG-TS from ffmpeg, and forwards them to very many receivers.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = false)]
struct Arguments {
    /// The configuration file [default: conf/app.conf, or built-in defaults if that is not there]
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(short = 't', long = "test")]
    test: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node that publishes a moving test picture to itself
    Demo,
    /// Show what goes through a node, live, from its admin port
    Top {
        /// The admin port, HOST:PORT [default: what the configuration says]
        address: Option<String>,
        /// Print one frame and exit
        #[arg(long)]
        once: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if let Some(Command::Top { address: Some(address), once }) = &arguments.command {
        return show(address, *once);
    }
    let is_demo = matches!(arguments.command, Some(Command::Demo));
    let read = {
        let path = arguments.config.clone();
        move || load(path.as_deref(), is_demo)
    };
    let Loaded { config, warnings } = read().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    if let Some(Command::Top { address: None, once }) = &arguments.command {
        let configured = config.admin.filter(|address| address.port() != 0).map(top::reachable);
        let address = configured.ok_or("the configuration has no [admin] Port: tsstream top HOST:PORT")?;
        return show(&address, *once);
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
    let outcome = app.run(Box::new(read)).map_err(|error| error.to_string());
    drop(picture);
    log.flush();
    outcome
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
