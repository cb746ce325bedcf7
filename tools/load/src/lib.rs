//! Loads stream servers: feeds them a transport stream, receives it thousands of times, checks every byte, measures.

pub mod address;
pub mod cases;
pub mod content;
pub mod decode;
pub mod document;
pub mod feed;
pub mod floor;
pub mod handshake;
pub mod host;
pub mod lab;
pub mod plot;
pub mod process;
pub mod receive;
pub mod report;
pub mod results;
pub mod run;
pub mod servers;
pub mod verify;
