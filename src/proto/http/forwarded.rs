//! Whom a request comes from, where proxies have passed it on: `X-Forwarded-For`, to which each of them adds the address
//! of whoever asked it. Pure.

use std::net::{IpAddr, SocketAddr};

use super::Request;

/// The header field.
const FIELD: &str = "X-Forwarded-For";

/// The address that `request` comes from according to the proxies that `is_trusted` knows: the last one in the list that
/// is not a trusted proxy, for what stands before that anybody can have written. Where all are trusted, it is the first.
/// `None`: the list tells nothing.
///
/// To be asked only of a request that a trusted proxy brings.
#[must_use]
pub fn forwarded_for(request: &Request, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut client = None;
    for member in request.list(FIELD).rev() {
        // What is no address (`unknown`) was written by the proxy before, or by whoever asked that: nobody knows.
        let Some(address) = address(member) else { break };
        client = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// Some proxies add the port.
fn address(member: &str) -> Option<IpAddr> {
    let bare = member.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(member);
    let ip = bare.parse().ok().or_else(|| member.parse().ok().map(|address: SocketAddr| address.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::super::parse_request;
    use super::*;

    fn from(fields: &str) -> Option<String> {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let (request, _) = parse_request(head.as_bytes()).unwrap().unwrap();
        let trusted = ["10.0.0.1", "10.0.0.2"].map(|it| it.parse::<IpAddr>().unwrap());
        forwarded_for(&request, |address| trusted.contains(&address)).map(|address| address.to_string())
    }

    #[test]
    fn the_last_that_is_no_proxy_of_ours() {
        for (fields, address) in [
            ("", None),
            ("X-Forwarded-For: 192.0.2.7\r\n", Some("192.0.2.7")),
            ("x-forwarded-for: 192.0.2.66, 192.0.2.7\r\n", Some("192.0.2.7")),
            ("X-Forwarded-For: 192.0.2.66,192.0.2.7 ,10.0.0.2\r\n", Some("192.0.2.7")),
            ("X-Forwarded-For: 192.0.2.66\r\nX-Forwarded-For: 192.0.2.7, 10.0.0.1\r\n", Some("192.0.2.7")),
            ("X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", Some("10.0.0.1")),
            ("X-Forwarded-For: 192.0.2.7, unknown, 10.0.0.2\r\n", Some("10.0.0.2")),
            ("X-Forwarded-For: unknown\r\n", None),
            ("X-Forwarded-For: , ,\r\n", None),
        ] {
            assert_eq!(from(fields).as_deref(), address, "{fields:?}");
        }
    }

    #[test]
    fn however_an_address_is_written() {
        for (written, address) in [
            ("192.0.2.7:4711", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(from(&format!("X-Forwarded-For: {written}\r\n")).as_deref(), Some(address));
        }
    }
}
