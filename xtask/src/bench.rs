//! `cargo xtask bench`: measures, and writes `docs/performance.md`.

use std::fs;

use anyhow::Result;

use crate::run::{cargo, output, root};
use crate::setup;

/// Measures with release builds. Takes some minutes; wants root, as the tests do.
pub(crate) fn run() -> Result<()> {
    setup::run()?;
    let page = output(cargo().args(["run", "--release", "--package", "trunkline-bench"]))?;
    let file = root().join("docs/performance.md");
    fs::write(&file, &page)?;
    print!("{page}");
    Ok(())
}
