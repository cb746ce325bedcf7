//! Where the node itself listens: a hop that turns out to be the node itself would bring the stream in again.

use std::net::SocketAddr;

/// The addresses that the node listens on, with their real ports.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Over TCP.
    pub tcp: Vec<SocketAddr>,
    /// Over UDP.
    pub udp: Vec<SocketAddr>,
}

/// Whether a socket with these two ends leads to one of `listeners`.
///
/// The configuration has been checked for this as far as addresses tell; here names have become addresses.
#[must_use]
pub fn leads_to(listeners: &[SocketAddr], local: SocketAddr, peer: SocketAddr) -> bool {
    let (local, ip) = (local.ip().to_canonical(), peer.ip().to_canonical());
    listeners.iter().any(|listener| {
        let here = if listener.ip().is_unspecified() { local == ip } else { listener.ip() == ip };
        listener.port() == peer.port() && here
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_of_this_machine_is_known_by_both_ends() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let leads = |listener, local, peer| leads_to(&[at(listener)], at(local), at(peer));
        assert!(leads("0.0.0.0:5", "10.0.0.1:40000", "10.0.0.1:5"));
        assert!(leads("[::]:5", "[::ffff:10.0.0.1]:40000", "10.0.0.1:5"));
        assert!(leads("239.1.2.3:5", "10.0.0.1:40000", "239.1.2.3:5"));
        assert!(!leads("0.0.0.0:5", "10.0.0.1:40000", "10.0.0.2:5"));
        assert!(!leads("0.0.0.0:5", "10.0.0.1:40000", "10.0.0.1:6"));
        assert!(!leads("127.0.0.1:5", "10.0.0.1:40000", "10.0.0.1:5"));
    }
}
