//! What all handles and tasks of one node share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;
use trunkline_etf::Atom;
use trunkline_proto::conn::Sending;
use trunkline_proto::handshake::{Admission, Connected};
use trunkline_proto::{Creation, Flags, NodeName};

use crate::budget::Budget;
use crate::dialling::Attempt;
use crate::events::Subscribers;
use crate::handshake::Framed;
use crate::handshake::initiator::OnAlive;
use crate::lifetime::{Lifetime, Work};
use crate::link::{self, Link};
use crate::process::Then;
use crate::process::recent::Epoch;
use crate::process::table::Processes;
use crate::reach::{Route, left};
use crate::sending::Unsent;
use crate::shutdown::guarded;
use crate::strangers::Strangers;
use crate::transport::Transport;
use crate::{DownReason, NodeEvent, rpc};

/// What does not change while the node runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) route: Route,
    pub(crate) flags: Flags,
    pub(crate) creation: Creation,
    /// Where it listens, if it does.
    pub(crate) port: Option<u16>,
    /// Who lent this node its name: it ends with that connection.
    pub(crate) name_giver: Option<NodeName>,
    pub(crate) tick_time: Duration,
    pub(crate) tick_intensity: u32,
    pub(crate) follow_tick_time: bool,
    pub(crate) on_alive: OnAlive,
    pub(crate) connect_timeout: Duration,
    pub(crate) sending: Sending,
    /// Nodes are connected as soon as somebody sends there.
    pub(crate) auto_connect: bool,
    /// Bytes that may wait in all mailboxes.
    pub(crate) mailboxes: usize,
}

/// The node.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// The node's name as pids hold it.
    pub(crate) atom: Atom,
    pub(crate) life: Lifetime,
    pub(crate) strangers: Strangers,
    pub(crate) events: Subscribers,
    pub(crate) processes: Processes,
    /// What the mailboxes may hold.
    pub(crate) budget: Arc<Budget>,
    admission: RwLock<Admission>,
    /// Signals for nodes that are being dialled.
    pub(crate) unsent: Unsent,
    pub(crate) runtime: Handle,
    pub(crate) epoch: Epoch,
    state: Mutex<State>,
    /// Changes whenever a connection or a handshake that came in begins or ends.
    changed: watch::Sender<u64>,
}

/// Connections and attempts by the peer's name.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) links: HashMap<NodeName, Arc<Link>>,
    pub(crate) dials: HashMap<NodeName, Attempt>,
    /// Callers that were told to go on, and have not come to an end, by name.
    incoming: HashMap<NodeName, Callers>,
    /// How many were told to go on so far.
    visits: u64,
}

/// Those of one name.
#[derive(Clone, Copy, Debug, Default)]
struct Callers {
    count: usize,
    /// The number of the last that has proved its cookie, and is told so: it has a connection as soon as it
    /// hears that. 0: none, or it has come to an end.
    proved: u64,
}

/// How a connection came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visited {
    /// By this node, which knew of no other; [`State::dial_begins`] gave the number.
    Dialled(u64),
    /// By the peer; [`State::caller_begins`] gave the number.
    Called(u64),
}

impl Visited {
    /// Whether `other`, which comes to its end now, is an older call than what made this connection. A peer that dies in its
    /// handshake and dials again at once is seen twice, and one that is silent in its call for long may have dropped that and
    /// taken a dial: which of the handshakes ends first is chance, and the later one is what it means.
    pub(crate) fn is_after(self, other: Self) -> bool {
        match (self, other) {
            (Self::Called(this) | Self::Dialled(this), Self::Called(other)) => this > other,
            (_, Self::Dialled(_)) => false,
        }
    }
}

impl State {
    /// A caller of this name was told to go on. Its number: a later caller has a higher one.
    pub(crate) fn caller_begins(&mut self, name: &NodeName) -> u64 {
        self.incoming.entry(name.clone()).or_default().count += 1;
        self.dial_begins()
    }

    /// This node dials. Its number, which is higher than that of every call before it.
    pub(crate) fn dial_begins(&mut self) -> u64 {
        self.visits += 1;
        self.visits
    }

    /// One of this name, with this number, has proved its cookie. `false`: a later one has, and is the one that the peer means.
    pub(crate) fn caller_proved(&mut self, name: &NodeName, number: u64) -> bool {
        if self.later_proved(name, number) {
            return false;
        }
        if let Some(callers) = self.incoming.get_mut(name) {
            callers.proved = number;
        }
        true
    }

    /// Whether a later one of this name than this one has, and its connection is not there yet.
    fn later_proved(&self, name: &NodeName, number: u64) -> bool {
        let callers = self.incoming.get(name);
        callers.is_some_and(|callers| callers.proved > number)
    }

    /// Whether one of this name has, and its connection is not there yet.
    pub(crate) fn has_proved(&self, name: &NodeName) -> bool {
        self.incoming
            .get(name)
            .is_some_and(|callers| callers.proved != 0)
    }

    /// One of this name, with this number, has come to an end: whether others are silent for long or not,
    /// what it has proved is over.
    pub(crate) fn caller_ended(&mut self, name: &NodeName, number: u64) {
        if let Some(callers) = self.incoming.get_mut(name) {
            callers.count -= 1;
            if callers.proved == number {
                callers.proved = 0;
            }
            if callers.count == 0 {
                self.incoming.remove(name);
            }
        }
    }

    /// Whether somebody of this name was told to go on.
    pub(crate) fn is_calling(&self, name: &NodeName) -> bool {
        self.incoming.contains_key(name)
    }

    /// Whether anything goes on with a node of this name.
    pub(crate) fn knows(&self, name: &NodeName) -> bool {
        self.links.contains_key(name)
            || self.dials.contains_key(name)
            || self.incoming.contains_key(name)
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, admission: Admission, life: Lifetime) -> Arc<Self> {
        let atom = Atom::new(settings.route.me.as_str())
            .expect("a node name has at most 255 characters, as an atom");
        Arc::new(Self {
            processes: Processes::new(atom.clone(), settings.creation),
            budget: Budget::new(settings.mailboxes),
            unsent: Unsent::default(),
            runtime: Handle::current(),
            epoch: Epoch::begin(),
            settings,
            atom,
            life,
            strangers: Strangers::default(),
            events: Subscribers::default(),
            admission: RwLock::new(admission),
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn is_locked(&self) -> bool {
        self.state.try_lock().is_err()
    }

    pub(crate) fn admission(&self) -> RwLockReadGuard<'_, Admission> {
        self.admission
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn admission_mut(&self) -> RwLockWriteGuard<'_, Admission> {
        self.admission
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Every connection.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.state().links.values().cloned().collect()
    }

    /// The live connection to a node.
    pub(crate) fn link(&self, peer: &str) -> Option<Arc<Link>> {
        self.state().links.get(peer).cloned()
    }

    /// Waits for a state, or until the deadline.
    pub(crate) async fn await_state(&self, deadline: Instant, is: impl Fn(&State) -> bool) {
        let mut changes = self.changed.subscribe();
        let reached = changes.wait_for(|_| is(&self.state()));
        let _in_time = tokio::time::timeout(left(deadline), reached).await.is_ok();
    }

    /// Tells everybody who waits for a state to look again.
    pub(crate) fn state_changed(&self) {
        self.epoch.ends();
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// The handshake is through: the connection is there, and lives as soon as what this gives back is dropped. `None` when
    /// the node makes none any more, or a later `visit` of the same peer has one, or is about to.
    pub(crate) fn install(
        self: &Arc<Self>,
        connected: Connected,
        framed: Framed,
        visit: Visited,
    ) -> Option<Begun> {
        let transport = framed.into_parts();
        let peer = connected.peer.clone();
        let up = NodeEvent::Up {
            peer: peer.clone(),
            creation: connected.creation,
            hidden: is_hidden(&connected),
        };
        let Settings {
            tick_time,
            tick_intensity,
            sending,
            ..
        } = self.settings;
        let ticks = link::Ticks {
            time: tick_time,
            intensity: tick_intensity,
        };
        let stop = self.life.stop.child_token();
        let link = Link::new(connected, ticks, sending, stop, visit, &self.budget);
        let mut then = Then::default();
        {
            let mut state = self.state_without(&peer, visit)?;
            let is_late = match visit {
                Visited::Dialled(_) => false,
                Visited::Called(number) => state.later_proved(&peer, number),
            };
            if is_late || self.life.closing.is_cancelled() {
                return None;
            }
            state.links.insert(peer, Arc::clone(&link));
            self.unsent.flush(&link, &self.processes);
            self.events.publish(&up, &mut then);
        }
        self.state_changed();
        Some(Begun {
            shared: Arc::clone(self),
            link,
            transport: Some(transport),
            over: None,
            then,
        })
    }

    /// The state, in which this peer has no connection: one that it has is replaced. `None` when
    /// that one came later.
    pub(crate) fn state_without(
        &self,
        peer: &NodeName,
        visit: Visited,
    ) -> Option<MutexGuard<'_, State>> {
        loop {
            let state = self.state();
            let Some(old) = state.links.get(peer).cloned() else {
                return Some(state);
            };
            if old.visit.is_after(visit) {
                return None;
            }
            drop(state);
            self.end(&old, DownReason::Replaced);
        }
    }

    /// The connection is over; everybody who relied on it hears so, after its last message. Does
    /// nothing the second time.
    pub(crate) fn end(&self, link: &Arc<Link>, reason: DownReason) {
        // Before the lock: a delivery takes it.
        link.gate.close();
        let mut then = Then::default();
        // Before those are told who rely on it: whoever begins to wait for it now finds it so.
        let reason = link.ends_for(reason, &mut then);
        let peer = &link.info.peer;
        {
            let mut state = self.state();
            match state.links.get(peer) {
                Some(current) if Arc::ptr_eq(current, link) => state.links.remove(peer),
                _ => {
                    drop(state);
                    return self.carry_out(then);
                }
            };
            // Whoever is told and sends then finds another connection, or none.
            self.epoch.ends();
            self.tell_end(link, reason, &mut then);
        }
        self.state_changed();
        if self.settings.name_giver.as_ref() == Some(peer) {
            // The name was lent, and may be somebody else's next.
            self.life.closing.cancel();
            self.end_all();
        }
        // Last, as somebody's waker may panic.
        self.carry_out(then);
    }

    /// What ends with a connection that has just left `state.links`. The caller holds that lock: ups
    /// and downs are told in the order in which they happen, and nobody relies on the connection
    /// that takes this one's place before all who relied on this one have been told.
    fn tell_end(&self, link: &Link, reason: DownReason, then: &mut Then) {
        self.node_down(&link.atom, then);
        let down = NodeEvent::Down {
            peer: link.info.peer.clone(),
            hidden: is_hidden(&link.info),
            reason,
        };
        self.events.publish(&down, then);
    }

    /// Ends every connection, whatever the wakers of those do who are told.
    pub(crate) fn end_all(&self) {
        for link in self.links() {
            guarded(|| self.end(&link, DownReason::Disconnected));
        }
    }
}

/// A connection whose tasks do not run yet: they begin when this is dropped. Whoever waits for the connection has his turn
/// before them that way.
#[derive(Debug)]
pub(crate) struct Begun {
    shared: Arc<Shared>,
    link: Arc<Link>,
    transport: Option<(Transport, BytesMut)>,
    /// What is to be closed when there is time.
    pub(crate) over: Option<TcpStream>,
    then: Then,
}

impl Drop for Begun {
    fn drop(&mut self) {
        let (shared, link) = (&self.shared, &self.link);
        let Some((transport, rest)) = self.transport.take() else {
            return;
        };
        let over = self.over.take();
        link::spawn(Arc::clone(shared), Arc::clone(link), transport, rest, over);
        if shared.settings.follow_tick_time && link.info.flags.contains(Flags::SPAWN) {
            let work = Work::AskingTickTime(link.info.peer.clone());
            let follow = rpc::follow_tick_time(Arc::clone(shared), Arc::clone(link));
            shared.life.spawn(work, follow);
        }
        // Last: a waker that panics leaves no connection that nobody runs.
        let then = std::mem::take(&mut self.then);
        guarded(|| shared.carry_out(then));
    }
}

/// Whether `nodes()` leaves it out. A node whose name was lent counts as hidden on both sides.
pub(crate) fn is_hidden(connected: &Connected) -> bool {
    !connected.peer_flags.contains(Flags::PUBLISHED)
}
