//! A tsstream process, and what it says.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Directory, SOON, wait_until_within};

/// The newest lines that are kept of what a node says.
const LINES_MAX: usize = 20_000;

/// How long a node may take to end when asked to, before it is made to.
const END_MAX: Duration = Duration::from_secs(10);

/// A running node, ended with the value.
pub struct Node {
    process: Child,
    log: Arc<Log>,
    directory: Directory,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Default)]
struct Lines {
    newest: VecDeque<String>,
    /// How many have come, ever.
    count: usize,
    ended: bool,
}

impl Node {
    /// Runs a node on this configuration and waits until it is ready.
    #[track_caller]
    pub fn start(config: &str) -> Node {
        Node::start_with(&[], config)
    }

    /// The same with these arguments before.
    #[track_caller]
    pub fn start_with(arguments: &[&str], config: &str) -> Node {
        let directory = Directory::new("node");
        let file = directory.file("app.conf");
        std::fs::write(&file, config).expect("the configuration can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tsstream"));
        command.args(arguments).arg("-c").arg(&file);
        Node::run(command, directory)
    }

    /// Runs a node with these variables in its environment.
    #[track_caller]
    pub fn start_under(variables: &[(&str, &str)], config: &str) -> Node {
        let directory = Directory::new("node");
        let file = directory.file("app.conf");
        std::fs::write(&file, config).expect("the configuration can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tsstream"));
        command.arg("-c").arg(&file).envs(variables.iter().copied());
        Node::run(command, directory)
    }

    /// Runs a node in a network namespace of this name.
    #[track_caller]
    pub fn start_in(namespace: &str, config: &str) -> Node {
        let directory = Directory::new("node");
        let file = directory.file("app.conf");
        std::fs::write(&file, config).expect("the configuration can be written");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_tsstream"), "-c"]).arg(&file);
        Node::run(command, directory)
    }

    #[track_caller]
    fn run(mut command: Command, directory: Directory) -> Node {
        command.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("tsstream starts");
        let log = Arc::new(Log::default());
        let stderr = process.stderr.take().expect("stderr is a pipe");
        thread::spawn({
            let log = Arc::clone(&log);
            move || log.gather(BufReader::new(stderr))
        });
        let node = Node { process, log, directory };
        node.wait_for("ready");
        node
    }

    /// Has it read this configuration in place of its own.
    pub fn reload(&self, config: &str) {
        std::fs::write(self.directory.file("app.conf"), config).expect("the configuration can be written");
        self.signal(Signal::SIGHUP);
    }

    /// Where the listener of a section listens, to be reached over loopback: `backstream.cam2`, `custom`.
    #[track_caller]
    pub fn address(&self, section: &str) -> SocketAddr {
        let wanted = format!("listening: [{section}] ");
        let line = self.find(|line| line.contains(&wanted));
        let line = line.unwrap_or_else(|| panic!("no line {wanted:?}"));
        let address = line.split(&wanted).nth(1).and_then(|rest| rest.split(' ').nth(1));
        let mut address: SocketAddr =
            address.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no address in {line:?}"));
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        address
    }

    /// Waits for a line that contains `text`, which may have come already, and returns it.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_for_line(SOON, text, |line| line.contains(text))
    }

    /// Waits for a line that satisfies `wanted`, which may have come already, and returns it.
    #[track_caller]
    pub fn wait_for_line(&self, limit: Duration, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + limit;
        let mut lines = self.log.lines.lock().expect("the log is whole");
        loop {
            if let Some(line) = lines.newest.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = lines.ended;
            if ended || left.is_zero() {
                drop(lines);
                panic!("the node {} without saying: {what}", if ended { "ended" } else { "went on" });
            }
            lines = self.log.grown.wait_timeout(lines, left).expect("the log is whole").0;
        }
    }

    /// The first kept line that satisfies `wanted`, of those that have come.
    pub fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let lines = self.log.lines.lock().expect("the log is whole");
        lines.newest.iter().find(|line| wanted(line)).cloned()
    }

    /// How many of the kept lines contain `text`.
    pub fn count(&self, text: &str) -> usize {
        let lines = self.log.lines.lock().expect("the log is whole");
        lines.newest.iter().filter(|line| line.contains(text)).count()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the node is running");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a process has memory");
        let kibibytes: u64 =
            line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number");
        kibibytes * 1024
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).expect("the node is running");
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Asks it to end, waits until it has, and returns all the lines that it has said.
    pub fn log_after_stop(mut self) -> Vec<String> {
        self.end();
        wait_until_within(SOON, "the end of the log", || {
            self.log.lines.lock().is_ok_and(|lines| lines.ended)
        });
        self.log.lines.lock().expect("the log is whole").newest.iter().cloned().collect()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the node is running").count()
    }

    /// Asks it to end, waits until it has, and returns how.
    pub fn stop(mut self) -> ExitStatus {
        self.end()
    }

    fn end(&mut self) -> ExitStatus {
        if let Some(status) = self.process.try_wait().expect("a child can be waited for") {
            return status;
        }
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
        let deadline = Instant::now() + END_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().expect("a child can be waited for") {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        self.process.wait().expect("a child can be waited for")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            wait_until_within(SOON, "the end of the log", || {
                self.log.lines.lock().is_ok_and(|lines| lines.ended)
            });
            let Ok(lines) = self.log.lines.lock() else { return };
            eprintln!("--- the last of {} lines of the node", lines.count);
            for line in lines.newest.iter().skip(lines.newest.len().saturating_sub(60)) {
                eprintln!("{line}");
            }
            eprintln!("---");
        }
    }
}

impl Log {
    fn gather(&self, stderr: impl BufRead) {
        for line in stderr.split(b'\n').map_while(Result::ok) {
            let mut lines = self.lines.lock().expect("the log is whole");
            if lines.newest.len() == LINES_MAX {
                lines.newest.pop_front();
            }
            lines.newest.push_back(String::from_utf8_lossy(&line).into_owned());
            lines.count += 1;
            self.grown.notify_all();
        }
        self.lines.lock().expect("the log is whole").ended = true;
        self.grown.notify_all();
    }
}
