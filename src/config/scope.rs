//! A section as the values are taken from it: absent or written, with what it inherits, every bad value told.

use super::problem::Findings;
use super::schema::SectionSpec;
use super::written::{Entry, Section};

/// A section to take values from, together with the one it inherits from. It may be absent: then all is at defaults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) spec: &'static SectionSpec,
    /// The name of the stream it is about.
    pub(super) suffix: Option<&'a str>,
    section: Option<&'a Section>,
    parent: Option<&'a Section>,
}

impl<'a> Scope<'a> {
    /// A section without suffix; `section` is `None` if it isn't in the file.
    pub(super) fn main(spec: &'static SectionSpec, section: Option<&'a Section>) -> Scope<'a> {
        Scope { spec, suffix: None, section, parent: None }
    }

    /// A section with suffix, which inherits from this one.
    pub(super) fn child(&self, section: &'a Section) -> Scope<'a> {
        Scope {
            spec: self.spec,
            suffix: section.suffix.as_deref(),
            section: Some(section),
            parent: self.section,
        }
    }

    /// Whether the section itself is in the file.
    pub(super) fn is_written(&self) -> bool {
        self.section.is_some()
    }

    /// The section's name with suffix, without brackets.
    pub(super) fn name(&self) -> String {
        match self.suffix {
            Some(suffix) => format!("{}.{suffix}", self.spec.name),
            None => self.spec.name.to_owned(),
        }
    }

    /// The section it inherits from.
    pub(super) fn parent(&self) -> Scope<'a> {
        Scope::main(self.spec, self.parent)
    }

    /// Whether the section without suffix is in the file, be it this one or the one this inherits from.
    pub(super) fn main_is_written(&self) -> bool {
        if self.suffix.is_some() { self.parent.is_some() } else { self.section.is_some() }
    }

    /// Whether `key` is written, here or where it is inherited from, even if left empty.
    pub(super) fn says(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The value of `key` by `parse`, or `default` if it is not written or left empty. What `parse` refuses is told,
    /// and `default` stands in for it so that the rest can be checked.
    pub(super) fn read<T>(
        &self,
        key: &str,
        default: T,
        found: &mut Findings,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let Some((section, entry)) = self.find(key) else { return default };
        if entry.value.is_empty() {
            return default;
        }
        parse(&entry.value).unwrap_or_else(|message| {
            found.problem(Some(entry.line), format!("{} {key}", section.place()), message);
            default
        })
    }

    /// The value of `key` by `parse`. If there is none, `message` is told.
    pub(super) fn require<T>(
        &self,
        key: &str,
        message: &str,
        found: &mut Findings,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.find(key).is_none_or(|(_, entry)| entry.value.is_empty()) {
            self.problem(key, message, found);
        }
        self.read(key, None, found, |text| parse(text).map(Some))
    }

    /// Tells that something is wrong with the section as a whole.
    pub(super) fn problem_of_section(&self, message: impl Into<String>, found: &mut Findings) {
        found.problem(self.section.map(|section| section.line), format!("[{}]", self.name()), message);
    }

    /// Tells that something is wrong with `key`, which need not be written.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>, found: &mut Findings) {
        found.problem(self.line(key), format!("[{}] {key}", self.name()), message);
    }

    /// The line of `key` if it is written in this section, else the section's own.
    pub(super) fn line(&self, key: &str) -> Option<usize> {
        let section = self.section?;
        Some(section.entry(key).map_or(section.line, |entry| entry.line))
    }

    fn find(&self, key: &str) -> Option<(&'a Section, &'a Entry)> {
        debug_assert!(
            self.spec.keys().any(|known| known == key),
            "[{}] {key} is not in the table",
            self.spec.name
        );
        let here = self.section.into_iter();
        let inherited = self.parent.into_iter().filter(|_| self.spec.inherited.contains(&key));
        here.chain(inherited).find_map(|section| Some((section, section.entry(key)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::written::Written;
    use super::*;

    #[test]
    fn a_suffixed_section_inherits_what_it_does_not_say() {
        let mut found = Findings::new("f");
        let text =
            "[backstream]\nProtocol=UDP\nSecret=s\nPort=1\n[backstream.a]\nSecret=\n[backstream.b]\nPort=2";
        let written = Written::read(text, &mut found);
        let mut values = |key| {
            let keep = |value: &str| Ok(value.to_owned());
            written
                .all("backstream")
                .skip(1)
                .map(|it| it.read(key, "-".to_owned(), &mut found, keep))
                .collect::<Vec<_>>()
        };
        assert_eq!(values("Protocol"), ["UDP", "UDP"]);
        assert_eq!(values("Secret"), ["-", "s"], "a key left empty is not inherited");
        assert_eq!(values("Port"), ["-", "2"]);
    }
}
