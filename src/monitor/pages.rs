//! The page and what it loads, from memory.

use crate::proto::http::Method;
use crate::web::answer::answer;
use crate::web::{Answer, Body};

/// A file of the page.
#[derive(Debug)]
pub struct Page {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

/// Only what the monitor serves itself; no script and no style within the page. (The icon is a `data:`.)
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const PAGES: [Page; 8] = [
    Page { path: "/", content_type: "text/html; charset=utf-8", content: include_bytes!("page/index.html") },
    Page {
        path: "/monitor.css",
        content_type: "text/css; charset=utf-8",
        content: include_bytes!("page/monitor.css"),
    },
    Page { path: "/monitor.js", content_type: JAVASCRIPT, content: include_bytes!("page/monitor.js") },
    Page { path: "/layout.js", content_type: JAVASCRIPT, content: include_bytes!("page/layout.js") },
    Page { path: "/drawing.js", content_type: JAVASCRIPT, content: include_bytes!("page/drawing.js") },
    Page { path: "/details.js", content_type: JAVASCRIPT, content: include_bytes!("page/details.js") },
    Page { path: "/view.js", content_type: JAVASCRIPT, content: include_bytes!("page/view.js") },
    Page { path: "/words.js", content_type: JAVASCRIPT, content: include_bytes!("page/words.js") },
];

/// What is served on `path`.
#[must_use]
pub fn page(path: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.path == path)
}

impl Page {
    /// The answer to a `GET` or `HEAD` of it.
    #[must_use]
    pub fn answer(&self, method: Method) -> Answer {
        let headers = [
            ("Connection", "close"),
            ("Content-Type", self.content_type),
            ("Cache-Control", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
        ];
        answer(method, &headers, Body::Fixed(self.content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_only_what_is_served_and_sets_no_markup() {
        for page in &PAGES {
            let text = std::str::from_utf8(page.content).unwrap();
            for import in text.split("from \"./").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(super::page(&format!("/{import}")).is_some(), "{import}");
            }
            if page.content_type == JAVASCRIPT {
                for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                    assert!(!text.contains(word), "{}: {word}", page.path);
                }
            }
            // No address of another machine, but for the name of the SVG namespace and that of the icon.
            let addresses = text.matches("://").count() - text.matches("http://www.w3.org/").count();
            assert_eq!(addresses, 0, "{}", page.path);
        }
    }
}
