//! One receiver's connection, from `connect` to the last byte.

use std::io::Write;

use rustix::net::{RecvFlags, recv};
use socket2::Socket;

use crate::address::Scheme;
use crate::content::{Expected, Mark};
use crate::decode::{Decoder, Event};
use crate::handshake::{self, Body};
use crate::verify::Verifier;

/// The most that one `recv` discards, and the size of the buffer named to it, which the kernel does not touch.
pub(super) const DISCARD_BYTES: usize = 1 << 20;

/// A connection that exists.
#[derive(Debug)]
pub(super) struct Connection {
    pub socket: Socket,
    pub carriage: Carriage,
    pub state: State,
    /// Which receiver of the share this is.
    pub receiver: usize,
    /// When it began to connect.
    pub began_ns: u64,
    /// Bytes of content that came, with framing.
    pub bytes: u64,
    /// Of these, how many before measuring began; `None` if it was not served by then.
    pub bytes_before: Option<u64>,
    /// What a receiver that reads needs.
    pub reader: Option<Box<Reader>>,
}

/// How the kernel hands over what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carriage {
    Stream,
    Datagrams,
}

#[derive(Debug)]
pub(super) enum State {
    /// Waits for the server to connect.
    Listening,
    Connecting,
    /// Has asked; holds what came of the answer's head.
    Asking(Vec<u8>),
    Streaming,
}

#[derive(Debug)]
pub(super) struct Reader {
    pub decoder: Decoder,
    pub verifier: Verifier,
}

/// What a read has led to.
#[derive(Debug)]
pub(super) enum Progress {
    /// More may come.
    Open,
    /// The server has closed, with why.
    Closed(String),
}

impl Connection {
    /// The socket has become ready for the first time: sends `request`. Gives false if it is not connected yet.
    pub fn established(&mut self, request: &[u8]) -> Result<bool, String> {
        if let Some(error) = self.socket.take_error().map_err(|error| error.to_string())? {
            return Err(error.to_string());
        }
        if self.socket.peer_addr().is_err() {
            return Ok(false);
        }
        self.state = match request {
            [] => State::Streaming,
            request => {
                // A new connection takes a few hundred bytes at once.
                self.socket.write_all(request).map_err(|error| error.to_string())?;
                State::Asking(Vec::new())
            }
        };
        Ok(true)
    }

    /// Reads on with the answer. Once it is complete, gives how what follows is framed and the beginning of it.
    pub fn answered(&mut self, scheme: Scheme) -> Result<Option<(Body, Vec<u8>)>, String> {
        let State::Asking(head) = &mut self.state else { return Ok(None) };
        let mut piece = [0; 4096];
        loop {
            match recv(&self.socket, &mut piece[..], RecvFlags::empty()) {
                Ok((0, _)) => return Err("closed without an answer".to_owned()),
                Ok((count, _)) => head.extend_from_slice(&piece[..count]),
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.to_string()),
            }
            if let Some((length, body)) = handshake::answer(head, scheme)? {
                let rest = head.split_off(length);
                self.state = State::Streaming;
                return Ok(Some((body, rest)));
            }
        }
    }

    /// Lets the kernel throw away what has come. With `until_end`, reads until there is nothing more, not just until it
    /// is less than what was asked for.
    pub fn discard(&mut self, nothing: &mut [u8], until_end: bool) -> Progress {
        // Of a datagram the kernel copies what there is room for, and then drops it.
        let (room, until_end) = match self.carriage {
            Carriage::Stream => (nothing.len(), until_end),
            Carriage::Datagrams => (1, true),
        };
        loop {
            match recv(&self.socket, &mut nothing[..room], RecvFlags::TRUNC) {
                Ok((_, 0)) => return Progress::Closed("closed by the server".to_owned()),
                Ok((_, count)) => {
                    self.bytes += count as u64;
                    if count < room && !until_end {
                        return Progress::Open;
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Progress::Open,
                Err(error) => return Progress::Closed(error.to_string()),
            }
        }
    }

    /// Reads at most `limit` bytes of what has come, checks them, and tells of each burst.
    pub fn read(
        &mut self,
        scratch: &mut [u8],
        mut limit: usize,
        mut expected: Option<&mut Expected>,
        mut on_burst: impl FnMut(Mark),
    ) -> (usize, Progress) {
        let allowed = limit;
        while limit > 0 {
            let piece = scratch.len().min(limit);
            match recv(&self.socket, &mut scratch[..piece], RecvFlags::empty()) {
                Ok((0, _)) => return (allowed - limit, Progress::Closed("closed by the server".to_owned())),
                Ok((count, _)) => {
                    limit -= count;
                    self.take(&scratch[..count], expected.as_deref_mut(), &mut on_burst);
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return (allowed - limit, Progress::Closed(error.to_string())),
            }
        }
        (allowed - limit, Progress::Open)
    }

    /// Takes bytes of content.
    pub fn take(
        &mut self,
        bytes: &[u8],
        mut expected: Option<&mut Expected>,
        mut on_burst: impl FnMut(Mark),
    ) {
        self.bytes += bytes.len() as u64;
        let Some(reader) = &mut self.reader else { return };
        let Reader { decoder, verifier } = &mut **reader;
        let socket = &mut self.socket;
        decoder.take(
            bytes,
            |data| match expected.as_deref_mut() {
                Some(expected) => verifier.take(data, expected, &mut on_burst),
                None => verifier.watch(data),
            },
            |event| match event {
                Event::Ping(payload) => pong(socket, &payload),
                Event::Close => (),
            },
        );
    }
}

/// Answers a ping (RFC 6455 §5.5.3), masked by zeros.
fn pong(socket: &mut Socket, payload: &[u8]) {
    let frame = [&[0x8a, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat();
    // A server that takes nothing gets no pong, and draws its own conclusions.
    let _ = socket.write(&frame);
}
