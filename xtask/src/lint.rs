//! `cargo xtask lint`: formatting, clippy, docs, and the rules that no compiler knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, find, output, root, shown};

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
    arrows()?;
    cores()?;
    shown(
        cargo()
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    licences()
}

/// Which of our crates a crate may use (ARCHITECTURE.md, "Arrows"). Arrows are transitive; there
/// is no other.
const ARROWS: &[(&str, &[&str])] = &[
    ("etf", &[]),
    ("proto", &["etf"]),
    ("reconcile", &["etf", "proto"]),
    ("node", &["etf", "proto"]),
    ("discovery", &["etf", "proto", "reconcile"]),
    (
        "cluster",
        &["etf", "proto", "reconcile", "node", "discovery"],
    ),
    (
        "agent",
        &["etf", "proto", "reconcile", "node", "discovery", "cluster"],
    ),
    (
        "cli",
        &[
            "etf",
            "proto",
            "reconcile",
            "node",
            "discovery",
            "cluster",
            "agent",
        ],
    ),
];

fn arrows() -> Result<()> {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for entry in fs::read_dir(root().join("crates"))? {
        let folder = entry?.file_name().to_string_lossy().into_owned();
        let may_use = allowed
            .get(folder.as_str())
            .with_context(|| format!("crates/{folder} has no arrows in xtask/src/lint.rs"))?;
        let manifest = fs::read_to_string(root().join("crates").join(&folder).join("Cargo.toml"))?;
        for used in our_dependencies(&manifest) {
            if !may_use.contains(&used) {
                bail!("crates/{folder} uses crates/{used}: no such arrow in ARCHITECTURE.md");
            }
        }
    }
    eprintln!("xtask: the arrows between the crates hold");
    Ok(())
}

/// The folders of our crates among a manifest's `[dependencies]`.
fn our_dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter_map(|name| match name {
            "trunkline" => Some("cluster"),
            _ => name.strip_prefix("trunkline-"),
        })
}

/// Everything that a core may link, its own dependencies' dependencies included. Closed: a new
/// line is a decision, since the cores must stay free of sockets, clocks and tasks.
const CORE_DEPENDENCIES: &[&str] = &[
    "adler2",
    "block-buffer",
    "bytes",
    "cfg-if",
    "crypto-common",
    "digest",
    "hybrid-array",
    "md-5",
    "miniz_oxide",
    "proc-macro2",
    "quote",
    "subtle",
    "syn",
    "thiserror",
    "thiserror-impl",
    "trunkline-etf",
    "trunkline-proto",
    "trunkline-reconcile",
    "typenum",
    "unicode-ident",
    "zeroize",
];

fn cores() -> Result<()> {
    let closed: BTreeSet<&str> = CORE_DEPENDENCIES.iter().copied().collect();
    for core in ["etf", "proto", "reconcile"] {
        let package = format!("trunkline-{core}");
        let tree = output(cargo().args([
            "tree",
            "--package",
            &package,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ]))?;
        for name in tree.lines().filter_map(|line| line.split(' ').next()) {
            if !closed.contains(name) && !name.is_empty() {
                bail!("{package} now links {name}, which xtask/src/lint.rs does not list");
            }
        }
        let lib = root().join("crates").join(core).join("src/lib.rs");
        if !fs::read_to_string(&lib)?.contains("#![no_std]") {
            bail!("{} lost its #![no_std]", lib.display());
        }
    }
    eprintln!("xtask: the cores link nothing new");
    Ok(())
}

/// Licences, bans and sources, where cargo-deny is installed.
fn licences() -> Result<()> {
    if find("cargo-deny").is_none() {
        eprintln!("xtask: no cargo-deny here (cargo install cargo-deny): licences not checked");
        return Ok(());
    }
    shown(cargo().args(["deny", "check", "licenses", "bans", "sources"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_our_dependencies() {
        let manifest = "[package]\nname = \"trunkline-cli\"\n[dependencies]\ntrunkline.workspace = true\n\
                        trunkline-etf = { path = \"x\" }\nbytes = \"1\"\n[dev-dependencies]\ntrunkline-node = \"1\"\n";
        assert_eq!(
            our_dependencies(manifest).collect::<Vec<_>>(),
            ["cluster", "etf"]
        );
    }
}
