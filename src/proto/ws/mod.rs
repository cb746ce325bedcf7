//! WebSocket (RFC 6455), the server's side: the opening handshake, what clients send, control frames to them.
//!
//! Data frames to clients are not made here: a chunk carries the header of its frame.

mod control;
mod handshake;
mod reader;

pub use control::{CONTROL_PAYLOAD_BYTES_MAX, ControlPayload, close, ping, pong};
pub use handshake::{HandshakeError, handshake, is_upgrade, origin_is_allowed};
pub use reader::{Incoming, MESSAGE_BYTES_MAX, Reader, Violation};
