//! All processes of a node: by pid, by name, by alias.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use trunkline_etf::{Atom, Pid, Reference};
use trunkline_proto::Creation;
use trunkline_proto::control::PidOrName;

use super::state::{Inner, Life};
use crate::slot::Slot;

/// All processes of a node.
pub(crate) struct Processes {
    node: Atom,
    creation: u32,
    next_pid: AtomicU64,
    next_reference: AtomicU64,
    /// No process lives any more: one that begins ends at once.
    closed: AtomicBool,
    pids: [RwLock<Numbers<Arc<Inner>>>; SHARDS],
    names: RwLock<HashMap<Atom, Arc<Inner>, BuildHasherDefault<NumberHasher>>>,
    references: [Mutex<References>; SHARDS],
    /// Processes that ended themselves, whose futures run on: nobody finds them any more.
    run_on: Mutex<Numbers<Arc<Inner>>>,
}

/// How many there are: what they have is theirs.
impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let references = (0..SHARDS as u64).map(|n| self.references(n).routes.len());
        f.debug_struct("Processes")
            .field("processes", &self.all().len())
            .field("names", &self.names())
            .field("calls_and_aliases", &references.sum::<usize>())
            .finish_non_exhaustive()
    }
}

/// Who gets what comes for a reference of ours.
#[derive(Clone, Debug)]
pub(crate) enum Via {
    /// Somebody waits for one answer.
    Slot(Arc<Slot>),
    /// It is an alias of this process.
    Alias(Arc<Inner>),
}

/// References of ours, and who answers.
#[derive(Default)]
struct References {
    routes: Numbers<Via>,
    /// How many slots wait for an answer of each node: few nodes, mostly.
    awaited: Vec<(Atom, usize)>,
}

type Numbers<T> = HashMap<u64, T, BuildHasherDefault<NumberHasher>>;

/// So many locks share the processes: readers of connections and processes rarely meet.
const SHARDS: usize = 32;

/// The group leader of what is spawned elsewhere; see [`Processes::group_leader`].
const GROUP_LEADER: u64 = 1;

/// Pids for calls that no process makes: these numbers from 2 on. More than one, because what has one
/// sender waits behind its large messages.
const CALLERS: u64 = 15;

/// Numbers of pids have 28 bits where a peer knows no larger ones.
const PID_BITS: u32 = 28;

impl Processes {
    pub(crate) fn new(node: Atom, creation: Creation) -> Self {
        Self {
            node,
            creation: creation.0,
            next_pid: AtomicU64::new(GROUP_LEADER + 1 + CALLERS),
            next_reference: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            pids: Default::default(),
            names: RwLock::default(),
            references: Default::default(),
            run_on: Mutex::default(),
        }
    }

    /// The process that every process spawned from here gets as its group leader: it takes output
    /// and drops it. There is none behind it; the node answers for it.
    pub(crate) fn group_leader(&self) -> Pid {
        self.pid_of(GROUP_LEADER)
    }

    /// Whose calls those are that no process makes.
    pub(crate) fn caller(&self) -> Pid {
        let n = self.next_reference.load(Ordering::Relaxed) % CALLERS;
        self.pid_of(GROUP_LEADER + 1 + n)
    }

    /// The first of them: for what is to keep its order.
    pub(crate) fn first_caller(&self) -> Pid {
        self.pid_of(GROUP_LEADER + 1)
    }

    /// Whether a pid lives as long as the node, and is nobody.
    pub(crate) fn is_immortal(&self, pid: &Pid) -> bool {
        self.is_ours(pid) && number(pid) <= GROUP_LEADER + CALLERS
    }

    /// A new process, and whether it may live: not when [`close`](Self::close) came before.
    pub(crate) fn add(&self, task: bool) -> (Arc<Inner>, bool) {
        let n = self.next_pid.fetch_add(1, Ordering::Relaxed);
        let inner = Arc::new(Inner::new(self.pid_of(n), task));
        let mut shard = write(self.shard(n));
        shard.insert(n, Arc::clone(&inner));
        // Under the lock: either this sees that it is closed, or `close` sees the process.
        let lives = !self.closed.load(Ordering::Relaxed);
        (inner, lives)
    }

    /// From now on nothing lives here; all that there are.
    pub(crate) fn close(&self) -> Vec<Arc<Inner>> {
        self.closed.store(true, Ordering::Relaxed);
        self.all()
    }

    /// A process is gone.
    pub(crate) fn remove(&self, pid: &Pid) {
        let n = number(pid);
        write(self.shard(n)).remove(&n);
    }

    /// The process that has this pid. An id with another creation belongs to an earlier incarnation
    /// of this node: it is dead. One of another node is nobody's here, whatever its number.
    pub(crate) fn find(&self, pid: &Pid) -> Option<Arc<Inner>> {
        if !self.is_ours(pid) {
            return None;
        }
        let n = number(pid);
        let shard = self.shard(n).read();
        shard
            .unwrap_or_else(PoisonError::into_inner)
            .get(&n)
            .cloned()
    }

    pub(crate) fn find_any(&self, who: &PidOrName) -> Option<Arc<Inner>> {
        match who {
            PidOrName::Pid(pid) => self.find(pid),
            PidOrName::Name(name) => self.find_name(name),
        }
    }

    /// Those whose futures have not ended, in the order in which they began.
    pub(crate) fn tasks(&self) -> Vec<Pid> {
        let all = self.all();
        let tasks = all.iter().filter(|inner| inner.is_task());
        let mut pids: Vec<_> = tasks.map(|inner| inner.pid.clone()).collect();
        pids.extend(self.run_on().iter().map(|inner| inner.pid.clone()));
        pids.sort_by_key(number);
        pids.dedup();
        pids
    }

    /// A process has ended; where its future runs on it is kept in mind until that ends too. Whether the
    /// node has ended meanwhile.
    pub(crate) fn runs_on(&self, inner: &Arc<Inner>) -> bool {
        let mut run_on = self.run_on.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: either this sees that the future is gone, or who says so finds it here.
        if inner.runs() {
            run_on.insert(number(&inner.pid), Arc::clone(inner));
        }
        self.closed.load(Ordering::Relaxed)
    }

    /// The future of a process that had ended before is gone.
    pub(crate) fn runs_no_more(&self, pid: &Pid) {
        let mut run_on = self.run_on.lock().unwrap_or_else(PoisonError::into_inner);
        run_on.remove(&number(pid));
    }

    /// Those whose futures outlive them.
    pub(crate) fn run_on(&self) -> Vec<Arc<Inner>> {
        let run_on = self.run_on.lock().unwrap_or_else(PoisonError::into_inner);
        run_on.values().cloned().collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Inner>> {
        let mut all = Vec::new();
        for shard in &self.pids {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().cloned());
        }
        all
    }

    // ---- names ----

    pub(crate) fn find_name(&self, name: &Atom) -> Option<Arc<Inner>> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.get(name).cloned()
    }

    pub(crate) fn names(&self) -> Vec<Atom> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.keys().cloned().collect()
    }

    /// Gives a process a name. `false` when it has one already or is gone, or another has it.
    pub(crate) fn register(&self, name: Atom, inner: &Arc<Inner>) -> bool {
        let mut names = write(&self.names);
        let mut state = inner.state();
        if state.life == Life::Ended || state.name.is_some() || names.contains_key(&name) {
            return false;
        }
        state.name = Some(name.clone());
        names.insert(name, Arc::clone(inner));
        true
    }

    /// Takes a name from whoever has it; `false` when nobody has.
    pub(crate) fn unregister(&self, name: &Atom) -> bool {
        let mut names = write(&self.names);
        match names.remove(name) {
            Some(inner) => {
                inner.state().name = None;
                true
            }
            None => false,
        }
    }

    /// The process that had the name is gone.
    pub(crate) fn release_name(&self, name: &Atom, pid: &Pid) {
        let mut names = write(&self.names);
        if names.get(name).is_some_and(|inner| inner.pid == *pid) {
            names.remove(name);
        }
    }

    // ---- references ----

    /// A reference that this node has not used before.
    pub(crate) fn reference(&self) -> Reference {
        let n = self.next_reference.fetch_add(1, Ordering::Relaxed);
        // 18 bits in the first word, as in all releases; 64 are enough for ever.
        let words = [low(n, 18), low(n >> 18, 32), low(n >> 50, 14)];
        Reference::new(self.node.clone(), self.creation, &words).expect("three words")
    }

    /// A number that was not used before: for acknowledgements.
    pub(crate) fn unique(&self) -> u64 {
        self.next_reference.fetch_add(1, Ordering::Relaxed)
    }

    /// From now on this is what comes for the reference.
    pub(crate) fn route(&self, reference: &Reference, via: Via) {
        if let Some(n) = self.reference_number(reference) {
            self.references(n).put(n, via);
        }
    }

    pub(crate) fn unroute(&self, reference: &Reference) {
        if let Some(n) = self.reference_number(reference) {
            self.references(n).remove(n);
        }
    }

    pub(crate) fn via(&self, reference: &Reference) -> Option<Via> {
        let n = self.reference_number(reference)?;
        self.references(n).routes.get(&n).cloned()
    }

    /// Whether anybody waits for an answer of this node. Costs the same however many wait for
    /// others.
    pub(crate) fn awaits(&self, node: &Atom) -> bool {
        self.references.iter().any(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.awaited.iter().any(|(awaited, _)| awaited == node)
        })
    }

    /// Everybody who waits for an answer of this node.
    pub(crate) fn slots_of(&self, node: &Atom) -> Vec<Arc<Slot>> {
        let mut found = Vec::new();
        for shard in &self.references {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(shard.routes.values().filter_map(|via| match via {
                Via::Slot(slot) if slot.node == *node => Some(Arc::clone(slot)),
                _ => None,
            }));
        }
        found
    }

    fn references(&self, n: u64) -> MutexGuard<'_, References> {
        let shard = &self.references[n as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reference_number(&self, reference: &Reference) -> Option<u64> {
        let [first, second, third] = *reference.words() else {
            return None;
        };
        let ours = *reference.node() == self.node
            && (reference.creation() == self.creation || reference.creation() == 0);
        ours.then(|| u64::from(first) | u64::from(second) << 18 | u64::from(third) << 50)
    }

    // ---- helpers ----

    fn is_ours(&self, pid: &Pid) -> bool {
        (pid.creation == self.creation || pid.creation == 0) && pid.node == self.node
    }

    fn shard(&self, n: u64) -> &RwLock<Numbers<Arc<Inner>>> {
        &self.pids[n as usize % SHARDS]
    }

    fn pid_of(&self, n: u64) -> Pid {
        Pid {
            node: self.node.clone(),
            id: low(n, PID_BITS),
            serial: low(n >> PID_BITS, 32),
            creation: self.creation,
        }
    }
}

impl References {
    fn put(&mut self, n: u64, via: Via) {
        if let Via::Slot(slot) = &via {
            match self.awaited.iter_mut().find(|(node, _)| *node == slot.node) {
                Some((_, count)) => *count += 1,
                None => self.awaited.push((slot.node.clone(), 1)),
            }
        }
        if let Some(before) = self.routes.insert(n, via) {
            self.gone(&before);
        }
    }

    fn remove(&mut self, n: u64) {
        if let Some(via) = self.routes.remove(&n) {
            self.gone(&via);
        }
    }

    fn gone(&mut self, via: &Via) {
        let Via::Slot(slot) = via else {
            return;
        };
        let mut awaited = self.awaited.iter_mut().enumerate();
        let Some((place, (_, count))) = awaited.find(|(_, (node, _))| *node == slot.node) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.awaited.swap_remove(place);
        }
    }
}

/// What its id and its serial say. An id beyond 28 bits is nobody's here.
pub(crate) fn number(pid: &Pid) -> u64 {
    u64::from(pid.id) | u64::from(pid.serial) << PID_BITS
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// The lowest `bits` bits, 32 at most.
fn low(n: u64, bits: u32) -> u32 {
    u32::try_from(n & ((1 << bits) - 1)).expect("masked to 32 bits at most")
}

/// Numbers and names that this node gave out itself need no defence against those who choose them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        // Fibonacci hashing: the table looks at the upper bits and at the lower ones.
        self.0 = (self.0 ^ n)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(26);
    }
}

#[cfg(test)]
mod tests {
    use trunkline_etf::atom;

    use super::*;
    use crate::slot::Waiting;

    #[test]
    fn who_is_awaited() {
        let processes = Processes::new(atom!("me@h"), Creation(1));
        let [one, two] = [atom!("one@h"), atom!("two@h")];
        let wait = |node: &Atom| Waiting::new(&processes, processes.caller(), node.clone());
        let mut waiting: Vec<_> = (0..100).map(|_| wait(&one)).collect();
        let alone = wait(&two);
        let alias = processes.reference();
        let (inner, _) = processes.add(false);
        processes.route(&alias, Via::Alias(inner));
        assert!(processes.awaits(&one) && processes.awaits(&two));
        assert!(!processes.awaits(&atom!("me@h")));
        drop(alone);
        waiting.truncate(1);
        assert!(processes.awaits(&one) && !processes.awaits(&two));
        // As a call does that is told twice that it is over.
        processes.unroute(&waiting[0].reference);
        assert!(!processes.awaits(&one));
        drop(waiting);
        processes.unroute(&alias);
        assert!(processes.references.iter().all(|shard| {
            let shard = shard.lock().unwrap();
            shard.routes.is_empty() && shard.awaited.is_empty()
        }));
    }
}
