//! The player page and its scripts: what they are called, and how they are answered from memory.
//!
//! The page is asked for anew each time, and found unchanged by its tag. All else has the version of the whole in its
//! path, so that it can be kept for good: `/_/VERSION/page.js`. No stream's path has a second slash.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use crate::proto::http::{Content, Method, Request, Status, response};

/// The page or one of its scripts.
#[derive(Debug)]
pub struct Page {
    path: String,
    content_type: &'static str,
    cache_control: &'static str,
    /// Quoted, as it is sent.
    tag: String,
    body: Cow<'static, [u8]>,
}

/// What is served on `path`.
#[must_use]
pub fn page(path: &str) -> Option<&'static Page> {
    static PAGES: LazyLock<Vec<Page>> = LazyLock::new(pages);
    PAGES.iter().find(|page| page.path == path)
}

impl Page {
    /// The answer to `request`, a `GET` or `HEAD`: its head, and what follows that without a copy. `origins` are those of
    /// the pages that may have it in a frame, `None` is all.
    #[must_use]
    pub fn answer(&'static self, request: &Request, origins: Option<&[String]>) -> (Vec<u8>, &'static [u8]) {
        let policy = policy(origins);
        let connection = if request.keep_alive() { "keep-alive" } else { "close" };
        let mut headers = vec![
            ("Connection", connection),
            ("Cache-Control", self.cache_control),
            ("ETag", &self.tag),
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Security-Policy", &policy),
        ];
        if self.is_known_to(request) {
            return (response(Status::NotModified, &headers, Content::None), &[]);
        }
        headers.push(("Content-Type", self.content_type));
        let head = response(Status::Ok, &headers, Content::LengthOnly(self.body.len()));
        (head, if request.method == Method::Head { &[] } else { &self.body })
    }

    /// RFC 9110 §13.1.2. A proxy that compresses what it passes on makes the tag a weak one.
    fn is_known_to(&self, request: &Request) -> bool {
        request.list("If-None-Match").any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.tag)
    }
}

fn policy(origins: Option<&[String]>) -> Cow<'static, str> {
    match origins {
        None => CONTENT_SECURITY_POLICY.into(),
        Some(origins) => {
            format!("{CONTENT_SECURITY_POLICY}; frame-ancestors 'self' {}", origins.join(" ")).into()
        }
    }
}

/// Only what the node serves itself, with four exceptions: jsmpeg's decoder is WebAssembly, and jsmpeg comes with a style
/// sheet, put in empty and then filled; mpegts.js gives the video element a `blob:`; and some browsers don't take a WebSocket to this host
/// for `'self'`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' \
    'sha256-lRyplcblLyRa4o+ZUBNzXETDGwKXzgKgrWbiYOwfTLg='; img-src data:; media-src blob:; connect-src 'self' ws: wss:; \
    base-uri 'none'; form-action 'none'";

const INDEX: &str = include_str!("pages/index.html");

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, type and content of what the page loads.
const FILES: [(&str, &str, &[u8]); 18] = [
    ("page.css", CSS, include_bytes!("pages/page.css")),
    ("stage.css", CSS, include_bytes!("pages/stage.css")),
    ("arrival.js", JAVASCRIPT, include_bytes!("pages/arrival.js")),
    ("connection.js", JAVASCRIPT, include_bytes!("pages/connection.js")),
    ("controls.js", JAVASCRIPT, include_bytes!("pages/controls.js")),
    ("intake.js", JAVASCRIPT, include_bytes!("pages/intake.js")),
    ("jsmpeg.js", JAVASCRIPT, include_bytes!("pages/jsmpeg.js")),
    ("list.js", JAVASCRIPT, include_bytes!("pages/list.js")),
    ("mpegts.js", JAVASCRIPT, include_bytes!("pages/mpegts.js")),
    ("overlay.js", JAVASCRIPT, include_bytes!("pages/overlay.js")),
    ("page.js", JAVASCRIPT, include_bytes!("pages/page.js")),
    ("players.js", JAVASCRIPT, include_bytes!("pages/players.js")),
    ("session.js", JAVASCRIPT, include_bytes!("pages/session.js")),
    ("sound.js", JAVASCRIPT, include_bytes!("pages/sound.js")),
    ("ts.js", JAVASCRIPT, include_bytes!("pages/ts.js")),
    ("words.js", JAVASCRIPT, include_bytes!("pages/words.js")),
    ("vendor/mpegts.js", JAVASCRIPT, include_bytes!("pages/vendor/mpegts.js")),
    ("vendor/jsmpeg.min.js", JAVASCRIPT, include_bytes!("pages/vendor/jsmpeg.min.js")),
];

fn pages() -> Vec<Page> {
    let version = version();
    let tag = format!("\"{version}\"");
    let index = Page {
        path: "/".to_owned(),
        content_type: "text/html; charset=utf-8",
        cache_control: "no-cache",
        tag: tag.clone(),
        body: INDEX.replace("{{version}}", &version).into_bytes().into(),
    };
    let file = |(name, content_type, content): (&str, &'static str, &'static [u8])| Page {
        path: format!("/_/{version}/{name}"),
        content_type,
        cache_control: "public, max-age=31536000, immutable",
        tag: tag.clone(),
        body: content.into(),
    };
    std::iter::once(index).chain(FILES.map(file)).collect()
}

/// Changes with any change of any of them.
fn version() -> String {
    let mut hasher = DefaultHasher::new();
    (INDEX, FILES, CONTENT_SECURITY_POLICY).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::parse_request;

    fn answer(path: &str, method: &str, fields: &str) -> (String, &'static [u8]) {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let (request, _) = parse_request(head.as_bytes()).unwrap().unwrap();
        let (head, body) = page(&request.path).unwrap().answer(&request, None);
        (String::from_utf8(head).unwrap(), body)
    }

    /// Paths in the attributes of the page, as absolute ones.
    fn linked_from_index() -> Vec<String> {
        let (_, index) = answer("/", "GET", "");
        let index = std::str::from_utf8(index).unwrap();
        index.split('"').filter(|value| value.starts_with("_/")).map(|path| format!("/{path}")).collect()
    }

    #[test]
    fn the_page_is_checked_each_time_and_its_files_never() {
        let (head, body) = answer("/", "GET", "");
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\nCache-Control: no-cache\r\n"),
            "{head}"
        );
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
        assert_eq!(linked_from_index().len(), 3);
        for path in linked_from_index() {
            let (head, body) = answer(&path, "GET", "");
            assert!(head.contains("immutable") && !body.is_empty(), "{path}: {head}");
        }
        assert!(page("/live").is_none() && page("/_/0/page.js").is_none());
    }

    #[test]
    fn scripts_import_only_what_is_served() {
        for (_, content_type, content) in FILES.iter().filter(|(name, ..)| !name.starts_with("vendor/")) {
            let text = std::str::from_utf8(content).unwrap();
            assert!(*content_type != JAVASCRIPT || !text.contains("://"), "an outside address");
            for import in text.split("from \"./").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(FILES.iter().any(|(name, ..)| *name == import), "{import}");
            }
        }
    }

    #[test]
    fn only_pages_that_may_play_have_it_in_a_frame() {
        assert!(!policy(None).contains("frame-ancestors"));
        let origins = ["https://a.example".to_owned(), "https://b.example".to_owned()];
        assert!(
            policy(Some(&origins)).ends_with("; frame-ancestors 'self' https://a.example https://b.example")
        );
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let tag = &page("/").unwrap().tag;
        for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let (head, body) = answer("/", "GET", &format!("If-None-Match: {known}\r\n"));
            assert!(
                head.starts_with("HTTP/1.1 304 ") && !head.contains("Content-Length") && body.is_empty(),
                "{head}"
            );
        }
        assert!(answer("/", "GET", "If-None-Match: \"x\"\r\n").0.starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn head_has_no_body_and_close_is_echoed() {
        let (get, body) = answer("/", "GET", "");
        assert_eq!(answer("/", "HEAD", ""), (get, &body[..0]));
        assert!(answer("/", "GET", "Connection: close\r\n").0.contains("\r\nConnection: close\r\n"));
    }
}
