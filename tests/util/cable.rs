//! A cable between two nodes, to be frozen, cut and mended: passes on what comes, both ways.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// How often an idle cable looks at its state.
const LOOK: Duration = Duration::from_millis(5);

const WHOLE: u8 = 0;
const FROZEN: u8 = 1;
const CUT: u8 = 2;
const GONE: u8 = 3;

/// A running cable, gone with the value.
pub struct Cable {
    /// Its near end.
    pub address: SocketAddr,
    state: Arc<AtomicU8>,
}

impl Cable {
    /// To a listener.
    pub fn new(far: SocketAddr) -> Cable {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::<AtomicU8>::default();
        let at = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                match at.load(Ordering::Relaxed) {
                    GONE => return,
                    CUT => continue,
                    _ => {}
                }
                let Ok(far) = TcpStream::connect(far) else { continue };
                let (near_again, far_again) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let (one, other) = (Arc::clone(&at), Arc::clone(&at));
                thread::spawn(move || carry(near, far, &one));
                thread::spawn(move || carry(far_again, near_again, &other));
            }
        });
        Cable { address, state }
    }

    /// Nothing passes any more, and nobody is told.
    pub fn freeze(&self) {
        self.state.store(FROZEN, Ordering::Relaxed);
    }

    /// Every connection is closed, and so is every new one.
    pub fn cut(&self) {
        self.state.store(CUT, Ordering::Relaxed);
    }

    /// What comes passes again.
    pub fn mend(&self) {
        self.state.store(WHOLE, Ordering::Relaxed);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.state.store(GONE, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_millis(100)));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    from.set_read_timeout(Some(LOOK)).expect("a time-out can be set");
    to.set_nodelay(true).expect("TCP_NODELAY can be set");
    let mut piece = vec![0; 64 * 1024];
    loop {
        match state.load(Ordering::Relaxed) {
            WHOLE => {}
            FROZEN => {
                thread::sleep(LOOK);
                continue;
            }
            _ => break,
        }
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                if to.write_all(&piece[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
