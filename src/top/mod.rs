//! `tsstream top`: a live view of a node in a terminal, from its admin port.
//!
//! ```text
//! client (a thread) ─► Snapshot ─► frame (pure: lines of spans) ─► terminal
//! ```

mod client;
mod figures;
mod frame;
mod terminal;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::admin::api;
use frame::View;
use terminal::Terminal;

/// Time between looks at the node.
const INTERVAL: Duration = Duration::from_secs(1);

/// Receivers asked for: as many as a tall terminal shows.
const CLIENTS_MAX: usize = 100;

/// What is shown where standard output is no terminal that tells its size.
const SIZE_DEFAULT: (u16, u16) = (80, 24);

/// What is shown of a node.
#[derive(Clone, Debug)]
struct Snapshot {
    streams: api::Streams,
    clients: api::Clients,
}

/// Prints one frame, as long as need be and without colours, and nothing else.
///
/// # Errors
/// In words.
pub fn once(address: &str) -> Result<(), String> {
    let snapshot = look(address).map_err(|error| no_answer(address, &error))?;
    let (width, _) = terminal::size().unwrap_or(SIZE_DEFAULT);
    let lines = frame::whole(&View { address, snapshot: &snapshot, trouble: None }, usize::from(width));
    let text: String = lines.iter().map(|line| format!("{}\n", line.text().trim_end())).collect();
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Shows the node until `q` is pressed.
///
/// # Errors
/// In words; of a node that does not answer only at the beginning.
pub fn run(address: &str) -> Result<(), String> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err("this is no terminal: `tsstream top --once` prints one frame".to_owned());
    }
    let mut snapshot = look(address).map_err(|error| no_answer(address, &error))?;
    let looks = start_looking(address.to_owned()).map_err(|error| error.to_string())?;
    let mut trouble = None;
    let mut terminal =
        Terminal::take_over().map_err(|error| format!("the terminal can't be used: {error}"))?;
    loop {
        let view = View { address, snapshot: &snapshot, trouble: trouble.as_deref() };
        let drawn = terminal.draw(|width, height| frame::fitted(&view, width, height));
        drawn.map_err(|error| format!("the terminal can't be written to: {error}"))?;
        if terminal.is_asked_to_end().map_err(|error| format!("the terminal can't be read: {error}"))? {
            return Ok(());
        }
        for look in looks.try_iter() {
            match look {
                Ok(seen) => (snapshot, trouble) = (seen, None),
                Err(error) => trouble = Some(error),
            }
        }
    }
}

/// Looks again and again, on a thread that ends with the process: a node that does not answer must not keep the terminal
/// from being left.
fn start_looking(address: String) -> io::Result<Receiver<Result<Snapshot, String>>> {
    let (seen, looks) = bounded(1);
    let run = move || {
        loop {
            thread::sleep(INTERVAL);
            if seen.send(look(&address)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("looks".into()).spawn(run)?;
    Ok(looks)
}

fn look(address: &str) -> Result<Snapshot, String> {
    let streams = client::get(address, "/api/streams")?;
    let clients = client::get(address, &format!("/api/clients?order=worst&limit={CLIENTS_MAX}"))?;
    Ok(Snapshot { streams, clients })
}

fn no_answer(address: &str, error: &str) -> String {
    format!(
        "no admin port answers at {address}: {error}\n\
         Set [admin] Port in the node's configuration, and say where it is: tsstream top HOST:PORT"
    )
}

/// What to connect to, for an address from the configuration: who listens at all addresses does at that of loopback.
#[must_use]
pub fn reachable(admin: SocketAddr) -> String {
    let ip = match admin {
        _ if !admin.ip().is_unspecified() => admin.ip(),
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, admin.port()).to_string()
}
