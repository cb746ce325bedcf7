//! What a server uses: processor time and memory of its process and all that this has started, from `/proc`
//! and their clocks.

use std::fs;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::host::now_ns;

/// Ticks of processor time per second, as `/proc` counts it (`USER_HZ`, 100 on every Linux of today).
const TICKS_PER_SECOND: f64 = 100.0;

/// Processes in one tree; one that starts more than that is no server that we know.
const PROCESSES_MAX: usize = 1024;

/// What a tree of processes has used and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds of processor time, user and system: of those that live to the nanosecond, as the kernel's scheduler counts
    /// it; of children that have ended to a tick. Work of the network that loopback does while a process sends is in it.
    pub cpu_s: f64,
    /// Seconds that the kernel's own thread for the network (`ksoftirqd`) has used on the server's core. What it did was
    /// begun by a `send` and put off; how much is put off differs between servers, so that it has to be counted.
    pub softirq_s: f64,
    /// Seconds that the server's core was not idle, less an unknown beginning, so that only a difference says something.
    /// Beside the server that is what the kernel does for it in interrupts: while the core is idle no process is charged
    /// for that. `None` if it has no core to itself.
    pub core_s: Option<f64>,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Processes.
    pub processes: usize,
}

/// A process and its descendants, as they were when it was made.
#[derive(Clone, Debug)]
pub struct Tree {
    ids: Vec<u32>,
    /// `ksoftirqd` of the core that the server has to itself.
    softirq: Option<u32>,
    core: Option<usize>,
}

impl Tree {
    /// `root` and what it has started, which have core `core` to themselves if it is given.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(root: u32, core: Option<usize>) -> Result<Tree, String> {
        let all = processes();
        if all.iter().all(|process| process.id != root) {
            return Err(format!("there is no process {root}"));
        }
        let mut ids = vec![root];
        let mut next = 0;
        while next < ids.len() && ids.len() < PROCESSES_MAX {
            let parent = ids[next];
            ids.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.id));
            next += 1;
        }
        let name = core.map(|core| format!("ksoftirqd/{core}\n"));
        let is_softirq = |id: u32| fs::read_to_string(format!("/proc/{id}/comm")).ok() == name;
        let threads = all.iter().filter(|process| name.is_some() && process.parent == KERNEL);
        let softirq = threads.map(|process| process.id).find(|id| is_softirq(*id));
        Ok(Tree { ids, softirq, core })
    }

    /// What those of them that live use, and have used.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for process in self.ids.iter().filter_map(|id| read(*id)) {
            usage.cpu_s += process.cpu_s();
            usage.resident_bytes += process.resident_pages * rustix::param::page_size() as u64;
            usage.processes += 1;
        }
        let softirq = self.softirq.and_then(read);
        usage.softirq_s = softirq.map_or(0.0, |process| process.cpu_s());
        usage.core_s = self.core.and_then(idle_s).map(|idle_s| now_ns() as f64 / 1e9 - idle_s);
        usage
    }
}

/// Seconds of processor time that all other programs of this machine have used: not `trees`, not this one and what it
/// has started, not the kernel's own threads.
#[must_use]
pub fn used_by_others(trees: &[Tree]) -> f64 {
    let own = Tree::of(std::process::id(), None).ok();
    let known = |id: u32| trees.iter().chain(&own).any(|tree| tree.ids.contains(&id));
    let all = processes();
    let others =
        all.iter().filter(|process| process.parent != KERNEL && process.id != KERNEL && !known(process.id));
    others.map(|process| process.cpu_s()).sum()
}

/// Seconds that a core has been idle. A kernel without ticks at rest, as all are by now, takes the time at each interrupt.
fn idle_s(core: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let name = format!("cpu{core}");
    let mut fields = stat.lines().map(str::split_whitespace).find_map(|mut fields| {
        let is_core = fields.next() == Some(&name);
        is_core.then_some(fields)
    })?;
    // After `user`, `nice` and `system` come `idle` and `iowait`: proc_stat(5).
    let idle: u64 = fields.nth(3)?.parse().ok()?;
    let waiting: u64 = fields.next()?.parse().ok()?;
    Some((idle + waiting) as f64 / TICKS_PER_SECOND)
}

/// The parent of all threads of the kernel.
const KERNEL: u32 = 2;

struct Process {
    id: u32,
    parent: u32,
    ticks: u64,
    /// Of children that have ended.
    ticks_of_children: u64,
    resident_pages: u64,
}

impl Process {
    /// Its own time to the nanosecond if it still lives, and that of children that have ended.
    fn cpu_s(&self) -> f64 {
        let clock = clock_getcpuclockid(Pid::from_raw(self.id as i32));
        let own_s = clock.and_then(|clock| clock.now()).map(|time| Duration::from(time).as_secs_f64());
        own_s.unwrap_or(self.ticks as f64 / TICKS_PER_SECOND)
            + self.ticks_of_children as f64 / TICKS_PER_SECOND
    }
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(read).collect()
}

fn read(id: u32) -> Option<Process> {
    parse(id, &fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// Reads `/proc/ID/stat` (proc(5)); the name in parentheses may hold anything.
fn parse(id: u32, stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // Numbers of fields as proc(5) has them; the first after the name is 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let (user, system, user_of_children, system_of_children) =
        (field(14)?, field(15)?, field(16)?, field(17)?);
    Some(Process {
        id,
        parent: field(4)? as u32,
        ticks: user + system,
        ticks_of_children: user_of_children + system_of_children,
        resident_pages: field(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat =
            "7 (a) b (c)) S 3 7 7 0 -1 4194560 1 2 3 4 100 50 20 10 20 0 1 0 99 1000 25 18446744073709551615";
        let process = parse(7, stat).unwrap();
        assert_eq!((process.parent, process.ticks, process.ticks_of_children), (3, 150, 30));
        assert_eq!(process.resident_pages, 25);
    }

    #[test]
    fn a_core_is_idle_at_times() {
        let uptime_s = now_ns() as f64 / 1e9;
        assert!(idle_s(0).is_some_and(|idle_s| idle_s > 0.0 && idle_s <= uptime_s + 1.0));
        assert_eq!(idle_s(usize::MAX), None);
    }

    #[test]
    fn this_process_is_there() {
        let own = Tree::of(std::process::id(), None).unwrap().usage();
        assert!(own.resident_bytes > 100_000 && own.processes >= 1);
        assert!(own.cpu_s > 0.0);
        assert!(Tree::of(u32::MAX, None).is_err());
    }
}
