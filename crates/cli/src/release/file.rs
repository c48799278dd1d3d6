//! The file in which `exec` leaves the exports for other shells.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use trunkline_discovery::platform::Env;
use trunkline_proto::NodeName;

use super::exports::Exports;
use super::shell;

/// Where there is no `RELEASE_TMP`.
const SHARED: &str = "/run/trunkline/env";

/// The first line of the file, around the node's name.
const HEAD: (&str, &str) = (
    "# Written by trunkline exec: what ",
    " has in its environment.",
);

/// Where the exports of a node are left.
#[derive(Debug)]
pub(crate) struct ExportsFile {
    /// `$RELEASE_TMP/trunkline.env`, else `/run/trunkline/env`; with `.NODE` at its end when that one
    /// belongs to another node.
    pub(crate) path: PathBuf,
    /// The node, running beside an agent of its own, that has the plain file.
    pub(crate) other: Option<String>,
}

impl ExportsFile {
    /// For `node`, which is served already.
    pub(crate) fn of(node: &NodeName, env: &Env) -> Self {
        let path = match env.path("RELEASE_TMP") {
            Some(dir) => dir.join("trunkline.env"),
            None => SHARED.into(),
        };
        let other = owner(&path).filter(|owner| owner != node.as_str() && is_served(owner));
        let path = match &other {
            Some(_) => with_suffix(&path, &format!(".{node}")),
            None => path,
        };
        Self { path, other }
    }

    /// Writes the exports, without the cookie, for this user only; whoever reads the file meanwhile
    /// reads the old one or the new one whole.
    pub(crate) fn write(&self, node: &NodeName, exports: &Exports) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or_else(|| Path::new("/"));
        fs::create_dir_all(dir)?;
        let half = with_suffix(&self.path, &format!(".{}.new", std::process::id()));
        remove(&half)?;
        let written = write_new(&half, node, exports).and_then(|()| fs::rename(&half, &self.path));
        if written.is_err() {
            // A full disk keeps no half of it.
            fs::remove_file(&half).ok();
        }
        written
    }
}

/// Whose exports a file holds; `None` when there is none, or another program's.
fn owner(path: &Path) -> Option<String> {
    let mut line = String::new();
    let file = fs::File::open(path).ok()?;
    BufReader::new(file.take(1024)).read_line(&mut line).ok()?;
    let node = line.trim_end().strip_prefix(HEAD.0)?;
    Some(node.strip_suffix(HEAD.1)?.to_owned())
}

fn is_served(node: &str) -> bool {
    trunkline_agent::socket::served()
        .iter()
        .any(|served| served == node)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut longer = path.as_os_str().to_owned();
    longer.push(suffix);
    longer.into()
}

fn write_new(path: &Path, node: &NodeName, exports: &Exports) -> io::Result<()> {
    // `create_new` follows no link that somebody has laid in a shared folder.
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{}{node}{}", HEAD.0, HEAD.1)?;
    file.write_all(&shell::exports(&exports.without_cookie()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
