//! The man pages: tsstream(1), one for each of its commands, and tsstream.conf(5).

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use tsstream::arguments::Arguments;

use crate::settings;

/// What tsstream(1) says that the arguments don't.
const MORE: &str = include_str!("more.roff");

/// What tsstream.conf(5) says that the file doesn't, after it.
const MORE_OF_SETTINGS: &str = "\
.SH FILES\n.I /etc/tsstream/app.conf\n\
.SH SEE ALSO\n.BR tsstream (1)\n";

/// The heading of the pages.
const MANUAL: &str = "tsstream";

/// Every page, by the name of its file.
///
/// # Errors
/// None but those of formatting.
pub fn all() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![main(command.clone())?, configuration()?];
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let man = Man::new(command.clone()).manual(MANUAL);
        let mut page = Vec::new();
        man.render(&mut page)?;
        pages.push((man.get_filename(), page));
    }
    Ok(pages)
}

/// tsstream(1).
fn main(command: Command) -> io::Result<(String, Vec<u8>)> {
    let man = Man::new(command).manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    page.extend(MORE.as_bytes());
    Ok((man.get_filename(), page))
}

/// tsstream.conf(5).
fn configuration() -> io::Result<(String, Vec<u8>)> {
    let command =
        Command::new("tsstream.conf").version(env!("CARGO_PKG_VERSION")).about("configuration of tsstream");
    let man = Man::new(command).section("5").manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.extend(settings::page().to_roff().into_bytes());
    page.extend(MORE_OF_SETTINGS.as_bytes());
    Ok((man.get_filename(), page))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(wanted: &str) -> String {
        let page = all().unwrap().into_iter().find(|(name, _)| name == wanted).unwrap();
        String::from_utf8(page.1).unwrap()
    }

    #[test]
    fn every_option_and_command_has_its_place() {
        let main = page("tsstream.1");
        for word in ["config", "tsstream\\-demo(1)", "SIGHUP", "NOTIFY_SOCKET", "/etc/tsstream/app.conf"] {
            assert!(main.contains(word), "{word}: {main}");
        }
        assert!(page("tsstream-demo.1").contains("test picture"));
    }

    #[test]
    fn every_key_of_the_file_has_its_place() {
        let page = page("tsstream.conf.5");
        let keys = settings::FILE.lines().filter(|line| !line.starts_with(';') && line.contains('='));
        for key in keys {
            let tag = format!("\\fB{}\\fR", key.trim_end().replace('-', "\\-"));
            assert!(page.contains(&tag), "{tag}: {page}");
        }
    }
}
