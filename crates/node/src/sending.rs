//! How signals leave, and what happens where there is no connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use trunkline_etf::{Atom, Term};
use trunkline_proto::control::Control;
use trunkline_proto::{Flags, NodeName};

use crate::link::Link;
use crate::process::Outgoing;
use crate::shared::Shared;
use crate::{SendError, Target};

/// Signals for nodes that are being dialled for their sake, in order.
#[derive(Debug, Default)]
pub(crate) struct Unsent(Mutex<HashMap<NodeName, Vec<Control>>>);

/// So many signals wait for one node; what is more fails, as if the node were not there. Messages
/// do not wait here: their senders do.
const MAX_UNSENT: usize = 10_000;

impl Unsent {
    /// Whether it is the first one for this node.
    fn put(&self, node: &NodeName, control: Option<Control>) -> Result<bool, SendError> {
        let mut unsent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = unsent.get_mut(node);
        match waiting {
            Some(waiting) if waiting.len() >= MAX_UNSENT => Err(SendError::NotConnected),
            Some(waiting) => {
                waiting.extend(control);
                Ok(false)
            }
            None => {
                unsent.insert(node.clone(), control.into_iter().collect());
                Ok(true)
            }
        }
    }

    fn take(&self, node: &NodeName) -> Vec<Control> {
        let mut unsent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unsent.remove(node).unwrap_or_default()
    }

    /// The connection is there. Nobody sends by it yet.
    pub(crate) fn flush(&self, link: &Link) {
        for control in self.take(&link.info.peer) {
            if let Err(why) = link.signal(control) {
                tracing::debug!(%why, "a signal is not sent");
            }
        }
    }
}

impl Shared {
    /// Sends a signal that a process wants sent, to this node's own processes too. To a node that is
    /// not connected it goes as soon as that is, and what was to be linked or monitored is lost when it
    /// cannot be.
    ///
    /// # Errors
    /// When the node is not connected, and nodes are not connected by themselves.
    pub(crate) fn signal(self: &Arc<Self>, node: &Atom, control: Control) -> Result<(), SendError> {
        if *node == self.atom {
            self.carry_out(vec![Outgoing::Signal(node.clone(), control)]);
            return Ok(());
        }
        self.signal_or_dial(node, Some(control))
    }

    /// Connects to a node that a process wants to hear of; when that fails, the process is told.
    pub(crate) fn reach_for(self: &Arc<Self>, node: &Atom) {
        if self.signal_or_dial(node, None).is_err() {
            self.carry_out(self.node_down(node));
        }
    }

    fn signal_or_dial(
        self: &Arc<Self>,
        node: &Atom,
        control: Option<Control>,
    ) -> Result<(), SendError> {
        let state = self.state();
        if let Some(link) = state.links.get(node.as_str()).cloned() {
            drop(state);
            return control.map_or(Ok(()), |control| link.signal(control));
        }
        if !self.settings.auto_connect {
            return Err(SendError::NotConnected);
        }
        let name: NodeName = node.as_str().parse().map_err(|_| SendError::NotConnected)?;
        // Under the lock: whoever connects meanwhile finds it.
        let first = self.unsent.put(&name, control)?;
        drop(state);
        if first {
            let shared = Arc::clone(self);
            self.runtime.spawn(async move {
                if shared.connect(&Target::new(name.clone())).await.is_err() {
                    shared.unreachable(&name);
                }
            });
        }
        Ok(())
    }

    fn unreachable(&self, name: &NodeName) {
        let state = self.state();
        if state.links.contains_key(name) {
            return;
        }
        self.unsent.take(name);
        drop(state);
        if let Ok(node) = Atom::new(name.as_str()) {
            self.carry_out(self.node_down(&node));
        }
    }

    /// The connection to another node, made where there is none.
    pub(crate) async fn connected_to(
        self: &Arc<Self>,
        node: &Atom,
    ) -> Result<Arc<Link>, SendError> {
        let lost = || SendError::NotConnected;
        if let Some(link) = self.link(node.as_str()) {
            return Ok(link);
        }
        if !self.settings.auto_connect || *node == self.atom {
            return Err(lost());
        }
        let name: NodeName = node.as_str().parse().map_err(|_| lost())?;
        self.connect(&Target::new(name)).await.map_err(|_| lost())?;
        self.link(node.as_str()).ok_or_else(lost)
    }

    /// Sends a signal to another node, if that is connected.
    pub(crate) fn send_signal(&self, node: &Atom, control: Control) -> Result<(), SendError> {
        let link = self.link(node.as_str()).ok_or(SendError::NotConnected)?;
        link.signal(control)
    }

    /// Sends a message to another node, if that is connected.
    pub(crate) fn send_message(
        &self,
        node: &Atom,
        control: Control,
        message: &Term,
    ) -> Result<(), SendError> {
        let link = self.link(node.as_str()).ok_or(SendError::NotConnected)?;
        link.message(control, message)
    }

    /// Whether a flag holds on the connection to a node.
    pub(crate) fn agreed(&self, node: &Atom, flag: Flags) -> bool {
        self.link(node.as_str())
            .is_some_and(|link| link.info.flags.contains(flag))
    }
}

impl Link {
    /// Queues a signal, in the form that the connection has.
    pub(crate) fn signal(&self, control: Control) -> Result<(), SendError> {
        let fitted = control.fit(self.info.flags);
        self.push(&fitted.control, fitted.payload.as_ref())
            .map_err(|_| SendError::TooLarge)
    }

    /// Queues a message, in the form that the connection has.
    pub(crate) fn message(&self, control: Control, message: &Term) -> Result<(), SendError> {
        let fitted = control.fit(self.info.flags);
        self.push(&fitted.control, Some(message))
            .map_err(|_| SendError::TooLarge)
    }
}
