//! What is wrong with a file, gathered so that all of it is told at once.

use std::fmt;

/// The most problems told of one file: a file that isn't a configuration at all has one in every line.
const PROBLEMS_MAX: usize = 100;

/// One thing wrong with a file, shown as `conf/app.conf:12: [dispatch] Ports: "abc" is not a port (0 to 65535)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    line: Option<usize>,
    place: String,
    message: String,
    source: String,
}

impl Problem {
    /// The file as a whole is no good.
    pub(super) fn of_file(source: &str, message: String) -> Problem {
        Problem { line: None, place: String::new(), message, source: source.to_owned() }
    }

    /// Where it is, counted from 1; `None` if the file as a whole is meant.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.place.is_empty() {
            write!(f, ": {}", self.place)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}

/// What the stages have found so far in one file.
#[derive(Debug)]
pub(super) struct Findings {
    source: String,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Findings {
    /// Nothing found yet in the file called `source`.
    pub(super) fn new(source: &str) -> Findings {
        Findings { source: source.to_owned(), problems: Vec::new(), warnings: Vec::new() }
    }

    /// `place` is `[section]`, `[section] Key`, or empty.
    pub(super) fn problem(
        &mut self,
        line: Option<usize>,
        place: impl Into<String>,
        message: impl Into<String>,
    ) {
        let (place, message, source) = (place.into(), message.into(), self.source.clone());
        self.problems.push(Problem { line, place, message, source });
    }

    /// `sentence` says what is dubious, and what to do.
    pub(super) fn warning(&mut self, sentence: String) {
        self.warnings.push(sentence);
    }

    /// `value` and the warnings, if there was no problem; else the problems from the top of the file down.
    pub(super) fn conclude<T>(mut self, value: T) -> Result<(T, Vec<String>), Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok((value, self.warnings));
        }
        self.problems.sort();
        // A bad value that suffixed sections inherit is found once for each of them.
        self.problems.dedup();
        let untold = self.problems.len().saturating_sub(PROBLEMS_MAX);
        if untold > 0 {
            self.problems.truncate(PROBLEMS_MAX);
            self.problems.push(Problem::of_file(&self.source, format!("and {untold} problems more")));
        }
        Err(self.problems)
    }
}
