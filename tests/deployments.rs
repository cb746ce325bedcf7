//! The files of the deployments in `conf/`: in order, no longer than they must be, and described alike in both languages.
//! (tests/e2e_deployments/ runs them.)
#![allow(clippy::panic, clippy::unwrap_used, reason = "that is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use tsstream::config::{self, Config};

/// The folders of `conf/` that are deployments.
fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")).unwrap();
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.join("hosts").exists()).collect();
    folders.sort();
    assert_eq!(folders.len(), 5, "{folders:?}");
    folders
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn nothing_can_be_left_out_of_any_file() {
    let mut count = 0;
    for file in folders().iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = file.unwrap().path();
        if path.extension() != Some("conf".as_ref()) || path.ends_with("nginx.conf") {
            continue;
        }
        let name = path.display();
        let text = read(&path);
        let whole = parsed(&text).unwrap_or_else(|| panic!("{name} is not in order"));
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ")) {
            let others = [&lines[..index], &lines[index + 1..]].concat().join("\n");
            assert_ne!(parsed(&others).as_ref(), Some(&whole), "{name}: {line} says what is the default");
        }
        count += 1;
    }
    assert_eq!(count, 17);
}

fn parsed(text: &str) -> Option<Config> {
    config::parse("f", text).ok().map(|loaded| loaded.config)
}

#[test]
fn every_host_and_every_file_is_used_and_described() {
    for folder in folders() {
        let (hosts, readme) = (read(&folder.join("hosts")), read(&folder.join("README.md")));
        for file in fs::read_dir(&folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let is_used = hosts.split_whitespace().any(|word| word == name);
            assert!(is_used || !name.ends_with(".conf"), "{}: {name}", folder.display());
        }
        for line in hosts.lines().filter(|line| !line.starts_with('#')) {
            let host = line.split_whitespace().next().unwrap();
            assert!(readme.contains(host), "{}: {host}", folder.display());
        }
    }
}

#[test]
fn both_languages_have_the_same_commands_and_tables() {
    for folder in folders() {
        let [english, chinese] = ["README.md", "README.zh-CN.md"].map(|name| read(&folder.join(name)));
        let name = folder.file_name().unwrap().to_str().unwrap();
        let number = name.split('-').next().unwrap();
        assert_eq!(commands(&english), commands(&chinese), "{name}");
        let rows = |text: &str| text.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(rows(&english), rows(&chinese), "{name}");
        let tool = format!("sudo tools/deploy {number} ");
        for line in commands(&english).iter().filter(|line| line.contains("tools/deploy")) {
            assert!(line.starts_with(&tool), "{name}: {line}");
        }
    }
}

/// The lines of `sh` blocks without what a comment says at their end.
fn commands(text: &str) -> Vec<&str> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines);
    lines.map(|line| line.split("  #").next().unwrap_or_default().trim_end()).collect()
}
