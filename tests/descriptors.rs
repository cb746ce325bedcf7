//! Without a free descriptor a publisher waits, and is let in as soon as there is one. In a process of its own, because
//! the limit of open files is the process's.
#![allow(clippy::panic, clippy::unwrap_used, reason = "that is how a test fails")]

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tsstream::config::{Authority, Buffer, Format, InputProtocol, Secret, Stream, Takeover};
use tsstream::identity::NodeId;
use tsstream::ingest::Ingest;
use tsstream::mailbox::ToIngest;

static LOGGED: Logged = Logged(Mutex::new(String::new()));

struct Logged(Mutex<String>);

impl Log for Logged {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        self.0.lock().unwrap().push_str(&format!("{}\n", record.args()));
    }

    fn flush(&self) {}
}

impl Logged {
    fn await_line(&self, part: &str) {
        for _ in 0..1000 {
            if self.0.lock().unwrap().contains(part) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("not logged: {part}; but {}", self.0.lock().unwrap());
    }
}

#[test]
fn a_publisher_gets_in_once_there_is_a_descriptor() {
    log::set_logger(&LOGGED).unwrap();
    log::set_max_level(LevelFilter::Info);
    let stream = Stream {
        name: "live".to_owned(),
        section: "backstream".to_owned(),
        format: Format::Bytes,
        protocol: InputProtocol::Tcp,
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        source: None,
        interface: None,
        upstreams: Vec::new(),
        secret: Secret::default(),
        timeout: Duration::from_secs(20),
        takeover: Takeover::Never,
        coalesce: Duration::from_millis(1),
        quiet: None,
        buffer: Buffer { time: Duration::from_secs(1), bytes: 1 << 20 },
    };
    let (ingest, mut to_ingest) = Ingest::bind(&[stream], Authority::Anyone, NodeId::random()).unwrap();
    let address = ingest.addresses()[0].1;
    let thread = std::thread::spawn(move || ingest.run(Vec::new()));

    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let mut all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    all.pop();
    let mut publisher = TcpStream::connect(address).unwrap();
    LOGGED.await_line("Too many open files");
    drop(all);
    publisher.write_all(b"hello").unwrap();
    LOGGED.await_line(&format!("publisher of live connected: {}", publisher.local_addr().unwrap()));

    drop(publisher);
    LOGGED.await_line("closed by publisher");
    to_ingest.post(ToIngest::Stop).unwrap();
    to_ingest.flush();
    thread.join().unwrap();
}
