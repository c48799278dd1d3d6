//! The node's processes: who they are, whom they watch, who watches them. Pure bookkeeping under one
//! lock; what has to be sent is given back to the caller.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use trunkline_etf::{Atom, Pid, RawTerm, Reference, Term, atom};
use trunkline_proto::Creation;
use trunkline_proto::control::{Control, PidOrName};

/// What reaches a process, its term not decoded yet.
#[derive(Debug)]
pub(crate) enum Incoming {
    Message(RawTerm),
    Exit {
        from: Pid,
        reason: RawTerm,
    },
    Down {
        reference: Reference,
        from: PidOrName,
        reason: RawTerm,
    },
}

/// What a request to spawn came to.
pub(crate) type Spawned = Result<Pid, Atom>;

/// A signal that goes to another process.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) node: Atom,
    pub(crate) control: Control,
}

/// All processes of a node.
#[derive(Debug)]
pub(crate) struct Processes {
    node: Atom,
    creation: u32,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    next_pid: u64,
    next_reference: u64,
    entries: HashMap<(u32, u32), Entry>,
    names: HashMap<Atom, (u32, u32)>,
    spawns: HashMap<Reference, Pending>,
}

#[derive(Debug)]
struct Entry {
    inbox: mpsc::UnboundedSender<Incoming>,
    links: HashSet<Pid>,
    /// Links that are given up, until the other side has acknowledged it.
    unlinking: HashMap<Pid, u64>,
    monitors: HashMap<Reference, Monitored>,
    watchers: HashMap<Reference, Watcher>,
}

#[derive(Debug)]
struct Monitored {
    node: Atom,
    target: PidOrName,
}

#[derive(Debug)]
struct Watcher {
    pid: Pid,
    /// What it called this process; its DOWN repeats it.
    named: PidOrName,
}

#[derive(Debug)]
struct Pending {
    node: Atom,
    from: Pid,
    reply: oneshot::Sender<Spawned>,
}

/// The group leader of what is spawned elsewhere; see [`Processes::group_leader`].
const GROUP_LEADER: u64 = 1;

/// Numbers of pids have 28 bits where a peer knows no larger ones.
const PID_BITS: u32 = 28;

impl Processes {
    pub(crate) fn new(node: Atom, creation: Creation) -> Self {
        Self {
            node,
            creation: creation.0,
            table: Mutex::new(Table {
                next_pid: GROUP_LEADER + 1,
                next_reference: 1,
                entries: HashMap::new(),
                names: HashMap::new(),
                spawns: HashMap::new(),
            }),
        }
    }

    /// The process that every process spawned from here gets as its group leader: it takes output
    /// and drops it. There is none behind it; the node answers for it.
    pub(crate) fn group_leader(&self) -> Pid {
        self.pid(GROUP_LEADER)
    }

    /// A new process.
    pub(crate) fn spawn(&self) -> (Pid, mpsc::UnboundedReceiver<Incoming>) {
        let (inbox, received) = mpsc::unbounded_channel();
        let mut table = self.table();
        let pid = self.pid(table.next_pid);
        table.next_pid += 1;
        let entry = Entry {
            inbox,
            links: HashSet::new(),
            unlinking: HashMap::new(),
            monitors: HashMap::new(),
            watchers: HashMap::new(),
        };
        table.entries.insert((pid.id, pid.serial), entry);
        (pid, received)
    }

    /// A reference that this node has not used before.
    pub(crate) fn reference(&self) -> Reference {
        let mut table = self.table();
        let n = table.next_reference;
        table.next_reference += 1;
        // 18 bits in the first word, as in all releases; 64 are enough for ever.
        let words = [low(n, 18), low(n >> 18, 32), low(n >> 50, 14)];
        Reference::new(self.node.clone(), self.creation, &words).expect("three words")
    }

    /// Gives a process a name. `false` when it has one already, or another process has it.
    pub(crate) fn register(&self, name: Atom, pid: &Pid) -> bool {
        let mut table = self.table();
        let key = (pid.id, pid.serial);
        if table.names.contains_key(&name) || table.names.values().any(|k| *k == key) {
            return false;
        }
        table.names.insert(name, key);
        true
    }

    /// Puts something into a process's inbox; `false` when there is no such process.
    pub(crate) fn deliver(&self, to: &PidOrName, incoming: Incoming) -> bool {
        let table = self.table();
        self.find(&table, to)
            .and_then(|key| table.entries.get(&key))
            .is_some_and(|entry| entry.inbox.send(incoming).is_ok())
    }

    /// The process ended: what those who watched it are told.
    pub(crate) fn end(&self, pid: &Pid, reason: &Term) -> Vec<Outgoing> {
        let mut table = self.table();
        let key = (pid.id, pid.serial);
        table.names.retain(|_, k| *k != key);
        let Some(entry) = table.entries.remove(&key) else {
            return Vec::new();
        };
        drop(table);
        let links = entry
            .links
            .into_iter()
            .map(|to| exit(pid, to, reason.clone()));
        let watchers = entry.watchers.into_iter();
        let downs = watchers.map(|(reference, watcher)| watcher.down(reference, reason.clone()));
        let monitors = entry.monitors.into_iter();
        let demonitors = monitors.map(|(reference, watched)| Outgoing {
            node: watched.node,
            control: Control::DemonitorP {
                from: pid.clone(),
                to: watched.target,
                reference,
            },
        });
        links.chain(downs).chain(demonitors).collect()
    }

    /// The connection to `node` is lost, and with it everything there.
    pub(crate) fn node_down(&self, node: &Atom) {
        let lost = RawTerm::from(&Term::from(atom!("noconnection")));
        let mut table = self.table();
        table.spawns.retain(|_, pending| pending.node != *node);
        for entry in table.entries.values_mut() {
            let Entry {
                inbox,
                links,
                unlinking,
                monitors,
                watchers,
            } = entry;
            watchers.retain(|_, watcher| watcher.pid.node != *node);
            unlinking.retain(|pid, _| pid.node != *node);
            for from in links.extract_if(|pid| pid.node == *node) {
                let reason = lost.clone();
                inbox.send(Incoming::Exit { from, reason }).ok();
            }
            for (reference, watched) in monitors.extract_if(|_, watched| watched.node == *node) {
                let (from, reason) = (watched.target, lost.clone());
                let down = Incoming::Down {
                    reference,
                    from,
                    reason,
                };
                inbox.send(down).ok();
            }
        }
    }

    // ---- links ----

    /// A process of ours links to another; `false` when it was linked already.
    pub(crate) fn link(&self, pid: &Pid, to: &Pid) -> bool {
        let mut table = self.table();
        let entry = table.entries.get_mut(&(pid.id, pid.serial));
        entry.is_some_and(|entry| entry.links.insert(to.clone()))
    }

    /// A process of ours unlinks; what to send, if it was linked.
    pub(crate) fn unlink(&self, pid: &Pid, to: &Pid) -> Option<Outgoing> {
        let mut table = self.table();
        let id = table.next_reference;
        table.next_reference += 1;
        let entry = table.entries.get_mut(&(pid.id, pid.serial))?;
        if !entry.links.remove(to) {
            return None;
        }
        entry.unlinking.insert(to.clone(), id);
        Some(Outgoing {
            node: to.node.clone(),
            control: Control::UnlinkId {
                id,
                from: pid.clone(),
                to: to.clone(),
            },
        })
    }

    /// Somebody links to a process of ours; what to answer when there is none.
    pub(crate) fn linked(&self, from: Pid, to: &Pid) -> Option<Outgoing> {
        let mut table = self.table();
        let key = self.find(&table, &PidOrName::Pid(to.clone()));
        let Some(entry) = key.and_then(|key| table.entries.get_mut(&key)) else {
            return Some(exit(to, from, Term::atom("noproc")));
        };
        // One that crosses our own unlink is undone by it.
        if !entry.unlinking.contains_key(&from) {
            entry.links.insert(from);
        }
        None
    }

    /// Somebody unlinks from a process of ours.
    pub(crate) fn unlinked(&self, from: &Pid, to: &Pid) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(&(to.id, to.serial)) {
            entry.links.remove(from);
        }
    }

    /// The other side has seen that a process of ours unlinked.
    pub(crate) fn unlink_acknowledged(&self, id: u64, from: &Pid, to: &Pid) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(&(to.id, to.serial))
            && entry.unlinking.get(from) == Some(&id)
        {
            entry.unlinking.remove(from);
        }
    }

    /// A link broke: delivered only where there was one.
    pub(crate) fn exited(&self, from: Pid, to: &Pid, reason: RawTerm) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(&(to.id, to.serial))
            && entry.links.remove(&from)
        {
            entry.inbox.send(Incoming::Exit { from, reason }).ok();
        }
    }

    // ---- monitors ----

    /// A process of ours begins to monitor.
    pub(crate) fn monitor(&self, pid: &Pid, reference: Reference, node: Atom, target: PidOrName) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(&(pid.id, pid.serial)) {
            entry.monitors.insert(reference, Monitored { node, target });
        }
    }

    /// A process of ours no longer monitors; what to send, if it did.
    pub(crate) fn demonitor(&self, pid: &Pid, reference: &Reference) -> Option<Outgoing> {
        let mut table = self.table();
        let entry = table.entries.get_mut(&(pid.id, pid.serial))?;
        let Monitored { node, target } = entry.monitors.remove(reference)?;
        Some(Outgoing {
            node,
            control: Control::DemonitorP {
                from: pid.clone(),
                to: target,
                reference: reference.clone(),
            },
        })
    }

    /// Somebody monitors a process of ours; what to answer when there is none.
    pub(crate) fn monitored(
        &self,
        from: Pid,
        to: PidOrName,
        reference: Reference,
    ) -> Option<Outgoing> {
        let mut table = self.table();
        let watcher = Watcher {
            pid: from,
            named: to,
        };
        let key = self.find(&table, &watcher.named);
        let Some(entry) = key.and_then(|key| table.entries.get_mut(&key)) else {
            return Some(watcher.down(reference, Term::atom("noproc")));
        };
        entry.watchers.insert(reference, watcher);
        None
    }

    /// Somebody no longer monitors a process of ours.
    pub(crate) fn demonitored(&self, to: &PidOrName, reference: &Reference) {
        let mut table = self.table();
        let key = self.find(&table, to);
        if let Some(entry) = key.and_then(|key| table.entries.get_mut(&key)) {
            entry.watchers.remove(reference);
        }
    }

    /// A monitored process ended: delivered only where there is such a monitor.
    pub(crate) fn down(&self, from: PidOrName, to: &Pid, reference: Reference, reason: RawTerm) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(&(to.id, to.serial))
            && entry.monitors.remove(&reference).is_some()
        {
            let down = Incoming::Down {
                reference,
                from,
                reason,
            };
            entry.inbox.send(down).ok();
        }
    }

    // ---- spawning elsewhere ----

    /// A process of ours asks `node` to spawn.
    pub(crate) fn spawning(
        &self,
        request: Reference,
        node: Atom,
        from: Pid,
    ) -> oneshot::Receiver<Spawned> {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { node, from, reply };
        self.table().spawns.insert(request, pending);
        answer
    }

    /// The one who asked no longer waits for the answer.
    pub(crate) fn spawn_abandoned(&self, request: &Reference) {
        self.table().spawns.remove(request);
    }

    /// The answer. Links and monitors hold from now on; when nobody waits for it (any more), the new
    /// process is told so: a linked one ends.
    pub(crate) fn spawned(
        &self,
        request: &Reference,
        to: &Pid,
        flags: u32,
        result: PidOrName,
    ) -> Vec<Outgoing> {
        let mut table = self.table();
        let waits = |pending: &Pending| pending.from == *to;
        let pending = if table.spawns.get(request).is_some_and(waits) {
            table.spawns.remove(request)
        } else {
            None
        };
        let pid = match result {
            PidOrName::Pid(pid) => pid,
            PidOrName::Name(error) => {
                if let Some(pending) = pending {
                    pending.reply.send(Err(error)).ok();
                }
                return Vec::new();
            }
        };
        let linked = flags & Control::SPAWNED_WITH_LINK != 0;
        let monitored = flags & Control::SPAWNED_WITH_MONITOR != 0;
        let entry = table.entries.get_mut(&(to.id, to.serial));
        let (Some(pending), Some(entry)) = (pending, entry) else {
            let unwatched = monitored.then(|| demonitor(to, &pid, request.clone()));
            let ended = linked.then(|| exit(to, pid, Term::atom("abandoned")));
            return unwatched.into_iter().chain(ended).collect();
        };
        if linked {
            entry.links.insert(pid.clone());
        }
        if monitored {
            let watched = Monitored {
                node: pid.node.clone(),
                target: PidOrName::Pid(pid.clone()),
            };
            entry.monitors.insert(request.clone(), watched);
        }
        pending.reply.send(Ok(pid)).ok();
        Vec::new()
    }

    // ---- helpers ----

    fn pid(&self, n: u64) -> Pid {
        Pid {
            node: self.node.clone(),
            id: low(n, PID_BITS),
            serial: low(n >> PID_BITS, 32),
            creation: self.creation,
        }
    }

    /// An id with another creation belongs to an earlier incarnation of this node: it is dead. One of
    /// another node is nobody's here, whatever its number.
    fn find(&self, table: &Table, to: &PidOrName) -> Option<(u32, u32)> {
        match to {
            PidOrName::Pid(pid) if pid.node != self.node => None,
            PidOrName::Pid(pid) if pid.creation == self.creation || pid.creation == 0 => {
                Some((pid.id, pid.serial))
            }
            PidOrName::Pid(_) => None,
            PidOrName::Name(name) => table.names.get(name).copied(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    fn down(self, reference: Reference, reason: Term) -> Outgoing {
        Outgoing {
            node: self.pid.node.clone(),
            control: Control::MonitorPExit {
                from: self.named,
                to: self.pid,
                reference,
                reason,
            },
        }
    }
}

fn demonitor(from: &Pid, to: &Pid, reference: Reference) -> Outgoing {
    Outgoing {
        node: to.node.clone(),
        control: Control::DemonitorP {
            from: from.clone(),
            to: PidOrName::Pid(to.clone()),
            reference,
        },
    }
}

fn exit(from: &Pid, to: Pid, reason: Term) -> Outgoing {
    Outgoing {
        node: to.node.clone(),
        control: Control::Exit {
            from: from.clone(),
            to,
            token: None,
            reason,
        },
    }
}

/// The lowest `bits` bits, 32 at most.
fn low(n: u64, bits: u32) -> u32 {
    u32::try_from(n & ((1 << bits) - 1)).expect("masked to 32 bits at most")
}
