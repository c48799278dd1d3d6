//! The file in which `exec` leaves the exports for other shells.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use trunkline_discovery::platform::Env;

use super::exports::Exports;
use super::shell;

/// Where there is no `RELEASE_TMP`.
const SHARED: &str = "/run/trunkline/env";

/// `$RELEASE_TMP/trunkline.env`, else `/run/trunkline/env`.
pub(crate) fn exports_path(env: &Env) -> PathBuf {
    match env.path("RELEASE_TMP") {
        Some(dir) => dir.join("trunkline.env"),
        None => SHARED.into(),
    }
}

/// Writes the exports, without the cookie, for this user only; whoever reads the file meanwhile
/// reads the old one or the new one whole.
pub(crate) fn write_exports(path: &Path, exports: &Exports) -> io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(dir)?;
    let half = path.with_extension(format!("{}.new", std::process::id()));
    remove(&half)?;
    let written = write_new(&half, exports).and_then(|()| fs::rename(&half, path));
    if written.is_err() {
        // A full disk keeps no half of it.
        fs::remove_file(&half).ok();
    }
    written
}

fn write_new(path: &Path, exports: &Exports) -> io::Result<()> {
    // `create_new` follows no link that somebody has laid in a shared folder.
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(b"# Written by trunkline exec: what this node has in its environment.\n")?;
    file.write_all(&shell::exports(&exports.without_cookie()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
