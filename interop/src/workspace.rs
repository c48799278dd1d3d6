//! Where things are: the target directory, the command under test, and what is built once for all tests.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::process::run;

/// The workspace's root.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("interop is a folder of the workspace")
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    profile_dir()
        .parent()
        .expect("a profile is a folder of the target directory")
        .to_owned()
}

/// The `trunkline` binary under test: the one that `TRUNKLINE_BINARY` names, else that of the profile that the tests were built
/// with, built when it is missing or old.
///
/// # Panics
/// When it does not build.
pub fn trunkline() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(other) = std::env::var_os("TRUNKLINE_BINARY") {
            return other.into();
        }
        built("trunkline-cli").join("trunkline")
    })
}

/// The program that measures the wire, of the profile that the tests were built with.
///
/// # Panics
/// When it does not build.
pub fn bench() -> PathBuf {
    built("trunkline-bench").join("trunkline-bench")
}

/// An example of the crate `trunkline-node`.
///
/// # Panics
/// When it does not build.
pub fn example(name: &str) -> PathBuf {
    build(&["--package", "trunkline-node", "--example", name])
        .join("examples")
        .join(name)
}

/// Builds a package of the workspace, and gives the folder of what is built.
fn built(package: &str) -> PathBuf {
    build(&["--package", package])
}

fn build(what: &[&str]) -> PathBuf {
    let profile = profile_dir();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root())
        .args(["build", "--quiet"])
        .args(what)
        .env("CARGO_TARGET_DIR", target());
    // Cargo tells a test which package it is of. With that in the environment, build scripts would run anew (ring's), and what
    // depends on them would be built once for us and once again for whoever builds it from a shell.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    run(&mut cargo).expect("the package builds");
    profile
}

/// What `cargo xtask dist` makes and users run, built when it is missing or old. That takes minutes of all cores, so the build stands back
/// behind the nodes of other stories, which must be up in time.
///
/// # Panics
/// When it does not build.
pub fn dist() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut cargo = Command::new("nice");
        cargo
            .args(["-n", "19"])
            .arg(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["xtask", "dist"])
            .current_dir(root());
        let path = run(&mut cargo).expect("the static binary builds");
        PathBuf::from(path.trim())
    })
}

/// Runs `build` unless `stamp` is already what `file` holds; one process at a time. For things that take seconds to make.
pub(crate) fn once(file: &Path, stamp: &str, build: impl FnOnce() -> Result<()>) -> Result<()> {
    let folder = file.parent().context("a stamp is in a folder")?;
    std::fs::create_dir_all(folder)?;
    let lock = File::create(file.with_extension("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    if std::fs::read_to_string(file).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    build()?;
    std::fs::write(file, stamp).with_context(|| format!("write {}", file.display()))
}

/// `target/debug`, from where we run: a test is `target/debug/deps/test-0123`, a program `target/debug/bench`.
fn profile_dir() -> PathBuf {
    let program = std::env::current_exe().expect("the system knows the running program");
    let folder = program.parent().expect("a program is in a folder");
    let profile = match folder.file_name() {
        Some(name) if name == "deps" => folder.parent(),
        _ => Some(folder),
    };
    profile.expect("deps is in a folder").to_owned()
}
