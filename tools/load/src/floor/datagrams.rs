//! For each burst and receiver a `send` of each datagram, and nothing else.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use mio::net::TcpStream;

use super::{Fanout, Left, Ports, serve};

/// What a datagram carries: seven packets, as is usual.
const DATAGRAM_BYTES: usize = 7 * 188;

/// A floor that sends datagrams.
#[derive(Debug)]
pub struct DatagramFloor {
    ports: Ports,
    sockets: SendDatagrams,
}

impl DatagramFloor {
    /// Listens at `feed` for the stream, over TCP, and sends it to all of `receivers`.
    ///
    /// # Errors
    /// When an address is taken or not ours, or there is no way to a receiver.
    pub fn bind(feed: SocketAddr, receivers: &[SocketAddr]) -> io::Result<DatagramFloor> {
        let sockets = receivers.iter().map(|receiver| {
            let any = if receiver.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.set_nonblocking(true)?;
            socket.connect(receiver)?;
            Ok(socket)
        });
        let sockets = SendDatagrams(sockets.collect::<io::Result<_>>()?);
        Ok(DatagramFloor { ports: Ports::open(feed)?, sockets })
    }

    /// Where it listens for the stream.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.ports.feed_port.local_addr()
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// When polling fails, which it does not.
    pub fn run(mut self) -> io::Result<()> {
        serve(self.ports, &mut self.sockets)
    }
}

#[derive(Debug)]
struct SendDatagrams(Vec<UdpSocket>);

impl Fanout for SendDatagrams {
    fn welcome(&mut self, _: TcpStream) {}

    fn pass_on(&mut self, ports: &mut Ports) -> Left {
        loop {
            let bytes = ports.read();
            if bytes.is_empty() {
                return Left::Nothing;
            }
            for socket in &self.0 {
                for datagram in bytes.chunks(DATAGRAM_BYTES) {
                    // What does not go out is lost, as datagrams are.
                    let _ = socket.send(datagram);
                }
            }
        }
    }
}
