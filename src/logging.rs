//! The log: one line a record to standard error, written by a thread of its own.
//!
//! Standard error may be a full pipe, and neither ingest nor a worker may ever wait for it. So a record goes into a
//! bounded queue; when that is full the record is lost, and the next one that is not says how many were.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

/// Records that wait for the log thread at most.
const QUEUE_RECORDS_MAX: usize = 4096;

/// How long [`Log::flush`] waits for room in the queue, and then for a standard error that nobody reads.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// The running log.
#[derive(Debug)]
pub struct Log {
    queue: Sender<Item>,
}

enum Item {
    Record(Vec<u8>),
    Flush(Sender<()>),
}

impl Log {
    /// Starts the log thread and makes it the logger of the process. `RUST_LOG` is heard; the default is `info`.
    /// Under systemd the lines carry the priority prefix of sd-daemon(3) instead of a time of their own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> io::Result<Log> {
        let (queue, records) = bounded(QUEUE_RECORDS_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let pipe = QueueWriter { queue: queue.clone(), lost: Arc::clone(&lost) };
        thread::Builder::new()
            .name("log".into())
            .spawn(move || write_records(&mut io::stderr(), &records, &lost))?;
        let mut builder = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"));
        builder.target(env_logger::Target::Pipe(Box::new(pipe))).format_target(false);
        if std::env::var_os("JOURNAL_STREAM").is_some() {
            builder.format(|out, record| writeln!(out, "<{}>{}", priority(record.level()), record.args()));
        }
        builder.init();
        Ok(Log { queue })
    }

    /// Writes `text` between the records, as it is.
    pub fn print(&self, text: String) {
        // Nothing but a standard error that is full already keeps it out.
        let _ = self.queue.try_send(Item::Record(text.into_bytes()));
    }

    /// Waits until everything logged so far is written, for two seconds at most.
    pub fn flush(&self) {
        let (done, wait) = bounded(1);
        if self.queue.send_timeout(Item::Flush(done), FLUSH_TIME_MAX).is_ok() {
            let _ = wait.recv_timeout(FLUSH_TIME_MAX);
        }
    }
}

/// Severities of syslog(3).
fn priority(level: log::Level) -> u8 {
    match level {
        log::Level::Error => 3,
        log::Level::Warn => 4,
        log::Level::Info => 6,
        log::Level::Debug | log::Level::Trace => 7,
    }
}

struct QueueWriter {
    queue: Sender<Item>,
    lost: Arc<AtomicU64>,
}

impl Write for QueueWriter {
    /// `env_logger` hands over one record a call.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Item::Record(record.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_records(out: &mut impl Write, records: &Receiver<Item>, lost: &AtomicU64) {
    while let Ok(item) = records.recv() {
        match item {
            Item::Record(record) => {
                // A log that can't be written is no reason to stop forwarding.
                let _ = out.write_all(&record);
            }
            Item::Flush(done) => {
                let _ = done.send(());
            }
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "{lost} log lines were lost: standard error is not read fast enough");
        }
    }
}

/// How many lines of one kind may be logged: a burst, and a rate from then on. What is left out is counted and told
/// with the next line that is not.
#[derive(Debug)]
pub struct LogBudget {
    burst: f64,
    per_second: f64,
    lines: f64,
    refilled_at: Instant,
    left_out: u64,
}

/// Leave to log one line. Its text belongs at the end of the line.
#[derive(Debug)]
pub struct Spent {
    left_out: u64,
}

impl LogBudget {
    /// A full budget of `burst` lines, refilled by `per_second`.
    #[must_use]
    pub fn new(burst: u32, per_second: u32, now: Instant) -> LogBudget {
        let burst = f64::from(burst);
        LogBudget { burst, per_second: f64::from(per_second), lines: burst, refilled_at: now, left_out: 0 }
    }

    /// Takes one line, if there is one.
    pub fn spend(&mut self, now: Instant) -> Option<Spent> {
        let elapsed = now.saturating_duration_since(self.refilled_at).as_secs_f64();
        self.lines = (self.lines + elapsed * self.per_second).min(self.burst);
        self.refilled_at = now;
        if self.lines < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.lines -= 1.0;
        Some(Spent { left_out: std::mem::take(&mut self.left_out) })
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.left_out {
            0 => Ok(()),
            left_out => write!(f, " ({left_out} such lines before were left out)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_told() {
        let (queue, records) = bounded(2);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = QueueWriter { queue, lost: Arc::clone(&lost) };
        for line in [b"one\n", b"two\n", b"six\n"] {
            assert_eq!(writer.write(line).unwrap(), 4, "nobody waits, nobody is told");
        }
        drop(writer);
        let mut out = Vec::new();
        write_records(&mut out, &records, &lost);
        let said = "one\n1 log lines were lost: standard error is not read fast enough\ntwo\n";
        assert_eq!(String::from_utf8(out).unwrap(), said);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_storm_is_counted_and_told_later() {
        let start = Instant::now();
        let mut budget = LogBudget::new(2, 1, start);
        let spent: Vec<bool> = (0..5).map(|_| budget.spend(start).is_some()).collect();
        assert_eq!(spent, [true, true, false, false, false]);
        let told = budget.spend(start + Duration::from_secs(1)).map(|spent| spent.to_string());
        assert_eq!(told.as_deref(), Some(" (3 such lines before were left out)"));
    }
}
