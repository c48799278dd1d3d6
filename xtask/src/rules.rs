//! The rules of this house that no compiler knows: who may use whom, and what the cores link.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, output, root, shown};

/// Runs every rule; the first that is broken ends it. Builds nothing but the cores.
pub(crate) fn run() -> Result<()> {
    arrows()?;
    cores()?;
    bare()
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
            .with_context(|| format!("crates/{folder} has no arrows in xtask/src/rules.rs"))?;
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
    "once_cell",
    "subtle",
    "thiserror",
    "triomphe",
    "trunkline-etf",
    "trunkline-proto",
    "trunkline-reconcile",
    "typenum",
    "zeroize",
];

/// The cores see no operating system: they link nothing new, and neither they nor what they link
/// reaches for `std`.
fn cores() -> Result<()> {
    let closed: BTreeSet<&str> = CORE_DEPENDENCIES.iter().copied().collect();
    for core in ["etf", "proto", "reconcile"] {
        let package = format!("trunkline-{core}");
        let tree = output(cargo().args([
            "tree",
            "--package",
            &package,
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "--format",
            "{p} [{f}]",
        ]))?;
        for line in tree.lines() {
            check_linked(&package, line, &closed)?;
        }
        let lib = root().join("crates").join(core).join("src/lib.rs");
        if let Some(fault) = without_std(&fs::read_to_string(&lib)?) {
            bail!("{} {fault}", lib.display());
        }
    }
    eprintln!("xtask: the cores link nothing new, and no std");
    Ok(())
}

/// The cores in a program that has no `std`: what a compiler for a machine without an operating system would object to.
fn bare() -> Result<()> {
    shown(cargo().args([
        "build",
        "--quiet",
        "--locked",
        "--manifest-path",
        "xtask/bare/Cargo.toml",
        "--target-dir",
        "target/bare",
    ]))?;
    eprintln!("xtask: the cores build without std");
    Ok(())
}

/// One line of the tree: `name v1.2.3 [feature,feature]`.
fn check_linked(package: &str, line: &str, closed: &BTreeSet<&str>) -> Result<()> {
    let name = line.split(' ').next().unwrap_or_default();
    if name.is_empty() {
        return Ok(());
    }
    if !closed.contains(name) {
        bail!("{package} now links {name}, which xtask/src/rules.rs does not list");
    }
    let features = line.rsplit_once('[').map_or("", |(_, features)| features);
    let mut features = features
        .trim_end_matches(" (*)")
        .trim_end_matches(']')
        .split(',');
    if features.any(|feature| feature == "std") {
        bail!("{package} now links {name} with its feature std");
    }
    Ok(())
}

/// What is wrong with a core's `lib.rs`. `std` may be there for its tests only.
fn without_std(lib: &str) -> Option<&'static str> {
    if !lib.contains("#![no_std]") {
        return Some("lost its #![no_std]");
    }
    let bare = lib.replace("#[cfg(test)]\nextern crate std;", "");
    bare.contains("extern crate std")
        .then_some("links std outside its tests")
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

    #[test]
    fn a_core_may_use_std_in_its_tests_only() {
        let test_only = "#![no_std]\nextern crate alloc;\n#[cfg(test)]\nextern crate std;\n";
        assert_eq!(without_std(test_only), None);
        assert!(without_std("#![no_std]\nextern crate std;\n").is_some());
        assert!(without_std("extern crate alloc;\n").is_some());
    }

    #[test]
    fn a_core_links_what_is_listed_and_no_std() {
        let closed = BTreeSet::from(["bytes"]);
        let check = |line| check_linked("etf", line, &closed).is_ok();
        assert!(check("bytes v1.12.1 []"));
        assert!(check("bytes v1.12.1 [serde] (*)"));
        assert!(!check("bytes v1.12.1 [default,std]"));
        assert!(!check("bytes v1.12.1 [std] (*)"));
        assert!(!check("tokio v1.0.0 []"));
    }
}
