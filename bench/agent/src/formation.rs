//! From the last host's registration to the whole mesh.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::Serialize;
use trunkline_interop::fleet::{Fleet, Naming, PATIENCE, Settings};
use trunkline_interop::wait;

const HOSTS: u8 = 5;
const ROUNDS: usize = 3;

/// How fast a cluster forms.
#[derive(Debug, Serialize)]
pub(crate) struct Formation {
    hosts: u8,
    /// Seconds from the moment at which the last node has started to the last `nodeup` that a node
    /// recorded, with `polling_interval` 500 ms.
    fast: Vec<f64>,
    /// The same with the default, 5 s.
    default: Vec<f64>,
}

pub(crate) fn measure() -> Result<Formation> {
    let mut formation = Formation {
        hosts: HOSTS,
        fast: Vec::new(),
        default: Vec::new(),
    };
    for _ in 0..ROUNDS {
        formation.fast.push(form(Some("500ms"))?.as_secs_f64());
        formation.default.push(form(None)?.as_secs_f64());
    }
    Ok(formation)
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
    fleet.boot_all(&all)?;
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
