//! What the system says of this process, from `/proc/self`.

use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;

/// Ticks of a clock in `/proc` per second: USER_HZ, which the kernel shows as 100 on all of these.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process as of now. What the system does not tell is zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Open descriptors.
    pub descriptors: u64,
    /// The most that there may be.
    pub descriptors_max: u64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
    /// Processor time of all threads.
    pub cpu_seconds: f64,
    /// Seconds since 1970 when it was started.
    pub started_unix_seconds: f64,
    /// Threads.
    pub threads: u64,
}

/// Looks. With many descriptors open it takes a while: as many milliseconds as there are ten thousands.
#[must_use]
pub fn look() -> Process {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let usage = getrusage(UsageWho::RUSAGE_SELF).map(|usage| usage.user_time() + usage.system_time());
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    Process {
        // Looking takes one itself.
        descriptors: fs::read_dir("/proc/self/fd").map_or(0, |open| open.count().saturating_sub(1) as u64),
        descriptors_max: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
        resident_bytes: memory_bytes(&status, "VmRSS:"),
        virtual_bytes: memory_bytes(&status, "VmSize:"),
        cpu_seconds: usage.map_or(0.0, |time| time.num_microseconds() as f64 / 1e6),
        started_unix_seconds: field(&stat, 22) as f64 / TICKS_PER_SECOND + booted_unix_seconds(),
        threads: field(&stat, 20),
    }
}

/// A line of `/proc/PID/status` in kB, which means KiB.
fn memory_bytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

/// A field of `/proc/PID/stat` beyond the second, numbered as in proc(5). The second, the name, may have spaces.
fn field(stat: &str, number: usize) -> u64 {
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').nth(number - 3).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn booted_unix_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_be_anything() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19";
        assert_eq!((field(stat, 4), field(stat, 22)), (1, 19));
        assert_eq!(field("", 22), 0);
    }

    #[test]
    fn this_process_is_found() {
        let process = look();
        assert!(process.descriptors > 2 && process.descriptors < process.descriptors_max);
        assert!(process.resident_bytes > 100_000 && process.virtual_bytes > process.resident_bytes);
        assert!(process.threads > 0 && process.started_unix_seconds > 1e9);
    }
}
