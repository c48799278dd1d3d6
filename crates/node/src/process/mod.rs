//! Processes of this node.
//!
//! [`Process`] is what a process holds of itself. `state` is what the node holds of it, `table` where
//! it is found; `signals` sends, links and monitors, `spawn` runs the futures, `elsewhere` starts
//! processes of other nodes.

pub(crate) mod alias;
pub(crate) mod dest;
mod elsewhere;
pub(crate) mod ending;
pub(crate) mod few;
mod left;
pub(crate) mod message;
pub(crate) mod reason;
mod receive;
mod received;
pub(crate) mod recent;
pub(crate) mod send;
mod signals;
pub(crate) mod spawn;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod then;

use std::fmt;
use std::sync::Arc;

use trunkline_etf::{Atom, Pid, Reference, atom};

pub use alias::AliasMode;
pub use dest::Dest;
pub use elsewhere::SpawnError;
pub use message::Message;
pub use reason::ExitReason;
pub use receive::{Mark, RecvError};
pub use send::SendError;

pub(crate) use then::{Outgoing, Then};

use self::received::Received;
use self::state::Inner;
use self::table::Via;
use crate::mailbox::MaxMailbox;
use crate::shared::Shared;

/// A process of this node: it has a pid, receives, sends, links and monitors.
///
/// [`Node::spawn`](crate::Node::spawn) gives one to the future that it runs: the process ends when the
/// future returns, panics, or is ended by an exit signal. [`Node::process`](crate::Node::process)
/// gives one to whoever asks, for code that is no task of its own: that process ends when this is
/// dropped, for the reason `shutdown` ([`Process::end`] gives another), or by an exit signal.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use trunkline_etf::term;
/// use trunkline_node::{Message, Node};
/// use trunkline_proto::Cookie;
///
/// let node = Node::builder("me@127.0.0.1".parse()?).cookie(Cookie::new("secret")?).start().await?;
/// let echo = node.spawn(async |mut process| {
///     while let Some(Message::Term(question)) = process.recv().await {
///         let Some([asker, word]) = question.as_tuple() else { continue };
///         let Some(asker) = asker.as_pid() else { continue };
///         process.send(asker, term!({echo, (word)})).await.ok();
///     }
/// });
/// let mut me = node.process();
/// me.send(&echo, term!({(me.pid()), hello})).await?;
/// assert_eq!(me.recv().await, Some(Message::Term(term!({echo, hello}))));
/// # Ok(())
/// # }
/// ```
pub struct Process {
    shared: Arc<Shared>,
    inner: Arc<Inner>,
    received: Received,
}

/// Who it is and how much waits for it: what that is, is nobody else's.
impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.inner.state().name.clone();
        f.debug_struct("Process")
            .field("pid", &self.inner.pid)
            .field("name", &name)
            .field("waiting", &self.waiting())
            .field("node", &self.shared)
            .finish_non_exhaustive()
    }
}

impl Process {
    pub(crate) fn new(shared: Arc<Shared>, inner: Arc<Inner>) -> Self {
        Self {
            shared,
            inner,
            received: Received::default(),
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The process's pid.
    pub fn pid(&self) -> Pid {
        self.inner.pid.clone()
    }

    /// Whether exit signals come as [`Message::Exit`], as `process_flag(trap_exit, Trap)`. Default:
    /// no, they end the process unless their reason is `normal`. What it was before is returned.
    pub fn trap_exit(&self, trap: bool) -> bool {
        std::mem::replace(&mut self.inner.state().trap, trap)
    }

    /// How much may wait for this process; `None` (the default): any amount. What it was before is
    /// returned.
    ///
    /// All that has not been received counts, what [`recv_matching`](Self::recv_matching) has looked at and left too.
    pub fn max_mailbox(&self, limit: Option<MaxMailbox>) -> Option<MaxMailbox> {
        // Before the limit: what this holds counts from its first moment on.
        self.inner.set_limited(limit.is_some());
        self.count();
        std::mem::replace(&mut self.inner.state().limit, limit)
    }

    /// How many messages were dropped because the mailbox was full
    /// ([`WhenFull::DropNew`](crate::WhenFull::DropNew)).
    pub fn dropped(&self) -> u64 {
        self.inner.state().dropped
    }

    /// Gives the process a name, that it has until it ends or is unregistered. `false` when it has
    /// one already, or another process of this node has it; `undefined` is no name.
    pub fn register(&self, name: &Atom) -> bool {
        self.shared.register(name, &self.inner)
    }

    /// Which process of this node has this name.
    pub fn whereis(&self, name: &Atom) -> Option<Pid> {
        self.shared.whereis(name)
    }

    /// An alias: others can send to it as to the pid, until it is given up.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = trunkline_node::Node::builder("me@127.0.0.1".parse()?);
    /// # let node = builder.cookie(trunkline_proto::Cookie::new("secret")?).start().await?;
    /// use trunkline_node::AliasMode;
    ///
    /// let process = node.process();
    /// let alias = process.alias(AliasMode::Explicit);
    /// process.send(&alias, trunkline_etf::term!(hello)).await?;
    /// assert!(process.unalias(&alias));
    /// # Ok(())
    /// # }
    /// ```
    pub fn alias(&self, mode: AliasMode) -> Reference {
        let alias = self.shared.processes.reference();
        self.add_alias(alias.clone(), mode);
        alias
    }

    fn add_alias(&self, alias: Reference, mode: AliasMode) {
        let via = Via::Alias(Arc::clone(&self.inner));
        // Under the lock: the end of the process finds both, or neither comes to be.
        if let Some(mut state) = self.inner.living() {
            self.shared.processes.route(&alias, via);
            state.aliases.insert(alias, mode);
        }
    }

    /// Gives an alias up. From its return on nothing comes by it. `false` when it was none.
    pub fn unalias(&self, alias: &Reference) -> bool {
        let was = self.inner.state().aliases.remove(alias).is_some();
        // Another's alias, or the reference of a call, stays what it is.
        if was {
            self.shared.processes.unroute(alias);
        }
        was
    }

    /// Ends the process for this reason; `normal` leaves what is linked to it alive. The future of a
    /// spawned process runs on, but nobody reaches it any more.
    pub fn end(self, reason: impl ExitReason) {
        self.shared.ended(&self.inner, reason.into_reason());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The task of a spawned process says itself when it ends, and why.
        if !self.inner.is_task() {
            self.shared.ended(&self.inner, atom!("shutdown").into());
        }
    }
}
