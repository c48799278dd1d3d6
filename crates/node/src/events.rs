//! Nodes that come and go.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use trunkline_proto::{Creation, NodeName, Reason, Step};

use crate::process::Then;

/// A node came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// The node is connected: `nodeup`. No message from it was received before.
    #[non_exhaustive]
    Up {
        /// The node.
        peer: NodeName,
        /// Its incarnation.
        creation: Creation,
        /// Whether it is a hidden node.
        hidden: bool,
    },
    /// The connection to the node ended: `nodedown`. No message from it is received after.
    #[non_exhaustive]
    Down {
        /// The node.
        peer: NodeName,
        /// Whether it was a hidden node.
        hidden: bool,
        /// Why.
        reason: DownReason,
    },
}

impl NodeEvent {
    /// Which node.
    pub const fn peer(&self) -> &NodeName {
        match self {
            Self::Up { peer, .. } | Self::Down { peer, .. } => peer,
        }
    }

    const fn hidden(&self) -> bool {
        match self {
            Self::Up { hidden, .. } | Self::Down { hidden, .. } => *hidden,
        }
    }
}

/// Of which nodes to hear: `node_type` of `net_kernel:monitor_nodes/2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a node is visible or hidden")]
pub enum NodeType {
    /// Those in [`Node::list`](crate::Node::list).
    #[default]
    Visible,
    /// The others.
    Hidden,
    /// Both.
    All,
}

impl NodeType {
    const fn includes(self, hidden: bool) -> bool {
        matches!(
            (self, hidden),
            (Self::All, _) | (Self::Visible, false) | (Self::Hidden, true)
        )
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DownReason {
    /// We disconnected, or our node was shut down.
    Disconnected,
    /// The other end closed it, or its process died.
    Closed,
    /// The other end was silent for longer than its tick time allows.
    TickTimeout,
    /// The network broke it; what the operating system says.
    Broken(String),
    /// The other end sent what the protocol does not allow.
    Protocol(String),
    /// The other end opened a new connection in its place.
    Replaced,
    /// The other end did not take what was queued for it.
    Overflow,
    /// Code of this program that its messages reached panicked: a waker of whoever receives, a
    /// subscriber of the log.
    Panicked,
}

impl DownReason {
    /// The same in the words of a failed connection attempt.
    pub fn to_reason(&self) -> Reason {
        let step = Step::Connect;
        match self {
            Self::TickTimeout => Reason::Timeout { step },
            Self::Protocol(detail) => Reason::Incompatible {
                detail: detail.clone(),
            },
            _ => Reason::Closed { step },
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("disconnected by this side"),
            Self::Closed => f.write_str("closed by the other side"),
            Self::TickTimeout => f.write_str("the other side was silent for too long"),
            Self::Broken(why) => write!(f, "the network broke it: {why}"),
            Self::Protocol(what) => write!(f, "the other side broke the protocol: {what}"),
            Self::Replaced => f.write_str("the other side opened a new connection"),
            Self::Overflow => f.write_str("the other side does not read what is sent to it"),
            Self::Panicked => f.write_str("this program panicked when it took its messages"),
        }
    }
}

/// Nodes that come and go, from the moment of [`Node::monitor_nodes`](crate::Node::monitor_nodes)
/// on; none is lost, and they come in the order in which it happens. Ends when the node is dropped.
#[derive(Debug)]
pub struct NodeEvents(Arc<Inbox>);

impl NodeEvents {
    /// The next event; `None` when the node is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        poll_fn(|cx| self.0.poll(cx)).await
    }
}

impl Stream for NodeEvents {
    type Item = NodeEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<NodeEvent>> {
        self.0.poll(cx)
    }
}

/// Everybody who listens. Unbounded queues: an event is small and costs a handshake.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Mutex<Vec<Weak<Inbox>>>);

/// What one of them has not taken. No channel of tokio's: events are told under the lock that keeps
/// their order, and nobody is to be woken there.
#[derive(Debug)]
struct Inbox {
    of: NodeType,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<NodeEvent>,
    waker: Option<Waker>,
    /// None follow.
    over: bool,
}

impl Subscribers {
    pub(crate) fn subscribe(&self, of: NodeType) -> NodeEvents {
        let inbox = Arc::new(Inbox {
            of,
            state: Mutex::default(),
        });
        self.lock().push(Arc::downgrade(&inbox));
        NodeEvents(inbox)
    }

    pub(crate) fn publish(&self, event: &NodeEvent, then: &mut Then) {
        self.lock().retain(|subscriber| {
            let Some(inbox) = subscriber.upgrade() else {
                return false;
            };
            if inbox.of.includes(event.hidden()) {
                let mut state = inbox.state();
                state.events.push_back(event.clone());
                then.wake(state.waker.take());
            }
            true
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Inbox>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With the node.
impl Drop for Subscribers {
    fn drop(&mut self) {
        let mut then = Then::default();
        for inbox in self.lock().drain(..).filter_map(|one| one.upgrade()) {
            let mut state = inbox.state();
            state.over = true;
            then.wake(state.waker.take());
        }
        then.wake_all();
    }
}

impl Inbox {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<NodeEvent>> {
        let mut state = self.state();
        match state.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if state.over => Poll::Ready(None),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
