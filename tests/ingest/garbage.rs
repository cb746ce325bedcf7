//! What makes no sense hurts nobody.

use std::io::Write;
use std::net::UdpSocket;

use tsstream::config::{Format, InputProtocol, Stream, Takeover};

use crate::node::{Node, connect, noise, stream};

fn ts(name: &str, protocol: InputProtocol) -> Stream {
    Stream { format: Format::Ts, takeover: Takeover::Always, ..stream(name, protocol) }
}

#[test]
fn garbage_in_every_input_stops_no_other() {
    let mut node = Node::start(&[
        ts("live", InputProtocol::Tcp),
        ts("udp", InputProtocol::Udp),
        ts("http", InputProtocol::Http),
        stream("good", InputProtocol::Tcp),
    ]);
    node.subscribe(3);
    let mut good = connect(node.address(3));
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for round in 0..200_usize {
        let garbage = &noise(9000)[round * 7..];
        let _ = connect(node.address(0)).write_all(garbage);
        let mut rtp = vec![0x80 | round as u8 & 0x3f, 33];
        rtp.extend(&garbage[..round]);
        udp.send_to(&rtp, node.address(1)).unwrap();
        udp.send_to(garbage, node.address(1)).unwrap();
        let _ = connect(node.address(2)).write_all(garbage);
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut chunked = connect(node.address(2));
        let _ = chunked.write_all(&[head, b"20\r\n".as_slice(), garbage].concat());
        good.write_all(b".").unwrap();
    }
    node.until(3, "all of the good", |seen| seen.bytes() == b".".repeat(200));
    let aligned = node.seen.values().take(3).all(|seen| seen.bytes().len() % 188 == 0);
    assert!(aligned && node.metrics.streams[1].bytes.value() > 0);
}
