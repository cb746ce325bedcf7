//! The header by which a proxy says for whom it connects: the PROXY protocol, versions 1 and 2, as HAProxy specifies it
//! (proxy-protocol.txt, the sections of which are named below). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The most bytes of a header. Version 2 would allow for 64 KiB of what a proxy may add to the addresses.
pub const HEADER_BYTES_MAX: usize = 2048;

/// The longest line of version 1, with its end (§2.1).
const LINE_BYTES_MAX: usize = 107;

/// How version 1 begins.
const LINE_START: &[u8] = b"PROXY ";

/// How version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Of version 2: the signature; version and command; family and transport; the length of what follows.
const FIXED_BYTES: usize = 16;

/// Version and command: the proxy connects for itself, or for somebody (§2.2).
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Family and transport: a stream over IPv4, or over IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// The highest numbers of a family (Unix sockets) and of a transport (datagrams) that there are.
const FAMILY_MAX: u8 = 3;
const TRANSPORT_MAX: u8 = 2;

/// For whom a proxy connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// For itself, as when it looks whether we are there; or for somebody without an address of use here.
    Itself,
    /// For this one.
    Client(SocketAddr),
}

/// Why a connection does not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHeader {
    /// It begins with something else.
    Absent,
    /// It begins like a header and does not go on like one.
    Malformed,
}

/// Reads the header that a connection begins with; with it comes its length in bytes. `Ok(None)` consumes nothing and
/// asks to be called again with more; that ends at [`HEADER_BYTES_MAX`].
///
/// # Errors
/// When no more bytes can make it a header.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, NoHeader> {
    let begins_with = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    if begins_with(LINE_START) {
        parse_line(bytes)
    } else if begins_with(SIGNATURE) {
        parse_binary(bytes)
    } else {
        Err(NoHeader::Absent)
    }
}

/// Version 1, a line of text: `PROXY TCP4 192.0.2.1 192.0.2.2 40000 80`.
fn parse_line(bytes: &[u8]) -> Result<Option<(Header, usize)>, NoHeader> {
    let bytes = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(None) } else { Err(NoHeader::Malformed) };
    };
    let line = str::from_utf8(&bytes[LINE_START.len()..end]).map_err(|_| NoHeader::Malformed)?;
    Ok(Some((words(line).ok_or(NoHeader::Malformed)?, end + 2)))
}

fn words(line: &str) -> Option<Header> {
    let mut words = line.split(' ');
    let ip: fn(&str) -> Option<IpAddr> = match words.next()? {
        "TCP4" => |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        // What else is in the line is not to be looked at.
        "UNKNOWN" => return Some(Header::Itself),
        _ => return None,
    };
    let (source, _destination) = (ip(words.next()?)?, ip(words.next()?)?);
    let (port, _destination_port) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then_some(Header::Client(SocketAddr::new(source, port)))
}

/// Decimal, without sign or leading zeros.
fn port(word: &str) -> Option<u16> {
    let port: u16 = word.parse().ok()?;
    (port.to_string() == word).then_some(port)
}

/// Version 2, binary.
fn parse_binary(bytes: &[u8]) -> Result<Option<(Header, usize)>, NoHeader> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else { return Ok(None) };
    let [.., version_and_command, family_and_transport, high, low] = *fixed;
    let rest_bytes = usize::from(u16::from_be_bytes([high, low]));
    let (family, transport) = (family_and_transport >> 4, family_and_transport & 0xf);
    if !matches!(version_and_command, LOCAL | PROXY) || family > FAMILY_MAX || transport > TRANSPORT_MAX {
        return Err(NoHeader::Malformed);
    }
    if FIXED_BYTES + rest_bytes > HEADER_BYTES_MAX {
        return Err(NoHeader::Malformed);
    }
    let Some(rest) = rest.get(..rest_bytes) else { return Ok(None) };
    let source = match (version_and_command, family_and_transport) {
        (PROXY, TCP4) => source::<4>(rest).map(|(ip, port)| Header::Client((ip, port).into())),
        (PROXY, TCP6) => source::<16>(rest).map(|(ip, port)| Header::Client((ip, port).into())),
        _ => Some(Header::Itself),
    };
    Ok(Some((source.ok_or(NoHeader::Malformed)?, FIXED_BYTES + rest_bytes)))
}

/// The source of the two addresses, of `N` bytes each, that are followed by their two ports, if all that is there.
fn source<const N: usize>(bytes: &[u8]) -> Option<([u8; N], u16)> {
    let (source, bytes) = bytes.split_first_chunk::<N>()?;
    let (_destination, bytes) = bytes.split_first_chunk::<N>()?;
    let (port, bytes) = bytes.split_first_chunk::<2>()?;
    let _destination_port = bytes.first_chunk::<2>()?;
    Some((*source, u16::from_be_bytes(*port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Header {
        Header::Client(address.parse().unwrap())
    }

    fn binary(version_and_command: u8, family_and_transport: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[version_and_command, family_and_transport], &length, rest].concat()
    }

    #[track_caller]
    fn is_header(bytes: &[u8], header: Header) {
        assert_eq!(parse(bytes), Ok(Some((header, bytes.len()))), "{}", bytes.escape_ascii());
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]), Ok(None), "{}", bytes[..length].escape_ascii());
        }
        assert_eq!(parse(&[bytes, b"GET /"].concat()), Ok(Some((header, bytes.len()))), "with more after it");
    }

    #[test]
    fn lines() {
        is_header(b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\r\n", client("192.0.2.1:40000"));
        is_header(b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", client("[2001:db8::1]:0"));
        is_header(b"PROXY UNKNOWN\r\n", Header::Itself);
        let longest = "f".repeat(4) + &":ffff".repeat(7);
        is_header(format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n").as_bytes(), Header::Itself);
    }

    #[test]
    fn lines_that_are_not_in_order() {
        for line in [
            "TCP4 192.0.2.1 192.0.2.2 40000",
            "TCP4 192.0.2.1 192.0.2.2 40000 80 ",
            "TCP4  192.0.2.1 192.0.2.2 40000 80",
            "TCP4 192.0.2.1 192.0.2.2 65536 80",
            "TCP4 192.0.2.1 192.0.2.2 +1 80",
            "TCP4 192.0.2.1 192.0.2.2 01 80",
            "TCP4 192.0.2.01 192.0.2.2 1 80",
            "TCP4 ::1 ::1 1 80",
            "TCP6 192.0.2.1 192.0.2.2 1 80",
            "tcp4 192.0.2.1 192.0.2.2 1 80",
            "UDP4 192.0.2.1 192.0.2.2 1 80",
            "",
        ] {
            let bytes = format!("PROXY {line}\r\n");
            assert_eq!(parse(bytes.as_bytes()), Err(NoHeader::Malformed), "{line}");
        }
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
        assert_eq!(parse(&endless.as_bytes()[..LINE_BYTES_MAX - 1]), Ok(None));
        assert_eq!(parse(&endless.as_bytes()[..LINE_BYTES_MAX]), Err(NoHeader::Malformed));
    }

    #[test]
    fn binary_headers() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40, 0, 80];
        is_header(&binary(PROXY, TCP4, &v4), client("192.0.2.1:40000"));
        let with_more = [&v4[..], b"\x04\x00\x03abc"].concat();
        is_header(&binary(PROXY, TCP4, &with_more), client("192.0.2.1:40000"));
        let ip = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
        let v6 = [&ip[..], &ip[..], &[0, 1, 0, 2]].concat();
        is_header(&binary(PROXY, TCP6, &v6), client("[2001:db8::1]:1"));
        is_header(&binary(LOCAL, TCP4, &v4), Header::Itself);
        is_header(&binary(LOCAL, 0, &[]), Header::Itself);
        is_header(&binary(PROXY, 0x31, &[7; 216]), Header::Itself);
        is_header(&binary(PROXY, 0x12, &v4), Header::Itself);
        is_header(&binary(PROXY, 0, &[0; HEADER_BYTES_MAX - FIXED_BYTES]), Header::Itself);
    }

    #[test]
    fn binary_headers_that_are_not_in_order() {
        for bytes in [
            binary(0x11, TCP4, &[0; 12]),
            binary(0x22, TCP4, &[0; 12]),
            binary(PROXY, 0x41, &[0; 12]),
            binary(PROXY, 0x13, &[0; 12]),
            binary(PROXY, TCP4, &[0; 11]),
            binary(PROXY, TCP6, &[0; 35]),
            binary(PROXY, 0, &[0; HEADER_BYTES_MAX - FIXED_BYTES + 1]),
        ] {
            assert_eq!(parse(&bytes), Err(NoHeader::Malformed), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn something_else() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PUT ", b"PRX", b"\r\n\r\nGET", b"proxy ", b"\0"] {
            assert_eq!(parse(bytes), Err(NoHeader::Absent), "{}", bytes.escape_ascii());
        }
        assert_eq!(parse(b""), Ok(None));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_answered_within_the_bound(
            start in 0_usize..3, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..3000),
        ) {
            let bytes = [[LINE_START, SIGNATURE, b""][start], &bytes].concat();
            match parse(&bytes) {
                Ok(Some((_, length))) => assert!(length <= bytes.len().min(HEADER_BYTES_MAX)),
                Ok(None) => assert!(bytes.len() < HEADER_BYTES_MAX),
                Err(_) => {}
            }
        }
    }
}
