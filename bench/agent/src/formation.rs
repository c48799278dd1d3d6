//! From the last host's registration to the whole mesh.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use trunkline_interop::fleet::{Fleet, Naming, PATIENCE, Settings};
use trunkline_interop::wait;

const HOSTS: u8 = 5;
const ROUNDS: usize = 3;

pub(crate) fn measure() -> Result<String> {
    let mut fast = Vec::new();
    let mut default = Vec::new();
    for _ in 0..ROUNDS {
        fast.push(form(Some("500ms"))?);
        default.push(form(None)?);
    }
    Ok(format!(
        "## Formation\n\n\
         {HOSTS} hosts, `connect_all false`, so that each of the {} edges is Trunkline's own. Time from the moment at which the last\n\
         node has started to the last `nodeup` that a node recorded, {ROUNDS} runs each.\n\n\
         | `polling_interval` | times |\n|---|---|\n| 500 ms | {} |\n| 5 s (default) | {} |\n\n\
         For comparison, read in their sources:\n\
         libcluster polls every 5 s and dials one peer after another, up to 7 s for each that does not answer; dns_cluster polls\n\
         every 5 s and dials all side by side, and gives up its process when one takes longer than 10 s.\n",
        u32::from(HOSTS) * u32::from(HOSTS - 1) / 2,
        list(&fast),
        list(&default),
    ))
}

fn form(polling: Option<&'static str>) -> Result<Duration> {
    let mut fleet = Fleet::new(Settings {
        connect_all: false,
        polling,
        ..Settings::default()
    })?;
    let all: Vec<u8> = (1..=HOSTS).collect();
    for n in &all {
        fleet.create(*n, Naming::Trunkline)?;
    }
    for n in &all {
        fleet.boot(*n)?;
    }
    for n in &all {
        let release = &fleet.member(*n).release;
        wait::until("a node", PATIENCE, || release.eval("Node.self()").ok());
    }
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?;
    fleet.until_whole(&all);
    let whole = all
        .iter()
        .flat_map(|n| fleet.member(*n).news())
        .map(|record| record.at)
        .max();
    Ok(whole.unwrap_or(begun).saturating_sub(begun))
}

fn list(times: &[Duration]) -> String {
    let texts: Vec<String> = times
        .iter()
        .map(|time| format!("{:.2} s", time.as_secs_f64()))
        .collect();
    texts.join(", ")
}
