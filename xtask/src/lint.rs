//! `cargo xtask lint`: formatting, clippy, docs, and the rules that no compiler knows.

use anyhow::Result;

use crate::rules;
use crate::run::{cargo, find, shown};

/// Runs every check; the first that fails ends it.
pub(crate) fn run() -> Result<()> {
    shown(cargo().args(["fmt", "--all", "--check"]))?;
    shown(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))?;
    rules::run()?;
    shown(
        cargo()
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    licences()
}

/// Licences, bans and sources, where cargo-deny is installed.
fn licences() -> Result<()> {
    if find("cargo-deny").is_none() {
        eprintln!("xtask: no cargo-deny here (cargo install cargo-deny): licences not checked");
        return Ok(());
    }
    shown(cargo().args(["deny", "check", "licenses", "bans", "sources"]))
}
