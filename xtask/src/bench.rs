//! `cargo xtask bench`: measures, and writes `docs/performance.md`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{cargo, output, root, shown};
use crate::{dist, setup};

/// Measures the codec (a minute), the wire (some seven) and the binary that users run (some four; it wants root, as the tests do), and makes
/// the page of all. With `codec`, `wire`, `counted`, `agent` or `page` that step alone: what the others found the last time lies in `target/bench`,
/// and the sections of the codec and of what was counted are put on the page at once.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    setup::run()?;
    match rest.first().map(String::as_str) {
        None => {
            // Nothing of an earlier run is to stay.
            fs::write(report("wire")?, NOTHING)?;
            codec()?;
            wire(&[])?;
            counted()?;
            agent()?;
            page()
        }
        Some("codec") => codec(),
        Some("wire") => wire(&rest[1..]),
        Some("counted") => counted(),
        Some("agent") => agent(),
        Some("page") => page(),
        Some(other) => bail!("there is no step {other:?}: codec, wire, counted, agent, page"),
    }
}

/// A report without figures.
const NOTHING: &str = r#"{"machine": [], "figures": []}"#;

/// `rest` goes to the harness: figures to measure again, `--quick`.
fn wire(rest: &[String]) -> Result<()> {
    let mut bench = harness();
    bench.args(["--syscalls", "--json"]).arg(report("wire")?);
    match rest {
        [] => bench.arg("all"),
        some => bench.args(some),
    };
    shown(&mut bench)
}

/// The codec beside those of others, in a package of its own.
fn codec() -> Result<()> {
    let mut bench = cargo();
    bench.args(["run", "--release", "--manifest-path"]);
    bench.arg(root().join("bench/codec/Cargo.toml"));
    bench.args(["--", "--json"]).arg(report("codec")?);
    shown(&mut bench)?;
    let mut pages = harness();
    write_page(&output(pages.arg("codec-page").arg(report("codec")?))?)
}

/// Instructions of messages and calls, and those of them that lock the bus: one minute, and nothing that runs beside it
/// matters. The harness has the names of its functions for it.
fn counted() -> Result<()> {
    let mut bench = built("counted");
    shown(bench.arg("counted").arg(report("counted")?))?;
    write_page(&output(
        harness().arg("counted-page").arg(report("counted")?),
    )?)
}

fn agent() -> Result<()> {
    let binary = dist::run()?;
    let mut bench = cargo();
    bench.args(["run", "--package", "trunkline-bench-agent"]);
    let found = output(bench.env("TRUNKLINE_BINARY", binary))?;
    Ok(fs::write(report("agent")?, found)?)
}

fn page() -> Result<()> {
    let mut bench = harness();
    bench.arg("page").args([report("wire")?, report("agent")?]);
    write_page(&output(&mut bench)?)
}

fn write_page(page: &str) -> Result<()> {
    fs::write(root().join("docs/performance.md"), page)?;
    print!("{page}");
    Ok(())
}

fn harness() -> Command {
    built("release")
}

fn built(profile: &str) -> Command {
    let mut bench = cargo();
    bench.args(["run", "--quiet", "--profile", profile]);
    bench.args(["--package", "trunkline-bench", "--"]);
    bench
}

fn report(name: &str) -> Result<PathBuf> {
    let folder = root().join("target/bench");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{name}.json")))
}
