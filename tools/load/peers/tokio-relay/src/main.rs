//! A relay as it is usually written in Rust: a task per viewer, a broadcast channel between.
//!
//! `tokio-relay FEED_PORT VIEWERS_PORT`: what comes over TCP to the one goes, as it is read, to every WebSocket of the other.

use std::error::Error;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Messages that a viewer may be behind.
const QUEUE: usize = 256;

const READ_BYTES: usize = 64 * 1024;

#[tokio::main]
async fn main() -> Outcome {
    let mut ports = std::env::args().skip(1).map(|port| port.parse::<u16>());
    let (Some(Ok(feed_port)), Some(Ok(viewers_port))) = (ports.next(), ports.next()) else {
        return Err("usage: tokio-relay FEED_PORT VIEWERS_PORT".into());
    };
    let (sender, _) = broadcast::channel(QUEUE);
    tokio::spawn(take_feeds(listen(feed_port)?, sender.clone()));
    let viewers = listen(viewers_port)?;
    loop {
        let (viewer, _) = viewers.accept().await?;
        tokio::spawn(serve(viewer, sender.subscribe()));
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(4096)
}

async fn take_feeds(listener: TcpListener, sender: broadcast::Sender<Bytes>) -> Outcome {
    loop {
        let (mut feed, _) = listener.accept().await?;
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        while feed.read_buf(&mut buffer).await? > 0 {
            // Without viewers there is nobody to send to.
            let _ = sender.send(buffer.split().freeze());
            buffer.reserve(READ_BYTES);
        }
    }
}

async fn serve(viewer: TcpStream, mut messages: broadcast::Receiver<Bytes>) -> Outcome {
    viewer.set_nodelay(true)?;
    let (mut to_viewer, mut from_viewer) = accept_async(viewer).await?.split();
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Ok(bytes) => to_viewer.send(Message::Binary(bytes)).await?,
                Err(RecvError::Lagged(_)) => (),
                Err(RecvError::Closed) => return Ok(()),
            },
            said = from_viewer.next() => match said {
                Some(Ok(_)) => (),
                _ => return Ok(()),
            },
        }
    }
}
