//! Which requests may be those of a page that somebody's browser has open elsewhere, and are refused. Pure.
//!
//! The admin port asks for no password: who reaches it may use it. A browser on the same machine reaches it as well, on
//! behalf of any page. Of another site's page it sends `Origin` or `Sec-Fetch-Site`, which tell. A page may also have the
//! name of its own site lead to this machine (DNS rebinding): then the `Host` is a name of theirs, so that where it
//! matters only addresses and `localhost` are taken.

use std::net::{IpAddr, SocketAddr};

use crate::proto::http::Request;

/// What may be asked for by a name as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// None but `localhost`.
    Local,
    /// Any: what is read there is no secret to those who can reach the port.
    Any,
}

/// Whether `request` may be heard.
///
/// # Errors
/// Why not.
pub fn check(request: &Request, names: Names) -> Result<(), &'static str> {
    let host = request.header("Host").unwrap_or_default();
    if names == Names::Local && !is_address_or_localhost(host) {
        return Err("ask by address or as localhost: another name in Host may be a page's trick");
    }
    let other_site = |site: &str| !["same-origin", "none"].contains(&site);
    if request.header("Sec-Fetch-Site").is_some_and(other_site) {
        return Err("pages of other sites are not answered");
    }
    let same_origin = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority == host);
    match request.header("Origin") {
        Some(origin) if !same_origin(origin) => Err("pages of other sites are not answered"),
        _ => Ok(()),
    }
}

fn is_address_or_localhost(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    host.parse::<SocketAddr>().is_ok()
        || name.parse::<IpAddr>().is_ok()
        || (name.starts_with('[') && name.ends_with(']') && name[1..name.len() - 1].parse::<IpAddr>().is_ok())
        || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::parse_request;

    fn verdict(names: Names, fields: &str) -> bool {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
        check(&parse_request(head.as_bytes()).unwrap().unwrap().0, names).is_ok()
    }

    #[test]
    fn pages_of_other_sites_are_told_by_what_browsers_say() {
        let local = |fields: &str| verdict(Names::Local, fields);
        for host in ["127.0.0.1:9000", "127.0.0.1", "[::1]:9000", "[::1]", "localhost:9000", "LocalHost"] {
            assert!(local(&format!("Host: {host}")), "{host}");
        }
        for host in ["rebound.example:9000", "localhost.example", "", "127.0.0.1.example", "[x]", "[]", "["] {
            assert!(!local(&format!("Host: {host}")), "{host}");
        }
        assert!(verdict(Names::Any, "Host: node-1.example:9000"));
        assert!(local(
            "Host: 127.0.0.1:9000\r\nOrigin: http://127.0.0.1:9000\r\nSec-Fetch-Site: same-origin"
        ));
        assert!(local("Host: 127.0.0.1:9000\r\nSec-Fetch-Site: none"));
        for names in [Names::Local, Names::Any] {
            for said in ["Origin: http://127.0.0.1:3000", "Origin: null", "Origin: https://a.example"] {
                assert!(!verdict(names, &format!("Host: 127.0.0.1:9000\r\n{said}")), "{said}");
            }
            for said in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"] {
                assert!(!verdict(names, &format!("Host: 127.0.0.1:9000\r\n{said}")), "{said}");
            }
        }
    }
}
