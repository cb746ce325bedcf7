//! Fifty healthy viewers of the stream `live`, of every protocol, and the verdict that nothing done to the node has
//! touched them: each has every byte from the first keyframe to the last packet.

use std::time::Duration;

use super::live::Live;
use super::node::Node;
use super::receive::{Capture, Keep, Options, Protocol, Receiver};
use super::ts::{self, PACKET};
use super::wait_until;

/// How many there are.
pub const VIEWERS: usize = 50;

/// Between two frames: twice as fast as the picture plays, a modest load.
const PAUSE: Duration = Duration::from_millis(20);

/// How much more each viewer must get to be seen to go on: some frames.
const MORE_BYTES: u64 = 40_000;

/// Sections of a configuration with ports for all of them, on loopback. More keys of `[custom]` may follow.
pub const PORTS: &str = "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [dispatch]\nProtocol = CUSTOM\n[custom.live]\nProtocol = TCP\nPort = 0\n\
    [custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\n";

/// The viewers, and who publishes to them.
pub struct Crowd {
    live: Live,
    /// The first keeps all it gets, the others the hash of it.
    viewers: Vec<Receiver>,
}

impl Crowd {
    /// Lets all of them in, then publishes to them.
    #[track_caller]
    pub fn gather(node: &Node) -> Crowd {
        let protocols = [Protocol::Tcp, Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into())];
        let viewers: Vec<Receiver> = (0..VIEWERS)
            .map(|index| {
                let protocol = &protocols[index % protocols.len()];
                let door = if let Protocol::Tcp = protocol { "custom.live" } else { "custom" };
                let keep = if index == 0 { Keep::Bytes } else { Keep::Hash };
                Receiver::open_with(node.address(door), protocol, Options { keep, ..Options::default() })
            })
            .collect();
        // Over bare TCP, to have connected is not to have been let in.
        wait_until("all viewers to be let in", || {
            viewers.iter().all(|viewer| node.count(&format!(" connected: {} (", viewer.peer())) > 0)
        });
        let crowd = Crowd { live: Live::start_at(node.address("backstream"), PAUSE), viewers };
        crowd.goes_on();
        crowd
    }

    /// Waits until every viewer has got more: nothing holds them up.
    #[track_caller]
    pub fn goes_on(&self) {
        let wanted: Vec<u64> = self.viewers.iter().map(|viewer| viewer.length() + MORE_BYTES).collect();
        wait_until("every healthy viewer to get more", || {
            self.viewers.iter().zip(&wanted).all(|(viewer, wanted)| viewer.length() >= *wanted)
        });
    }

    /// Disconnects the last of them, which makes a place.
    pub fn dismiss_one(&mut self) {
        drop(self.viewers.pop());
    }

    /// Ends the publisher. Each viewer must have all that was published, from the first keyframe on, and still be connected.
    #[track_caller]
    pub fn verdict(self) {
        self.goes_on();
        let published = self.live.stop();
        let tail = &published[published.len() - 8 * PACKET..];
        wait_until("the end of the stream", || self.viewers[0].ends_with(tail));
        let whole = self.viewers[0].so_far();
        let joined = ts::joined(&whole.bytes, &published).unwrap();
        assert_eq!(joined.start + whole.bytes.len() - joined.preamble_bytes, published.len());
        for viewer in self.viewers {
            viewer.wait_for_bytes(whole.length);
            assert_eq!(viewer.ended(), None, "it is still connected");
            let Capture { length, .. } = viewer.so_far();
            assert_eq!((length, viewer.close().hash()), (whole.length, whole.hash()), "all get the same");
        }
    }
}
