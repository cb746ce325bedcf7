//! A deployment of `conf/`, as `tools/deploy` runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::util::namespace::{run, within};
use crate::util::{Directory, wait_until};

/// What nodes speak to each other; where there is just one node, ffmpeg to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// As the files say.
    Tcp,
    /// With the protocol in the files exchanged.
    Udp,
}

/// A running deployment, taken down with the value.
pub struct Deployment {
    /// Where the stream is pushed.
    pub push: Pushing,
    folder: PathBuf,
    between: Between,
    hosts: Vec<String>,
    _directory: Directory,
}

/// Where a stream is pushed.
pub struct Pushing {
    /// On which host.
    pub host: &'static str,
    /// To where.
    pub url: String,
}

impl Deployment {
    /// Brings up the deployment of that name.
    #[track_caller]
    pub fn up(name: &str, between: Between) -> Deployment {
        let (directory, folder) = copy(name, between);
        let hosts = fs::read_to_string(folder.join("hosts")).expect("there is a file hosts");
        let url = hosts.split_whitespace().find_map(|word| word.strip_prefix("push="));
        let deployment = Deployment {
            push: Pushing { host: "studio", url: url.expect("somebody pushes").to_owned() },
            hosts: host_names(&hosts),
            folder,
            between,
            _directory: directory,
        };
        let output = deployment.tool(&["up", "--program", env!("CARGO_BIN_EXE_tsstream")]);
        assert!(output.status.success(), "{output:?}");
        deployment
    }

    /// Runs `tools/deploy` with these words after the folder.
    pub fn tool(&self, words: &[&str]) -> Output {
        tool(&self.folder, words)
    }

    /// Runs `act` on a host.
    pub fn within<T: Send>(&self, host: &str, act: impl FnOnce() -> T + Send) -> T {
        within(&format!("ts-{}.{host}", self.number()), act)
    }

    /// From now on each host takes in nothing but what its README says must be let in.
    #[track_caller]
    pub fn put_up_firewalls(&self) {
        let rules = self.rules();
        assert!(!rules.is_empty() && rules.keys().all(|host| self.hosts.contains(host)), "{rules:?}");
        for host in &self.hosts {
            let nft = |words: &str| run(&format!("ip netns exec ts-{}.{host} nft {words}", self.number()));
            nft("add table inet filter");
            nft("add chain inet filter input { type filter hook input priority 0 ; policy drop ; }");
            nft("add rule inet filter input iif lo accept");
            nft("add rule inet filter input ct state established,related accept");
            for rule in rules.get(host).into_iter().flatten() {
                nft(rule);
            }
        }
    }

    /// Takes it down and sees that nothing is left.
    #[track_caller]
    pub fn down(self) {
        let output = self.tool(&["down"]);
        assert!(output.status.success(), "{output:?}");
        assert_nothing_is_left(&self.folder);
    }

    /// What a program has said up to now: the one of that file on that host.
    pub fn log(&self, host: &str, file: &str) -> String {
        fs::read_to_string(self.kept(host, file, "log")).expect("it has a log")
    }

    /// Ends a program as a crash would.
    pub fn kill(&self, host: &str, file: &str) {
        let pid = fs::read_to_string(self.kept(host, file, "pid")).expect("it runs");
        kill(Pid::from_raw(pid.trim().parse().expect("a number")), Signal::SIGKILL).expect("it runs");
    }

    fn kept(&self, host: &str, file: &str, what: &str) -> String {
        format!("/run/tsstream-deploy/{}/{host}.{file}.{what}", self.number())
    }

    fn show_logs(&self) {
        let entries =
            fs::read_dir(format!("/run/tsstream-deploy/{}", self.number())).into_iter().flatten().flatten();
        for file in entries.map(|entry| entry.path()).filter(|path| path.extension() == Some("log".as_ref()))
        {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- the last of {}", file.display());
            lines.iter().skip(lines.len().saturating_sub(40)).for_each(|line| eprintln!("{line}"));
        }
        eprintln!("---");
    }

    /// The number of the deployment.
    fn number(&self) -> &str {
        let name = self.folder.file_name().and_then(|name| name.to_str()).expect("a name");
        name.split('-').next().expect("a number")
    }

    /// The `nft` rules of README.md, by host: each follows a line `# on HOST, HOST and HOST`.
    fn rules(&self) -> BTreeMap<String, Vec<String>> {
        let text = fs::read_to_string(self.folder.join("README.md")).expect("there is a README");
        let mut rules: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut hosts: Vec<&str> = Vec::new();
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("# on ") {
                hosts = heading.split([',', ' ']).filter(|word| !["", "and"].contains(word)).collect();
            } else if let Some(rule) = line.strip_prefix("nft ") {
                let rule = match self.between {
                    Between::Tcp => rule.to_owned(),
                    Between::Udp => self.rule_for_udp(rule),
                };
                for host in &hosts {
                    rules.entry((*host).to_owned()).or_default().push(rule.clone());
                }
            }
        }
        rules
    }

    fn rule_for_udp(&self, rule: &str) -> String {
        let port = if self.number() == "1" { "50001" } else { "55001" };
        rule.replace(&format!("tcp dport {port}"), &format!("udp dport {port}"))
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show_logs();
        }
        let _ = self.tool(&["down"]);
    }
}

/// Runs `tools/deploy` with that folder and these words.
pub fn tool(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tools/deploy"));
    // Hosts have an environment of their own.
    command.arg(folder).args(words).env("RUST_LOG", "error");
    command.output().expect("tools/deploy runs")
}

/// Neither a namespace nor a cable nor a process of it.
#[track_caller]
pub fn assert_nothing_is_left(folder: &Path) {
    assert_eq!(run("ip netns list"), "");
    assert!(!run("ip -o link show").contains("ts-"), "{}", run("ip -o link show"));
    assert!(!Path::new("/run/tsstream-deploy").exists());
    let folder = folder.to_str().expect("UTF-8");
    let of_it = || {
        let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
        let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        lines.filter(|line| line.contains(folder)).collect::<Vec<_>>()
    };
    wait_until("its processes to be gone", || of_it().is_empty());
}

/// A copy of a folder of `conf/`, in which nodes speak what they are to.
#[track_caller]
pub fn copy(name: &str, between: Between) -> (Directory, PathBuf) {
    let directory = Directory::new("deployment");
    let folder = directory.file(name);
    fs::create_dir(&folder).expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name);
    for entry in fs::read_dir(from).expect("there is such a deployment").flatten() {
        let text = fs::read_to_string(entry.path()).expect("text");
        let text = match between {
            Between::Tcp => text,
            Between::Udp if name.starts_with("1-") => pushed_over_udp(&text),
            Between::Udp => fed_over_udp(&text),
        };
        fs::write(folder.join(entry.file_name()), text).expect("it can be written");
    }
    (directory, folder)
}

fn pushed_over_udp(text: &str) -> String {
    text.replace("[backstream]\nProtocol = TCP", "[backstream]\nProtocol = UDP").replace("=tcp://", "=udp://")
}

/// What the READMEs tell to do for UDP between nodes.
fn fed_over_udp(text: &str) -> String {
    let text = text.replace("[dispatch]\nProtocol = TCP", "[dispatch]\nProtocol = UDP");
    let text = text.replace("Protocol = CUSTOM,TCP", "Protocol = CUSTOM,UDP");
    if !text.contains("RunMode = extra") || text.contains("Protocol = PULL") {
        text
    } else if text.contains("[pushstream]\n") {
        text.replace("[pushstream]\n", "[pushstream]\nProtocol = UDP\n")
    } else {
        format!("{text}\n[pushstream]\nProtocol = UDP\n")
    }
}

fn host_names(hosts: &str) -> Vec<String> {
    let lines = hosts.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}
