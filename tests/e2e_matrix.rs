//! Whatever carries a stream in and whatever it is coded in, every receiver gets it byte for byte from a keyframe on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use std::fmt::Write as _;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use util::media::{self, Clip, Codecs, Repeat};
use util::node::Node;
use util::receive::{Protocol, Receiver};
use util::tap::Tap;
use util::ts::{self, PACKET};
use util::{Directory, SOON, wait_until};

const SECONDS: u32 = 4;

/// How a stream comes in.
#[derive(Clone, Copy, Debug)]
enum Input {
    Tcp,
    Udp1472,
    Udp1316,
    Rtp,
    Multicast,
    Http,
}

const INPUTS: [Input; 6] =
    [Input::Tcp, Input::Udp1472, Input::Udp1316, Input::Rtp, Input::Multicast, Input::Http];

/// One combination, which has a stream of its own.
#[derive(Clone, Copy, Debug)]
struct Cell {
    input: Input,
    codecs: Codecs,
    index: usize,
}

#[test]
fn every_input_with_every_codec_reaches_every_kind_of_receiver() {
    let combinations = INPUTS.into_iter().flat_map(|input| Codecs::ALL.map(|codecs| (input, codecs)));
    let cells: Vec<Cell> =
        combinations.enumerate().map(|(index, (input, codecs))| Cell { input, codecs, index }).collect();
    cells.iter().for_each(|cell| drop(cell.clip().file()));

    let mut config = String::from("[dispatch]\nProtocol = CUSTOM\n[custom]\nBind = 127.0.0.1\nPort = 0\n");
    config.push_str("[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n");
    cells.iter().for_each(|cell| config.push_str(&cell.config()));
    let node = Node::start(&config);
    let files = Directory::new("matrix");

    // Pushing waits for the clock, so all at once; judging needs the processor, so two at a time.
    let judging = [Mutex::new(()), Mutex::new(())];
    let failures = Mutex::new(String::new());
    let passed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for cell in &cells {
            let (node, files, judging, failures, passed) = (&node, &files, &judging, &failures, &passed);
            scope.spawn(move || {
                let (published, captures) = cell.run(node);
                let _turn = judging[cell.index % 2].lock();
                for (kind, captured) in captures {
                    let file = files.file(&format!("{}-{kind}.ts", cell.name()));
                    match judge(cell, &published, &captured, &file) {
                        Ok(()) => drop(passed.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => {
                            let mut failures = failures.lock().unwrap();
                            writeln!(failures, "{cell:?} to {kind}: {error}").unwrap();
                        }
                    }
                }
            });
        }
    });
    assert_eq!(failures.into_inner().unwrap(), "");
    assert_eq!(passed.into_inner(), cells.len() * 3);
}

impl Cell {
    fn name(self) -> String {
        format!("cell{}", self.index)
    }

    fn clip(self) -> Clip {
        Clip { codecs: self.codecs, seconds: SECONDS, keyframe_seconds: 1, kilobits_per_second: 600 }
    }

    fn config(self) -> String {
        let name = self.name();
        let (protocol, bind) = match self.input {
            Input::Tcp => ("TCP", "127.0.0.1".to_owned()),
            Input::Http => ("HTTP", "127.0.0.1".to_owned()),
            Input::Multicast => ("UDP", self.group()),
            Input::Udp1472 | Input::Udp1316 | Input::Rtp => ("UDP", "127.0.0.1".to_owned()),
        };
        let interface = if let Input::Multicast = self.input { "Interface = 127.0.0.1\n" } else { "" };
        format!(
            "[backstream.{name}]\nProtocol = {protocol}\nBind = {bind}\nPort = 0\n{interface}\
             [custom.{name}]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n"
        )
    }

    /// A group of its own for each stream, of those for use within a site (RFC 2365 §6.1).
    fn group(self) -> String {
        format!("239.255.41.{}", self.index + 1)
    }

    /// Pushes, and returns what was pushed and what each kind of receiver got.
    fn run(self, node: &Node) -> (Vec<u8>, [(&'static str, Captured); 3]) {
        let name = self.name();
        let receivers = [
            ("WebSocket", Receiver::open(node.address("custom"), &Protocol::WebSocket(format!("/{name}")))),
            ("HTTP", Receiver::open(node.address("custom"), &Protocol::Http(format!("/{name}.ts")))),
            ("TCP", Receiver::open(node.address(&format!("custom.{name}")), &Protocol::Tcp)),
        ];
        let (tap, output) = self.tap(node.address(&format!("backstream.{name}")));
        // ffmpeg sends RTCP beside the RTP; here is somebody to take it.
        let rtcp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let output: Vec<String> = output
            .iter()
            .map(|word| word.replace("RTCP", &rtcp.local_addr().unwrap().port().to_string()))
            .collect();
        let output: Vec<&str> = output.iter().map(String::as_str).collect();

        let mut push = media::push(&self.clip().file(), Repeat::Once, &output);
        let status = push.wait(SOON + Duration::from_secs(SECONDS.into()));
        assert!(status.success(), "{self:?}: {}", push.said());

        tap.wait_for_end();
        let published = tap.published();
        let complete = |receiver: &Receiver| {
            published.len() > 8 * PACKET && receiver.ends_with(&published[published.len() - 8 * PACKET..])
        };
        let captures = receivers.map(|(kind, receiver)| {
            wait_until(&format!("the end of {self:?} at the {kind} receiver"), || complete(&receiver));
            let capture = receiver.close();
            (kind, Captured { bytes: capture.bytes, messages: capture.messages })
        });
        (published, captures)
    }

    /// A tap in front of the input, and how ffmpeg is told to push into it.
    fn tap(self, input: SocketAddr) -> (Tap, Vec<String>) {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let to = |tap: &Tap, scheme: &str, rest: &str| format!("{scheme}://{}{rest}", tap.address);
        match self.input {
            Input::Tcp => {
                let tap = Tap::tcp(input);
                let url = to(&tap, "tcp", "");
                (tap, words(&["-f", "mpegts", &url]))
            }
            Input::Udp1472 => {
                let tap = Tap::udp(input);
                let url = to(&tap, "udp", "");
                (tap, words(&["-f", "mpegts", &url]))
            }
            Input::Udp1316 => {
                let tap = Tap::udp(input);
                let url = to(&tap, "udp", "?pkt_size=1316");
                (tap, words(&["-f", "mpegts", &url]))
            }
            Input::Rtp => {
                let tap = Tap::rtp(input);
                let url = to(&tap, "rtp", "?rtcpport=RTCP");
                (tap, words(&["-f", "rtp_mpegts", &url]))
            }
            Input::Multicast => {
                let group = SocketAddrV4::new(self.group().parse().unwrap(), input.port());
                let tap = Tap::multicast(group);
                let url = to(&tap, "udp", "?pkt_size=1316&localaddr=127.0.0.1");
                (tap, words(&["-f", "mpegts", &url]))
            }
            Input::Http => {
                let tap = Tap::http(input);
                let url = to(&tap, "http", &format!("/{}", self.name()));
                (tap, words(&["-f", "mpegts", "-method", "POST", &url]))
            }
        }
    }
}

struct Captured {
    bytes: Vec<u8>,
    messages: Vec<usize>,
}

fn judge(cell: &Cell, published: &[u8], captured: &Captured, file: &Path) -> Result<(), String> {
    std::fs::write(file, &captured.bytes).map_err(|error| error.to_string())?;
    let joined = ts::joined(&captured.bytes, published)?;
    let run_bytes = captured.bytes.len() - joined.preamble_bytes;
    if joined.start + run_bytes != published.len() {
        return Err("the run does not go to the end of what was published".into());
    }
    if joined.start > published.len() / 2 {
        return Err(format!("it begins late: at byte {} of {}", joined.start, published.len()));
    }
    if let Some(length) = captured.messages.iter().find(|length| !length.is_multiple_of(PACKET)) {
        return Err(format!("a message has {length} bytes"));
    }
    let codecs = media::codecs(file);
    if codecs != cell.codecs.names() {
        return Err(format!("ffprobe finds {codecs:?}"));
    }
    let said = media::decode(file);
    if said.is_empty() || cuts_off(cell.input) && said == complaints(published, file)? {
        return Ok(());
    }
    Err(format!("ffmpeg says: {said}"))
}

/// ffmpeg never sends the last datagram of RTP if it is not full: the last picture it pushes is cut off.
fn cuts_off(input: Input) -> bool {
    matches!(input, Input::Rtp)
}

/// What ffmpeg says when it decodes what was published.
fn complaints(published: &[u8], file: &Path) -> Result<String, String> {
    let file = file.with_extension("published.ts");
    std::fs::write(&file, published).map_err(|error| error.to_string())?;
    Ok(media::decode(&file))
}
