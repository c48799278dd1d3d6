//! The vm.args file that a mix release will give to `erl`: flags stand there too.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use trunkline_discovery::platform::Env;

/// A vm.args file is a page of text; more is not read.
const MAX_BYTES: u64 = 64 << 10;

/// The flags of the file, without its comments; empty when there is none. Inside `env.sh` the
/// release has said where it lives and which command it runs: tools that reach into the running
/// node use another file.
pub(super) fn read(env: &Env) -> String {
    path(env).map(|path| text(&path)).unwrap_or_default()
}

/// The flags in such a file; empty when it cannot be read.
pub(super) fn text(path: &Path) -> String {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
    // A release that has none starts without, and says so itself when it needs it.
    if read.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&text);
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn path(env: &Env) -> Option<PathBuf> {
    let command = env.text("RELEASE_COMMAND").unwrap_or("start");
    let remote = matches!(command, "remote" | "rpc" | "stop" | "restart" | "pid");
    let (variable, file) = if remote {
        ("RELEASE_REMOTE_VM_ARGS", "remote.vm.args")
    } else {
        ("RELEASE_VM_ARGS", "vm.args")
    };
    if let Some(path) = env.path(variable) {
        return Some(path.to_owned());
    }
    let root = env.path("RELEASE_ROOT")?;
    let version = env.path("RELEASE_VSN")?;
    Some(root.join("releases").join(version).join(file))
}
