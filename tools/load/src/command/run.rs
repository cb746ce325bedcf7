//! `tsload run`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use tsload::address::{Address, Scheme, of_streams};
use tsload::content::{Content, FileContent, Synthetic};
use tsload::host::stay_on;
use tsload::receive::{Begin, Behaviour, Drain, Group, Plan, Target};
use tsload::run::{Load, run as run_load};

use super::values::{bits, seconds};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to send the stream: tcp://, udp://HOST:PORT?size=BYTES, rtp://, http:// (chunked POST), ws://. Not given:
    /// nothing is fed. With several streams: once for each, or once with %n for the stream's number
    #[arg(help_heading = "Addresses", long, value_name = "ADDRESS")]
    feed: Vec<String>,
    /// Where to receive it: tcp://, http://, ws://. With several streams: as --feed
    #[arg(help_heading = "Addresses", long, value_name = "ADDRESS", required = true)]
    to: Vec<String>,
    /// Streams
    #[arg(help_heading = "What is fed", long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    streams: u32,
    /// Bits a second of each stream
    #[arg(help_heading = "What is fed", long, value_name = "BITS", default_value = "2M", value_parser = bits)]
    rate: u64,
    /// Bursts a second of each stream: pictures, as it were
    #[arg(help_heading = "What is fed", long, value_name = "COUNT", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    bursts: u32,
    /// Feed this transport stream file at its own pace, over and over, instead of a made-up stream
    #[arg(help_heading = "What is fed", long, value_name = "FILE", conflicts_with_all = ["rate", "bursts"])]
    file: Option<PathBuf>,

    /// Receivers that take what comes, of all streams together
    #[arg(help_heading = "Receivers", long, value_name = "COUNT", default_value_t = 100)]
    receivers: usize,
    /// How many of them read and check every byte; the others discard in the kernel
    #[arg(help_heading = "Receivers", long, value_name = "COUNT", default_value_t = 50)]
    sample: usize,
    /// Receivers beside them that read at --slow-rate and no faster
    #[arg(help_heading = "Receivers", long, value_name = "COUNT", default_value_t = 0)]
    slow: usize,
    /// Bits a second that a slow receiver takes
    #[arg(help_heading = "Receivers", long, value_name = "BITS", default_value = "1M", value_parser = bits)]
    slow_rate: u64,
    /// Receivers beside them that never read
    #[arg(help_heading = "Receivers", long, value_name = "COUNT", default_value_t = 0)]
    stalled: usize,
    /// Receivers beside them that come and go, each staying and staying away for about --visit seconds
    #[arg(help_heading = "Receivers", long, value_name = "COUNT", default_value_t = 0)]
    visiting: usize,
    /// How long a visit takes, in seconds
    #[arg(help_heading = "Receivers", long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    visit: u64,
    /// Receivers that connect all at once, a second after measuring began
    #[arg(help_heading = "Receivers", long, value_name = "COUNT", default_value_t = 0)]
    storm: usize,
    /// Receivers that connect in a second; 0: all at once
    #[arg(help_heading = "Receivers", long, value_name = "COUNT", default_value_t = 2_000)]
    connect_rate: u64,
    /// Addresses to connect from, in turn. Not given: on loopback 127.0.0.2 and on, one for 2,000 receivers
    #[arg(help_heading = "Receivers", long, value_name = "ADDRESS", value_delimiter = ',')]
    sources: Vec<IpAddr>,
    /// Empty each discarding receiver once in so many milliseconds, instead of when something comes
    #[arg(help_heading = "Receivers", long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    drain_every: Option<u64>,

    /// How long to measure, in seconds
    #[arg(help_heading = "Measuring", long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    seconds: u64,
    /// How long to wait after the last connection before measuring, in seconds
    #[arg(help_heading = "Measuring", long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    settle: u64,
    /// The server's process: what it and its children use is reported
    #[arg(help_heading = "Measuring", long, value_name = "PID")]
    server_pid: Option<u32>,
    /// The core that the server has to itself: what the kernel's thread for the network uses there is counted as well
    #[arg(help_heading = "Measuring", long, value_name = "CORE", requires = "server_pid")]
    server_core: Option<usize>,
    /// Run on this core
    #[arg(help_heading = "Measuring", long)]
    core: Option<usize>,
    /// Print JSON instead of text
    #[arg(help_heading = "Measuring", long)]
    json: bool,
}

/// When a storm begins, after measuring began.
const STORM_AFTER_NS: u64 = 1_000_000_000;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let load = arguments.load()?;
    arguments.core.map_or(Ok(()), stay_on)?;
    let progress = progress();
    let report = run_load(&load, &progress);
    progress.finish_and_clear();
    let report = report?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    } else {
        print!("{report}");
    }
    Ok(if report.invalid.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line that is drawn over again, where standard error is a terminal.
pub(crate) fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {prefix} {wide_msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

impl Arguments {
    fn load(&self) -> Result<Load, String> {
        let streams = self.streams as usize;
        let targets = of_streams(&self.to, streams).map_err(|error| format!("--to: {error}"))?;
        if let Some(target) = targets.iter().find(|target| target.scheme == Scheme::Rtp) {
            return Err(format!(
                "--to: {target}: nothing can be received that way: expected tcp://, http://, ws://, or to be sent to: \
                 listen://, udp://, gro://"
            ));
        }
        let feeds = match self.feed.as_slice() {
            [] => Vec::new(),
            feed => of_streams(feed, streams).map_err(|error| format!("--feed: {error}"))?,
        };
        let plan = Plan {
            groups: self.groups(),
            targets: targets
                .into_iter()
                .enumerate()
                .map(|(stream, address)| Target { address, stream })
                .collect(),
            sources: self.sources.clone(),
        };
        Ok(Load {
            feeds: self.contents(feeds)?,
            plan,
            drain: self.drain_every.map_or(Drain::OnEvent, Drain::EveryMs),
            settle_ns: self.settle,
            measure_ns: self.seconds,
            server: self.server_pid,
            server_core: self.server_core,
        })
    }

    fn contents(&self, feeds: Vec<Address>) -> Result<Vec<(Arc<Content>, Address)>, String> {
        let file = self.file.as_deref().map(FileContent::open).transpose()?.map(Arc::new);
        let content = |stream| match &file {
            Some(file) => Ok(Content::File(Arc::clone(file), stream)),
            None => Synthetic::new(stream, self.rate, self.bursts).map(Content::Synthetic),
        };
        let numbered = (1..).zip(feeds);
        numbered.map(|(stream, address)| Ok((Arc::new(content(stream)?), address))).collect()
    }

    fn groups(&self) -> Vec<Group> {
        let group = |name, count, behaviour, sampled| Group {
            name,
            count,
            behaviour,
            begin: Begin::AtStart,
            per_second: self.connect_rate,
            sampled,
        };
        let storm = Group {
            begin: Begin::Measuring(STORM_AFTER_NS),
            per_second: 0,
            ..group("storm", self.storm, Behaviour::Steady, self.sample.min(self.storm))
        };
        let all = [
            group("steady", self.receivers, Behaviour::Steady, self.sample.min(self.receivers)),
            group("slow", self.slow, Behaviour::Slow(self.slow_rate / 8), 0),
            group("stalled", self.stalled, Behaviour::Stalled, 0),
            group(
                "visiting",
                self.visiting,
                Behaviour::Visiting(self.visit / 1_000_000),
                self.visiting.min(self.sample),
            ),
            storm,
        ];
        all.into_iter().filter(|group| group.count > 0).collect()
    }
}
