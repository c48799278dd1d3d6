//! How signals leave, and what happens where there is no connection.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trunkline_etf::{Atom, Pid, Term};
use trunkline_proto::control::Control;
use trunkline_proto::{Flags, NodeName};

use crate::lifetime::Work;
use crate::link::Link;
use crate::process::table::Processes;
use crate::process::{Outgoing, Then};
use crate::shared::Shared;
use crate::{SendError, Target};

/// Signals for nodes that are being dialled for their sake, in order.
#[derive(Default)]
pub(crate) struct Unsent {
    waiting: Mutex<HashMap<NodeName, Vec<Control>>>,
    /// How many the end of this node has cost.
    lost: Mutex<BTreeMap<NodeName, usize>>,
}

/// So many signals wait for one node; what is more fails, as if the node were not there. Messages
/// do not wait here: their senders do.
const MAX_UNSENT: usize = 10_000;

/// How many for each node: why a process ends is among them.
impl fmt::Debug for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsent = self.lock();
        let counts = unsent.iter().map(|(node, waiting)| (node, waiting.len()));
        f.debug_map().entries(counts).finish()
    }
}

impl Unsent {
    /// Whether it is the first one for this node.
    fn put(&self, node: &NodeName, control: Option<Control>) -> Result<bool, SendError> {
        let mut unsent = self.lock();
        let waiting = unsent.get_mut(node);
        match waiting {
            Some(waiting) if control.is_some() && waiting.len() >= MAX_UNSENT => {
                Err(SendError::NotConnected)
            }
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

    /// Puts a signal behind those that wait for the node, if it is being dialled: what ends a link or
    /// a monitor must not be lost where its beginning is not. There is no limit: each ends one that
    /// waits.
    fn follow(&self, node: &str, control: Control) -> Result<(), SendError> {
        let mut unsent = self.lock();
        let waiting = unsent.get_mut(node).ok_or(SendError::NotConnected)?;
        waiting.push(control);
        Ok(())
    }

    fn take(&self, node: &NodeName) -> Vec<Control> {
        self.lock().remove(node).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeName, Vec<Control>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many were for this node, and the own one ends.
    fn lose(&self, node: &NodeName, count: usize) {
        if count > 0 {
            *self.lost_ones().entry(node.clone()).or_default() += count;
        }
    }

    /// How many for each node are lost with this one, those included that wait yet.
    pub(crate) fn lost(&self) -> BTreeMap<NodeName, usize> {
        let waiting = std::mem::take(&mut *self.lock());
        for (node, waiting) in waiting {
            self.lose(&node, waiting.len());
        }
        self.lost_ones().clone()
    }

    fn lost_ones(&self) -> MutexGuard<'_, BTreeMap<NodeName, usize>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is there. Nobody sends by it yet.
    pub(crate) fn flush(&self, link: &Link, processes: &Processes) {
        for control in self.take(&link.info.peer) {
            if let Control::UnlinkId { id, from, to } = &control
                && !link.is_there(to)
                && let Some(inner) = processes.find(from)
            {
                // Nobody is there who could acknowledge it.
                inner.unlink_acknowledged(*id, to);
            }
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
            self.carry_out(Outgoing::Signal(node.clone(), control).into());
            return Ok(());
        }
        self.signal_or_dial(node, Some(control))
    }

    /// Connects to a node that a process wants to hear of; when that fails, the process is told.
    ///
    /// # Errors
    /// When the node is not connected, and nodes are not connected by themselves.
    pub(crate) fn reach_for(self: &Arc<Self>, node: &Atom) -> Result<(), SendError> {
        self.signal_or_dial(node, None)
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
            let (shared, node) = (Arc::clone(self), node.clone());
            let doing = self.life.doing(Work::Dialling(name.clone()));
            let dial = async move {
                let _doing = doing;
                if shared.connect(&Target::new(name.clone())).await.is_err() {
                    shared.unreachable(&name, &node);
                }
            };
            self.life.tasks.spawn_on(dial, &self.runtime);
        }
        Ok(())
    }

    /// What waits for the node is lost, and everybody who relied on it is told: before the peer's own
    /// call can succeed, on which others may rely then.
    fn unreachable(&self, name: &NodeName, node: &Atom) {
        let mut then = Then::default();
        {
            let state = self.state();
            if state.links.contains_key(name) {
                return;
            }
            let waiting = self.unsent.take(name);
            if self.life.closing.is_cancelled() {
                self.unsent.lose(name, waiting.len());
            }
            self.node_down(node, &mut then);
        }
        self.carry_out(then);
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

    /// Sends a signal to another node, if that is connected; where it is being dialled, behind those
    /// that wait for that. `from` sends it, where it does not say so.
    pub(crate) fn signal_behind(
        &self,
        node: &Atom,
        from: Option<&Pid>,
        control: Control,
    ) -> Result<(), SendError> {
        let state = self.state();
        match state.links.get(node.as_str()).cloned() {
            Some(link) => {
                drop(state);
                link.signal_of(from, control)
            }
            // Under the lock: whoever connects meanwhile finds it.
            None => self.unsent.follow(node.as_str(), control),
        }
    }

    /// Answers what another node asked, if that is connected.
    pub(crate) fn send_answer(
        &self,
        node: &Atom,
        control: Control,
        message: &Term,
    ) -> Result<(), SendError> {
        let link = self.link(node.as_str()).ok_or(SendError::NotConnected)?;
        link.answer(control, message)
    }
}

impl Link {
    /// Whether the other node sends to aliases.
    pub(crate) fn takes_aliases(&self) -> bool {
        self.info.flags.contains(Flags::ALIAS)
    }

    /// Whether the other node knows monitors. Where it does not, one of a process there hears of the end of the connection only, as
    /// in OTP (`erts_dsig_send_monitor`).
    pub(crate) fn takes_monitors(&self) -> bool {
        let both = Flags::DIST_MONITOR | Flags::DIST_MONITOR_NAME;
        self.info.flags.contains(both)
    }

    /// Whether a pid is one of the incarnation that is there. Without a creation it is of any.
    pub(crate) fn is_there(&self, pid: &Pid) -> bool {
        pid.creation == 0 || pid.creation == self.info.creation.0
    }

    /// Queues a signal, in the form that the connection has.
    pub(crate) fn signal(&self, control: Control) -> Result<(), SendError> {
        self.signal_of(None, control)
    }

    /// The same with who sends it, where the signal does not say so.
    pub(crate) fn signal_of(&self, from: Option<&Pid>, control: Control) -> Result<(), SendError> {
        if self.is_of_former_link(&control) || (is_of_monitor(&control) && !self.takes_monitors()) {
            return Ok(());
        }
        let flags = self.info.flags;
        if control.fits(flags) {
            self.force(from, &control, None)
        } else {
            let fitted = control.fit(flags);
            self.force(from, &fitted.control, fitted.payload.as_ref())
        }
    }

    /// Whether it is about a link to a process of a former incarnation of the peer, whom it could not reach: OTP 25 to 29 take UNLINK_ID,
    /// its acknowledgement and EXIT to one for an invalid message and end the connection.
    fn is_of_former_link(&self, control: &Control) -> bool {
        match control {
            Control::UnlinkId { to, .. }
            | Control::UnlinkIdAck { to, .. }
            | Control::Exit { to, .. }
            | Control::PayloadExit { to, .. } => !self.is_there(to),
            _ => false,
        }
    }

    /// Queues a message of somebody who has waited for [`room`](Self::room), in the form that the
    /// connection has.
    pub(crate) fn message(&self, control: Control, message: &Term) -> Result<(), SendError> {
        if matches!(control, Control::AliasSend { .. }) && !self.takes_aliases() {
            // As in OTP: where the node knows no aliases there is nobody.
            return Ok(());
        }
        let from = control.sender_pid().cloned();
        let control = self.fitted(control);
        match from {
            Some(from) => self.push(&from, &control, message),
            None => self.force(None, &control, Some(message)),
        }
    }

    /// The form that the connection has, of what has no reason in it.
    #[inline]
    pub(crate) fn fitted(&self, control: Control) -> Control {
        if control.fits(self.info.flags) {
            control
        } else {
            control.fit(self.info.flags).control
        }
    }

    /// Queues an answer to what the peer asked, in the form that the connection has.
    fn answer(&self, control: Control, message: &Term) -> Result<(), SendError> {
        let from = control.sender_pid().cloned();
        let control = self.fitted(control);
        self.force(from.as_ref(), &control, Some(message))
    }
}

/// Whether only a node that knows monitors takes it.
const fn is_of_monitor(control: &Control) -> bool {
    matches!(
        control,
        Control::MonitorP { .. }
            | Control::DemonitorP { .. }
            | Control::MonitorPExit { .. }
            | Control::PayloadMonitorPExit { .. }
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trunkline_etf::atom;
    use trunkline_proto::Cookie;

    use super::*;
    use crate::Node;

    /// Nobody may connect while those are told who waited in vain: they would be told of the new
    /// connection.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_dial_that_failed_is_told_before_anybody_connects() {
        let node = Node::builder("one@127.0.0.1".parse().unwrap());
        let node = node.cookie(Cookie::new("monster").unwrap());
        let node = node.start().await.unwrap();
        let (name, there) = ("two@127.0.0.1", atom!("two@127.0.0.1"));
        let name: NodeName = name.parse().unwrap();
        let shared = Arc::clone(&node.shared);
        shared.unsent.put(&name, None).unwrap();
        let inner = shared.new_process(false);
        // Whoever tells this process waits.
        let held = inner.state();
        let telling = std::thread::spawn({
            let (shared, name) = (Arc::clone(&shared), name.clone());
            move || shared.unreachable(&name, &there)
        });
        while shared.unsent.lock().contains_key(&name) {
            std::thread::yield_now();
        }
        for _ in 0..20 {
            assert!(shared.is_locked(), "somebody could connect");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(held);
        telling.join().unwrap();
        assert!(!shared.is_locked());
    }

    /// Nobody may connect between the look for a connection and the signal's coming to those that wait for
    /// one: it would wait for ever.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_signal_is_where_whoever_connects_looks_for_it() {
        let node = Node::builder("one@127.0.0.1".parse().unwrap());
        let node = node.cookie(Cookie::new("monster").unwrap());
        let node = node.start().await.unwrap();
        let there = atom!("two@127.0.0.1");
        let pid = |node: &Atom| Pid {
            node: node.clone(),
            id: 1,
            serial: 0,
            creation: 1,
        };
        let link = Control::Link {
            from: pid(&node.shared.atom),
            to: pid(&there),
        };
        let first: fn(&Arc<Shared>, &Atom, Control) = |shared, node, control| {
            shared.signal(node, control).unwrap();
        };
        let behind: fn(&Arc<Shared>, &Atom, Control) = |shared, node, control| {
            shared.signal_behind(node, None, control).ok();
        };
        for sends in [behind, first] {
            let shared = Arc::clone(&node.shared);
            // Whoever puts it there waits.
            let held = node.shared.unsent.lock();
            let sending = std::thread::spawn({
                let (there, link) = (there.clone(), link.clone());
                move || sends(&shared, &there, link)
            });
            // Long enough for it to come so far, and it does not go on.
            let begun = std::time::Instant::now();
            let mut since = None;
            while since.is_none_or(|since: std::time::Instant| since.elapsed().as_millis() < 50) {
                assert!(
                    begun.elapsed() < Duration::from_secs(20),
                    "somebody could connect"
                );
                if node.shared.is_locked() {
                    since = since.or_else(|| Some(std::time::Instant::now()));
                } else {
                    since = None;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(held);
            sending.join().unwrap();
        }
    }

    /// A node that is dialled for the sake of as many signals as may wait takes what ends them.
    #[test]
    fn what_ends_a_link_always_finds_room() {
        let (unsent, node) = (Unsent::default(), "two@127.0.0.1".parse().unwrap());
        let pid = |node| Pid {
            node,
            id: 1,
            serial: 0,
            creation: 1,
        };
        let link = || Control::Link {
            from: pid(atom!("one@127.0.0.1")),
            to: pid(atom!("two@127.0.0.1")),
        };
        assert_eq!(
            unsent.follow("two@127.0.0.1", link()),
            Err(SendError::NotConnected)
        );
        for n in 0..MAX_UNSENT {
            assert_eq!(unsent.put(&node, Some(link())), Ok(n == 0));
        }
        assert_eq!(
            unsent.put(&node, Some(link())),
            Err(SendError::NotConnected)
        );
        // Whoever only wants to hear of the node waits with the others.
        assert_eq!(unsent.put(&node, None), Ok(false));
        assert_eq!(unsent.follow("two@127.0.0.1", link()), Ok(()));
        assert_eq!(unsent.take(&node).len(), MAX_UNSENT + 1);
    }
}
