//! What docs/OPERATING.md, the dashboard and the alerts name is there: every metric, and every line of the log. And every
//! metric that there is, the document explains.

mod util;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use util::node::Node;
use util::raw::ask;

const NODE: &str = "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [custom]\nBind = 127.0.0.1\nPort = 0\n[admin]\nPort = 0\n";

const LANGUAGES: [&str; 2] = ["docs/OPERATING.md", "docs/OPERATING.zh-CN.md"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The metrics of a node, with what a histogram consists of.
fn exposed() -> (BTreeSet<String>, BTreeSet<String>) {
    let node = Node::start(NODE);
    let address = node.address("admin");
    let text = ask(address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types: Vec<(String, String)> = types
        .map(|line| line.split_once(' ').map(|(name, kind)| (name.to_owned(), kind.to_owned())).unwrap())
        .collect();
    assert!(types.len() > 50, "{text}");
    let mut parts = BTreeSet::new();
    for (name, kind) in &types {
        parts.insert(name.clone());
        if kind == "histogram" {
            parts.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
    }
    (types.into_iter().map(|(name, _)| name).collect(), parts)
}

/// Every name of a metric in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let is_metric = |word: &&str| {
        ["tsstream_", "process_"].iter().any(|start| word.starts_with(start))
            && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

#[test]
fn every_metric_is_explained_and_every_one_named_is_there() {
    let (metrics, parts) = exposed();
    for document in LANGUAGES {
        let named = named(&read(document));
        let unexplained: Vec<_> = metrics.difference(&named).collect();
        let unknown: Vec<_> = named.difference(&metrics).collect();
        assert!(unexplained.is_empty() && unknown.is_empty(), "{document}: {unexplained:?} {unknown:?}");
    }
    for file in ["conf/grafana/tsstream.json", "conf/prometheus/tsstream.rules.yml"] {
        let named = named(&read(file));
        assert!(named.len() > 5, "{file}");
        let unknown: Vec<_> = named.difference(&parts).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn every_alert_is_explained() {
    let rules = read("conf/prometheus/tsstream.rules.yml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5);
    for document in LANGUAGES {
        let text = read(document);
        for alert in &alerts {
            assert!(text.contains(&format!("| `{alert}` |")), "{document}: {alert}");
        }
    }
}

#[test]
fn every_line_of_the_log_that_is_named_is_in_the_program() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for (document, from, to) in
        [(LANGUAGES[0], "## The log", "## Trouble"), (LANGUAGES[1], "## 日志", "## 按症状")]
    {
        let text = read(document);
        let table = text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).unwrap().0;
        let lines: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")).collect();
        assert!(lines.len() > 15, "{document}");
        for line in lines {
            let cell = line.split(" |").next().unwrap();
            for words in constant_parts(cell) {
                assert!(sources.contains(words), "{document}: nothing says {words:?} of {cell:?}");
            }
        }
    }
}

/// What is between the words that stand for something else.
fn constant_parts(cell: &str) -> Vec<&str> {
    const OTHERS: [&str; 10] =
        ["`", "…", ", ", "NAME", "ADDRESS", "REASON", "STATUS", " N ", "N log", "Too many open files"];
    let mut parts = vec![cell];
    for other in OTHERS {
        parts = parts.into_iter().flat_map(|part| part.split(other)).collect();
    }
    let trimmed = parts.into_iter().map(|part| part.trim_matches([' ', ':', '、']));
    trimmed.filter(|part| part.chars().count() > 4).collect()
}

/// All of the program, with what is broken into lines in one.
fn sources(directory: &Path) -> String {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false if path.extension().is_some_and(|it| it == "rs") => fs::read_to_string(&path).unwrap(),
        false => String::new(),
    };
    entries.map(text).collect()
}
