//! Loads stream servers: feeds them a transport stream, receives it thousands of times, checks every byte, measures.

pub mod address;
pub mod content;
pub mod decode;
pub mod feed;
pub mod floor;
pub mod handshake;
pub mod host;
pub mod process;
pub mod receive;
pub mod report;
pub mod run;
pub mod verify;
