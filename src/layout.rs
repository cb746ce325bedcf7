//! What the node is made of at present, for those who show it: streams, ports, next hops. Reloading replaces it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The parts of a node, with the addresses that they really have.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// `[app] Node`.
    pub name: Option<String>,
    /// Name of each stream, and where the node listens for it, unless it pulls it.
    /// By [`StreamId`](crate::mailbox::StreamId).
    pub streams: Vec<(String, Option<SocketAddr>)>,
    /// Its ports for receivers.
    pub ports: Vec<SocketAddr>,
    /// Its next hops, in the order of the configuration.
    pub hops: Vec<Hop>,
}

/// A next hop as configured.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The name of the stream that it is sent.
    pub stream: String,
    /// `TCP`, `UDP` or `RTP`.
    pub protocol: &'static str,
    /// A name or an address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Hop {
    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn address(&self) -> String {
        let Hop { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// The layout as of now. Held by threads that may wait for one another for the time that it takes to copy a pointer.
#[derive(Debug, Default)]
pub struct CurrentLayout(Mutex<Arc<Layout>>);

impl CurrentLayout {
    /// This one, until another is set.
    #[must_use]
    pub fn new(layout: Layout) -> Arc<CurrentLayout> {
        Arc::new(CurrentLayout(Mutex::new(Arc::new(layout))))
    }

    /// The layout as of now.
    #[must_use]
    pub fn value(&self) -> Arc<Layout> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on it is this one.
    pub fn set(&self, layout: Layout) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(layout);
    }
}
