//! A monitor, and what it tells.

use std::net::SocketAddr;

use serde_json::Value;

use super::node::Node;
use super::raw::get_json;

/// A running monitor, ended with the value.
pub struct Monitor(Node);

impl Monitor {
    /// Starts one that is reached at every address of this host.
    #[track_caller]
    pub fn start() -> Monitor {
        Monitor(Node::start("[app]\nRunMode = monitor\n[monitor]\nBind = 0.0.0.0\nPort = 0\n"))
    }

    /// Where it is, over loopback.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.0.address("monitor")
    }

    /// What it tells of the node of this name, once that has reported.
    #[track_caller]
    pub fn node(&self, name: &str) -> Option<Value> {
        let tree = get_json(self.address(), "/tree");
        let node = tree["nodes"].as_array()?.iter().find(|node| node["name"] == name)?;
        Some(get_json(self.address(), &format!("/node/{}", node["id"].as_str()?)))
    }

    /// What the node of this name reports of its first stream; null until it does.
    #[track_caller]
    pub fn stream(&self, name: &str) -> Value {
        self.node(name).map_or(Value::Null, |node| node["report"]["tsstream"]["streams"][0].clone())
    }
}
