//! Proxies in front: whom they speak for counts, if they are trusted; and from anyone else it does not.

mod util;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread;

use util::node::Node;
use util::raw::{ask, upgrade};
use util::receive::{Protocol, Receiver, connect_from, read_head};
use util::show::Show;
use util::{SOON, wait_until};

/// From here comes the trusted proxy, and from there somebody who would like to be one.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

const NODE: &str = "[app]\nWorkers = 2\n[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [custom.live]\nProtocol = TCP\nPort = 0\nFilterIps = 192.0.2.66\n\
    [custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\nTrustedProxies = 127.0.0.1\nMaxClientsPerIp = 1\n\
    [admin]\nPort = 0\n";

/// Refused so often, everybody has been asked: each worker has its share of connections.
const TRIES: usize = 10;

/// Sends these bytes first.
fn open(from: IpAddr, address: SocketAddr, first: &[u8]) -> TcpStream {
    let mut socket = connect_from(from, address);
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.write_all(first).unwrap();
    socket
}

/// The status of the next answer.
#[track_caller]
fn status(socket: &mut TcpStream) -> u16 {
    let head = read_head(socket).unwrap();
    head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{head}"))
}

fn watch(from: IpAddr, address: SocketAddr, header: &[u8], fields: &str) -> (u16, TcpStream) {
    let request = format!("{}{fields}\r\n", upgrade("/"));
    let mut socket = open(from, address, &[header, request.as_bytes()].concat());
    (status(&mut socket), socket)
}

/// Version 2 for a client at an IPv4 address.
fn binary(client: [u8; 4]) -> Vec<u8> {
    let addresses = [&client[..], &[127, 0, 0, 1], &[0x9c, 0x40, 0, 80]].concat();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &addresses].concat()
}

#[test]
fn x_forwarded_for_counts_from_a_trusted_proxy_only() {
    let node = Node::start(NODE);
    let port = node.address("custom");
    let asks = |from, fields: &str| watch(from, port, b"", fields);

    let (status, viewer) = asks(HERE, "X-Forwarded-For: 192.0.2.7\r\n");
    assert_eq!(status, 101);
    let through = viewer.local_addr().unwrap();
    node.wait_for(&format!("receiver of live connected: 192.0.2.7 through {through} (WebSocket)"));
    let (admin, mut said) = (node.address("admin"), String::new());
    wait_until("the list of receivers", || {
        said = ask(admin, &format!("GET /api/clients HTTP/1.1\r\nHost: {admin}\r\n\r\n"));
        said.contains(r#""address":"192.0.2.7""#)
    });
    assert!(said.contains(&format!(r#""peer":"{through}""#)), "{said}");
    for _ in 0..TRIES {
        assert_eq!(asks(HERE, "X-Forwarded-For: 192.0.2.7\r\n").0, 503);
        // What the client has written itself stands before what the proxy adds.
        assert_eq!(asks(HERE, "X-Forwarded-For: 192.0.2.99, 192.0.2.7\r\n").0, 503);
        assert_eq!(
            asks(HERE, "X-Forwarded-For: 192.0.2.99\r\nX-Forwarded-For: 192.0.2.7,127.0.0.1\r\n").0,
            503
        );
    }
    let (status, _other) = asks(HERE, "X-Forwarded-For: 192.0.2.8\r\n");
    assert_eq!(status, 101, "somebody else");
    drop(viewer);
    node.wait_for(&format!("receiver of live left: 192.0.2.7 through {through} (WebSocket)"));
    assert_eq!(asks(HERE, "X-Forwarded-For: 192.0.2.7\r\n").0, 101, "there is room again");

    let (status, liar) = asks(THERE, "X-Forwarded-For: 192.0.2.20\r\n");
    assert_eq!(status, 101);
    node.wait_for(&format!("receiver of live connected: {} (WebSocket)", liar.local_addr().unwrap()));
    for number in 0..TRIES {
        assert_eq!(asks(THERE, &format!("X-Forwarded-For: 192.0.2.{}\r\n", 30 + number)).0, 503, "it is one");
    }
}

#[test]
fn each_request_of_a_connection_may_be_for_somebody_else() {
    let node = Node::start(NODE);
    let page = "HEAD / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    for fields in ["X-Forwarded-For: 192.0.2.8\r\n", ""] {
        let mut socket = open(HERE, node.address("custom"), page.as_bytes());
        assert_eq!(status(&mut socket), 200);
        write!(socket, "{}{fields}\r\n", upgrade("/")).unwrap();
        assert_eq!(status(&mut socket), 101);
        let through = socket.local_addr().unwrap();
        let client =
            if fields.is_empty() { through.to_string() } else { format!("192.0.2.8 through {through}") };
        node.wait_for(&format!("receiver of live connected: {client} (WebSocket)"));
    }
}

#[test]
fn the_proxy_protocol_before_a_request() {
    let node = Node::start(NODE);
    let port = node.address("custom");
    let line = b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 80\r\n";
    for (header, client) in [(&line[..], "192.0.2.7"), (&binary([192, 0, 2, 8]), "192.0.2.8")] {
        // Whom the client itself claims to speak for does not matter.
        let (status, viewer) = watch(HERE, port, header, "X-Forwarded-For: 192.0.2.99\r\n");
        assert_eq!(status, 101);
        let through = viewer.local_addr().unwrap();
        node.wait_for(&format!("receiver of live connected: {client} through {through} (WebSocket)"));
        for _ in 0..TRIES {
            assert_eq!(watch(HERE, port, header, "").0, 503);
        }
    }
    // In pieces as small as can be; for itself; and not at all, as trusted proxies that speak HTTP do.
    let mut socket = open(HERE, port, b"");
    socket.set_nodelay(true).unwrap();
    for byte in [&binary([192, 0, 2, 9])[..], upgrade("/").as_bytes(), b"\r\n"].concat() {
        socket.write_all(&[byte]).unwrap();
    }
    assert_eq!(status(&mut socket), 101);
    let mut viewers = Vec::new();
    for (header, status) in
        [(&b"PROXY UNKNOWN\r\n"[..], 101), (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 503), (b"", 503)]
    {
        let (answered, viewer) = watch(HERE, port, header, "");
        assert_eq!(answered, status, "{}", header.escape_ascii());
        viewers.push(viewer);
    }
    for header in [&b"PROXY TCP4 192.0.2.300 127.0.0.1 1 2\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x31\0\0\0"] {
        assert_eq!(watch(HERE, port, header, "").0, 400, "{}", header.escape_ascii());
    }
    // From anyone else it is no request.
    for header in [&line[..], &binary([192, 0, 2, 20])] {
        let (status, mut socket) = watch(THERE, port, header, "");
        assert_eq!(status, 400, "{}", header.escape_ascii());
        let mut words = String::new();
        socket.read_to_string(&mut words).unwrap();
        assert!(words.contains("a PROXY header counts from TrustedProxies only"), "{words}");
    }
}

#[test]
fn the_proxy_protocol_before_bare_tcp() {
    let node = Node::start(NODE);
    let port = node.address("custom.live");
    let silent = thread::spawn(move || open(HERE, port, b"").read(&mut [0]).unwrap());
    let mut show = Show::start(node.address("backstream"));
    let line = b"PROXY TCP6 2001:db8::7 ::1 40000 80\r\n";
    let mut receivers = Vec::new();
    for (from, header, client) in [
        (HERE, &line[..], "2001:db8::7 through "),
        (HERE, &binary([192, 0, 2, 8]), "192.0.2.8 through "),
        // Somebody else has the stream at once, for what it is, whatever it says.
        (THERE, &line[..], ""),
    ] {
        let socket = open(from, port, header);
        node.wait_for(&format!("receiver of live connected: {client}{} (TCP)", socket.local_addr().unwrap()));
        receivers.push(Receiver::of(socket, &Protocol::Tcp));
    }
    for header in [&line[..], &binary([192, 0, 2, 8])] {
        for _ in 0..TRIES {
            assert_eq!(open(HERE, port, header).read(&mut [0]).unwrap(), 0, "one of each is all");
        }
    }
    assert_eq!(open(HERE, port, &binary([192, 0, 2, 66])).read(&mut [0]).unwrap(), 0);
    node.wait_for("192.0.2.66 through 127.0.0.1:");
    node.wait_for("got no stream: its address is in FilterIps");
    assert_eq!(open(HERE, port, b"GET / HTTP/1.1\r\n\r\n").read(&mut [0]).unwrap_or(0), 0);
    node.wait_for("got no stream: began without a PROXY header");
    assert_eq!(silent.join().unwrap(), 0);
    node.wait_for("got no stream: sent no request in time");
    show.go_on(25);
    receivers.iter().for_each(|receiver| show.check(receiver));
}
