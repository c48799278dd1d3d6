//! `cargo xtask bench`: measures, and writes `docs/performance.md`.

use std::fs;

use anyhow::Result;

use crate::run::{cargo, output, root};
use crate::{dist, setup};

/// Measures the binary that users run. Takes some minutes; wants root, as the tests do.
pub(crate) fn run() -> Result<()> {
    setup::run()?;
    let binary = dist::run()?;
    let mut bench = cargo();
    bench.args(["run", "--package", "trunkline-bench-agent"]);
    let page = output(bench.env("TRUNKLINE_BINARY", binary))?;
    let file = root().join("docs/performance.md");
    fs::write(&file, &page)?;
    print!("{page}");
    Ok(())
}
