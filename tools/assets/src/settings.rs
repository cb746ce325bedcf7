//! conf/app.conf as a man page. The file explains every key above it; here the key comes first.

use clap_mangen::roff::{Inline, Roff, bold, line_break, roman};

/// The file, which a test of the server holds equal to the built-in defaults.
pub const FILE: &str = include_str!("../../../conf/app.conf");

/// All sections of the page but its name.
pub fn page() -> Roff {
    let mut page = Page { roff: Roff::new(), comment: Vec::new() };
    page.roff.control("SH", ["DESCRIPTION"]);
    for line in FILE.lines() {
        page.line(line.trim_end());
    }
    page.explain();
    page.roff
}

struct Page {
    roff: Roff,
    /// Lines of the comment that was read last and is not written yet.
    comment: Vec<&'static str>,
}

impl Page {
    fn line(&mut self, line: &'static str) {
        match line.strip_prefix(';') {
            // A rule with a heading of several sections in it.
            Some(comment) if comment.starts_with(" ----") => {}
            Some(comment) => self.comment.push(comment.trim_start()),
            None if line.is_empty() => self.explain(),
            None if line.starts_with('[') => {
                self.roff.control("SH", [line]);
                self.explain();
            }
            None => self.key(line),
        }
    }

    fn key(&mut self, line: &str) {
        self.roff.control("TP", []);
        self.roff.text([bold(line)]);
        let explained = std::mem::take(&mut self.comment);
        // A tag needs something beside it, or the next tag would be taken for it.
        let explained = if explained.is_empty() { vec!["\u{a0}"] } else { explained };
        self.roff.text(prose(&explained));
    }

    /// Writes the comment as text of its own: paragraphs, and examples as they are.
    fn explain(&mut self) {
        let comment = std::mem::take(&mut self.comment);
        let mut lines = comment.iter().peekable();
        while let Some(first) = lines.next() {
            let mut paragraph = vec![*first];
            while let Some(line) = lines.next_if(|line| !line.is_empty()) {
                paragraph.push(line);
            }
            self.paragraph(&paragraph);
        }
    }

    fn paragraph(&mut self, lines: &[&str]) {
        let lines: Vec<&str> = lines.iter().copied().filter(|line| !line.is_empty()).collect();
        self.roff.control("PP", []);
        if lines.iter().all(|line| line.starts_with('[') || line.contains(" = ")) {
            self.roff.control("nf", []);
            lines.iter().for_each(|line| {
                self.roff.text([roman(*line)]);
            });
            self.roff.control("fi", []);
        } else {
            self.roff.text(prose(&lines));
        }
    }
}

/// Lines as running text, but for those of a table, which have their words in columns.
fn prose(lines: &[&str]) -> Vec<Inline> {
    if !lines.iter().any(|line| line.contains("   ")) {
        return vec![roman(lines.join(" "))];
    }
    lines.iter().flat_map(|line| [roman(*line), line_break()]).collect()
}
