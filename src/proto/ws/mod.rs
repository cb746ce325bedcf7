//! WebSocket (RFC 6455), the server's side: the opening handshake, what clients send, control frames to them. And the
//! client's side, for streams that are pulled.
//!
//! Data frames to clients are not made here: a chunk carries the header of its frame.

pub mod client;
mod control;
mod handshake;
mod reader;
mod utf8;

pub use control::{CONTROL_PAYLOAD_BYTES_MAX, ControlPayload, close, ping, pong, text};
pub use handshake::{HandshakeError, handshake, is_upgrade, origin_is_allowed};
pub use reader::{Incoming, MESSAGE_BYTES_MAX, Reader, Violation};
