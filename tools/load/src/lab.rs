//! Runs of servers that the harness starts itself: one after the other, each on a core of its own, always with the same
//! load.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use indicatif::ProgressBar;

use crate::address::Address;
use crate::content::{Content, Synthetic};
use crate::receive::{Begin, Behaviour, Drain, Group, Plan, Target};
use crate::report::Report;
use crate::run::{Load, run};
use crate::servers::{Programs, Server};

/// Between the last connection and measuring, in nanoseconds, as a rule.
const SETTLE_NS: u64 = 1_000_000_000;

/// When a storm begins, in nanoseconds after measuring began.
const STORM_AFTER_NS: u64 = 1_000_000_000;

/// Receivers that connect in a second, but for storms.
const CONNECTS_PER_SECOND: u64 = 5_000;

/// How often receivers that don't read are emptied, in milliseconds: as seldom as what comes meanwhile fits a socket.
const DRAIN_MS: [u64; 2] = [100, 20];

/// What a socket takes before it is read for the first time, by Linux's defaults.
const SOCKET_BYTES: u64 = 64 * 1024;

/// Longer than any run: ffmpeg ends by itself after that.
const FFMPEG_SECONDS_MAX: &str = "120";

/// A server and what it has to bear.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called, in results.
    pub key: String,
    /// The server.
    pub server: Server,
    /// What it has to bear.
    pub shape: Shape,
}

/// What a server has to bear.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What is fed.
    pub source: Source,
    /// Streams.
    pub streams: usize,
    /// Receivers of all streams that take what comes.
    pub receivers: usize,
    /// Receivers that never read.
    pub stalled: usize,
    /// Receivers that connect at once while measuring.
    pub storm: usize,
    /// How many of the receivers check what they get.
    pub sampled: usize,
    /// Between the last connection and measuring, in nanoseconds.
    pub settle_ns: u64,
}

/// What is fed, to each stream.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// Nothing.
    Nothing,
    /// So many bits and bursts a second.
    Synthetic(u64, u32),
    /// A test picture by ffmpeg with `-muxdelay 0.001`. What arrives can't be compared with anything.
    Ffmpeg,
}

/// Where and for how long.
#[derive(Clone, Debug)]
pub struct Lab {
    /// Where programs are found.
    pub programs: Programs,
    /// The server's core.
    pub server_core: Option<usize>,
    /// How long is measured, in nanoseconds.
    pub measure_ns: u64,
    /// The line that says how it is going.
    pub progress: ProgressBar,
}

impl Shape {
    /// One stream of 25 bursts a second.
    #[must_use]
    pub fn of(receivers: usize, bits_per_second: u64) -> Shape {
        let source = Source::Synthetic(bits_per_second, 25);
        Shape {
            source,
            streams: 1,
            receivers,
            stalled: 0,
            storm: 0,
            sampled: receivers.min(50),
            settle_ns: SETTLE_NS,
        }
    }

    fn groups(&self) -> Vec<Group> {
        let steady = Group {
            name: "steady",
            count: self.receivers,
            behaviour: Behaviour::Steady,
            begin: Begin::AtStart,
            per_second: CONNECTS_PER_SECOND,
            sampled: self.sampled,
        };
        let (name, behaviour) = ("stalled", Behaviour::Stalled);
        let stalled = Group { name, count: self.stalled, behaviour, sampled: 0, ..steady.clone() };
        let (name, begin) = ("storm", Begin::Measuring(STORM_AFTER_NS));
        let storm = Group {
            name,
            count: self.storm,
            begin,
            per_second: 0,
            sampled: self.storm.min(50),
            ..steady.clone()
        };
        [steady, stalled, storm].into_iter().filter(|group| group.count > 0).collect()
    }

    /// Receivers that don't read are emptied now and then, which leaves the load's core free to take times, and the server's
    /// from waking it; but whenever something comes if that is too much for a socket, and in a storm, where each begins
    /// with a keyframe.
    fn drain(&self) -> Drain {
        let Source::Synthetic(bits, _) = self.source else { return Drain::OnEvent };
        let fits = |ms: &u64| bits / 8 / 1000 * ms < SOCKET_BYTES / 2;
        let ms = DRAIN_MS.into_iter().find(fits).filter(|_| self.storm == 0);
        ms.map_or(Drain::OnEvent, Drain::EveryMs)
    }

    fn feeds(&self, addresses: &[Address]) -> Result<Vec<(Arc<Content>, Address)>, String> {
        let Source::Synthetic(bits, bursts) = self.source else { return Ok(Vec::new()) };
        let numbered = (1..).zip(addresses);
        numbered
            .map(|(stream, address)| {
                let content = Content::Synthetic(Synthetic::new(stream, bits, bursts)?);
                Ok((Arc::new(content), address.clone()))
            })
            .collect()
    }
}

impl Lab {
    /// Starts the scenario's server, loads it, ends it.
    ///
    /// # Errors
    /// When the server does not start, or the load can't be put on it.
    pub fn measure(&self, scenario: &Scenario) -> Result<Report, String> {
        let Scenario { server, shape, .. } = scenario;
        let running = server.start(shape.streams, self.server_core, &self.programs)?;
        let targets = running.targets.iter().enumerate();
        let load = Load {
            feeds: shape.feeds(&running.feeds)?,
            plan: Plan {
                groups: shape.groups(),
                targets: targets
                    .map(|(index, address)| Target {
                        address: address.clone(),
                        stream: index % shape.streams,
                    })
                    .collect(),
                sources: Vec::new(),
            },
            drain: shape.drain(),
            settle_ns: shape.settle_ns,
            measure_ns: self.measure_ns,
            server: Some(running.id()),
            server_core: self.server_core,
        };
        let _ffmpeg = match shape.source {
            Source::Ffmpeg => Some(Ffmpeg::start(&running.feeds[0])?),
            Source::Nothing | Source::Synthetic(..) => None,
        };
        run(&load, &self.progress).map_err(|why| format!("{}: {why}", scenario.key))
    }
}

/// An ffmpeg that pushes; dropping it ends it.
struct Ffmpeg(Child);

impl Ffmpeg {
    fn start(to: &Address) -> Result<Ffmpeg, String> {
        // ffmpeg's own default for UDP is datagrams of 1472 bytes; our addresses say the size in another way.
        let to = to.to_string();
        let to = to.split('?').next().unwrap_or_default();
        let arguments = "-nostdin -loglevel error -re -f lavfi -i testsrc2=size=1280x720:rate=25 \
             -f lavfi -i sine=frequency=440 -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -b:v 2M \
             -c:a aac -muxdelay 0.001 -f mpegts";
        let mut command = Command::new("ffmpeg");
        command.args(["-t", FFMPEG_SECONDS_MAX]).args(arguments.split_whitespace()).arg(to);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("can't start ffmpeg: {error}: apt-get install ffmpeg"))?;
        Ok(Ffmpeg(child))
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
