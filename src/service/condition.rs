//! How the node does: what is live, and whether its loops turn. Pure: time is an argument.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::mailbox::WorkerId;
use crate::metrics::{InputMetrics, OutputMetrics};
use crate::pulse::{Pulse, SILENCE_MAX};
use crate::service::Condition;

/// Who has not looked for so long has slept, perhaps with all of the process, and can't say how long others did.
const SLEPT: Duration = Duration::from_secs(10);

/// Looks at the counters and the loops of a node now and then.
#[derive(Debug)]
pub struct Observer {
    input: Arc<InputMetrics>,
    output: Arc<OutputMetrics>,
    loops: Vec<Loop>,
    looked: Instant,
}

/// The loop of a thread, as last looked at.
#[derive(Clone, Copy, Debug)]
struct Loop {
    turns: u64,
    /// When it was last seen that it had turned.
    turned: Instant,
}

impl Observer {
    /// From now on.
    #[must_use]
    pub fn new(input: Arc<InputMetrics>, output: Arc<OutputMetrics>, now: Instant) -> Observer {
        let loops = vec![Loop { turns: 0, turned: now }; pulses(&input, &output).count()];
        Observer { input, output, loops, looked: now }
    }

    /// Looks.
    pub fn look(&mut self, now: Instant) -> Condition {
        let has_slept = now.saturating_duration_since(self.looked) > SLEPT;
        self.looked = now;
        for (it, pulse) in self.loops.iter_mut().zip(pulses(&self.input, &self.output)) {
            let turns = pulse.turns();
            if turns != it.turns || has_slept {
                *it = Loop { turns, turned: now };
            }
        }
        // One that has never turned is of a thread that this node does not have.
        let is_silent = |it: &Loop| it.turns > 0 && now.saturating_duration_since(it.turned) > SILENCE_MAX;
        Condition { alive: !self.loops.iter().any(is_silent), status: status(&self.input, &self.output) }
    }
}

/// Of ingest, the workers, the hops thread and the front.
fn pulses<'a>(input: &'a InputMetrics, output: &'a OutputMetrics) -> impl Iterator<Item = &'a Pulse> {
    let workers_and_hops = (0..=output.workers.len()).map(|index| output.pulse(WorkerId(index)));
    [&input.pulse].into_iter().chain(workers_and_hops).chain([&output.front])
}

fn status(input: &InputMetrics, output: &OutputMetrics) -> String {
    let streams = input.streams.iter().count();
    let live = input.streams.iter().filter(|stream| stream.state.value().live).count();
    let receivers: u64 = output
        .workers
        .iter()
        .flat_map(|worker| worker.iter())
        .map(|it| it.websocket.value() + it.http.value() + it.tcp.value() + it.relay.value())
        .sum();
    format!("streams live: {live} of {streams}, receivers: {receivers}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::InputState;

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn observer() -> (Observer, Instant) {
        let now = Instant::now();
        let (input, output) = (Arc::new(InputMetrics::new(3)), Arc::new(OutputMetrics::new(2, 3, 0)));
        (Observer::new(input, output, now), now)
    }

    #[test]
    fn what_is_live_is_counted_and_who_receives() {
        let (mut observer, now) = observer();
        observer.input.streams[1].state.set(InputState { live: true, ..InputState::default() });
        observer.output.workers[0][1].websocket.set(5);
        observer.output.workers[1][0].tcp.set(2);
        assert_eq!(observer.look(now).status, "streams live: 1 of 3, receivers: 7");
    }

    #[test]
    fn a_node_is_alive_as_long_as_every_loop_that_ever_turned_turns() {
        let (mut observer, start) = observer();
        let look = Duration::from_secs(5);
        let turn = |observer: &Observer| observer.input.pulse.turned(Duration::ZERO);
        let turn_worker = |observer: &Observer| observer.output.pulse(WorkerId(1)).turned(Duration::ZERO);
        turn(&observer);
        turn_worker(&observer);
        let alive: Vec<bool> = (1..6)
            .map(|number| {
                turn(&observer);
                observer.look(start + number * look).alive
            })
            .collect();
        assert_eq!(alive, [true, true, true, false, false]);
        turn_worker(&observer);
        assert!(observer.look(start + 6 * look).alive);
        // The machine was suspended: nobody is to blame until they had time to turn.
        assert!(observer.look(start + 60 * look).alive);
    }
}
