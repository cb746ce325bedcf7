//! The test picture that the program carries, pushed through its own TCP input as a live encoder would push it.
//!
//! `clip.ts` holds one turn of the picture; `tools/demo-clip` makes it.

mod looper;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use looper::{Burst, Looper};

use crate::config::{Config, Format, InputProtocol};

/// How long the input may take to accept the connection or a burst.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The pause before the input is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Later than this, what was missed is not made up for: the machine was asleep, and a rush would help nobody.
const LATE_MAX: Duration = Duration::from_secs(1);

/// Makes the stream `live` be published by TCP from this machine only, on a port that the system chooses.
pub fn take_over_input(config: &mut Config) {
    if let Some(live) = config.streams.first_mut() {
        live.protocol = InputProtocol::Tcp;
        live.format = Format::Ts;
        live.bind = (Ipv4Addr::LOCALHOST, 0).into();
    }
}

/// The picture's publisher while it runs; dropping it ends it.
#[derive(Debug)]
pub struct Publisher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Pushes the picture to the TCP input at `address`, from a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(address: SocketAddr) -> io::Result<Publisher> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Err(error) = push(address, &stopped) {
                    log::debug!("demo: {error}");
                    thread::sleep(RETRY_AFTER);
                }
            }
        };
        let thread = thread::Builder::new().name("demo".into()).spawn(run)?;
        Ok(Publisher { stop, thread: Some(thread) })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ended by a panic, which has been printed already.
            let _ = thread.join();
        }
    }
}

/// Connects to the TCP input at `address` and pushes the picture, each burst when it is due, until `stop` is set.
/// Blocks: it is for a side thread. Notices `stop` within a burst (40 ms) as long as the input takes what it is sent.
///
/// # Errors
/// When the input can't be reached, closes, or takes nothing for 5 s. Whether to try again is the caller's to say.
#[allow(clippy::disallowed_methods, reason = "it keeps time for the picture")]
pub fn push(address: SocketAddr, stop: &AtomicBool) -> io::Result<()> {
    let mut input = TcpStream::connect_timeout(&address, WAIT_MAX)?;
    input.set_nodelay(true)?;
    input.set_write_timeout(Some(WAIT_MAX))?;
    let mut start = Instant::now();
    for burst in Looper::default() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let ahead = (start + burst.due).saturating_duration_since(Instant::now());
        thread::sleep(ahead);
        let late = start.elapsed().saturating_sub(burst.due);
        if late > LATE_MAX {
            start += late;
        }
        input.write_all(&burst.packets)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_arrives_is_the_picture_until_told_to_stop() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = AtomicBool::new(false);
        let expected: Vec<u8> = Looper::default().take(3).flat_map(|burst| burst.packets).collect();
        thread::scope(|scope| {
            let pushing = scope.spawn(|| push(address, &stop));
            let (mut input, _) = listener.accept().unwrap();
            let mut arrived = vec![0; expected.len()];
            input.read_exact(&mut arrived).unwrap();
            assert!(arrived == expected);
            stop.store(true, Ordering::Relaxed);
            input.read_to_end(&mut arrived).unwrap();
            pushing.join().unwrap().unwrap();
        });
    }

    #[test]
    fn an_input_that_is_gone_is_an_error() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(push(address, &AtomicBool::new(false)).is_err());
    }
}
