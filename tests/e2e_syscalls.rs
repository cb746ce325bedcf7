//! What a burst of ffmpeg's push costs, counted by strace: one system call that sends, for each receiver.

mod util;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use util::media::Push;
use util::receive::{Protocol, Receiver};
use util::{Directory, ts, wait_until};

const RECEIVERS: u64 = 20;
const SECONDS: &str = "4";

/// Calls per receiver and burst. Now and then ffmpeg is held up within a burst; forwarding each read as it comes would
/// be 1.4 and more.
const SENDS_PER_BURST_MAX: f64 = 1.1;

/// How often that is tried: a busy machine holds ffmpeg up more often.
const TRIES_MAX: usize = 5;

#[test]
fn one_send_per_receiver_and_burst() {
    let mut ratios = Vec::new();
    while ratios.len() < TRIES_MAX {
        let count = Count::take();
        println!("{count:?}");
        // Whatever the machine is busy with: the answer's head, then one call a chunk. Some are not for receivers.
        assert!(count.sends <= RECEIVERS * (count.chunks + 1) + 10, "{count:?}");
        assert!(count.waits_for_locks < count.bursts, "{count:?}");
        // Less one for the answer's head.
        let sends_per_receiver = count.sends as f64 / RECEIVERS as f64 - 1.0;
        ratios.push(sends_per_receiver / count.bursts as f64);
        if ratios.last().is_some_and(|&ratio| ratio <= SENDS_PER_BURST_MAX) {
            return;
        }
    }
    panic!("sends per receiver and burst: {ratios:?}");
}

#[derive(Debug)]
struct Count {
    /// What ffmpeg sent at once: a frame, with tables before it if need be.
    bursts: u64,
    chunks: u64,
    sends: u64,
    waits_for_locks: u64,
}

impl Count {
    fn take() -> Count {
        let mut node = Traced::start();
        let receivers: Vec<Receiver> = (0..RECEIVERS)
            .map(|_| Receiver::open(node.address("custom"), &Protocol::Http("/live.ts".into())))
            .collect();
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]);
        ffmpeg.args(["-t", SECONDS, "-c:v", "mpeg1video", "-bf", "0", "-b:v", "800k", "-muxdelay", "0.001"]);
        ffmpeg.args(["-f", "mpegts", &format!("tcp://{}", node.address("backstream"))]);
        let mut pushing = Push::start(ffmpeg);
        pushing.wait(Duration::from_secs(60));
        let length = || receivers.iter().map(Receiver::length).collect::<Vec<_>>();
        wait_until("the end of the stream at all receivers", || {
            let length = length();
            length[0] > 0 && length.iter().all(|&bytes| bytes == length[0])
        });
        let (said, table) = node.end();
        let bursts = ts::packets(&receivers[0].so_far().bytes)
            .filter(|packet| ts::pid(packet) == ts::VIDEO_PID && ts::is_start(packet))
            .count() as u64;
        let chunks = number_before(&said, " chunks in");
        let calls = |name: &str| -> u64 {
            let line = table.lines().find(|line| line.split_whitespace().last() == Some(name));
            line.map_or(0, |line| line.split_whitespace().nth(3).unwrap().parse().unwrap())
        };
        let sends = ["sendto", "sendmsg", "writev"].into_iter().map(calls).sum();
        Count { bursts, chunks, sends, waits_for_locks: calls("futex") }
    }
}

fn number_before(text: &str, what: &str) -> u64 {
    let before = text.split(what).next().filter(|before| before.len() < text.len());
    let before = before.unwrap_or_else(|| panic!("no number of{what}: {text}"));
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// A node whose system calls are counted.
struct Traced {
    strace: Child,
    said: String,
    rest: Option<JoinHandle<String>>,
    directory: Directory,
}

impl Traced {
    fn start() -> Traced {
        let directory = Directory::new("traced");
        let config = "[app]\nWorkers = 1\n[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
            [dispatch]\nProtocol = CUSTOM\n[custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\n";
        std::fs::write(directory.file("app.conf"), config).unwrap();
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(directory.file("calls"));
        command.arg(env!("CARGO_BIN_EXE_tsstream")).arg("-c").arg(directory.file("app.conf"));
        command.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM").stderr(Stdio::piped());
        let mut strace = command.spawn().expect("strace starts (tools/test installs it)");
        let mut log = BufReader::new(strace.stderr.take().unwrap());
        let mut said = String::new();
        while !said.ends_with(" ready\n") {
            assert!(log.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        let rest = Some(thread::spawn(move || {
            let mut rest = String::new();
            log.read_to_string(&mut rest).unwrap();
            rest
        }));
        Traced { strace, said, rest, directory }
    }

    fn address(&self, section: &str) -> SocketAddr {
        let line = self.said.split(&format!("listening: [{section}] ")).nth(1).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn ask_to_end(&self) {
        let pid = self.strace.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for node in children.unwrap_or_default().split_whitespace() {
            let _ = kill(Pid::from_raw(node.parse().unwrap()), Signal::SIGTERM);
        }
    }

    /// Ends it. Returns what it said in the end, and strace's table.
    fn end(&mut self) -> (String, String) {
        self.ask_to_end();
        let said = self.rest.take().unwrap().join().unwrap();
        assert!(self.strace.wait().unwrap().success());
        (said, std::fs::read_to_string(self.directory.file("calls")).unwrap())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if self.rest.is_some() {
            self.ask_to_end();
            let _ = self.strace.wait();
        }
    }
}
