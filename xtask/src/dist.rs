//! `cargo xtask dist`: the one static binary.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, output, root, shown};

/// Builds `dist/trunkline` for this machine's processor and gives its path.
///
/// musl where the toolchain has that target, else glibc linked statically. With glibc that needs
/// care only for name look-ups, and those never go through it.
pub(crate) fn run() -> Result<PathBuf> {
    let (target, flags) = target()?;
    shown(
        cargo()
            .args([
                "build",
                "--release",
                "--package",
                "trunkline-cli",
                "--target",
                &target,
            ])
            .env("RUSTFLAGS", flags),
    )?;
    let built = root()
        .join("target")
        .join(&target)
        .join("release/trunkline");
    let dist = root().join("dist");
    fs::create_dir_all(&dist)?;
    let binary = dist.join("trunkline");
    // Whoever runs the one before goes on with it.
    let new = dist.join(format!(".trunkline-{}", std::process::id()));
    fs::copy(&built, &new).with_context(|| format!("{}", built.display()))?;
    let checked = must_be_static(&new).and_then(|()| Ok(fs::rename(&new, &binary)?));
    if checked.is_err() {
        // What is wrong with it is said below.
        fs::remove_file(&new).ok();
    }
    checked?;
    Ok(binary)
}

fn target() -> Result<(String, String)> {
    let verbose = output(std::process::Command::new("rustc").arg("-vV"))?;
    let host = verbose
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc -vV names no host")?;
    let musl = host.replace("-gnu", "-musl");
    let sysroot = output(std::process::Command::new("rustc").args(["--print", "sysroot"]))?;
    let has_musl = PathBuf::from(sysroot.trim())
        .join("lib/rustlib")
        .join(&musl)
        .is_dir();
    Ok(if has_musl {
        (musl, RANDOM.to_owned())
    } else {
        let flags = "-C target-feature=+crt-static -C relocation-model=static";
        (host.to_owned(), format!("{RANDOM} {flags}"))
    })
}

/// The system call itself: a static program has no symbol to look it up by, and the fallback is a
/// device file that an empty root does not have.
const RANDOM: &str = "--cfg getrandom_backend=\"linux_getrandom\"";

/// An ELF file that asks for an interpreter would not start in an empty root.
fn must_be_static(binary: &std::path::Path) -> Result<()> {
    let bytes = fs::read(binary)?;
    if bytes
        .windows(8)
        .take(4096)
        .any(|window| window == b"/lib64/l")
    {
        bail!("{} needs a dynamic loader", binary.display());
    }
    Ok(())
}
