//! OTP 27 with Elixir 1.18 beside this system's own: Debian trixie's packages, unpacked into a folder and used by chroot.
//!
//! Made once (some ten seconds, 130 MB) and kept in `target/otp27`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;
use crate::workspace;

/// What goes in, besides what these depend on: a shell for release scripts, `curl` for the ones that ask the metadata service.
const PACKAGES: &str = "dash,coreutils,sed,grep,mawk,curl,elixir,erlang-base,erlang-crypto,erlang-ssl,erlang-public-key,\
     erlang-asn1,erlang-inets,erlang-runtime-tools,erlang-tools,erlang-syntax-tools,erlang-parsetools";

/// Raise it when [`PACKAGES`] or [`shell`] change, and the folder is made anew.
const VERSION: &str = "2";

/// The folder with OTP 27, made when it is missing.
pub fn root() -> Result<PathBuf> {
    let root = workspace::target().join("otp27");
    let stamp = workspace::target().join("interop/otp27.version");
    workspace::once(&stamp, VERSION, || make(&root))?;
    Ok(root)
}

/// A command line that runs what follows it inside `root`, in the same working directory, with the same files below `shared`
/// and the same `/proc`, `/dev`, `/run`, `/etc/hosts` and `/etc/resolv.conf`.
///
/// It has to be started in a mount namespace of its own (`ip netns exec` makes one), which takes the mounts with it when it ends.
pub(crate) fn inside(root: &Path, shared: &[PathBuf]) -> Vec<String> {
    let root = root.display();
    let mut script = String::from("set -e\n");
    let folders = ["/proc", "/dev", "/run"].map(PathBuf::from);
    for folder in folders.iter().chain(shared).map(|path| path.display()) {
        script.push_str(&format!(
            "mkdir -p '{root}{folder}'; mount --rbind '{folder}' '{root}{folder}'\n"
        ));
    }
    for file in ["/etc/hosts", "/etc/resolv.conf"] {
        script.push_str(&format!("mount --bind {file} '{root}{file}'\n"));
    }
    script.push_str(&format!(
        "exec chroot '{root}' /usr/bin/env --chdir=\"$PWD\" \"$@\"\n"
    ));
    ["sh", "-c", &script, "sh"].map(String::from).into()
}

/// A command for building inside, apart from any lab.
pub(crate) fn command(program: &str, shared: &[PathBuf]) -> Result<Command> {
    let mut command = Command::new("unshare");
    command
        .arg("--mount")
        .args(inside(&root()?, shared))
        .arg(program);
    Ok(command)
}

fn make(root: &Path) -> Result<()> {
    let new = root.with_extension("new");
    for folder in [root, &new] {
        if folder.exists() {
            std::fs::remove_dir_all(folder)
                .with_context(|| format!("remove {}", folder.display()))?;
        }
    }
    run(Command::new("mmdebstrap")
        .args(["--quiet", "--variant=extract", "--include", PACKAGES])
        // Unpacked packages without their scripts: the links of a merged /usr come from us, and before the files do.
        .args(["--setup-hook", "for d in bin sbin lib lib64; do mkdir -p \"$1/usr/$d\"; [ -e \"$1/$d\" ] || ln -s usr/$d \"$1/$d\"; done"])
        .args(["--customize-hook", "rm -rf \"$1\"/usr/share/doc \"$1\"/usr/share/man \"$1\"/usr/share/locale \"$1\"/var/lib/apt"])
        .arg("trixie")
        .arg(&new)
        .arg(format!("deb {} trixie main", mirror())))?;
    shell(&new)?;
    std::fs::rename(&new, root)?;
    Ok(())
}

/// What package scripts would have set up and a release needs.
fn shell(root: &Path) -> Result<()> {
    std::fs::create_dir_all(root.join("root"))?;
    for (file, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/nsswitch.conf", "hosts: files dns\n"),
        ("etc/hosts", ""),
        ("etc/resolv.conf", ""),
    ] {
        std::fs::write(root.join(file), text)?;
    }
    for (link, to) in [("usr/bin/awk", "mawk"), ("usr/bin/sh", "dash")] {
        if !root.join(link).exists() {
            std::os::unix::fs::symlink(to, root.join(link))?;
        }
    }
    Ok(())
}

/// The Debian mirror that this machine already uses.
fn mirror() -> String {
    let files = [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list",
    ];
    let text: String = files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .collect();
    text.lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://"))
        .unwrap_or("http://deb.debian.org/debian")
        .to_owned()
}
