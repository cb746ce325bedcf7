//! The values that keys take: text in, a bounded typed value out, or what is wrong with the text in half a sentence.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::schema::suggestion;
use super::{IpList, Secret, Upstream};

/// A time in seconds, digits with or without decimals, within `range`; or in a unit `ms` or `s` of its own.
pub(super) fn seconds(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| time(text, Unit::Seconds, &range)
}

/// As [`seconds`], but number and `range` are in milliseconds.
pub(super) fn milliseconds(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| time(text, Unit::Milliseconds, &range)
}

/// A whole number within `range`.
pub(super) fn number(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> {
    move |text| {
        parsed(text).filter(|number| range.contains(number)).ok_or_else(|| {
            format!("{} is not a number from {} to {}", quoted(text), range.start(), range.end())
        })
    }
}

/// One of `choices`, in any case.
pub(super) fn choice<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(*chosen);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = suggestion(text, names.iter().copied());
        Err(format!("{} is not one of {}{hint}", quoted(text), names.join(", ")))
    }
}

/// Items with commas between them, none empty.
pub(super) fn list<T>(item: impl Fn(&str) -> Result<T, String>) -> impl Fn(&str) -> Result<Vec<T>, String> {
    move |text| {
        text.split(',')
            .map(|part| match part.trim() {
                "" => Err("an item of the list is empty".to_owned()),
                part => item(part),
            })
            .collect()
    }
}

/// What `parse` makes of it, where nothing is a value as well.
pub(super) fn some<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| parse(text).map(Some)
}

/// How many networks a datagram may cross.
pub(super) fn ttl(text: &str) -> Result<u8, String> {
    parsed(text)
        .filter(|ttl| *ttl != 0)
        .ok_or_else(|| format!("{} is not a number from 1 to 255", quoted(text)))
}

/// A port to listen on; 0 lets the system choose.
pub(super) fn port(text: &str) -> Result<u16, String> {
    parsed(text).ok_or_else(|| format!("{} is not a port (0 to 65535)", quoted(text)))
}

/// A port of another machine.
pub(super) fn remote_port(text: &str) -> Result<u16, String> {
    parsed(text)
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("{} is not a port (1 to 65535)", quoted(text)))
}

/// An address to listen on: an IP address, an IPv6 one with or without brackets, `localhost`, or `*` for any IPv4 one.
pub(super) fn bind(text: &str) -> Result<IpAddr, String> {
    match text {
        "*" => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        _ if text.eq_ignore_ascii_case("localhost") => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => parsed(without_brackets(text))
            .ok_or_else(|| format!("{} is not an IP address, `localhost` or `*`", quoted(text))),
    }
}

/// An IP address.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    parsed(without_brackets(text)).ok_or_else(|| format!("{} is not an IP address", quoted(text)))
}

/// Addresses and networks (`10.0.0.0/8`).
pub(super) fn ip_list(text: &str) -> Result<IpList, String> {
    list(ip_net)(text).map(IpList)
}

fn ip_net(text: &str) -> Result<IpNet, String> {
    let net: Option<IpNet> = match parsed::<IpAddr>(text) {
        // An IPv4 address is looked up as such, however it is written.
        Some(address) => Some(address.to_canonical().into()),
        None => parsed(text),
    };
    net.map(|net| net.trunc())
        .ok_or_else(|| format!("{} is not an IP address or network such as 10.0.0.0/8", quoted(text)))
}

/// A machine to connect to: a name or an address, an IPv6 one with or without brackets.
pub(super) fn host(text: &str) -> Result<String, String> {
    const HOST_NAME_BYTES_MAX: usize = 253; // RFC 1035 §2.3.4, less the length octets at both ends
    let text = without_brackets(text);
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if parsed::<IpAddr>(text).is_some() || (letters && text.len() <= HOST_NAME_BYTES_MAX) {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is not the name or the address of a host", quoted(text)))
    }
}

/// `http://host:port/path`.
pub(super) fn http_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").unwrap_or_default();
    let proper =
        !rest.is_empty() && !rest.starts_with(['/', ':']) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if proper { Ok(text.to_owned()) } else { Err(format!("{} is not http://host:port/path", quoted(text))) }
}

/// `ws://host:port/path`.
pub(super) fn ws_url(text: &str) -> Result<Upstream, String> {
    const URL_BYTES_MAX: usize = 1024;
    const PORT_DEFAULT: u16 = 80; // RFC 6455 §3
    let wrong = || format!("{} is not ws://host:port/path", quoted(text));
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    if scheme.eq_ignore_ascii_case("wss") {
        return Err("wss is not spoken here; pull from ws:// over a private network or tunnel".to_owned());
    }
    let printable = rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !scheme.eq_ignore_ascii_case("ws") || !printable || text.len() > URL_BYTES_MAX {
        return Err(wrong());
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (name, number) = match authority.rsplit_once(':') {
        Some((name, number)) if !number.ends_with(']') => (name, remote_port(number)?),
        _ => (authority, PORT_DEFAULT),
    };
    if name.is_empty() {
        return Err(wrong());
    }
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Ok(Upstream { host: host(name)?, port: number, target })
}

/// Origins as browsers send them (RFC 6454 §6.2), in lower case; `None` if any will do.
pub(super) fn origins(text: &str) -> Result<Option<Vec<String>>, String> {
    let origins = list(|item| {
        let host = item.split_once("://").map_or("", |(_, host)| host);
        if item == "*" || item == "null" || (!host.is_empty() && !host.contains(['/', ' '])) {
            Ok(item.to_ascii_lowercase())
        } else {
            Err(format!("{} is not an origin such as https://example.org", quoted(item)))
        }
    })(text)?;
    Ok((!origins.iter().any(|origin| origin == "*")).then_some(origins))
}

/// A secret, which is part of a path: letters, digits, and what else a path may have as it is (RFC 3986 §3.3).
pub(super) fn secret(text: &str) -> Result<Secret, String> {
    const SECRET_BYTES_MAX: usize = 256;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
    if !text.bytes().all(allowed) {
        return Err(
            "a secret has letters, digits and -._~!$&'()*+,;=:@ only, as it is part of a path".to_owned()
        );
    }
    if text.len() > SECRET_BYTES_MAX {
        return Err(format!("a secret has at most {SECRET_BYTES_MAX} letters"));
    }
    Ok(Secret::new(text.to_owned()))
}

/// What a plain number in a time means.
#[derive(Clone, Copy)]
enum Unit {
    Milliseconds,
    Seconds,
}

impl Unit {
    fn seconds(self) -> f64 {
        match self {
            Unit::Milliseconds => 0.001,
            Unit::Seconds => 1.0,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
        }
    }
}

fn time(text: &str, unit: Unit, range: &RangeInclusive<f64>) -> Result<Duration, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, written) = if let Some(digits) = lower.strip_suffix("ms") {
        (digits.trim_end(), Unit::Milliseconds)
    } else if let Some(digits) = lower.strip_suffix('s') {
        (digits.trim_end(), Unit::Seconds)
    } else {
        (lower.as_str(), unit)
    };
    // `f64` would take `1e3`, `inf` and `nan` as well.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: Option<f64> = if plain { parsed(digits) } else { None };
    let limit = |bound: &f64| Duration::from_secs_f64(bound * unit.seconds());
    number
        .and_then(|number| Duration::try_from_secs_f64(number * written.seconds()).ok())
        .filter(|time| (limit(range.start())..=limit(range.end())).contains(time))
        .ok_or_else(|| {
            let (text, unit) = (quoted(text), unit.suffix());
            format!("{text} is not a time from {} to {} {unit}", range.start(), range.end())
        })
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn without_brackets(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
}

/// `text` as it may be shown: what doesn't print is escaped, and what is long is cut.
fn quoted(text: &str) -> impl Display {
    const SHOWN_LETTERS_MAX: usize = 60;
    let more = if text.chars().nth(SHOWN_LETTERS_MAX).is_some() { "…" } else { "" };
    format!("{:?}{more}", text.chars().take(SHOWN_LETTERS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        let quiet = milliseconds(0.0..=1000.0);
        assert_eq!(quiet("0.5"), Ok(Duration::from_micros(500)));
        assert_eq!(quiet("2"), Ok(Duration::from_millis(2)));
        assert_eq!(quiet("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(quiet("3 MS"), Ok(Duration::from_millis(3)));
        let lag = seconds(0.1..=3600.0);
        assert_eq!(lag("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(lag("0.1"), Ok(Duration::from_millis(100)));
        for text in
            ["", "ms", "1e3", "inf", "nan", "-1", "+1", "1.2.3", ".", "0", "3601", "2 h", &"9".repeat(400)]
        {
            assert!(lag(text).is_err(), "{text}");
        }
        assert_eq!(quiet("1001").unwrap_err(), "\"1001\" is not a time from 0 to 1000 ms");
    }

    #[test]
    fn addresses_to_listen_on() {
        for (text, address) in [
            ("*", "0.0.0.0"),
            ("LocalHost", "127.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("::", "::"),
            ("[::1]", "::1"),
            ("239.1.2.3", "239.1.2.3"),
        ] {
            assert_eq!(bind(text), Ok(address.parse().unwrap()), "{text}");
        }
        for text in ["10.0.0.256", "example.org", "0.0.0.0:80", "[::1", "[]"] {
            assert!(bind(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_of_addresses_and_networks() {
        let list = ip_list("10.1.2.3/8, ::1 ,2001:db8::/32,192.168.0.7,::ffff:10.9.9.9").unwrap();
        for inside in ["10.255.0.1", "::1", "2001:db8::5", "192.168.0.7", "::ffff:192.168.0.7", "10.9.9.9"] {
            assert!(list.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "::2", "192.168.0.8"] {
            assert!(!list.contains(outside.parse().unwrap()), "{outside}");
        }
        for text in ["10.0.0.1,", "10.0.0.0/33", "example.org"] {
            assert!(ip_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn choices_and_numbers() {
        let choices = [("WEBSOCKET", 1), ("TCP", 2)];
        assert_eq!(choice(&choices)("WebSocket"), Ok(1));
        assert_eq!(
            choice(&choices)("websockets").unwrap_err(),
            "\"websockets\" is not one of WEBSOCKET, TCP (did you mean `WEBSOCKET`?)"
        );
        assert_eq!(number(0..=256)("256"), Ok(256));
        assert_eq!(number(0..=256)("257").unwrap_err(), "\"257\" is not a number from 0 to 256");
        assert_eq!(port("abc").unwrap_err(), "\"abc\" is not a port (0 to 65535)");
        assert!(port("65536").is_err() && port("0") == Ok(0) && remote_port("0").is_err());
    }

    #[test]
    fn hosts_urls_origins() {
        assert_eq!(host("[::1]").as_deref(), Ok("::1"));
        assert_eq!(host("edge-1.example.org").as_deref(), Ok("edge-1.example.org"));
        assert!(host("a b").is_err() && host("a:80").is_err() && host("").is_ok_and(|host| host.is_empty()));
        assert!(http_url("http://localhost:50000/monitor").is_ok());
        for text in ["localhost:50000", "https://a", "http://", "http:///monitor", "http://a b"] {
            assert!(http_url(text).is_err(), "{text}");
        }
        let url = |text| ws_url(text).map(|upstream| upstream.to_string());
        for (text, same) in [
            ("ws://a:8088/live", "ws://a:8088/live"),
            ("WS://edge.example.org", "ws://edge.example.org:80/"),
            ("ws://[::1]:1?key=a,b", "ws://[::1]:1/?key=a,b"),
            ("ws://[::1]/x", "ws://[::1]:80/x"),
        ] {
            assert_eq!(url(text).as_deref(), Ok(same));
        }
        for text in
            ["a:8088", "http://a:8088/live", "wss://a", "ws://", "ws:///live", "ws://a:0/", "ws://a:x/"]
        {
            assert!(url(text).is_err(), "{text}");
        }
        for text in ["ws://a b/", "ws://u@a/", "ws://a/#x", "ws://a/\u{7}", "ws://::1/"] {
            assert!(url(text).is_err(), "{text}");
        }
        assert_eq!(
            origins("https://Example.org,null"),
            Ok(Some(vec!["https://example.org".into(), "null".into()]))
        );
        assert_eq!(origins("*"), Ok(None));
        assert!(origins("example.org").is_err() && origins("https://example.org/").is_err());
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert!(secret("key_576588").unwrap().matches(b"key_576588"));
        for text in ["has/slash", "has space", &"x".repeat(257)] {
            assert!(!secret(text).unwrap_err().contains(text), "{text}");
        }
    }
}
