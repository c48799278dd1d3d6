//! The agent beside a BEAM: memory, processor time, start, size.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use trunkline_interop::fleet::{Fleet, Settings};
use trunkline_interop::workspace;

use crate::process::{cpu_time, resident_kib};

/// A fleet that has nothing to do but poll, at the default interval.
const QUIET: Duration = Duration::from_secs(60);
const HOSTS: u8 = 3;
const STARTS: usize = 40;

pub(crate) fn measure() -> Result<String> {
    let mut fleet = Fleet::new(Settings::default())?;
    fleet.up(HOSTS)?;
    let pids: Vec<u32> = (1..=HOSTS)
        .map(|n| fleet.member_mut(n).process().id())
        .collect();
    let before = total_cpu(&pids)?;
    // This is the measurement, not a wait for something.
    sleep(QUIET);
    let cpu = (total_cpu(&pids)? - before) / u32::from(HOSTS);
    let resident: Vec<u64> = pids
        .iter()
        .map(|pid| resident_kib(*pid))
        .collect::<Result<_>>()?;
    let (start, erl) = (start_up("trunkline")?, start_up("erl")?);
    let size = fs::metadata(workspace::trunkline())?.len();
    Ok(format!(
        "## The agent\n\n\
         `trunkline exec` beside a release, attached and polling every 5 s, {HOSTS} hosts.\n\n\
         | what | figure |\n|---|---|\n\
         | resident memory | {} KiB (largest of {HOSTS}) |\n\
         | processor time in a quiet minute | {} ms (mean of {HOSTS}; the kernel counts in steps of 10 ms) |\n\
         | `trunkline --version`, median of {STARTS} | {:.1} ms |\n\
         | `erl -version`, median of {STARTS}, for comparison | {:.1} ms |\n\
         | size of the binary, stripped | {:.1} MiB |\n\n",
        resident.iter().max().copied().unwrap_or_default(),
        cpu.as_millis(),
        millis(start),
        millis(erl),
        size as f64 / f64::from(1 << 20),
    ))
}

fn total_cpu(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| cpu_time(*pid)).sum()
}

fn start_up(program: &str) -> Result<Duration> {
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let mut command = match program {
            "erl" => Command::new("erl"),
            _ => Command::new(workspace::trunkline()),
        };
        command.arg(if program == "erl" {
            "-version"
        } else {
            "--version"
        });
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        command.status()?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times[STARTS / 2])
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
