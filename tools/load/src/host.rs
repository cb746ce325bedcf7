//! What is asked of the machine: the clock, descriptors, cores, priority.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on `CLOCK_MONOTONIC`, which is the same for all processes of a machine.
#[must_use]
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Sleeps until [`now_ns`] is `due_ns`.
pub fn sleep_until(due_ns: u64) {
    std::thread::sleep(Duration::from_nanos(due_ns.saturating_sub(now_ns())));
}

/// Raises the limit of open files to `wanted`, above the hard limit if we may.
///
/// # Errors
/// Says what the limit is and how to raise it if `wanted` can't be had.
pub fn allow_descriptors(wanted: u64) -> Result<(), String> {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let hard = now.maximum.unwrap_or(u64::MAX);
    let limit = Rlimit { current: Some(wanted), maximum: Some(hard.max(wanted)) };
    setrlimit(Resource::Nofile, limit).map_err(|error| {
        format!(
            "{wanted} open files are needed, and the limit is {hard} ({error}): raise it as root with\n  \
             prlimit --pid $$ --nofile={wanted}:{wanted}\nor ask for fewer receivers"
        )
    })
}

/// Raises the limit of open files as far as it goes without being root.
pub fn allow_descriptors_as_many_as_possible() {
    let limit = getrlimit(Resource::Nofile);
    // To the hard limit every process may.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Keeps the calling thread, and all that it starts, on core `core`.
///
/// # Errors
/// When there is no such core.
pub fn stay_on(core: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    if core < CpuSet::MAX_CPU {
        set.set(core);
    }
    sched_setaffinity(None, &set).map_err(|error| format!("core {core}: {error}; there are {}", cores()))
}

/// Runs `start` on core `core`; what it starts stays there.
///
/// # Errors
/// When there is no such core.
pub fn on_core<T>(core: Option<usize>, start: impl FnOnce() -> T) -> Result<T, String> {
    let Some(core) = core else { return Ok(start()) };
    let before = sched_getaffinity(None).map_err(|error| error.to_string())?;
    stay_on(core)?;
    let started = start();
    sched_setaffinity(None, &before).map_err(|error| error.to_string())?;
    Ok(started)
}

/// How many cores there are.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Lets the calling thread go before others of the same core, as far as we may: what it measures is then less about us.
pub fn take_precedence() {
    // Without the right to, measuring goes on with what there is.
    let _: io::Result<()> = setpriority_process(None, -15).map_err(io::Error::from);
}
