//! Asking the agents of this host.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;
use trunkline_proto::{Cookie, NodeName};
use zeroize::Zeroizing;

use super::{Folders, claim};
use crate::status::AgentStatus;

/// An agent answers from memory; one that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Far more than the status of a thousand peers.
const MAX_ANSWER: u64 = 16 << 20;

/// An agent on this host.
#[derive(Clone, Debug)]
pub struct LocalAgent {
    /// The node that it serves.
    pub node: NodeName,
    /// What it says of itself.
    pub status: AgentStatus,
    socket: PathBuf,
}

/// There is not exactly one agent on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalError {
    /// None answers.
    None {
        /// The folders in which sockets were looked for.
        searched: Vec<String>,
    },
    /// Several answer.
    Several {
        /// The nodes that they serve.
        nodes: Vec<String>,
    },
    /// One holds its socket and says nothing.
    Silent {
        /// The node that it serves, as far as the socket's name says.
        node: String,
        /// Its socket.
        socket: PathBuf,
    },
    /// There are some, and none has a socket that this user can open.
    NoSocket {
        /// The nodes that they serve.
        nodes: Vec<String>,
        /// The folders in which sockets were looked for.
        searched: Vec<String>,
    },
}

impl LocalError {
    /// What is wrong, one clause.
    pub fn what(&self) -> String {
        match self {
            Self::None { .. } => "no NODE given, and no agent runs on this host".to_owned(),
            Self::Several { nodes } => format!(
                "no NODE given, and agents on this host serve several: {}",
                nodes.join(", ")
            ),
            Self::Silent { node, .. } => format!(
                "no NODE given, and the agent of {node} on this host does not answer within {} s",
                PATIENCE.as_secs()
            ),
            Self::NoSocket { nodes, .. } => format!(
                "no NODE given, and the agent of {} on this host has no socket that this user can open",
                nodes.join(", ")
            ),
        }
    }

    /// Where.
    pub fn place(&self) -> String {
        match self {
            Self::None { searched } | Self::NoSocket { searched, .. } => {
                format!("no socket in {}", searched.join(", "))
            }
            Self::Silent { socket, .. } => socket.display().to_string(),
            Self::Several { .. } => "NODE".to_owned(),
        }
    }

    /// What to do about it.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::None { .. } => "name the node, or start it with trunkline exec or run",
            Self::Several { .. } => "name one of them",
            Self::Silent { .. } => {
                "look at its process (stopped, or short of CPU), restart it, or name the node"
            }
            Self::NoSocket { .. } => {
                "ask as its user or as root, or name the node; where it found no folder that it can write, set XDG_RUNTIME_DIR for it"
            }
        }
    }
}

impl LocalAgent {
    /// The only agent on this host.
    ///
    /// # Errors
    /// When there is none, or more than one, or it cannot be asked.
    pub async fn only(folders: &Folders) -> Result<Self, LocalError> {
        let (mut all, silent) = Self::look(folders).await;
        if all.len() + silent.len() > 1 {
            let nodes = all.iter().map(|agent| agent.node.to_string());
            let mut nodes: Vec<_> = nodes.chain(silent.iter().map(|s| node_of(s))).collect();
            nodes.sort();
            return Err(LocalError::Several { nodes });
        }
        if let Some(socket) = silent.into_iter().next() {
            let node = node_of(&socket);
            return Err(LocalError::Silent { node, socket });
        }
        all.pop().ok_or_else(|| {
            let (nodes, searched) = (claim::served(), folders.names());
            match nodes.is_empty() {
                true => LocalError::None { searched },
                false => LocalError::NoSocket { nodes, searched },
            }
        })
    }

    /// Every agent that answers, in the order of their nodes' names. Sockets of dead agents and of
    /// other users are passed over.
    pub async fn all(folders: &Folders) -> Vec<Self> {
        Self::look(folders).await.0
    }

    /// The agents that answer, and the sockets of those that hang.
    async fn look(folders: &Folders) -> (Vec<Self>, Vec<PathBuf>) {
        let asked = folders.sockets().into_iter().map(async |socket| {
            let answer = Self::at(&socket).await;
            (socket, answer)
        });
        let (mut found, mut silent) = (Vec::new(), Vec::new());
        for (socket, answer) in join_all(asked).await {
            match answer {
                Ok(agent) => found.push(agent),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => silent.push(socket),
                Err(error) => tracing::debug!("{}: {error}", socket.display()),
            }
        }
        found.sort_by(|a: &Self, b| a.node.cmp(&b.node));
        (found, silent)
    }

    async fn at(socket: &Path) -> io::Result<Self> {
        let body = get(socket, "/api/v1/status").await?;
        let status: AgentStatus = serde_json::from_slice(&body)?;
        let node = status.node.name.parse().map_err(io::Error::other)?;
        let socket = socket.to_owned();
        Ok(Self {
            node,
            status,
            socket,
        })
    }

    /// The cookie with which the agent reaches its node.
    ///
    /// # Errors
    /// When the agent no longer answers.
    pub async fn cookie(&self) -> io::Result<Cookie> {
        let body = get(&self.socket, "/api/v1/cookie").await?;
        Cookie::new(body.to_vec()).map_err(io::Error::other)
    }
}

/// The node in a socket's name; of a long name there is only a hash.
fn node_of(socket: &Path) -> String {
    let name = socket.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The body of a 200 answer. HTTP/1.0, so that the answer ends with the connection.
async fn get(socket: &Path, path: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Zeroizing::new(Vec::new());
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(PATIENCE, exchange).await??;
    body(&answer).ok_or_else(|| io::Error::other("the agent's answer is not understood"))
}

fn body(answer: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let gap = b"\r\n\r\n";
    let end = answer.windows(gap.len()).position(|window| window == gap)?;
    let (head, rest) = answer.split_at_checked(end + gap.len())?;
    let status = head.split(|byte| *byte == b' ').nth(1)?;
    (status == b"200").then(|| Zeroizing::new(rest.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let found = |text: &str| body(text.as_bytes()).map(|b| b.to_vec());
        assert_eq!(
            found("HTTP/1.0 200 OK\r\na: b\r\n\r\nhi"),
            Some(b"hi".to_vec())
        );
        assert_eq!(found("HTTP/1.0 404 Not Found\r\n\r\nhi"), None);
        assert_eq!(found("HTTP/1.0 200 OK\r\n"), None);
        assert_eq!(found(""), None);
    }
}
