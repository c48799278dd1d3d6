//! The handle of a running node.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::DropGuard;
use trunkline_etf::{Atom, Pid};
pub use trunkline_proto::handshake::Connected;
use trunkline_proto::{Creation, NodeName, Reason};

use crate::process::state::Life;
use crate::shared::Shared;
use crate::shutdown::guarded;
use crate::{Nameless, NodeBuilder, Process, Target, WantsCookie};

/// A node of an Erlang cluster, hidden from `nodes()` there and outside of `global`. A cheap handle;
/// the node stops, and its connections end, with the last one.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
    _running: Arc<Running>,
}

/// Ends the node when the last handle goes.
#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    _guard: DropGuard,
}

impl Drop for Running {
    fn drop(&mut self) {
        guarded(|| self.shared.end_processes());
        self.shared.end_all();
    }
}

impl Node {
    /// Begins to set up a node with this name.
    ///
    /// ```no_run
    /// # async fn start(cookie: trunkline_proto::Cookie) -> Result<(), Box<dyn std::error::Error>> {
    /// use trunkline_node::{Node, Target};
    ///
    /// let node = Node::builder("me@10.0.0.5".parse()?).cookie(cookie).start().await?;
    /// node.connect(&Target::new("app@10.0.0.1".parse()?)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(name: NodeName) -> NodeBuilder {
        NodeBuilder::new(name)
    }

    /// Begins to set up a node without a name: the first node that it connects to gives it one,
    /// `XXXXXXXXXXXXX@host` (`-name undefined` in Erlang). For clients that come and go: a name of
    /// its own for each would be an atom that its peers never forget.
    ///
    /// ```no_run
    /// # async fn start(cookie: trunkline_proto::Cookie) -> Result<(), Box<dyn std::error::Error>> {
    /// use trunkline_node::{Node, Target};
    ///
    /// let app = Target::new("app@10.0.0.1".parse()?);
    /// let node = Node::nameless("10.0.0.5").cookie(cookie).start_through(&app).await?;
    /// println!("I am {}", node.name());
    /// # Ok(())
    /// # }
    /// ```
    pub fn nameless(host: impl Into<String>) -> NodeBuilder<WantsCookie, Nameless> {
        NodeBuilder::nameless(host.into())
    }

    pub(crate) fn new(shared: Arc<Shared>, guard: DropGuard) -> Self {
        let running = Running {
            shared: Arc::clone(&shared),
            _guard: guard,
        };
        Self {
            shared,
            _running: Arc::new(running),
        }
    }

    /// The node's name.
    pub fn name(&self) -> &NodeName {
        &self.shared.settings.route.me
    }

    /// Which incarnation it is.
    pub fn creation(&self) -> Creation {
        self.shared.settings.creation
    }

    /// Where it listens; `None` when it only dials.
    pub fn port(&self) -> Option<u16> {
        self.shared.settings.port
    }

    /// Connects to a node; at once when the connection exists. When both sides dial at the same
    /// moment this is good with whichever connection comes to be. Cancel safe: an attempt goes on
    /// to its end.
    ///
    /// # Errors
    /// Why there is no connection. Nothing of the attempt is left behind.
    pub async fn connect(&self, target: &Target) -> Result<Connected, ConnectError> {
        self.shared.connect(target).await.map_err(ConnectError)
    }

    /// What was agreed with a connected node.
    pub fn connection(&self, peer: &NodeName) -> Option<Connected> {
        self.shared
            .link(peer.as_str())
            .map(|link| link.info.clone())
    }

    /// The tick time to use with a connected node from now on: its own `net_ticktime`.
    pub fn set_tick_time(&self, peer: &NodeName, tick_time: Duration) {
        if let Some(link) = self.shared.link(peer.as_str()) {
            link.set_tick_time(tick_time);
        }
    }

    /// A process for code that is no task of its own: a pid that others can send to, link and
    /// monitor. [`Node::spawn`] runs a future as a process.
    pub fn process(&self) -> Process {
        let inner = self.shared.new_process(false);
        Process::new(Arc::clone(&self.shared), inner)
    }

    /// Gives a process of this node a name. `false` when it has one already or is not there, or another
    /// process has the name; `undefined` is no name.
    pub fn register(&self, name: &Atom, pid: &Pid) -> bool {
        let found = self.shared.processes.find(pid);
        found.is_some_and(|inner| self.shared.register(name, &inner))
    }

    /// Takes a name from the process that has it; `false` when nobody has.
    pub fn unregister(&self, name: &Atom) -> bool {
        self.shared.processes.unregister(name)
    }

    /// Which process of this node has this name.
    pub fn whereis(&self, name: &Atom) -> Option<Pid> {
        self.shared.whereis(name)
    }

    /// All names that processes of this node have, sorted.
    pub fn registered(&self) -> Vec<Atom> {
        let mut names = self.shared.processes.names();
        names.sort();
        names
    }

    /// Whether a process of this node lives, as `is_process_alive/1`: one that an exit signal has
    /// reached does not, though its future may run to the next point where it waits.
    pub fn is_alive(&self, pid: &Pid) -> bool {
        let found = self.shared.processes.find(pid);
        found.is_some_and(|inner| inner.state().life == Life::Running)
    }
}

/// A connection attempt failed. Nothing of it is left behind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConnectError(Reason);

impl ConnectError {
    /// Why, in the words that every part of the project uses.
    pub const fn reason(&self) -> &Reason {
        &self.0
    }

    /// Why, in the words that every part of the project uses.
    pub fn into_reason(self) -> Reason {
        self.0
    }
}
