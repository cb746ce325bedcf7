//! From a file to the settings, stage by stage.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::Config;
use super::build;
use super::problem::{Findings, Problem};
use super::written::Written;

/// The most bytes of a file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A file that is in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What is in order but dubious: a sentence each, with what to do.
    pub warnings: Vec<String>,
}

/// Reads the file at `path`.
///
/// # Errors
/// Everything that is wrong with it, from top to bottom; or why it can't be read.
pub fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    let source = path.display().to_string();
    match read_file(path) {
        // Values must be UTF-8, and are checked to be; comments may be in any encoding.
        Ok(bytes) => parse(&source, &String::from_utf8_lossy(&bytes)),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.split(" (os error").next().unwrap_or_default();
            Err(vec![Problem::of_file(&source, format!("cannot be read: {reason}"))])
        }
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Reads `text`, which is called `source_name` in problems.
///
/// # Errors
/// Everything that is wrong with it, from top to bottom.
pub fn parse(source_name: &str, text: &str) -> Result<Loaded, Vec<Problem>> {
    let mut found = Findings::new(source_name);
    if text.contains('\0') {
        return Err(vec![Problem::of_file(source_name, "is not a text file in UTF-8".to_owned())]);
    }
    let written = Written::read(text, &mut found);
    let config = build::config(&written, &mut found);
    let (config, warnings) = found.conclude(config)?;
    Ok(Loaded { config, warnings })
}

/// What an empty file says, and the shipped `conf/app.conf`.
#[must_use]
pub fn defaults() -> Loaded {
    parse("conf/app.conf", include_str!("../../conf/app.conf"))
        .expect("the shipped file is tested to be in order")
}
