//! One agent for one node.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, chmod, flock};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use thiserror::Error;
use tokio::net::UnixListener;
use trunkline_proto::NodeName;

use super::Folders;
use super::folders::path_in;

/// The node cannot be claimed. `Display` says what happened, [`cure`](Self::cure) what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Another agent serves it.
    #[error("another agent{} already serves {node}", pid_text(pid))]
    Taken {
        /// The node.
        node: NodeName,
        /// The other agent's process, when it is known.
        pid: Option<u32>,
        /// What it holds.
        path: PathBuf,
    },
    /// There is no place for the socket.
    #[error("no unix socket for {node}: {source}")]
    NoPlace {
        /// The node.
        node: NodeName,
        /// What the system said of the last folder.
        source: io::Error,
    },
}

impl ClaimError {
    /// Where it happened.
    pub fn place(&self) -> String {
        match self {
            Self::Taken { path, .. } => path.display().to_string(),
            Self::NoPlace { .. } => "/run/trunkline".to_owned(),
        }
    }

    /// One clause in the imperative.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "stop that one first, a node has one agent",
            Self::NoPlace { .. } => {
                "make that folder writable for this user (systemd: RuntimeDirectory=trunkline), or set XDG_RUNTIME_DIR"
            }
        }
    }
}

fn pid_text(pid: &Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

/// The sole right to serve a node, held by a lock that ends with the process: on a file, which names
/// the process, and on a name of the network namespace, which holds whatever folder another agent
/// uses. Dropping it removes the socket.
#[derive(Debug)]
pub struct Claim {
    socket: PathBuf,
    _lock: File,
    _name: OwnedFd,
}

impl Claim {
    /// Claims `node`, which is registered with the port mapper on `epmd_port`, and opens its socket.
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub fn take(
        node: &NodeName,
        epmd_port: u16,
        folders: &Folders,
    ) -> Result<(Self, UnixListener), ClaimError> {
        let no_place = |source| {
            let node = node.clone();
            ClaimError::NoPlace { node, source }
        };
        let dir = folders.writable().map_err(no_place)?;
        let socket = path_in(dir, node.as_str(), "sock");
        let lock = lock(node, &path_in(dir, node.as_str(), "lock")).map_err(|e| match e {
            Refusal::Taken(taken) => taken,
            Refusal::Io(source) => no_place(source),
        })?;
        let Some(name) = hold(&abstract_name(node, epmd_port)).map_err(no_place)? else {
            let (node, pid, path) = (node.clone(), None, abstract_name(node, epmd_port).into());
            return Err(ClaimError::Taken { node, pid, path });
        };
        let listener = open(&socket).map_err(no_place)?;
        let claim = Self {
            socket,
            _lock: lock,
            _name: name,
        };
        Ok((claim, listener))
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The lock file stays: removing it would let two later agents lock two files of one name.
        if let Err(error) = fs::remove_file(&self.socket) {
            tracing::debug!("could not remove {}: {error}", self.socket.display());
        }
    }
}

enum Refusal {
    Taken(ClaimError),
    Io(io::Error),
}

fn lock(node: &NodeName, path: &Path) -> Result<File, Refusal> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.mode(0o600).open(path).map_err(Refusal::Io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let read = file.read_to_string(&mut holder);
            let pid = read.ok().and_then(|_| holder.trim().parse().ok());
            let (node, path) = (node.clone(), path.to_owned());
            return Err(Refusal::Taken(ClaimError::Taken { node, pid, path }));
        }
        Err(error) => return Err(Refusal::Io(error.into())),
    }
    let written = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(Refusal::Io)?;
    Ok(file)
}

/// Two agents under one name would push each other off the node for ever. `None`: it is taken.
fn hold(name: &str) -> io::Result<Option<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    // Longer names are cut: their beginnings tell nodes of one host apart.
    let name = name
        .as_bytes()
        .get(..MAX_ABSTRACT)
        .unwrap_or(name.as_bytes());
    match bind(&socket, &SocketAddrUnix::new_abstract_name(name)?) {
        Ok(()) => Ok(Some(socket)),
        Err(rustix::io::Errno::ADDRINUSE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a socket address holds beside the leading NUL.
const MAX_ABSTRACT: usize = 107;

/// A node's name is unique at its port mapper.
fn abstract_name(node: &NodeName, epmd_port: u16) -> String {
    format!("trunkline-agent/{epmd_port}/{node}")
}

/// Binds, narrows the mode, and listens only then: at no moment can another user connect.
fn open(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    chmod(path, Mode::RUSR | Mode::WUSR)?;
    listen(&socket, 64)?;
    UnixListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn the_second_claim_names_the_first() {
        let home = tempfile::tempdir().unwrap();
        let folders = Folders::new(Some(home.path()));
        let node: NodeName = "app@10.0.0.1".parse().unwrap();
        let (first, _listener) = Claim::take(&node, 4369, &folders).unwrap();
        let mode = fs::metadata(first.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let error = Claim::take(&node, 4369, &folders).unwrap_err().to_string();
        let pid = std::process::id();
        let what = format!("another agent (pid {pid}) already serves app@10.0.0.1");
        assert_eq!(error, what);

        drop(first);
        Claim::take(&node, 4369, &folders).unwrap();
    }

    #[tokio::test]
    async fn another_folder_is_no_way_around_it() {
        let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let node: NodeName = "app@10.0.0.3".parse().unwrap();
        let take = |n: usize| Claim::take(&node, 4369, &Folders::new(Some(homes[n].path())));
        let _first = take(0).unwrap();
        let error = take(1).unwrap_err();
        assert!(matches!(error, ClaimError::Taken { .. }), "{error}");
        assert_eq!(error.place(), "trunkline-agent/4369/app@10.0.0.3");
    }

    #[tokio::test]
    async fn a_socket_left_by_a_killed_agent_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let folders = Folders::new(Some(home.path()));
        let node: NodeName = "app@10.0.0.2".parse().unwrap();
        let (claim, listener) = Claim::take(&node, 4369, &folders).unwrap();
        let path = claim.path().to_owned();
        drop((listener, claim));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Claim::take(&node, 4369, &folders).unwrap();
    }
}
