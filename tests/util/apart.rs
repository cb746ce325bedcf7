//! A machine apart, as far as networks go: what is done there sees none of this machine's addresses, ports and network
//! namespaces, and has no way out. So tests that need fixed addresses run beside each other.

use std::panic::resume_unwind;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::namespace;

/// Runs `act`, and all threads and processes that it starts, on a machine apart.
pub fn apart(act: impl FnOnce() + Send) {
    let outcome = thread::scope(|scope| {
        scope
            .spawn(|| {
                leave();
                act();
            })
            .join()
    });
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}

/// Takes this thread out of this machine's network, and its `/run`, where network namespaces have their names.
fn leave() {
    const NOTHING: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect(
        "these tests must run as root, or in a container with CAP_NET_ADMIN and CAP_SYS_ADMIN: a namespace",
    );
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING).expect("mounts of our own");
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), NOTHING).expect("a /run of our own");
    namespace::run("ip link set lo up");
}
