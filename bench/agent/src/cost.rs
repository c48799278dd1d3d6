//! The agent beside a BEAM: memory, processor time, start, size.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use trunkline_interop::fleet::{Fleet, Settings};
use trunkline_interop::workspace;

use crate::process::{cpu_time, resident_kib};

/// A fleet that has nothing to do but poll, at the default interval.
const QUIET: Duration = Duration::from_secs(60);
const HOSTS: u8 = 3;
const STARTS: usize = 40;

/// What the agent costs.
#[derive(Debug, Serialize)]
pub(crate) struct Cost {
    hosts: u8,
    /// Of each host's agent.
    resident_kib: Vec<u64>,
    /// Of a quiet minute, the mean of the hosts. The kernel counts in steps of 10 ms.
    cpu_ms: u128,
    starts: usize,
    /// Medians.
    version_ms: f64,
    erl_version_ms: f64,
    binary_bytes: u64,
}

pub(crate) fn measure() -> Result<Cost> {
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
    Ok(Cost {
        hosts: HOSTS,
        resident_kib: resident,
        cpu_ms: cpu.as_millis(),
        starts: STARTS,
        version_ms: millis(start),
        erl_version_ms: millis(erl),
        binary_bytes: size,
    })
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
