//! Publishers over HTTP.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};

use tsstream::config::{Authority, InputProtocol, IpList, Secret, Stream, Takeover};

use crate::node::{Node, connect, connect_from, noise, read_to_close, request, stream};

fn http(name: &str, secret: &str) -> Stream {
    Stream { secret: Secret::new(secret.to_owned()), ..stream(name, InputProtocol::Http) }
}

/// What is answered to a request, whose sender then waits.
#[track_caller]
fn answer(to: SocketAddr, sent: &str) -> String {
    read_to_close(&mut request(to, sent))
}

#[track_caller]
fn status(to: SocketAddr, sent: &str) -> u16 {
    let answer = answer(to, sent);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

#[test]
fn a_body_in_chunks_as_ffmpeg_sends_it() {
    let mut node = Node::start(&[http("live", "s3")]);
    node.subscribe(0);
    let head = "POST /s3 HTTP/1.1\r\nUser-Agent: Lavf/61.7.100\r\nAccept: */*\r\nTransfer-Encoding: chunked\r\n\
                Expect: 100-continue\r\nConnection: close\r\nHost: a\r\nIcy-MetaData: 1\r\n\r\n";
    let mut publisher = request(node.address(0), head);
    let mut interim = [0; 25];
    publisher.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    let pushed = noise(500_000);
    for portion in pushed.chunks(4001) {
        write!(publisher, "{:x}\r\n", portion.len()).unwrap();
        publisher.write_all(portion).unwrap();
        publisher.write_all(b"\r\n").unwrap();
    }
    publisher.write_all(b"0\r\n\r\n").unwrap();
    assert!(read_to_close(&mut publisher).starts_with("HTTP/1.1 200 OK\r\n"));
    let seen = node.until(0, "everything", |seen| seen.bytes().len() == pushed.len() && !seen.live());
    assert!(seen.bytes() == pushed);
}

#[test]
fn a_body_with_a_length_and_one_until_close() {
    let mut node = Node::start(&[http("live", "")]);
    node.subscribe(0);
    assert_eq!(
        status(node.address(0), "PUT /live HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"),
        200
    );
    node.until(0, "first", |seen| seen.bytes() == b"first" && !seen.live());
    let mut publisher = request(node.address(0), "POST / HTTP/1.0\r\n\r\nsec");
    publisher.write_all(b"ond").unwrap();
    publisher.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_close(&mut publisher).starts_with("HTTP/1.1 200 OK\r\n"));
    node.until(0, "second", |seen| seen.bytes() == b"firstsecond" && !seen.live());
}

#[test]
fn streams_on_one_port_are_told_apart_by_path() {
    let mut node = Node::start(&[http("live", "s3"), http("cam2", "s3"), http("cam3", "s4")]);
    assert_eq!(node.address(0), node.address(2));
    for (index, (line, field)) in
        [("/s3", "A: b"), ("/cam2", "Authorization: Bearer s3"), ("/s4", "A: b")].into_iter().enumerate()
    {
        node.subscribe(index);
        let sent = format!("POST {line} HTTP/1.1\r\nHost: a\r\n{field}\r\nContent-Length: 1\r\n\r\n{index}");
        assert_eq!(status(node.address(0), &sent), 200);
        node.until(index, line, |seen| seen.bytes() == index.to_string().as_bytes());
    }
}

#[test]
fn refusals_can_be_read() {
    let node = Node::start(&[http("live", "s3"), http("cam2", "s3")]);
    let large = "x".repeat(8 * 1024);
    let unread = "x".repeat(300_000);
    for (expected, sent) in [
        (403, "POST /s4 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (403, format!("POST /live HTTP/1.1\r\nHost: a\r\n\r\n{unread}")),
        (403, "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer S3\r\n\r\n".to_owned()),
        (404, "POST /s3/cam3 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n".to_owned()),
        (405, "GET /s3 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (405, "DELETE /s3 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "POST /s3\r\n\r\n".to_owned()),
        (400, "\u{16}\u{3}\u{1}".to_owned()),
        (400, "POST /s3 HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned()),
        (400, "POST /s3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk".to_owned()),
        (501, "POST /s3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned()),
        (431, format!("POST /s3 HTTP/1.1\r\nHost: a\r\nX: {large}\r\n\r\n{unread}")),
    ] {
        assert_eq!(status(node.address(0), &sent), expected, "{}", &sent[..sent.len().min(60)]);
    }
    let explained = answer(node.address(0), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(explained.contains("\r\nAllow: POST, PUT\r\n") && explained.contains("publisher"), "{explained}");
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let node = Node::start(&[http("live", "s3")]);
    assert_eq!(status(node.address(0), "POST /s3 HTTP/1.1\r\nHost: a\r\n"), 408);
}

#[test]
fn a_second_publisher_is_refused_or_takes_over() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut node = Node::start(&[Stream { takeover: Takeover::Never, ..http("live", "") }]);
    let _first = request(node.address(0), &format!("{head}first"));
    node.until(0, "live", |seen| seen.live());
    assert_eq!(status(node.address(0), head), 409);

    let mut node = Node::start(&[http("live", "")]);
    node.subscribe(0);
    let mut first = request(node.address(0), &format!("{head}first"));
    node.until(0, "live", |seen| seen.live());
    let _second = request(node.address(0), &format!("{head}second"));
    read_to_close(&mut first);
    node.until(0, "both", |seen| seen.bytes() == b"firstsecond");
}

#[test]
fn only_who_is_listed_may_publish() {
    let authority = Authority::Only(IpList(vec!["127.0.0.2/32".parse().unwrap()]));
    let mut node = Node::start_with(&[http("live", "")], authority, 100);
    node.subscribe(0);
    let sent = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(status(node.address(0), sent), 403);
    connect_from([127, 0, 0, 2], node.address(0)).write_all(sent.as_bytes()).unwrap();
    node.until(0, "allowed", |seen| seen.bytes() == b"hi");
}

#[test]
fn connections_without_a_request_make_room() {
    let mut node = Node::start(&[http("live", "")]);
    node.subscribe(0);
    let mut idle: Vec<_> = (0..257).map(|_| connect(node.address(0))).collect();
    assert_eq!(read_to_close(&mut idle[0]), "", "the oldest had to go");
    let newest = idle.last_mut().unwrap();
    newest.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    node.until(0, "the newest", |seen| seen.bytes() == b"hi");
}

#[test]
fn a_publisher_that_breaks_off_is_gone() {
    let mut node = Node::start(&[http("live", "")]);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for broken in ["5\r\nfi", "nonsense"] {
        let mut publisher = request(node.address(0), &format!("{head}5\r\nfirst\r\n"));
        node.until(0, "live", |seen| seen.live());
        publisher.write_all(broken.as_bytes()).unwrap();
        publisher.shutdown(Shutdown::Write).unwrap();
        node.until(0, "gone", |seen| !seen.live());
    }
}
