//! From a request to what becomes of it. Pure.

use std::borrow::Cow;

use serde_json::json;

use super::Settings;
use super::directory::{Directory, audio_token, video_token};
use super::pages;
use super::shard::Shard;
use crate::config::{self, ReceiverPort};
use crate::identity::NodeId;
use crate::mailbox::{StreamId, StreamStatus};
use crate::proto::http::{BodyKind, Content, Method, Request, Status, refusal, response};
use crate::proto::relay::{self, Origin};
use crate::proto::ws;

/// Where the list of streams is. No stream's path has a second slash.
const STREAMS_PATH: &str = "/_/streams.json";

/// What becomes of a request.
#[derive(Debug)]
pub enum Route {
    /// It is answered.
    Answer(Answer),
    /// It becomes a WebSocket, opened with these bytes, on which the stream is sent.
    WebSocket(StreamId, Vec<u8>),
    /// It becomes the same for a node, which is also told where what it is sent stands in the stream. It has had the stream
    /// as far as said.
    Relay(StreamId, Vec<u8>, Option<Origin>),
    /// It is answered by this head and then the stream, without end.
    Http(StreamId, Vec<u8>),
}

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// The head, and for small answers the body as well.
    pub head: Vec<u8>,
    /// The rest of the body.
    pub body: &'static [u8],
    /// The connection is then open for another request.
    pub keep_alive: bool,
}

impl Answer {
    /// Says in words why there is nothing else, after which the connection is closed.
    #[must_use]
    pub fn refusal(status: Status, words: &str) -> Answer {
        Answer::closing(refusal(status, &[], words))
    }

    fn closing(head: Vec<u8>) -> Answer {
        Answer { head, body: b"", keep_alive: false }
    }
}

/// Finds what `request`, which came in through `port`, asks for.
#[must_use]
pub fn route(
    request: &Request,
    settings: &Settings,
    port: &ReceiverPort,
    shard: &Shard,
    directory: &mut Directory,
) -> Route {
    let stream_named =
        |name: &str| settings.streams.iter().position(|(stream, _)| stream == name).map(StreamId);
    let path = request.path.strip_prefix('/').unwrap_or(&request.path);
    if ws::is_upgrade(request) {
        return match if path.is_empty() { Some(port.stream) } else { stream_named(path) } {
            None => Route::Answer(unknown(path)),
            Some(stream) if request.list("Sec-WebSocket-Protocol").next() == Some(relay::SUBPROTOCOL) => {
                relay(request, settings, port, stream, shard.status(stream))
            }
            Some(stream) => match ws::handshake(request, port.origins.as_deref(), &[]) {
                Ok(head) => Route::WebSocket(stream, head),
                Err(error) => Route::Answer(Answer::closing(error.response())),
            },
        };
    }
    if !matches!(request.method, Method::Get | Method::Head) {
        let refusal = refusal(
            Status::MethodNotAllowed,
            &[("Allow", "GET, HEAD")],
            "this port is for receiving streams",
        );
        return Route::Answer(Answer::closing(refusal));
    }
    if !matches!(request.body(), Ok(BodyKind::None | BodyKind::Length(0))) {
        // It would be taken for the next request.
        return Route::Answer(Answer::refusal(Status::BadRequest, "a request for a stream has no body"));
    }
    if let Some(page) = pages::page(&request.path) {
        let (head, body) = page.answer(request, port.origins.as_deref());
        return Route::Answer(Answer { head, body, keep_alive: request.keep_alive() });
    }
    if request.path == STREAMS_PATH {
        return Route::Answer(match port.directory {
            config::Directory::On => {
                json_answer(request, port, "max-age=2", directory.json(&settings.streams, shard))
            }
            config::Directory::Off => {
                Answer::refusal(Status::NotFound, "this node does not list its streams")
            }
        });
    }
    match path.rsplit_once('.') {
        Some((name, "ts")) => match stream_named(name) {
            Some(stream) => http_stream(request, port, stream),
            None => Route::Answer(unknown(name)),
        },
        Some((name, "json")) => match stream_named(name) {
            Some(stream) => Route::Answer(status_answer(request, port, name, shard.status(stream))),
            None => Route::Answer(unknown(name)),
        },
        _ if stream_named(path).is_some() => {
            let headers = [("Upgrade", "websocket"), ("Connection", "Upgrade")];
            let words =
                format!("this is a WebSocket; a person watches at /?stream={path}, a player at /{path}.ts");
            Route::Answer(Answer::closing(refusal(Status::UpgradeRequired, &headers, &words)))
        }
        _ => Route::Answer(unknown(path)),
    }
}

/// A node wants the stream. It gets it unless it is one of those that the stream comes through.
fn relay(
    request: &Request,
    settings: &Settings,
    port: &ReceiverPort,
    stream: StreamId,
    status: &StreamStatus,
) -> Route {
    let puller: Option<NodeId> = request.header(relay::NODE_HEADER).and_then(|id| id.parse().ok());
    if let Some(puller) = puller
        && (puller == settings.identity || status.path.contains(&puller))
    {
        let words = format!("that would be a loop: the stream comes to this node through node {puller}");
        return Route::Answer(Answer::refusal(Status::Conflict, &words));
    }
    let identity = settings.identity.to_string();
    match ws::handshake(request, port.origins.as_deref(), &[(relay::NODE_HEADER, &identity)]) {
        Ok(mut head) => {
            let after = request.header(relay::AFTER_HEADER).and_then(|after| after.parse().ok());
            head.extend(ws::text(&relay::path_text(settings.identity, &status.path)));
            Route::Relay(stream, head, after)
        }
        Err(error) => Route::Answer(Answer::closing(error.response())),
    }
}

fn unknown(name: &str) -> Answer {
    let name: String = name.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
    Answer::refusal(Status::NotFound, &format!("there is no stream \"{name}\" here"))
}

fn http_stream(request: &Request, port: &ReceiverPort, stream: StreamId) -> Route {
    let Some(allowed_origin) = allowed_origin(request, port) else {
        return Route::Answer(Answer::refusal(Status::Forbidden, "pages of this origin may not play it"));
    };
    let headers = [
        ("Content-Type", "video/mp2t"),
        ("Cache-Control", "no-store"),
        ("Access-Control-Allow-Origin", &allowed_origin),
        // nginx must hand on what it gets, at once.
        ("X-Accel-Buffering", "no"),
    ];
    let head = response(Status::Ok, &headers, Content::UntilClose);
    if request.method == Method::Head {
        return Route::Answer(Answer::closing(head));
    }
    Route::Http(stream, head)
}

/// The value of `Access-Control-Allow-Origin`; `None` for a page from where it may not be read.
fn allowed_origin<'a>(request: &'a Request, port: &ReceiverPort) -> Option<Cow<'a, str>> {
    let allowed = ws::origin_is_allowed(request, port.origins.as_deref());
    let named = port.origins.as_ref().and(request.header("Origin"));
    allowed.then(|| named.map_or(Cow::from("*"), Cow::from))
}

/// What a page wants to know of a stream before it plays it.
fn status_answer(request: &Request, port: &ReceiverPort, name: &str, status: &StreamStatus) -> Answer {
    let body = json!({
        "stream": name,
        "live": status.live,
        "video": status.codecs.video.map(video_token),
        "audio": status.codecs.audio.map(audio_token),
    });
    json_answer(request, port, "no-store", &body.to_string())
}

fn json_answer(request: &Request, port: &ReceiverPort, cache_control: &str, body: &str) -> Answer {
    let Some(allowed_origin) = allowed_origin(request, port) else {
        return Answer::refusal(Status::Forbidden, "pages of this origin may not read it");
    };
    let headers = [
        ("Connection", if request.keep_alive() { "keep-alive" } else { "close" }),
        ("Content-Type", "application/json"),
        ("Cache-Control", cache_control),
        ("Access-Control-Allow-Origin", &allowed_origin),
        ("Vary", "Origin"),
    ];
    let content = match request.method {
        Method::Head => Content::LengthOnly(body.len()),
        _ => Content::Whole(body.as_bytes()),
    };
    Answer { head: response(Status::Ok, &headers, content), body: b"", keep_alive: request.keep_alive() }
}
