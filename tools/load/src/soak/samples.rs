//! What the nodes held, second by second: as a table, as plots, and whether it grew.

use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::SAMPLE_EVERY;
use crate::host::now_ns;
use crate::plot::{self, Scale, Series};
use crate::process::Tree;

/// The nodes, as tables and plots call them.
const NODES: [&str; 2] = ["upper node", "lower node"];

/// Share of the time after which buffers and pools have the size that they keep.
const WARM_AFTER: f64 = 1.0 / 6.0;

/// Memory may differ by so much between the first third after that and the last: one part in so many, and some bytes.
const MEMORY_PART: u64 = 20;
const MEMORY_BYTES: u64 = 1 << 20;

/// What was seen at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Seconds since the first.
    pub seconds: f64,
    /// What each node held.
    pub nodes: [Held; 2],
}

/// What a node held.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Held {
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Processor time used up to then, in seconds.
    pub cpu_s: f64,
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// In the order of time.
    pub all: Vec<Sample>,
    /// Descriptors of each node at the end of each round, when only those viewers are left that stay on.
    pub at_rest: Vec<[u64; 2]>,
}

impl Samples {
    /// What has grown, in words; nothing if all is flat.
    #[must_use]
    pub fn growth(&self) -> Vec<String> {
        let mut growth = Vec::new();
        for (node, name) in NODES.iter().enumerate() {
            let memory: Vec<u64> = self.warm().iter().map(|sample| sample.nodes[node].memory_bytes).collect();
            let (first, last) = thirds(&memory);
            let (first, last) = (median(first), median(last));
            if last > first + first / MEMORY_PART + MEMORY_BYTES {
                growth.push(format!("the memory of the {name} has grown from {first} to {last} bytes"));
            }
            let rest: Vec<u64> = self.at_rest.iter().map(|nodes| nodes[node]).collect();
            let (first, last) = thirds(&rest);
            let (first, last) = (least(first), least(last));
            if last > first {
                growth.push(format!("the {name} had {first} descriptors open at rest, and has {last}"));
            }
        }
        growth
    }

    /// Numbers for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (node, name) in NODES.iter().enumerate() {
            let memory: Vec<u64> = self.warm().iter().map(|sample| sample.nodes[node].memory_bytes).collect();
            let (first, last) = thirds(&memory);
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let (most, seconds) = (memory.iter().max(), self.all.last().map_or(0.0, |last| last.seconds));
            let cpu_s = |sample: Option<&Sample>| sample.map_or(0.0, |sample| sample.nodes[node].cpu_s);
            let cpu_s = cpu_s(self.all.last()) - cpu_s(self.all.first());
            let rest = |nodes: Option<&[u64; 2]>| nodes.map_or(0, |nodes| nodes[node]);
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{name}: memory {:.2} MiB in the first third, {:.2} in the last, {:.2} at most; descriptors at rest {} \
                 after the first round, {} after the last; {:.1} % of a core",
                mib(median(first)),
                mib(median(last)),
                mib(most.copied().unwrap_or_default()),
                rest(self.at_rest.first()),
                rest(self.at_rest.last()),
                100.0 * cpu_s / seconds.max(1.0)
            );
        }
        text
    }

    /// A line for each sample, with names in the first.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = "seconds,upper_memory_bytes,upper_descriptors,upper_cpu_s,\
                        lower_memory_bytes,lower_descriptors,lower_cpu_s\n"
            .to_owned();
        for Sample { seconds, nodes: [upper, lower] } in &self.all {
            let _ = write!(text, "{seconds:.1}");
            for Held { memory_bytes, descriptors, cpu_s } in [upper, lower] {
                let _ = write!(text, ",{memory_bytes},{descriptors},{cpu_s:.2}");
            }
            text.push('\n');
        }
        text
    }

    /// Memory and descriptors over time, as SVG, each with the name of its file.
    #[must_use]
    pub fn plots(&self) -> [(&'static str, String); 2] {
        let plot = |title: &str, unit: &str, of: fn(&Held) -> f64| {
            let line = |(node, name): (usize, &&str)| -> Series {
                let points =
                    self.all.iter().map(|sample| (sample.seconds / 60.0, of(&sample.nodes[node]))).collect();
                ((*name).to_owned(), points)
            };
            let lines: Vec<Series> = NODES.iter().enumerate().map(line).collect();
            plot::lines(title, "minutes", unit, Scale::Linear, &lines)
        };
        let memory = plot("Resident memory", "MiB", |held| held.memory_bytes as f64 / f64::from(1 << 20));
        let descriptors = plot("Open descriptors", "count", |held| held.descriptors as f64);
        [("memory.svg", memory), ("descriptors.svg", descriptors)]
    }

    fn warm(&self) -> &[Sample] {
        let cold = (self.all.len() as f64 * WARM_AFTER) as usize;
        &self.all[cold..]
    }
}

/// The first and the last of three parts.
fn thirds<T>(values: &[T]) -> (&[T], &[T]) {
    let third = values.len().div_ceil(3);
    (&values[..third], &values[values.len() - third..])
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn least(values: &[u64]) -> u64 {
    values.iter().min().copied().unwrap_or_default()
}

/// Looks at the nodes from a thread of its own.
pub(super) struct Sampler {
    ids: [u32; 2],
    samples: Arc<Mutex<Samples>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sampler {
    pub fn start(ids: [u32; 2]) -> Sampler {
        let (samples, stop) = (Arc::<Mutex<Samples>>::default(), Arc::<AtomicBool>::default());
        let (to, stopped) = (Arc::clone(&samples), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let start_ns = now_ns();
            while !stopped.load(Ordering::Relaxed) {
                let sample = Sample { seconds: (now_ns() - start_ns) as f64 / 1e9, nodes: ids.map(Held::by) };
                to.lock().unwrap_or_else(PoisonError::into_inner).all.push(sample);
                thread::park_timeout(SAMPLE_EVERY);
            }
        });
        Sampler { ids, samples, stop, thread }
    }

    /// A round has ended: waits until the nodes have let its viewers go, as far as they do, and takes note.
    pub fn rest(&self) {
        let held = || self.ids.map(|id| Held::by(id).descriptors);
        let mut least = held();
        // Connections are lingered on for up to two seconds.
        for _ in 0..3 {
            thread::sleep(SAMPLE_EVERY);
            least = std::array::from_fn(|node| least[node].min(held()[node]));
        }
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).at_rest.push(least);
    }

    /// What was seen last, in words.
    pub fn latest(&self) -> String {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Sample { nodes, .. }) = samples.all.last() else { return String::new() };
        let words = |(held, name): (&Held, &str)| {
            format!("{name} {:.1} MiB and {} descriptors", held.memory_bytes as f64 / 1e6, held.descriptors)
        };
        nodes.iter().zip(NODES).map(words).collect::<Vec<_>>().join(", ")
    }

    pub fn end(self) -> Samples {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        // It can't have failed: all it does is look.
        let _ = self.thread.join();
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    /// What the process holds; nothing if it has ended.
    fn by(id: u32) -> Held {
        let usage = Tree::of(id, None).map(|tree| tree.usage()).unwrap_or_default();
        let descriptors = fs::read_dir(format!("/proc/{id}/fd")).map_or(0, |entries| entries.count() as u64);
        Held { memory_bytes: usage.resident_bytes, descriptors, cpu_s: usage.cpu_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(memory_of: impl Fn(u64) -> u64, rest_of: impl Fn(u64) -> u64) -> Samples {
        let held = |second| Held { memory_bytes: memory_of(second), descriptors: 20, cpu_s: 0.0 };
        let all = (0..3600).map(|second| Sample { seconds: second as f64, nodes: [held(second); 2] });
        Samples { all: all.collect(), at_rest: (0..120).map(|round| [12, rest_of(round)]).collect() }
    }

    #[test]
    fn growth_is_told_from_noise() {
        let noisy = |second| (20 << 20) + second * 7919 % (3 << 20);
        let warming_up = |second: u64| noisy(second) - 500_u64.saturating_sub(second) * 30_000;
        assert_eq!(samples(warming_up, |round| 12 + round % 3).growth(), [""; 0]);
        let leaking = samples(|second| noisy(second) + second * 1500, |round| 12 + round % 3 + round / 60);
        let growth = leaking.growth();
        assert_eq!(growth.len(), 3, "{growth:?}");
        assert!(growth[0].contains("the memory of the upper node"), "{growth:?}");
        assert!(growth[2].contains("12 descriptors open at rest, and has 13"), "{growth:?}");
    }

    #[test]
    fn tables_and_plots_have_all_of_it() {
        let samples = samples(|second| second, |_| 12);
        assert_eq!(samples.csv().lines().count(), 3601);
        assert!(samples.plots().iter().all(|(_, svg)| svg.matches("<polyline").count() == 2));
    }
}
