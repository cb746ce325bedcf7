//! Servers to compare: how each is started, where it is fed and where it serves.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::address::Address;
use crate::floor;
use crate::host::{now_ns, on_core, sleep_until};

mod hops;
mod peers;
mod tsstream;

pub use hops::{By, Hops};
pub use peers::{PEERS, Recipe};
pub use tsstream::{Input, Output, Tsstream};
pub(crate) use tsstream::{listening, start_configured};

/// So long a server may take to start, and to end.
const PATIENCE_NS: u64 = 5_000_000_000;

/// How often it is looked at meanwhile.
const TICK_NS: u64 = 20_000_000;

/// A server that can be started.
#[derive(Clone, Debug)]
pub enum Server {
    /// Ours.
    Tsstream(Tsstream),
    /// The least that a server could do.
    Floor(floor::Kind),
    /// The least that a server could do that sends datagrams.
    FloorUdp(Hops),
    /// What others would pick.
    Peer(&'static Recipe),
}

/// Where programs are found.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The release build of ours.
    pub tsstream: PathBuf,
    /// This program.
    pub tsload: PathBuf,
    /// The directory of what is built along with it.
    pub built: PathBuf,
    /// The directory `peers` of the harness.
    pub peers: PathBuf,
}

impl Programs {
    /// Those built along with this one, but for `tsstream` if it is given.
    ///
    /// # Errors
    /// When the system does not say where this program is.
    pub fn beside(tsstream: Option<PathBuf>, peers: PathBuf) -> Result<Programs, String> {
        let tsload = std::env::current_exe().map_err(|error| format!("this program's own file: {error}"))?;
        let built = tsload.parent().map(PathBuf::from).unwrap_or_default();
        Ok(Programs { tsstream: tsstream.unwrap_or_else(|| built.join("tsstream")), tsload, built, peers })
    }
}

/// A server that has been started; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    directory: Directory,
    /// Where each stream is fed.
    pub feeds: Vec<Address>,
    /// Where each stream is served; or where a server with one stream comes to each receiver.
    pub targets: Vec<Address>,
}

impl Server {
    /// What it is called, on the command line and in tables.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Server::Tsstream(tsstream) => tsstream.name(),
            Server::Floor(floor::Kind::Send) => "floor-send".to_owned(),
            Server::Floor(floor::Kind::Ring) => "floor-ring".to_owned(),
            Server::FloorUdp(_) => "floor-udp".to_owned(),
            Server::Peer(recipe) => recipe.name.to_owned(),
        }
    }

    /// The server called `name`.
    ///
    /// # Errors
    /// Lists the names there are.
    pub fn named(name: &str) -> Result<Server, String> {
        let peer = PEERS.iter().find(|recipe| recipe.name == name).map(Server::Peer);
        let found = match name {
            "floor-send" => Some(Server::Floor(floor::Kind::Send)),
            "floor-ring" => Some(Server::Floor(floor::Kind::Ring)),
            _ => peer.or_else(|| Tsstream::named(name).map(Server::Tsstream)),
        };
        found.ok_or_else(|| {
            let peers: Vec<&str> = PEERS.iter().map(|recipe| recipe.name).collect();
            format!(
                "\"{name}\" is no server known here: expected floor-send, floor-ring, {}, tsstream, or tsstream with \
                 another input: tsstream:udp1316, :udp1472, :rtp, :http",
                peers.join(", ")
            )
        })
    }

    /// Starts it for `streams` streams, on core `core`.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(&self, streams: usize, core: Option<usize>, programs: &Programs) -> Result<Running, String> {
        let started = match self {
            Server::Tsstream(tsstream) => tsstream.start(streams, core, programs),
            Server::Floor(kind) => one_stream(streams).and_then(|()| start_floor(*kind, core, programs)),
            Server::FloorUdp(hops) => {
                one_stream(streams).and_then(|()| start_floor_udp(*hops, core, programs))
            }
            Server::Peer(recipe) => one_stream(streams).and_then(|()| recipe.start(core, programs)),
        };
        started.map_err(|why| format!("{}: {why}", self.name()))
    }
}

fn one_stream(streams: usize) -> Result<(), String> {
    if streams == 1 { Ok(()) } else { Err("it has one stream".to_owned()) }
}

fn start_floor(kind: floor::Kind, core: Option<usize>, programs: &Programs) -> Result<Running, String> {
    let directory = Directory::make()?;
    let mut command = Command::new(&programs.tsload);
    command.arg(if kind == floor::Kind::Send { "floor-send" } else { "floor-ring" });
    let mut child = spawn(&mut command, &directory, core)?;
    let said = directory.wait_for(&mut child, |said| said.lines().count() >= 2)?;
    let address = |what: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(what));
        found.ok_or_else(|| format!("said nothing of {what}"))?.trim().parse()
    };
    let (feeds, targets) = (vec![address("feed")?], vec![address("receivers")?]);
    Ok(Running { child, directory, feeds, targets })
}

fn start_floor_udp(hops: Hops, core: Option<usize>, programs: &Programs) -> Result<Running, String> {
    let directory = Directory::make()?;
    let targets = hops.addresses()?;
    let to: Vec<String> = targets.iter().map(|target| target.socket.to_string()).collect();
    let mut command = Command::new(&programs.tsload);
    command.args(["floor-udp", "--to", &to.join(",")]);
    let mut child = spawn(&mut command, &directory, core)?;
    let said = directory.wait_for(&mut child, |said| said.ends_with('\n'))?;
    let feed = said.trim().strip_prefix("feed ").ok_or("said nothing of its feed")?.parse()?;
    Ok(Running { child, directory, feeds: vec![feed], targets })
}

/// Starts `command` on core `core`; what it says goes to a file in `directory`.
fn spawn(command: &mut Command, directory: &Directory, core: Option<usize>) -> Result<Child, String> {
    let log = File::create(directory.log()).map_err(|error| error.to_string())?;
    let errors = log.try_clone().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    let program = command.get_program().to_string_lossy().into_owned();
    on_core(core, || command.spawn())?.map_err(|error| format!("can't start {program}: {error}"))
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|error| error.to_string())
}

impl Running {
    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.directory.log()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself.
            let _ = kill_process(id, Signal::TERM);
        }
        let deadline_ns = now_ns() + PATIENCE_NS;
        while now_ns() < deadline_ns {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep_until(now_ns() + TICK_NS);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory of its own for what a server reads and writes; removed with it.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn make() -> Result<Directory, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tsload-{}-{number}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Directory(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// What `child` has said, once it `is_enough`.
    fn wait_for(&self, child: &mut Child, is_enough: impl Fn(&str) -> bool) -> Result<String, String> {
        let deadline_ns = now_ns() + PATIENCE_NS;
        loop {
            let said = fs::read_to_string(self.log()).unwrap_or_default();
            if is_enough(&said) {
                return Ok(said);
            }
            let has_ended = !matches!(child.try_wait(), Ok(None));
            if has_ended || now_ns() > deadline_ns {
                let _ = child.kill();
                let what = if has_ended { "ended at once" } else { "is not ready in time" };
                return Err(format!("{what}; it said:\n{}", said.trim_end()));
            }
            std::thread::sleep(Duration::from_nanos(TICK_NS));
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
