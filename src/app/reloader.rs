//! The side thread that reads the configuration again when it is asked to, opens what is new, and tells every thread what
//! it runs on from now on. If anything is wrong, nothing has been touched and the node goes on as before.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::Receiver;
use mio::net::TcpListener;

use super::{Parts, layout_of_hop, log_input, log_output, log_pull, own_addresses};
use crate::config::{Config, InputProtocol, Loaded, Problem, ReceiverPort};
use crate::front;
use crate::hops;
use crate::ingest::{self, Port};
use crate::layout::{CurrentLayout, Layout};
use crate::mailbox::{Sender, ToFront, ToHops, ToIngest, ToWorker};
use crate::metrics::InputMetrics;
use crate::net::{self, BindError};
use crate::reload::{Plan, plan};
use crate::service::{Event, Voice};

/// How long a full mailbox is tried again before the thread behind it is thought to be lost.
const TELL_TIME_MAX: Duration = Duration::from_secs(10);

/// The pause before it is tried again.
const TELL_AGAIN: Duration = Duration::from_millis(1);

/// The most changes that are named in the log, of those taken over and of the others.
const NAMED_MAX: usize = 50;

/// Reads the configuration, wherever it is.
pub type Read = Box<dyn Fn() -> Result<Loaded, Vec<Problem>> + Send>;

/// See the module.
pub struct Reloader {
    pub(super) read: Read,
    /// What the node runs on.
    pub(super) running: Config,
    /// What workers are given beside the configuration.
    pub(super) parts: Parts,
    pub(super) input: Arc<InputMetrics>,
    pub(super) layout: Arc<CurrentLayout>,
    /// The workers and the hops thread.
    pub(super) workers: Vec<Sender<ToWorker>>,
    pub(super) ingest: Sender<ToIngest>,
    pub(super) hops: Sender<ToHops>,
    pub(super) front: Sender<ToFront>,
    pub(super) service: Voice,
}

/// What a new configuration needs and the node does not have, opened.
struct Opened {
    inputs: Vec<Port>,
    listeners: Vec<TcpListener>,
}

/// A thread does not take its messages.
struct Deaf(&'static str);

impl Reloader {
    /// Reloads at each request, until nobody can ask any more.
    pub fn run(mut self, requests: &Receiver<()>) {
        for () in requests {
            log::info!("reading the configuration again");
            self.service.say(Event::Reloading);
            self.reload();
            self.service.say(Event::Ready);
        }
    }

    fn reload(&mut self) {
        let Loaded { config, warnings } = match (self.read)() {
            Ok(loaded) => loaded,
            Err(problems) => return refuse(&problems),
        };
        let plan = plan(&self.running, &config);
        let opened = match self.open(&plan.config) {
            Ok(opened) => opened,
            Err(error) => return refuse(&[error]),
        };
        warnings.iter().for_each(|warning| log::warn!("{warning}"));
        match self.apply(&plan, opened) {
            Ok(()) => conclude(&plan),
            Err(Deaf(thread)) => refuse(&[format!("{thread} does not take its messages")]),
        }
    }

    fn open(&self, config: &Config) -> Result<Opened, BindError> {
        let inputs = ingest::open(&config.streams, self.running.streams.len())?;
        let listen = |port: &ReceiverPort| net::listen_for_receivers(&port.section, port.bind);
        let new = config.ports.iter().skip(self.running.ports.len());
        Ok(Opened { inputs, listeners: new.map(listen).collect::<Result<_, _>>()? })
    }

    /// Tells every thread: workers first, since the others tell them of new streams and ports.
    fn apply(&mut self, plan: &Plan, opened: Opened) -> Result<(), Deaf> {
        let config = &plan.config;
        self.input.streams.grow(config.streams.len());
        self.parts.metrics.grow(config.streams.len());
        self.parts.metrics.hops.grow(config.next_hops.len());
        self.parts.places.set_limits(config.clients_max, config.clients_per_ip_max);
        let settings = self.parts.settings(config);
        for worker in &mut self.workers {
            tell(worker, ToWorker::Settings(Arc::clone(&settings)), "a worker")?;
        }
        let layout = self.new_layout(config, &opened);
        let (authority, streams) = (config.authority.clone(), config.streams.clone());
        let renewal = ingest::Renewal { authority, streams, ports: opened.inputs };
        tell(&mut self.ingest, ToIngest::Renew(Box::new(renewal)), "ingest")?;
        // Which asks ingest for streams.
        let renewal = hops::Renewal {
            hops: config.next_hops[self.running.next_hops.len()..].to_vec(),
            streams: config.streams.iter().map(|stream| stream.name.clone()).collect(),
            own: own_addresses(config, &layout),
        };
        tell(&mut self.hops, ToHops::Renew(renewal), "the hops thread")?;
        let renewal = front::Renewal { listeners: opened.listeners, drain: config.drain };
        tell(&mut self.front, ToFront::Renew(renewal), "the front")?;
        self.log_new(config, &layout);
        self.layout.set(layout);
        self.running = config.clone();
        Ok(())
    }

    /// What the node is made of with what is new.
    fn new_layout(&self, config: &Config, opened: &Opened) -> Layout {
        let mut layout = Layout { name: config.node.clone(), ..Layout::clone(&self.layout.value()) };
        let new: Vec<_> = opened.inputs.iter().flat_map(Port::addresses).collect();
        for (index, stream) in config.streams.iter().enumerate().skip(layout.streams.len()) {
            let own = new.iter().find(|(id, _)| id.0 == index).map(|(_, address)| *address);
            // Over HTTP it may have come to a port that there was.
            let shares = |other: &usize| {
                let other = &config.streams[*other];
                stream.protocol == InputProtocol::Http
                    && (other.protocol, other.bind) == (stream.protocol, stream.bind)
            };
            let shared = || (0..index).find(shares).and_then(|other| layout.streams[other].1);
            let address = own.or_else(shared);
            layout.streams.push((stream.name.clone(), address));
        }
        let new = config.ports.iter().skip(layout.ports.len()).zip(&opened.listeners);
        let new: Vec<SocketAddr> =
            new.map(|(port, listener)| listener.local_addr().unwrap_or(port.bind)).collect();
        layout.ports.extend(new);
        let new = config.next_hops.iter().skip(layout.hops.len());
        layout.hops.extend(new.map(|hop| layout_of_hop(config, hop)));
        layout
    }

    /// One line for each address that is new, as at the start.
    fn log_new(&self, config: &Config, layout: &Layout) {
        let streams = config.streams.iter().zip(&layout.streams).skip(self.running.streams.len());
        for (stream, (_, address)) in streams {
            match address {
                Some(address) => log_input(stream, *address),
                None => log_pull(stream),
            }
        }
        for (port, address) in config.ports.iter().zip(&layout.ports).skip(self.running.ports.len()) {
            log_output(port, *address);
        }
    }
}

/// Reads the configuration again for a thread that takes it over itself: what it runs on from then on, if that is in order.
pub fn compare(read: &Read, running: &mut Config) -> Option<Config> {
    log::info!("reading the configuration again");
    let Loaded { config, warnings } = read().map_err(|problems| refuse(&problems)).ok()?;
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    let plan = plan(running, &config);
    conclude(&plan);
    running.clone_from(&plan.config);
    Some(plan.config)
}

/// Gives a thread a message. Its mailbox may be full, and then has room soon.
fn tell<T>(mailbox: &mut Sender<T>, mut message: T, thread: &'static str) -> Result<(), Deaf> {
    for _ in 0..TELL_TIME_MAX.as_millis() / TELL_AGAIN.as_millis() {
        let refused = mailbox.post(message);
        mailbox.flush();
        match refused {
            Ok(()) => return Ok(()),
            Err(refused) => message = refused,
        }
        thread::sleep(TELL_AGAIN);
    }
    Err(Deaf(thread))
}

/// Everything that is wrong, and what comes of it.
fn refuse(problems: &[impl fmt::Display]) {
    problems.iter().for_each(|problem| log::error!("{problem}"));
    log::error!("not reloaded: the node goes on as before");
}

fn conclude(plan: &Plan) {
    let Plan { applied, postponed, .. } = plan;
    for key in postponed.iter().take(NAMED_MAX) {
        log::warn!("{key}: the change needs a restart");
    }
    if postponed.len() > NAMED_MAX {
        log::warn!("{} more changes need a restart", postponed.len() - NAMED_MAX);
    }
    let names = applied.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if applied.len() > NAMED_MAX { ", …" } else { "" };
    let names = if names.is_empty() { names } else { format!(": {names}{more}") };
    let keys = if applied.len() == 1 { "key" } else { "keys" };
    log::info!("reloaded: {} {keys} changed{names}", applied.len());
}
