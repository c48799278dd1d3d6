//! What the agent costs and how fast a cluster forms, as JSON on standard output.
//!
//! `cargo xtask bench` runs it on the static binary; `docs/performance.md` has the figures.

mod cost;
mod formation;
mod process;

use anyhow::Result;
use serde::Serialize;

/// Everything.
#[derive(Debug, Serialize)]
struct Agent {
    cost: cost::Cost,
    formation: formation::Formation,
}

fn main() -> Result<()> {
    let agent = Agent {
        cost: cost::measure()?,
        formation: formation::measure()?,
    };
    println!("{}", serde_json::to_string_pretty(&agent)?);
    Ok(())
}
