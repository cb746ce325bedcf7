//! Network namespaces: each a host of its own, one cable away.

use std::fs::File;
use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Test processes whose numbers are less than so far apart have different networks.
const PROCESSES: u32 = 800;

/// Networks of one test process, two for each namespace.
const NETWORKS_PER_PROCESS: u8 = 32;

/// A host with two cables to this one: one to be cut, one to look at it by. Removed with the value.
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its address on the cable that may be cut.
    pub address: Ipv4Addr,
    /// Its address on the other.
    pub view: Ipv4Addr,
    /// This host's end of the cable that may be cut.
    pub cable: String,
}

impl Namespace {
    /// Makes one.
    #[track_caller]
    pub fn new() -> Namespace {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Other test processes may be at it at the same time: each has networks of its own.
        let process = std::process::id() % PROCESSES;
        let (second, first_third) = (process / 8, process % 8 * u32::from(NETWORKS_PER_PROCESS));
        assert!(2 * number + 1 < NETWORKS_PER_PROCESS, "a test process has so many networks");
        let name = format!("ts{}-{number}", std::process::id());
        let cable = format!("tsc{}-{number}", std::process::id() % 100_000);
        let view = format!("tsv{}-{number}", std::process::id() % 100_000);
        let network = |own: u8| Ipv4Addr::new(10, 100 + second as u8, first_third as u8 + own, 0);
        run(&format!("ip netns add {name}"));
        let namespace = Namespace {
            address: host(network(2 * number), 2),
            view: host(network(2 * number + 1), 2),
            name,
            cable,
        };
        let Namespace { name, .. } = &namespace;
        run(&format!("ip -n {name} link set lo up"));
        for (cable, inside, address) in
            [(&namespace.cable, "cable", namespace.address), (&view, "view", namespace.view)]
        {
            run(&format!("ip link add {cable} type veth peer name {inside} netns {name}"));
            run(&format!("ip address add {}/24 dev {cable}", host(address, 1)));
            run(&format!("ip link set {cable} up"));
            run(&format!("ip -n {name} address add {address}/24 dev {inside}"));
            run(&format!("ip -n {name} link set {inside} up"));
        }
        namespace
    }

    /// This host's address on the cable that may be cut.
    pub fn near(&self) -> Ipv4Addr {
        host(self.address, 1)
    }

    /// Cuts the cable: the other end is without a carrier.
    pub fn cut(&self) {
        self.run("ip link set cable down");
    }

    /// Mends it.
    pub fn mend(&self) {
        self.run("ip link set cable up");
    }

    /// Takes away the way to it, over the cable that may be cut.
    #[track_caller]
    pub fn bar(&self) {
        run(&format!("ip route add unreachable {}/32", self.address));
    }

    /// Gives it back.
    #[track_caller]
    pub fn unbar(&self) {
        run(&format!("ip route del unreachable {}/32", self.address));
    }

    /// Runs a command in it and returns what it printed.
    #[track_caller]
    pub fn run(&self, command: &str) -> String {
        run(&format!("ip netns exec {} {command}", self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // If a test failed in between.
        let barred = format!("{}/32", self.address);
        let _ =
            Command::new("ip").args(["route", "del", "unreachable", &barred]).stderr(Stdio::null()).status();
        // The cables go with it.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn host(network: Ipv4Addr, number: u8) -> Ipv4Addr {
    let [first, second, third, _] = network.octets();
    Ipv4Addr::new(first, second, third, number)
}

/// Runs `act`, and all threads and processes that it starts, in the network namespace of this name.
pub fn within<T: Send>(name: &str, act: impl FnOnce() -> T + Send) -> T {
    let entered = || {
        let file = File::open(format!("/run/netns/{name}")).expect("there is such a namespace");
        setns(file, CloneFlags::CLONE_NEWNET).expect("it can be entered");
        act()
    };
    thread::scope(|scope| scope.spawn(entered).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs a command on this host and returns what it printed.
#[track_caller]
pub fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).output().unwrap_or_else(|error| {
        panic!("{program}: {error}: the tests with network namespaces need iproute2 and nftables")
    });
    assert!(
        output.status.success(),
        "{command}: {}(the tests with network namespaces must run as root, or in a container with CAP_NET_ADMIN and \
         CAP_SYS_ADMIN)",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
