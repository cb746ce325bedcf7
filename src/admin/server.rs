//! The thread of the admin port.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use mio::net::TcpListener;
use mio::{Events, Poll, Token};

use super::clients::{MAIL_MAX, Questions};
use super::desk::Desk;
use super::observer::Observer;
use crate::mailbox::{Sender, ToIngest, ToWorker, mailbox};
use crate::monitor::Source;
use crate::net::{self, BindError};
use crate::web::Server;

/// Connections at once: a few programs ask, each for a moment. With the bounds of a head and of answers not yet taken,
/// some 20 MiB at worst.
const CONNECTIONS_MAX: usize = 64;

const MAIL: Token = Token(Server::<Desk>::FIRST_FREE_TOKEN);

/// The admin port, listening and not answering yet.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Listens at `address`.
    ///
    /// # Errors
    /// When that can't be.
    pub fn bind(address: SocketAddr) -> Result<Admin, BindError> {
        let listener = net::listen("admin", address)?;
        let address = listener.local_addr().unwrap_or(address);
        Ok(Admin { listener, address })
    }

    /// Where it listens; with the real port for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the thread, which ends with the process. Should it fail, the node goes on without it. It tells what
    /// `source` counts, and asks `workers` and `ingest`.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptor.
    pub fn start(
        self,
        source: Source,
        workers: Vec<Sender<ToWorker>>,
        ingest: Sender<ToIngest>,
    ) -> io::Result<()> {
        let now = clock();
        let poll = Poll::new()?;
        let (reply, mail) = mailbox(MAIL_MAX, poll.registry(), MAIL)?;
        let questions = Questions::new(workers, ingest, mail, reply);
        let desk = Desk::new(Observer::new(source, now), questions, self.address.ip(), now);
        let mut server = Server::new(poll, self.listener, CONNECTIONS_MAX, desk, now)?;
        let run = move || {
            let mut events = Events::with_capacity(CONNECTIONS_MAX);
            loop {
                let look = server.desk.observer.due();
                let due = server.desk.questions.due().map_or(look, |due| due.min(look));
                let due = due.saturating_duration_since(clock());
                if let Err(error) = server.turn(&mut events, Some(due)) {
                    return log::error!("the admin port has ended: {error}");
                }
                let now = clock();
                if now >= server.desk.observer.due() {
                    server.desk.observer.look(now);
                }
                server.desk.questions.hear();
                server.answer_waiting(now);
            }
        };
        thread::Builder::new().name("admin".into()).spawn(run).map(drop)
    }
}

#[allow(clippy::disallowed_methods, reason = "the loop of the thread reads the clock for all that it calls")]
fn clock() -> Instant {
    Instant::now()
}
