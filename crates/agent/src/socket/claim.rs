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
    /// The name of the network namespace that stands for the node cannot be had.
    #[error("{node} cannot be claimed: {source}")]
    Name {
        /// The node.
        node: NodeName,
        /// What the system said.
        source: io::Error,
    },
}

impl ClaimError {
    /// Where it happened.
    pub fn place(&self) -> String {
        match self {
            Self::Taken { path, .. } => path.display().to_string(),
            Self::Name { .. } => "abstract unix sockets".to_owned(),
        }
    }

    /// One clause in the imperative.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "stop that one first, a node has one agent",
            Self::Name { .. } => "allow this process to bind them",
        }
    }
}

fn pid_text(pid: &Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

/// The sole right to serve a node, held by a lock that ends with the process: on a name of the network
/// namespace, and, where a folder can be written, on a file, which names the process. Dropping it
/// removes the socket.
#[derive(Debug)]
pub struct Claim {
    place: Option<Place>,
    _name: OwnedFd,
}

/// What the claim holds in a folder.
#[derive(Debug)]
struct Place {
    socket: PathBuf,
    _lock: File,
}

impl Claim {
    /// Claims `node`, which is registered with the port mapper on `epmd_port`, and opens its socket.
    /// Where no folder can be written there is none, and the system says why: the agent serves its node
    /// without, but other commands on this host do not find it.
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub fn take(
        node: &NodeName,
        epmd_port: u16,
        folders: &Folders,
    ) -> Result<(Self, io::Result<UnixListener>), ClaimError> {
        let place = match Place::take(node, folders) {
            Ok(place) => Ok(place),
            Err(Refusal::Taken(taken)) => return Err(taken),
            Err(Refusal::Io(error)) => Err(error),
        };
        let held = hold(&abstract_name(node, epmd_port));
        let held = held.map_err(|source| {
            let node = node.clone();
            ClaimError::Name { node, source }
        })?;
        let Some(name) = held else {
            let (node, pid, path) = (node.clone(), None, abstract_name(node, epmd_port).into());
            return Err(ClaimError::Taken { node, pid, path });
        };
        let opened = place.and_then(|place| Ok((open(&place.socket)?, place)));
        let (listener, place) = match opened {
            Ok((listener, place)) => (Ok(listener), Some(place)),
            Err(error) => (Err(error), None),
        };
        Ok((Self { place, _name: name }, listener))
    }

    /// Where the socket is, when there is one.
    pub fn path(&self) -> Option<&Path> {
        self.place.as_ref().map(|place| place.socket.as_path())
    }
}

impl Place {
    fn take(node: &NodeName, folders: &Folders) -> Result<Self, Refusal> {
        let dir = folders.writable().map_err(Refusal::Io)?;
        let lock = lock(node, &path_in(dir, node.as_str(), "lock"))?;
        Ok(Self {
            socket: path_in(dir, node.as_str(), "sock"),
            _lock: lock,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The lock file stays: removing it would let two later agents lock two files of one name.
        match fs::remove_file(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!("could not remove {}: {error}", self.socket.display());
            }
            _ => {}
        }
    }
}

/// The nodes that agents of this network namespace serve, whether they have a socket or not; of very
/// long names (90 characters) the beginnings. Empty where the system does not say: only Linux does.
pub fn served() -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let mut nodes: Vec<_> = table.lines().filter_map(served_in).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

/// The last column is the name, with an `@` for the leading NUL.
fn served_in(line: &str) -> Option<String> {
    let (_, name) = line.rsplit_once(' ')?;
    let (_port, node) = name
        .strip_prefix('@')?
        .strip_prefix(ABSTRACT)?
        .split_once('/')?;
    Some(node.to_owned())
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
    format!("{ABSTRACT}{epmd_port}/{node}")
}

const ABSTRACT: &str = "trunkline-agent/";

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
        let mode = fs::metadata(first.path().unwrap())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        let error = Claim::take(&node, 4369, &folders).unwrap_err().to_string();
        let pid = std::process::id();
        let what = format!("another agent (pid {pid}) already serves app@10.0.0.1");
        assert_eq!(error, what);

        drop(first);
        let (_again, listener) = Claim::take(&node, 4369, &folders).unwrap();
        listener.unwrap();
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
        let path = claim.path().unwrap().to_owned();
        drop((listener, claim));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (_again, listener) = Claim::take(&node, 4369, &folders).unwrap();
        listener.unwrap();
    }

    #[tokio::test]
    async fn without_a_folder_there_is_no_socket_and_still_one_agent() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let folders = Folders::nowhere(&file);
        let node: NodeName = "app@10.0.0.4".parse().unwrap();
        let (claim, listener) = Claim::take(&node, 4369, &folders).unwrap();
        assert!(listener.is_err() && claim.path().is_none());
        let error = Claim::take(&node, 4369, &folders).unwrap_err();
        assert!(matches!(error, ClaimError::Taken { .. }), "{error}");
        assert!(served().contains(&"app@10.0.0.4".to_owned()));
    }
}
