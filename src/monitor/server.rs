//! The monitor's only thread: its port, and the signals that end the process or have it read its configuration again.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::routes::Desk;
use crate::config::Config;
use crate::net::{self, BindError};
use crate::web::Server;

/// Connections at once; with the bounds of a head and a report, some 30 MiB.
const CONNECTIONS_MAX: usize = 256;

const SIGNALS: Token = Token(Server::<Desk>::FIRST_FREE_TOKEN);

/// A monitor, listening and not running yet.
#[derive(Debug)]
pub struct Monitor {
    listener: TcpListener,
    address: SocketAddr,
    desk: Desk,
}

impl Monitor {
    /// Listens at `address`.
    ///
    /// # Errors
    /// When that can't be.
    pub fn bind(config: &Config, address: SocketAddr) -> Result<Monitor, BindError> {
        let listener = net::listen("monitor", address)?;
        let address = listener.local_addr().unwrap_or(address);
        let secret = config.monitor_secret.clone();
        let desk = Desk::new(config.monitor_nodes_max, secret, config.authority.clone(), clock());
        Ok(Monitor { listener, address, desk })
    }

    /// Where it listens; with the real port for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until a signal asks the process to end. At SIGHUP it goes on with the configuration that `read_again` gives,
    /// if there is one; nobody but pages and reports waits for that.
    ///
    /// # Errors
    /// When the system gives no descriptor for polling or for signals.
    pub fn run(self, mut read_again: impl FnMut() -> Option<Config>) -> io::Result<()> {
        let mut server = Server::new(Poll::new()?, self.listener, CONNECTIONS_MAX, self.desk, clock())?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        server.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let mut events = Events::with_capacity(CONNECTIONS_MAX);
        log::info!("ready");
        loop {
            server.turn(&mut events, None)?;
            if !events.iter().any(|event| event.token() == SIGNALS) {
                continue;
            }
            let (hang_ups, ends): (Vec<i32>, Vec<i32>) =
                signals.pending().partition(|&signal| signal == SIGHUP);
            if !ends.is_empty() {
                break;
            }
            if !hang_ups.is_empty()
                && let Some(config) = read_again()
            {
                server.desk.renew(config.monitor_secret, config.authority);
            }
        }
        log::info!("asked to end");
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "where the clock of the thread begins")]
fn clock() -> Instant {
    Instant::now()
}
