//! The input side with real sockets: what publishers send reaches a worker, and what they must not do they can't.

mod http;
mod node;
mod tcp;
mod udp;
mod workers;
