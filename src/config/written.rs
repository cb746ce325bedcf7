//! What was written: the sections and keys of a file with their line numbers, each name known, none of them twice.

use std::collections::HashMap;

use super::line::{self, Line};
use super::problem::Findings;
use super::schema::{self, SectionSpec, suggestion};
use super::scope::Scope;

/// The most letters in a stream's name, which is the suffix of its section.
const STREAM_NAME_BYTES_MAX: usize = 64;

/// A file, as far as it could be understood.
#[derive(Debug)]
pub(super) struct Written {
    sections: Vec<Section>,
}

/// A section that is in the file.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) spec: &'static SectionSpec,
    pub(super) suffix: Option<String>,
    pub(super) line: usize,
    entries: Vec<Entry>,
}

/// A key that is in the file. The value may be empty.
#[derive(Debug)]
pub(super) struct Entry {
    key: &'static str,
    pub(super) value: String,
    pub(super) line: usize,
}

impl Written {
    /// Reads `text`, and tells every line and name that it can't understand.
    pub(super) fn read(text: &str, found: &mut Findings) -> Written {
        // Windows puts a byte order mark in front of UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader =
            Reader { sections: Vec::new(), first_lines: HashMap::new(), place: Place::BeforeSections, found };
        for (number, line) in (1..).zip(text.lines()) {
            reader.line(number, line);
        }
        Written { sections: reader.sections }
    }

    /// `[name]`, without suffix, written or not.
    pub(super) fn main(&self, name: &str) -> Scope<'_> {
        let spec = schema::section(name).expect("the program asks for sections of its table only");
        Scope::main(spec, self.sections.iter().find(|it| it.spec == spec && it.suffix.is_none()))
    }

    /// `[name]`, written or not, then every `[name.suffix]` in the order of the file.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = Scope<'_>> {
        let main = self.main(name);
        let suffixed = self.sections.iter().filter(move |it| it.spec == main.spec && it.suffix.is_some());
        std::iter::once(main).chain(suffixed.map(move |section| main.child(section)))
    }
}

impl Section {
    /// The name as it is shown, in brackets.
    pub(super) fn place(&self) -> String {
        match &self.suffix {
            Some(suffix) => format!("[{}.{suffix}]", self.spec.name),
            None => format!("[{}]", self.spec.name),
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// Reads a file from top to bottom.
struct Reader<'a> {
    sections: Vec<Section>,
    /// Where each section, by name and suffix, begins.
    first_lines: HashMap<(&'static str, Option<String>), usize>,
    place: Place,
    found: &'a mut Findings,
}

/// Where in the file the next line is.
enum Place {
    BeforeSections,
    /// In the last one of the sections.
    InSection,
    /// Below a header that was refused: its keys are passed over, rather than blamed on the section before.
    InUnknown,
}

impl Reader<'_> {
    fn line(&mut self, number: usize, text: &str) {
        match line::read(text) {
            Ok(Line::Nothing) => {}
            Ok(Line::Header(name)) => match self.open(&name, number) {
                Ok(()) => self.place = Place::InSection,
                Err(message) => {
                    self.place = Place::InUnknown;
                    self.found.problem(Some(number), format!("[{}]", shortened(&name)), message);
                }
            },
            Ok(Line::Entry { key, value }) => {
                if let Err(message) = self.add(&key, value, number) {
                    let section = match self.place {
                        Place::InSection => {
                            self.sections.last().map(Section::place).unwrap_or_default() + " "
                        }
                        Place::BeforeSections | Place::InUnknown => String::new(),
                    };
                    self.found.problem(Some(number), section + &shortened(&key), message);
                }
            }
            Err(message) => {
                if text.trim_start().starts_with('[') {
                    self.place = Place::InUnknown;
                }
                self.found.problem(Some(number), "", message);
            }
        }
    }

    fn open(&mut self, name: &str, line: usize) -> Result<(), String> {
        let (base, suffix) = match name.split_once('.') {
            Some((base, suffix)) => (base, Some(suffix)),
            None => (name, None),
        };
        let spec = schema::section(base).ok_or_else(|| {
            let hint = suggestion(base, schema::SECTIONS.iter().map(|spec| spec.name));
            format!("there is no such section{hint}")
        })?;
        if suffix.is_some() && !spec.takes_suffix() {
            return Err(format!("[{}] takes no suffix: it is for all streams", spec.name));
        }
        if !suffix.is_none_or(is_stream_name) {
            return Err(format!(
                "the name of a stream has letters, digits, `-` and `_`, at most {STREAM_NAME_BYTES_MAX}"
            ));
        }
        let suffix = suffix.map(str::to_owned);
        let first = *self.first_lines.entry((spec.name, suffix.clone())).or_insert(line);
        if first != line {
            return Err(format!("the section stands in line {first} already"));
        }
        self.sections.push(Section { spec, suffix, line, entries: Vec::new() });
        Ok(())
    }

    fn add(&mut self, key: &str, value: String, line: usize) -> Result<(), String> {
        let section = match (&self.place, self.sections.last_mut()) {
            (Place::InSection, Some(section)) => section,
            (Place::InUnknown, _) => return Ok(()),
            _ => return Err("stands before the first [section]".to_owned()),
        };
        let spec = section.spec;
        let known = spec.keys().find(|known| known.eq_ignore_ascii_case(key));
        let known = known.ok_or_else(|| format!("there is no such key{}", key_hint(key, spec)))?;
        if section.suffix.is_some() && spec.main.contains(&known) {
            return Err(format!("belongs in [{}], for all streams", spec.name));
        }
        if let Some(first) = section.entry(known) {
            return Err(format!("the key stands in line {} already", first.line));
        }
        section.entries.push(Entry { key: known, value, line });
        Ok(())
    }
}

fn is_stream_name(suffix: &str) -> bool {
    let letters = suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    letters && (1..=STREAM_NAME_BYTES_MAX).contains(&suffix.len())
}

/// Where a key that [`SectionSpec`] doesn't have may have been meant to stand, or which one may have been meant.
fn key_hint(key: &str, spec: &SectionSpec) -> String {
    let hint = suggestion(key, spec.keys());
    let elsewhere =
        schema::SECTIONS.iter().find(|other| other.keys().any(|known| known.eq_ignore_ascii_case(key)));
    match elsewhere {
        Some(other) if hint.is_empty() => format!(" (it belongs in [{}])", other.name),
        _ => hint,
    }
}

/// A name as it may be shown: with a bound, since anything may have been written.
fn shortened(name: &str) -> String {
    name.chars().take(STREAM_NAME_BYTES_MAX + 16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut found = Findings::new("f");
        Written::read(text, &mut found);
        found.conclude(()).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unknown_names_come_with_a_suggestion() {
        assert_eq!(
            problems("[ap]\nx=1\n[app]\nRunMod = normal\nSecret = s3cret\nzzzzz=1\n[Custom]\nPROT=1"),
            [
                "f:1: [ap]: there is no such section (did you mean `app`?)",
                "f:4: [app] RunMod: there is no such key (did you mean `RunMode`?)",
                "f:5: [app] Secret: there is no such key (it belongs in [backstream])",
                "f:6: [app] zzzzz: there is no such key",
                "f:8: [custom] PROT: there is no such key (did you mean `Port`?)",
            ]
        );
    }

    #[test]
    fn nothing_stands_twice() {
        assert_eq!(
            problems("[app]\nNode=a\nnode=b\n[custom.a]\n[custom.A]\n[APP]\n[Custom.a]\nPort=1"),
            [
                "f:3: [app] node: the key stands in line 2 already",
                "f:6: [APP]: the section stands in line 1 already",
                "f:7: [Custom.a]: the section stands in line 4 already",
            ]
        );
    }

    #[test]
    fn suffixes_are_names_of_streams() {
        let long = "n".repeat(65);
        let text = format!(
            "[app.x]\n[custom.a b]\n[custom.]\n[custom.a.b]\n[custom.{long}]\n[custom.x-_9]\nMaxClients=1"
        );
        let told = problems(&text);
        assert_eq!(told[0], "f:1: [app.x]: [app] takes no suffix: it is for all streams");
        assert_eq!(told.iter().filter(|it| it.contains("the name of a stream has letters")).count(), 4);
        assert_eq!(told[5..], ["f:7: [custom.x-_9] MaxClients: belongs in [custom], for all streams"]);
    }

    #[test]
    fn a_key_needs_a_section_and_a_broken_header_is_none() {
        assert_eq!(
            problems("Port = 1\n[custom\nRunMode = x"),
            [
                "f:1: Port: stands before the first [section]",
                "f:2: expected `[section]` and nothing else in the line (a comment needs a line of its own)",
            ]
        );
    }

    #[test]
    fn windows_files_are_read() {
        let mut found = Findings::new("f");
        let written = Written::read("\u{feff}[app]\r\nNode = a\r\n\r\n[custom]\r\n", &mut found);
        assert!(written.main("app").is_written() && written.main("custom").is_written());
        let node = written.main("app").read("Node", String::new(), &mut found, |value| Ok(value.to_owned()));
        assert_eq!(node, "a");
        assert!(found.conclude(()).is_ok());
    }
}
