//! Which nodes this one is connected to, and who may be.

use trunkline_proto::{Cookie, NodeName};

use crate::shared::is_hidden;
use crate::{DownReason, Node, NodeEvents, NodeType};

/// Which nodes [`Node::nodes`] lists, as the arguments of `erlang:nodes/1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// Connected, and visible.
    Visible,
    /// Connected, and hidden.
    Hidden,
    /// Connected.
    Connected,
    /// This node.
    This,
    /// This node, those that are connected, and those that are being dialled.
    Known,
}

impl Node {
    /// The visible nodes that this one is connected to, sorted: `nodes()` in Erlang, `Node.list()` in
    /// Elixir. Nodes of this crate are hidden ones: [`Node::nodes`] lists those.
    pub fn list(&self) -> Vec<NodeName> {
        self.nodes(&[NodeKind::Visible])
    }

    /// All nodes of these kinds, sorted, each once: `nodes(Kinds)` in Erlang.
    pub fn nodes(&self, kinds: &[NodeKind]) -> Vec<NodeName> {
        let has = |kind| kinds.contains(&kind);
        let known = has(NodeKind::Known);
        let all = known || has(NodeKind::Connected);
        let mut nodes = Vec::new();
        if known || has(NodeKind::This) {
            nodes.push(self.name().clone());
        }
        let state = self.shared.state();
        let connected = state.links.values().filter(|link| {
            let kind = if is_hidden(&link.info) {
                NodeKind::Hidden
            } else {
                NodeKind::Visible
            };
            all || has(kind)
        });
        nodes.extend(connected.map(|link| link.info.peer.clone()));
        if known {
            nodes.extend(state.dials.keys().cloned());
        }
        drop(state);
        nodes.sort();
        nodes.dedup();
        nodes
    }

    /// All nodes that this one is connected to, sorted: `nodes(connected)`.
    pub fn connected(&self) -> Vec<NodeName> {
        self.nodes(&[NodeKind::Connected])
    }

    /// Visible nodes that come and go from now on, as `net_kernel:monitor_nodes(true)`; those that are
    /// connected already are in [`Node::list`], which is to be asked afterwards.
    ///
    /// An [`Up`](crate::NodeEvent::Up) comes before the first message of that node, a
    /// [`Down`](crate::NodeEvent::Down) after the last: when the event is there to be taken, so is
    /// every message before it, and none after it.
    pub fn monitor_nodes(&self) -> NodeEvents {
        self.monitor_nodes_of(NodeType::Visible)
    }

    /// As [`Node::monitor_nodes`], of these nodes. Nodes of this crate are hidden ones.
    pub fn monitor_nodes_of(&self, of: NodeType) -> NodeEvents {
        self.shared.events.subscribe(of)
    }

    /// Ends the connection to a node; nothing when there is none.
    pub fn disconnect(&self, peer: &NodeName) {
        if let Some(link) = self.shared.link(peer.as_str()) {
            self.shared.end(&link, DownReason::Disconnected);
        }
    }

    /// Another cookie between this node and one peer, whoever dials: `erlang:set_cookie(Peer,
    /// Cookie)`. It counts for connections to come; one that exists stays.
    pub fn set_cookie(&self, peer: NodeName, cookie: Cookie) {
        let mut admission = self.shared.admission_mut();
        *admission = admission.clone().with_cookie_of(peer, cookie);
    }

    /// Allows connections with this node, whoever dials; from the first call on with no other:
    /// `net_kernel:allow([Peer])`. All others are told `not_allowed`, and so is who dials them here.
    /// A connection that exists stays.
    pub fn allow(&self, peer: NodeName) {
        let mut admission = self.shared.admission_mut();
        *admission = admission.clone().allow(peer);
    }
}
