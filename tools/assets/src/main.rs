//! Writes what a package of tsstream holds besides the program: man pages and shell completions, made of the same
//! declarations as the program itself, so that they can't tell something else.

mod pages;
mod settings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use tsstream::arguments::Arguments;

/// The shells for which packages have a place.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes the man pages and the shell completions of tsstream.
#[derive(Debug, Parser)]
struct Assets {
    /// The directory to write to; it is made if it is not there
    directory: PathBuf,
}

fn main() -> ExitCode {
    let Assets { directory } = Assets::parse();
    match write(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (name, page) in pages::all()? {
        fs::write(directory.join(name), page)?;
    }
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut Arguments::command(), "tsstream", directory)?;
    }
    Ok(())
}
