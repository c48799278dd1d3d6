//! System calls, counted by the kernel while a run goes on: `perf stat` of the tracepoint that each one passes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::figure::{Figure, Kind};
use crate::turn::Turn;

/// For 1,000 messages, or round trips, the sender's and the receiver's. `None` where they say nothing.
pub(crate) fn count(turn: &mut Turn, figure: Figure) -> Result<Option<(f64, f64)>> {
    let senders = match figure.kind() {
        Kind::Stream { senders, .. } => senders,
        Kind::Call { callers } => callers,
        Kind::RoundTrip => 1,
        Kind::Connect | Kind::Transfer | Kind::Idle => return Ok(None),
    };
    let messages = senders * turn.count;
    let counters = [turn.sender.id(), turn.receiver.id()].map(Counter::start);
    let [sender, receiver] = counters;
    let (sender, receiver) = (sender?, receiver?);
    turn.once(figure, 0)?;
    let per_1000 = |calls: u64| calls as f64 * 1e3 / messages as f64;
    Ok(Some((per_1000(sender.stop()?), per_1000(receiver.stop()?))))
}

/// Counts the calls of one process.
struct Counter {
    perf: Child,
    file: PathBuf,
}

/// How long `perf` may take to begin or to end.
const LIMIT: Duration = Duration::from_secs(5);

impl Counter {
    fn start(pid: u32) -> Result<Self> {
        let file = std::env::temp_dir().join(format!("trunkline-bench-perf-{pid}"));
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter"])
            .args(["-p", &pid.to_string(), "-o"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("perf: apt-get install linux-perf")?;
        let mut counter = Self { perf, file };
        let deadline = Instant::now() + LIMIT;
        while !counter.counts() {
            if let Some(status) = counter.perf.try_wait()? {
                bail!("perf ended with {status}: it wants root");
            }
            if Instant::now() > deadline {
                bail!("perf does not begin");
            }
            sleep(Duration::from_millis(5));
        }
        Ok(counter)
    }

    /// Whether it has its counters: it opens one per thread. The last is opened soon after the first.
    fn counts(&self) -> bool {
        let folder = format!("/proc/{}/fd", self.perf.id());
        let Ok(entries) = Path::new(&folder).read_dir() else {
            return false;
        };
        let found = entries.flatten().any(|entry| {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            target.to_string_lossy().contains("perf_event")
        });
        if found {
            sleep(Duration::from_millis(30));
        }
        found
    }

    fn stop(mut self) -> Result<u64> {
        let pid = Pid::from_raw(i32::try_from(self.perf.id())?).context("a process has an id")?;
        kill_process(pid, Signal::INT)?;
        self.perf.wait()?;
        let text = std::fs::read_to_string(&self.file)?;
        std::fs::remove_file(&self.file)?;
        let line = text.lines().find(|line| line.contains("raw_syscalls"));
        let number = line.and_then(|line| line.split(',').next()?.parse().ok());
        number.with_context(|| format!("perf says {text:?}"))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // It has ended already unless something failed.
        if let Err(why) = self.perf.kill().and_then(|()| self.perf.wait()) {
            eprintln!("perf cannot be ended: {why}");
        }
    }
}
