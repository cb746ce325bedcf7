//! For each burst a `send` to each receiver, and nothing else.

use std::io::Write;

use mio::net::TcpStream;

use super::{Fanout, Left, Ports};

#[derive(Default)]
pub(super) struct SendToEach {
    receivers: Vec<TcpStream>,
}

impl Fanout for SendToEach {
    fn welcome(&mut self, receiver: TcpStream) {
        self.receivers.push(receiver);
    }

    fn pass_on(&mut self, ports: &mut Ports) -> Left {
        loop {
            let bytes = ports.read();
            if bytes.is_empty() {
                return Left::Nothing;
            }
            self.receivers
                .retain_mut(|receiver| receiver.write(bytes).is_ok_and(|count| count == bytes.len()));
        }
    }
}
