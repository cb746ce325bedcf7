//! Each deployment of `conf/`, brought up by `tools/deploy` from its very files, with the firewall rules that its README
//! says: ffmpeg pushes, and every viewer at every node gets every byte, over TCP between nodes and over UDP. And the
//! example of the older tsstream.
#![allow(clippy::panic, clippy::unwrap_used, reason = "that is how a test fails")]

mod deployment;
mod original;
mod tool;
#[path = "../util/mod.rs"]
mod util;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use deployment::{Between, Deployment};
use util::apart::apart;
use util::media::{self, Clip, Codecs, Push, Repeat};
use util::raw::get_json;
use util::receive::{Protocol, Receiver};
use util::tap::Tap;
use util::ts::{self, PACKET};
use util::{wait_until, wait_until_within};

const CLIP: Clip =
    Clip { codecs: Codecs::H264Aac, seconds: 4, keyframe_seconds: 1, kilobits_per_second: 800 };

/// As much as some three seconds of it.
const PLENTY: u64 = 300_000;

/// ffmpeg ends by itself after that, should nobody end it.
const PUSH_SECONDS_MAX: u32 = 300;

/// `tools/deploy … status` takes its time.
const STATUS_WITHIN: Duration = Duration::from_secs(90);

/// Where viewers are served: the host by which that address is meant, and the address.
type Place = (&'static str, &'static str);

const ONE_NODE: &[Place] = &[("server", "198.19.1.3:8088")];

const BEHIND_NGINX: &[Place] = &[
    ("server", "198.19.2.3:80"),
    ("server", "127.0.0.1:8081"),
    ("server", "127.0.0.1:8082"),
    ("server", "127.0.0.1:8083"),
];

const LOCAL_AND_REMOTE: &[Place] = &[("remote", "198.19.3.3:8088")];

const SEVERAL_REMOTES: &[Place] =
    &[("remote-1", "198.19.4.3:8088"), ("remote-2", "198.19.4.4:8088"), ("remote-3", "198.19.4.5:8088")];

const TREE: &[Place] = &[
    ("studio", "198.19.5.2:8088"),
    ("push-1", "198.19.5.3:8088"),
    ("push-2", "198.19.5.4:8088"),
    ("push-3", "198.19.5.5:8088"),
    ("pull-1", "198.19.5.6:8088"),
    ("pull-2", "198.19.5.7:8088"),
    ("pull-3", "198.19.5.8:8088"),
];

#[test]
fn one_node() {
    streams("1-one-node", ONE_NODE);
}

#[test]
fn behind_nginx() {
    streams("2-behind-nginx", BEHIND_NGINX);
}

#[test]
fn local_and_remote() {
    streams("3-local-and-remote", LOCAL_AND_REMOTE);
}

#[test]
fn several_remotes() {
    streams("4-several-remotes", SEVERAL_REMOTES);
}

#[test]
fn tree() {
    streams("5-tree", TREE);
}

#[test]
fn cables_of_the_tree_are_cut_and_mended() {
    apart(|| {
        let deployment = Deployment::up("5-tree", Between::Tcp);
        let cable = |word, host| assert!(deployment.tool(&[word, host]).status.success());
        let open = |place: &Place| viewers(&deployment, place);
        let [pulled, pushed] = [open(&("pull-3", "198.19.5.8:8088")), open(&("push-3", "198.19.5.5:8088"))];
        let more = |of: &[(String, Receiver)]| {
            for (place, viewer) in of {
                let enough = viewer.length() + PLENTY;
                wait_until(&format!("more at {place}"), || viewer.length() >= enough);
            }
        };
        let file = CLIP.file();
        let (tap, push) = deployment.within(deployment.push.host, || push(&file, &deployment.push.url));
        [&pulled, &pushed].iter().for_each(|viewers| more(viewers));
        let is_from = |upstream: &str| {
            let log = deployment.log("pull-3", "pull-3.conf");
            log.lines()
                .rfind(|line| line.contains("upstream of live: "))
                .is_some_and(|it| it.contains(upstream))
        };
        // Before the stream was there, it may have turned to the other.
        wait_until("the best upstream", || is_from("ws://198.19.5.7:8088/live"));
        for host in ["push-2", "pull-2"] {
            cable("cut", host);
        }
        wait_until("the next best upstream", || is_from("ws://198.19.5.6:8088/live"));
        more(&pulled);
        for host in ["push-2", "pull-2"] {
            cable("mend", host);
        }
        more(&pushed);
        wait_until("the best upstream again", || is_from("ws://198.19.5.7:8088/live"));
        more(&pulled);
        push.kill();
        let published = || tap.published();
        for (place, viewer) in pulled.iter().chain(&pushed) {
            wait_until(&format!("the end to arrive at {place}"), || viewer.ends_with(&tail(&published())));
        }
        for (place, viewer) in pulled {
            let joined = ts::joined(&viewer.close().bytes, &published());
            joined.unwrap_or_else(|wrong| panic!("no gap was to be at {place}: {wrong}"));
        }
        for (place, viewer) in pushed {
            let runs = ts::runs(&viewer.close().bytes, &published());
            runs.unwrap_or_else(|wrong| panic!("{place}: {wrong}"));
        }
        deployment.down();
    });
}

#[test]
fn nginx_balances_viewers_and_does_without_a_node_that_is_gone() {
    // By the address that is its own, and not nginx's.
    const VIEWER: &str = "receiver of live connected: 198.19.2.1";
    const NODES: [&str; 3] = ["node-1.conf", "node-2.conf", "node-3.conf"];
    apart(|| {
        let deployment = Deployment::up("2-behind-nginx", Between::Tcp);
        let viewers = |node: &str| deployment.log("server", node).matches(VIEWER).count();
        let open = || {
            let address = "198.19.2.3:80".parse().unwrap();
            Receiver::open(address, &Protocol::WebSocket("/".into()))
        };
        let first: Vec<Receiver> = (0..6).map(|_| open()).collect();
        wait_until("two viewers at each node", || NODES.iter().all(|node| viewers(node) == 2));
        deployment.kill("server", "node-2.conf");
        let more: Vec<Receiver> = (0..4).map(|_| open()).collect();
        wait_until("the others to have them", || viewers("node-1.conf") + viewers("node-3.conf") == 8);
        let has_left = |viewer: &&Receiver| viewer.ended().is_some();
        wait_until("those of the node to be gone", || first.iter().filter(has_left).count() == 2);
        drop(more);
        deployment.down();
    });
}

/// The deployment works over TCP and, on another machine at the same time, over UDP.
#[track_caller]
fn streams(name: &str, places: &[Place]) {
    thread::scope(|scope| {
        scope.spawn(|| apart(|| streams_over(Between::Tcp, name, places)));
        scope.spawn(|| apart(|| streams_over(Between::Udp, name, places)));
    });
}

/// Brings the deployment up, pushes, and holds what two viewers at each place get against what was pushed.
#[track_caller]
fn streams_over(between: Between, name: &str, places: &[Place]) {
    let deployment = Deployment::up(name, between);
    deployment.put_up_firewalls();
    let viewers: Vec<(String, Receiver)> =
        places.iter().flat_map(|place| viewers(&deployment, place)).collect();
    let file = CLIP.file();
    let (tap, push) = deployment.within(deployment.push.host, || push(&file, &deployment.push.url));
    for (place, viewer) in &viewers {
        wait_until(&format!("a stream at {place}"), || viewer.length() >= PLENTY);
    }
    if between == Between::Tcp {
        wait_until_within(STATUS_WITHIN, "the status to be good", || {
            deployment.tool(&["status"]).status.success()
        });
    }
    if name == "5-tree" {
        let tree = || get_json("198.19.5.9:50000".parse().unwrap(), "/tree");
        wait_until("the monitor to draw the tree", || is_a_tree(&tree(), places.len()));
    }
    push.kill();
    for (place, viewer) in viewers {
        wait_until(&format!("the end to arrive at {place}"), || viewer.ends_with(&tail(&tap.published())));
        let joined = ts::joined(&viewer.close().bytes, &tap.published());
        joined.unwrap_or_else(|wrong| panic!("{place}: {wrong}"));
    }
    deployment.down();
}

/// Over WebSocket and over HTTP, with words that say which.
#[track_caller]
fn viewers(deployment: &Deployment, (host, address): &Place) -> Vec<(String, Receiver)> {
    let address: SocketAddr = address.parse().unwrap();
    let kinds = [Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into())];
    let viewer = |kind: &Protocol| {
        let receiver = if address.ip().is_loopback() {
            deployment.within(host, || Receiver::open(address, kind))
        } else {
            Receiver::open(address, kind)
        };
        (format!("{host}, {address}, {kind:?}"), receiver)
    };
    kinds.iter().map(viewer).collect()
}

/// ffmpeg that pushes to `url`, with a tap in between.
#[track_caller]
fn push(file: &Path, url: &str) -> (Tap, Push) {
    let (scheme, address) = url.split_once("://").unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let repeat = Repeat::Seconds(PUSH_SECONDS_MAX);
    let (tap, onward) = match scheme {
        "tcp" => {
            let tap = Tap::tcp(address);
            let onward = format!("tcp://{}", tap.address);
            (tap, onward)
        }
        "udp" => {
            let tap = Tap::udp(address);
            let onward = format!("udp://{}?pkt_size=1316", tap.address);
            (tap, onward)
        }
        _ => panic!("{url}"),
    };
    let push = media::push(file, repeat, &["-f", "mpegts", &onward]);
    (tap, push)
}

/// The last packets of what was published; ffmpeg may have been ended in the middle of one.
fn tail(published: &[u8]) -> Vec<u8> {
    let whole = published.len() / PACKET * PACKET;
    published[whole - 4 * PACKET..whole].to_vec()
}

/// So many nodes, live all of them, each but the root fed by another.
fn is_a_tree(tree: &Value, nodes: usize) -> bool {
    let list = |name| tree[name].as_array().cloned().unwrap_or_default();
    let are_live = list("nodes").iter().all(|node| node["totals"]["live"] == 1);
    let fed: BTreeSet<String> =
        list("edges").iter().filter_map(|edge| edge["to"].as_str().map(str::to_owned)).collect();
    list("nodes").len() == nodes && are_live && list("edges").len() == nodes - 1 && fed.len() == nodes - 1
}
