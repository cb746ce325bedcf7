//! One line of a file. The syntax is rust-ini's, but it is given a line at a time: so every line has its number, and a
//! bare word, an indented comment or an open quote can't run into the next line, as it would in a whole file.

use ini::{Ini, ParseOption, Properties};

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// Blank, or a comment.
    Nothing,
    /// `[name]`.
    Header(String),
    /// `Key = value`, the value without its quotes.
    Entry { key: String, value: String },
}

/// Reads one line, without its line end.
///
/// # Errors
/// What was expected. Never the line itself, which may hold a secret.
pub(super) fn read(line: &str) -> Result<Line, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with([';', '#']) {
        return Ok(Line::Nothing);
    }
    if line.contains(|c: char| c.is_control() && c != '\t') {
        return Err("a control character in the line");
    }
    let option = ParseOption { enabled_escape: false, ..ParseOption::default() };
    let parsed = Ini::load_from_str_opt(line, option).map_err(|_| expected(line))?;
    let sections: Vec<(Option<&str>, &Properties)> =
        parsed.iter().filter(|(name, keys)| name.is_some() || !keys.is_empty()).collect();
    match sections[..] {
        [(Some(name), keys)] if keys.is_empty() => Ok(Line::Header(name.to_owned())),
        [(None, keys)] => match (keys.iter().next(), keys.len()) {
            (Some((key, value)), 1) => {
                check_value(line)?;
                Ok(Line::Entry { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(expected(line)),
        },
        _ => Err(expected(line)),
    }
}

/// Refuses what rust-ini takes into a value although its writer, as a rule, meant something else.
fn check_value(line: &str) -> Result<(), &'static str> {
    let value = line.split_once(['=', ':']).map_or("", |(_, value)| value.trim());
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err("the value is not UTF-8 text");
    }
    if let Some(quote) = value.chars().next().filter(|c| ['"', '\''].contains(c)) {
        return if value.ends_with(quote) {
            Ok(())
        } else {
            Err("text after the closing quote (a comment needs a line of its own)")
        };
    }
    let comment =
        value.starts_with([';', '#']) || [" ;", " #", "\t;", "\t#"].iter().any(|mark| value.contains(mark));
    if comment {
        Err("a comment needs a line of its own; a value with ` ;` or ` #` in it needs \"quotes\"")
    } else {
        Ok(())
    }
}

/// What should have stood where rust-ini could make nothing of `line`.
fn expected(line: &str) -> &'static str {
    if line.starts_with('[') {
        "expected `[section]` and nothing else in the line (a comment needs a line of its own)"
    } else if line.starts_with(['=', ':']) {
        "expected a key before the `=`"
    } else if line.contains(['=', ':']) && line.contains(['"', '\'']) {
        "the quote is not closed in the line"
    } else {
        "expected `Key = value`, `[section]`, or a comment that starts with `;`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str) -> Result<Line, &'static str> {
        Ok(Line::Entry { key: key.to_owned(), value: value.to_owned() })
    }

    #[test]
    fn lines_that_say_something() {
        assert_eq!(read("Port = 80"), entry("Port", "80"));
        assert_eq!(read("  Port=80\t"), entry("Port", "80"));
        assert_eq!(read("Port: 80"), entry("Port", "80"));
        assert_eq!(read("Secret ="), entry("Secret", ""));
        assert_eq!(
            read(r#"Monitor = "http://localhost:50000/monitor""#),
            entry("Monitor", "http://localhost:50000/monitor")
        );
        assert_eq!(read(r#"Node = " a ; b ""#), entry("Node", " a ; b "));
        assert_eq!(read(r"Node = C:\new\x"), entry("Node", r"C:\new\x"));
        assert_eq!(read(r"Node = end\"), entry("Node", r"end\"));
        assert_eq!(read("Node = a;b#c"), entry("Node", "a;b#c"));
        assert_eq!(read("[ custom.cam2 ] "), Ok(Line::Header("custom.cam2".to_owned())));
    }

    #[test]
    fn lines_that_say_nothing() {
        for line in ["", "  \t", "; Port = 1", "# Port = 1", "   ; indented", "\u{3000}"] {
            assert_eq!(read(line), Ok(Line::Nothing), "{line:?}");
        }
    }

    #[test]
    fn lines_that_would_be_misread() {
        for (line, hint) in [
            ("Port", "expected `Key = value`"),
            ("Port = 80 ; note", "a comment needs a line of its own"),
            ("Port = 80\t# note", "a comment needs a line of its own"),
            ("Port = ; none", "a comment needs a line of its own"),
            ("Monitor = \"a\" ; note", "text after the closing quote"),
            ("Monitor = \"a", "the quote is not closed"),
            ("Monitor = \"a\\\"", "the quote is not closed"),
            ("Node = caf\u{fffd}", "not UTF-8"),
            ("[app", "expected `[section]`"),
            ("[app] ; note", "expected `[section]`"),
            ("[app] Port = 80", "expected `[section]`"),
            ("[app] rest", "expected `[section]`"),
            ("= 80", "expected a key"),
            ("Port = 1\rBind = 2", "control character"),
        ] {
            let message = read(line).expect_err(line);
            assert!(message.contains(hint), "{line:?}: {message}");
        }
    }
}
