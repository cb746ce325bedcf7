//! Looks at the counters each second: how fast they grow, and whether the threads behind them turn. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::mailbox::WorkerId;
use crate::monitor::Source;
use crate::pulse::{Pulse, SILENCE_MAX};

/// Time between looks.
pub const LOOK: Duration = Duration::from_secs(1);

/// Rates are over so many looks.
const LOOKS_PER_RATE: usize = 2;

/// The longest turn is told of the last minute: looks that it is kept over.
const LOOKS_PER_LONGEST: usize = 60;

/// A live stream of which nothing has come for so long has nothing to show at present.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Observer {
    source: Source,
    started: Instant,
    looked: Instant,
    streams: Vec<StreamTrack>,
    hops: Vec<Track>,
    threads: Vec<ThreadTrack>,
}

/// The bytes of a stream.
#[derive(Debug, Default)]
struct StreamTrack {
    input: Track,
    output: Track,
    /// When it was last seen that bytes had come in.
    grown: Option<Instant>,
}

/// A counter as of the last few looks, oldest first.
#[derive(Debug, Default)]
struct Track(VecDeque<(Instant, u64)>);

/// The loop of a thread as of the last look.
#[derive(Debug)]
pub struct ThreadTrack {
    which: Which,
    turns: u64,
    busy: Duration,
    busy_share: f64,
    turned: Instant,
    silence: Duration,
    longest: VecDeque<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Ingest,
    Worker(usize),
    Hops(usize),
    Front,
}

impl Observer {
    /// Of what `source` counts, from now on.
    #[must_use]
    pub fn new(source: Source, now: Instant) -> Observer {
        let workers = source.output.workers.len();
        let threads = [Which::Ingest].into_iter().chain((0..workers).map(Which::Worker));
        let threads = threads.chain([Which::Hops(workers), Which::Front]);
        let threads = threads.map(|which| ThreadTrack::new(which, now)).collect();
        Observer { source, started: now, looked: now, streams: Vec::new(), hops: Vec::new(), threads }
    }

    /// What it looks at.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Since it began, which is when the node did.
    #[must_use]
    pub fn uptime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// When to look next.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.looked + LOOK
    }

    /// Looks.
    pub fn look(&mut self, now: Instant) {
        // If it was this thread that slept, with all of the process perhaps, it can't say how long others did.
        let slept = now.saturating_duration_since(self.looked) > 2 * LOOK;
        let since_last = now.saturating_duration_since(self.looked);
        self.looked = now;
        for thread in &mut self.threads {
            if slept {
                thread.turned = now;
            }
            thread.look(thread.which.pulse(&self.source), since_last, now);
        }
        let layout = self.source.layout.value();
        self.streams.resize_with(layout.streams.len(), StreamTrack::default);
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let bytes_in = self.source.input.streams.get(index).map_or(0, |input| input.bytes.value());
            let outputs = self.source.output.workers.iter().filter_map(|worker| worker.get(index));
            if stream.input.latest().is_none_or(|latest| latest != bytes_in) && bytes_in > 0 {
                stream.grown = Some(now);
            }
            stream.input.add(now, bytes_in);
            stream.output.add(now, outputs.map(|output| output.bytes.value()).sum());
        }
        self.hops.resize_with(layout.hops.len(), Track::default);
        for (index, hop) in self.hops.iter_mut().enumerate() {
            hop.add(now, self.source.output.hops.get(index).map_or(0, |hop| hop.bytes.value()));
        }
    }

    /// Bits per second of the stream with that index, in and out.
    #[must_use]
    pub fn stream_rates(&self, index: usize) -> (u64, u64) {
        self.streams.get(index).map_or((0, 0), |stream| (stream.input.rate(), stream.output.rate()))
    }

    /// Bits per second to the next hop with that index.
    #[must_use]
    pub fn hop_rate(&self, index: usize) -> u64 {
        self.hops.get(index).map_or(0, Track::rate)
    }

    /// Whether something of the stream with that index has come in lately.
    #[must_use]
    pub fn is_fresh(&self, index: usize) -> bool {
        let grown = self.streams.get(index).and_then(|stream| stream.grown);
        grown.is_some_and(|grown| self.looked.saturating_duration_since(grown) <= STALE_AFTER)
    }

    /// The threads that the streams depend on, with their loops.
    pub fn threads(&self) -> impl Iterator<Item = &ThreadTrack> {
        // There are nodes without next hops.
        self.threads.iter().filter(|thread| thread.turns > 0 || !matches!(thread.which, Which::Hops(_)))
    }
}

impl ThreadTrack {
    fn new(which: Which, now: Instant) -> ThreadTrack {
        ThreadTrack {
            which,
            turns: 0,
            busy: Duration::ZERO,
            busy_share: 0.0,
            turned: now,
            silence: Duration::ZERO,
            longest: VecDeque::with_capacity(LOOKS_PER_LONGEST),
        }
    }

    /// As in `/api/streams`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.which {
            Which::Ingest => "ingest".to_owned(),
            Which::Worker(index) => format!("worker {index}"),
            Which::Hops(_) => "hops".to_owned(),
            Which::Front => "front".to_owned(),
        }
    }

    /// Turns of the loop.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// The time that they took.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// The share of the time before the last look that they took.
    #[must_use]
    pub fn busy_share(&self) -> f64 {
        self.busy_share
    }

    /// The longest of the last minute.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest.iter().max().copied().unwrap_or_default()
    }

    /// Time for which the loop has not been seen to turn.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// The loop has stopped.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silence > SILENCE_MAX
    }

    fn look(&mut self, pulse: &Pulse, since_last: Duration, now: Instant) {
        let (turns, busy) = (pulse.turns(), pulse.busy());
        if turns != self.turns {
            self.turned = now;
        }
        self.silence = now.saturating_duration_since(self.turned);
        if !since_last.is_zero() {
            let share = busy.saturating_sub(self.busy).as_secs_f64() / since_last.as_secs_f64();
            // A turn longer than a look is counted when it ends.
            self.busy_share = share.min(1.0);
        }
        (self.turns, self.busy) = (turns, busy);
        if self.longest.len() == LOOKS_PER_LONGEST {
            self.longest.pop_front();
        }
        self.longest.push_back(pulse.take_longest());
    }
}

impl Which {
    fn pulse(self, source: &Source) -> &Pulse {
        match self {
            Which::Ingest => &source.input.pulse,
            Which::Worker(index) | Which::Hops(index) => source.output.pulse(WorkerId(index)),
            Which::Front => &source.output.front,
        }
    }
}

impl Track {
    fn latest(&self) -> Option<u64> {
        self.0.back().map(|(_, bytes)| *bytes)
    }

    fn add(&mut self, now: Instant, bytes: u64) {
        if self.0.len() > LOOKS_PER_RATE {
            self.0.pop_front();
        }
        self.0.push_back((now, bytes));
    }

    fn rate(&self) -> u64 {
        let (Some((from, first)), Some((to, last))) = (self.0.front(), self.0.back()) else { return 0 };
        let seconds = to.saturating_duration_since(*from).as_secs_f64();
        if seconds > 0.0 { (last.saturating_sub(*first) as f64 * 8.0 / seconds) as u64 } else { 0 }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::super::health::{health, readiness};
    use super::*;
    use crate::identity::NodeId;
    use crate::layout::{CurrentLayout, Hop, Layout};
    use crate::metrics::{InputMetrics, InputState, OutputMetrics};

    /// An observer of one worker with this many streams and one next hop, nothing of which has begun.
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    pub fn observer(streams: usize) -> (Observer, Instant) {
        let now = Instant::now();
        let hop = Hop { stream: "s0".to_owned(), protocol: "TCP", host: "::1".to_owned(), port: 55001 };
        let layout = Layout {
            name: Some("tower".to_owned()),
            streams: (0..streams).map(|number| (format!("s{number}"), None)).collect(),
            ports: vec![],
            hops: vec![hop],
        };
        let source = Source {
            identity: NodeId::random(),
            genesis: true,
            layout: CurrentLayout::new(layout),
            input: Arc::new(InputMetrics::new(streams)),
            output: Arc::new(OutputMetrics::new(1, streams, 1)),
        };
        (Observer::new(source, now), now)
    }

    fn turn_all(observer: &Observer) {
        let took = Duration::from_millis(250);
        observer.source.input.pulse.turned(took);
        observer.source.output.pulse(WorkerId(0)).turned(took);
        observer.source.output.front.turned(took);
    }

    #[test]
    fn rates_are_of_the_last_two_seconds() {
        let (mut observer, start) = observer(2);
        let bytes = |observer: &Observer, count| observer.source.input.streams[1].bytes.add(count);
        for (second, (count, rate)) in
            [(1_000, 0), (1_000, 8_000), (3_000, 16_000), (0, 12_000)].into_iter().enumerate()
        {
            bytes(&observer, count);
            observer.look(start + LOOK * second as u32);
            assert_eq!(observer.stream_rates(1).0, rate, "in second {second}");
        }
        assert_eq!(
            (observer.stream_rates(0), observer.stream_rates(9), observer.hop_rate(0)),
            ((0, 0), (0, 0), 0)
        );
    }

    #[test]
    fn a_loop_that_stops_is_told_from_one_that_rests() {
        let (mut observer, start) = observer(1);
        let mut now = start;
        for second in 0..30 {
            now += LOOK;
            if second < 15 {
                turn_all(&observer);
            } else {
                observer.source.input.pulse.turned(Duration::ZERO);
                observer.source.output.front.turned(Duration::ZERO);
            }
            observer.look(now);
            let expected: &[&str] = if second < 25 { &[] } else { &["worker 0"] };
            assert_eq!(health(&observer).silent, expected, "in second {second}");
        }
        assert_eq!(observer.threads().count(), 3, "no hops thread that has never turned");
        // All of the process was stopped for a while: nobody is to blame until they had time to turn.
        observer.look(now + Duration::from_secs(100));
        observer.look(now + Duration::from_secs(101));
        assert!(health(&observer).healthy);
    }

    #[test]
    fn the_share_of_time_and_the_longest_turn() {
        let (mut observer, start) = observer(1);
        observer.look(start + LOOK);
        turn_all(&observer);
        observer.look(start + 2 * LOOK);
        let ingest = observer.threads().next().unwrap();
        assert_eq!((ingest.name().as_str(), ingest.turns(), ingest.busy_share()), ("ingest", 1, 0.25));
        assert_eq!(ingest.longest(), Duration::from_millis(250));
        for second in 3..70 {
            observer.look(start + second * LOOK);
        }
        assert_eq!(observer.threads().next().unwrap().longest(), Duration::ZERO);
    }

    #[test]
    fn ready_is_who_has_something_to_show() {
        let (mut observer, start) = observer(2);
        let at = |second: u32| start + second * LOOK;
        observer.look(at(0));
        assert!(!readiness(&observer).ready);
        let stream = |observer: &Observer, live| {
            observer.source.input.streams[1].state.set(InputState { live, ..InputState::default() });
            observer.source.input.streams[1].bytes.add(1);
        };
        stream(&observer, true);
        observer.look(at(1));
        assert_eq!(readiness(&observer).fresh, ["s1"]);
        observer.look(at(6));
        assert!(readiness(&observer).ready);
        observer.look(at(7));
        assert!(!readiness(&observer).ready, "nothing has come for too long");
        stream(&observer, false);
        observer.look(at(8));
        assert!(!readiness(&observer).ready, "its publisher has gone");
        stream(&observer, true);
        observer.look(at(9));
        assert!(readiness(&observer).ready);
        observer.source.output.is_ending.set(1);
        assert!(!readiness(&observer).ready, "whoever would come now would be sent away");
    }
}
