//! Loads stream servers: feeds them a transport stream, receives it thousands of times, checks every byte, measures.
//!
//! A [`run`] takes [`content`] that can be foretold, lets a [`feed`] send it to a server and [`receive`] take it from there;
//! [`verify`] compares, and a [`report`] says what came of it. A [`lab`] starts [`servers`] itself, a [`floor`] among them,
//! one after the other, and [`cases`] say what must come of that. A [`soak`] lets time tell.

pub mod address;
pub mod cases;
pub mod content;
pub mod decode;
pub mod document;
pub mod feed;
pub mod floor;
pub mod handshake;
pub mod hop;
pub mod host;
pub mod lab;
pub mod metric;
pub mod plot;
pub mod process;
pub mod receive;
pub mod report;
pub mod results;
pub mod run;
pub mod servers;
pub mod soak;
pub mod table;
pub mod verify;
