//! A next hop that comes and goes hundreds of times leaves nothing behind. In a process of its own, whose descriptors and
//! memory are counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "where the clocks of the threads begin")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tsstream::balance::Balance;
use tsstream::config::{self, IpList};
use tsstream::demo::Looper;
use tsstream::hops::{self, Hops, Own, Waits};
use tsstream::identity::NodeId;
use tsstream::ingest::Ingest;
use tsstream::mailbox::{ToIngest, ToWorker, WorkerId};
use tsstream::metrics::OutputMetrics;
use tsstream::places::Places;
use tsstream::worker::{self, Worker};

/// What hardly differs between one flap and hundreds.
const MEMORY_KIB_MORE_MAX: u64 = 2048;

#[test]
fn hundreds_of_flaps_leave_nothing_behind() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    // The second hop is never there.
    let text = format!(
        "[backstream]\nProtocol = TCP\nPort = 0\n[buffer]\nSeconds = 0\nMegabytes = 1\n\
         [dispatch]\nProtocol = TCP\nHosts = 127.0.0.1,127.0.0.1\nPorts = {},1",
        listener.local_addr().unwrap().port()
    );
    let config = config::parse("f", &text).unwrap().config;

    let (ingest, mut to_ingest) =
        Ingest::bind(&config.streams, config.authority.clone(), NodeId::random()).unwrap();
    let input = ingest.addresses()[0].1;
    let metrics = Arc::new(OutputMetrics::new(1, 1, config.next_hops.len()));
    let settings = worker::Settings {
        streams: vec![("live".into(), config.streams[0].buffer)],
        ports: vec![],
        identity: NodeId::random(),
        input: ingest.metrics(),
        metrics: Arc::clone(&metrics),
        trusted_proxies: IpList::default(),
        places: Places::new(0, 0),
    };
    let (worker, mut to_worker) =
        Worker::new(WorkerId(0), Arc::new(settings), to_ingest.clone(), Instant::now()).unwrap();
    let settings = hops::Settings {
        metrics: Arc::clone(&metrics),
        hops: config.next_hops,
        streams: vec!["live".into()],
        own: Own::default(),
        waits: Waits {
            shortest: Duration::from_millis(1),
            longest: Duration::from_millis(5),
            steady: Duration::from_secs(15),
        },
    };
    let balance = Balance::new(vec![to_worker.clone()]);
    let (hops, mut to_hops) =
        Hops::new(settings, WorkerId(1), balance.clone(), to_ingest.clone(), Instant::now()).unwrap();
    let senders = vec![to_worker.clone(), to_hops.clone()];
    let threads = [
        thread::spawn(move || ingest.run(senders)),
        thread::spawn(move || worker.run()),
        thread::spawn(move || hops.run()),
    ];
    let stop = Arc::new(AtomicBool::new(false));
    let publisher = thread::spawn({
        let (stop, mut socket) = (Arc::clone(&stop), TcpStream::connect(input).unwrap());
        move || {
            for burst in Looper::default().take_while(|_| !stop.load(Ordering::Relaxed)) {
                socket.write_all(&burst.packets).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        }
    });

    let flap = |times: u64| {
        for _ in 0..times {
            let (mut hop, _) = listener.accept().unwrap();
            hop.read_exact(&mut [0; 188]).unwrap();
        }
    };
    let settled = |flaps| {
        // The last connection's end is a worker's to notice; the next one waits in the listener's queue.
        while metrics.hops[0].lost.value() < flaps {
            thread::yield_now();
        }
        (descriptors(), memory_kib())
    };
    flap(100);
    let (descriptors_before, memory_before) = settled(100);
    flap(400);
    let (descriptors_after, memory_after) = settled(500);
    assert!(descriptors_after <= descriptors_before + 2, "{descriptors_before} → {descriptors_after}");
    assert!(
        memory_after < memory_before + MEMORY_KIB_MORE_MAX,
        "{memory_before} → {memory_after} KiB of memory"
    );
    assert!(balance.connections() <= 1);
    assert!(metrics.hops[0].connections.value() >= 500);
    let other = &metrics.hops[1];
    assert!(
        other.connections.value() == 0 && other.failed_tries.value() >= 100,
        "the other was tried as well"
    );

    stop.store(true, Ordering::Relaxed);
    publisher.join().unwrap();
    to_hops.post(ToWorker::Stop).unwrap();
    to_worker.post(ToWorker::Stop).unwrap();
    to_ingest.post(ToIngest::Stop).unwrap();
    to_hops.flush();
    to_worker.flush();
    to_ingest.flush();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
