//! What happens to the connections of a node.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;
use trunkline_proto::{Creation, NodeName, Reason, Step};

/// A connection came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The handshake with this node is through.
    Up {
        /// The node.
        peer: NodeName,
        /// Its incarnation.
        creation: Creation,
        /// Whether it is a hidden node.
        hidden: bool,
    },
    /// The connection to this node ended.
    Down {
        /// The node.
        peer: NodeName,
        /// Why.
        reason: DownReason,
    },
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
        }
    }
}

/// Link events of a node from the moment of [`crate::Node::events`] on; none is lost. Ends when
/// the node is dropped.
#[derive(Debug)]
pub struct Events(mpsc::UnboundedReceiver<LinkEvent>);

impl Events {
    /// The next event; `None` when the node is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        self.0.recv().await
    }
}

impl Stream for Events {
    type Item = LinkEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LinkEvent>> {
        self.0.poll_recv(cx)
    }
}

/// Everybody who listens. Unbounded queues: a link event is small and costs a handshake.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Mutex<Vec<mpsc::UnboundedSender<LinkEvent>>>);

impl Subscribers {
    pub(crate) fn subscribe(&self) -> Events {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().push(sender);
        Events(receiver)
    }

    pub(crate) fn publish(&self, event: &LinkEvent) {
        self.lock().retain(|s| s.send(event.clone()).is_ok());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::UnboundedSender<LinkEvent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
