//! The example of the older tsstream, with its own keys and values: a node that is pushed to feeds two extra nodes over UDP,
//! and all three report to a monitor. They run on one host, on fixed ports.

use std::net::SocketAddr;

use serde_json::Value;

use crate::util::apart::apart;
use crate::util::node::Node;
use crate::util::raw::get_json;
use crate::util::receive::{Protocol, Receiver};
use crate::util::{ts, wait_until};
use crate::{CLIP, PLENTY, is_a_tree, push, tail};

const MONITOR: &str = include_str!("../data/conf/original-monitor.conf");
const NORMAL: &str = include_str!("../data/conf/original-normal-udp.conf");
const EXTRAS: [&str; 2] =
    [include_str!("../data/conf/original-extra1.conf"), include_str!("../data/conf/original-extra2.conf")];

/// By MD5 of bind and port, as the older tsstream has it: `printf '0.0.0.055001' | md5sum`.
const EXTRA_KEYS: [&str; 2] = ["892335df62c260c4e2c29b6c26bf0f14", "2e40c1d642a58f2c307a4531b9bc97ac"];

#[test]
fn the_older_example_of_three_nodes_and_a_monitor_works_as_it_is() {
    apart(|| {
        let monitor = Node::start(MONITOR);
        let extras = EXTRAS.map(Node::start);
        let normal = Node::start(NORMAL);
        for port in [55001, 55002] {
            normal.wait_for(&format!("next hop of live udp://127.0.0.1:{port} is sent to"));
        }
        let viewers: Vec<Receiver> = ["127.0.0.1:56001", "127.0.0.1:56002"]
            .iter()
            .flat_map(|address| {
                let address: SocketAddr = address.parse().unwrap();
                [Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into())]
                    .map(|kind| Receiver::open(address, &kind))
            })
            .collect();
        let file = CLIP.file();
        let (tap, push) = push(&file, "tcp://127.0.0.1:50001");
        for viewer in &viewers {
            viewer.wait_for_bytes(PLENTY);
        }
        let at_monitor = monitor.address("monitor");
        wait_until("the monitor to tell of them", || is_told(&get_json(at_monitor, "/monitor")));
        wait_until("the monitor to draw them", || is_a_tree(&get_json(at_monitor, "/tree"), 3));
        push.kill();
        for viewer in viewers {
            wait_until("the end to arrive", || viewer.ends_with(&tail(&tap.published())));
            ts::joined(&viewer.close().bytes, &tap.published()).unwrap();
        }
        for node in [normal].into_iter().chain(extras).chain([monitor]) {
            assert!(node.stop().success());
        }
    });
}

/// In the words of the older one: the root feeds both others, and each of these has two viewers.
fn is_told(told: &Value) -> bool {
    let data = &told["data"];
    let next = data["genesis"]["nextnode"].as_array().into_iter().flatten();
    let ports: Vec<&str> = next.filter_map(|node| node["port"].as_str()).collect();
    let has_viewers = |key: &&str| data[key]["nodeinfo"]["connects"] == 2;
    ports == ["55001", "55002"] && EXTRA_KEYS.iter().all(has_viewers)
}
