//! What must hold of every input that comes from outside, whatever it is: no panic, no bound broken, nothing taken on "not
//! yet", and the same outcome in whatever portions it arrives. `tools/fuzz` feeds these checks with input that it makes up;
//! the test in `tests/` with what is kept in `corpus/`.

pub mod configuration;
pub mod framer;
pub mod http;
mod portions;
pub mod proxy;
pub mod relay;
pub mod report;
pub mod rtp;
pub mod websocket;
pub mod websocket_client;

/// A check of one input; a panic is a finding.
pub type Check = fn(&[u8]);

/// Every check, by the name of its target and of its corpus.
pub const CHECKS: [(&str, Check); 9] = [
    ("configuration", configuration::check),
    ("framer", framer::check),
    ("http", http::check),
    ("proxy", proxy::check),
    ("relay", relay::check),
    ("report", report::check),
    ("rtp", rtp::check),
    ("websocket", websocket::check),
    ("websocket_client", websocket_client::check),
];
