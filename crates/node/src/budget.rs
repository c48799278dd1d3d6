//! How many bytes may be here that came from other nodes, and what happens to the connections that
//! bring more.
//!
//! Every byte that waits (in a mailbox, also where its process has looked at it and left it, as the
//! answer to a call, as an exit or a DOWN) is on the account of the node that sent it, with what its
//! atoms take and what its place costs: a [`Charge`] travels with it, and whoever takes or drops the
//! message gives it back. What a connection holds that is no message yet, or is kept for the next one
//! ([`Unfinished`]), is in the sum of all accounts, too.
//!
//! **The rule.** While there is more than the limit in all, a connection whose own account holds
//! more than its part (the limit by the number of nodes that are connected or still have something here)
//! is read slowly: a pause passes between two reads. The others go on as if nothing were: who sends
//! little is not made to wait for who floods. What is unfinished is on nobody's account: nothing but reading
//! on makes that less, and each connection may have no more of it than `Limits::unfinished`.
//!
//! **Slower and slower.** The pause is [`PAUSE`] at first, and doubles with each sixteenth of the
//! limit that there is too much. Where it is known that somebody here waits for what comes by the
//! connection (an answer to a call, or room to send, for which the other side may have to read, which it
//! may do only when it is read itself), it is [`AWAITED_PAUSE`], and doubles with each quarter. A read is
//! 256 KiB at most. So a flood that nobody takes makes a node with the usual limit of 1 GiB grow
//! by 64 MiB in the first minute, by half a GiB in five hours, and comes to [`LONGEST`] between two reads
//! below twice the limit. Within [`LOOK`] after something is taken the pause is shorter, or over.
//!
//! **Nothing is stopped altogether**, because nobody can know what a message behind the flood is for.
//! Mailboxes have no limit in Erlang, and programs rely on it: a process that floods another and waits
//! for its answer, while that one floods it, goes on in OTP. Ticks go on: they are written by
//! another task, and what is not read is no silence of the peer. That it is gone the system says, which is
//! asked meanwhile.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use trunkline_etf::Atom;

/// Between two reads of a connection that brings too much, at first.
const PAUSE: Duration = Duration::from_millis(250);

/// The same where somebody waits for what it may bring.
const AWAITED_PAUSE: Duration = Duration::from_millis(10);

/// Between two reads at the most: 6 MiB a day.
const LONGEST: Duration = Duration::from_secs(3600);

/// How often it is looked whether somebody has begun to wait, or something was taken, at the least.
const LOOK: Duration = Duration::from_millis(250);

/// What may be in a node of what came from others.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    /// What all accounts hold, and what is unfinished.
    used: AtomicUsize,
    freed: Notify,
    accounts: Mutex<HashMap<Atom, Weak<Account>>>,
    /// How many accounts there are, also such that hold nothing and have no connection.
    count: AtomicUsize,
}

/// What waits of one node's messages. It outlives the connection as long as anything does, and the
/// node's next connection has it again.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Arc<Budget>,
    node: Atom,
    held: AtomicUsize,
    /// How many connections it has. Whoever has sent by one that is over may keep that, and this, in
    /// memory.
    links: AtomicUsize,
}

/// A connection of the account's node, as long as this lives.
#[derive(Debug)]
pub(crate) struct Connection(Arc<Account>);

/// What a connection holds that is no message yet, or is memory for the next. Given back when this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Unfinished {
    budget: Arc<Budget>,
    bytes: usize,
}

/// Bytes that wait. They are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            freed: Notify::new(),
            accounts: Mutex::default(),
            count: AtomicUsize::new(0),
        })
    }

    /// The account of a node.
    pub(crate) fn account(self: &Arc<Self>, node: &Atom) -> Arc<Account> {
        let mut accounts = self.lock();
        if let Some(account) = accounts.get(node).and_then(Weak::upgrade) {
            return account;
        }
        let account = Arc::new(Account {
            budget: Arc::clone(self),
            node: node.clone(),
            held: AtomicUsize::new(0),
            links: AtomicUsize::new(0),
        });
        accounts.insert(node.clone(), Arc::downgrade(&account));
        self.count.fetch_add(1, Ordering::Relaxed);
        account
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Atom, Weak<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much more there is than may be.
    fn excess(&self) -> usize {
        let used = self.used.load(Ordering::Relaxed);
        used.saturating_sub(self.limit)
    }

    /// Whether so much is more than the part of one node.
    fn is_beyond_part(&self, held: usize) -> bool {
        let part = |nodes: usize| self.limit / nodes.max(1);
        if held <= part(self.count.load(Ordering::Relaxed)) {
            return false;
        }
        // Some of them may be nobody's.
        let accounts = self.lock();
        let counts = accounts.values().filter_map(Weak::upgrade);
        // None is dropped under the lock, which its end takes.
        let counts: Vec<_> = counts.collect();
        drop(accounts);
        held > part(counts.iter().filter(|account| account.counts()).count())
    }

    fn give(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        // What changes below that is seen by those who look from time to time: many may wait, and
        // every message that is taken gives something back.
        if before > self.limit && before - bytes <= self.limit {
            self.freed.notify_waiters();
        }
    }
}

/// `first`, doubled with each `step` that there is too much.
fn pause(first: Duration, excess: usize, step: usize) -> Duration {
    let doubled = u32::try_from(excess / step.max(1)).unwrap_or(u32::MAX);
    let times = 1_u32.checked_shl(doubled).unwrap_or(u32::MAX);
    first.saturating_mul(times).min(LONGEST)
}

impl Account {
    /// Bytes came.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        self.take(bytes);
        Charge {
            account: Arc::clone(self),
            bytes,
        }
    }

    /// The node is connected.
    pub(crate) fn connected(self: &Arc<Self>) -> Connection {
        self.links.fetch_add(1, Ordering::Relaxed);
        Connection(Arc::clone(self))
    }

    /// For what one of its connections holds: nothing yet.
    pub(crate) fn unfinished(&self) -> Unfinished {
        Unfinished {
            budget: Arc::clone(&self.budget),
            bytes: 0,
        }
    }

    /// Whether it has a part of the limit.
    fn counts(&self) -> bool {
        self.links.load(Ordering::Relaxed) > 0 || self.held.load(Ordering::Relaxed) > 0
    }

    /// Whether there is too much in all, and this has more than its part.
    pub(crate) fn is_over(&self) -> bool {
        self.budget.excess() > 0
            && self
                .budget
                .is_beyond_part(self.held.load(Ordering::Relaxed))
    }

    /// How much waits of what the node sent.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How much may wait of what all nodes sent.
    pub(crate) fn limit(&self) -> usize {
        self.budget.limit
    }

    /// Waits until the connection may be read again: until there is room, or for a time that is
    /// shorter while somebody waits for what comes by it. Cancel safe.
    pub(crate) async fn pause(&self, is_awaited: impl Fn() -> bool) {
        let (budget, begun) = (&self.budget, Instant::now());
        loop {
            let mut freed = pin!(budget.freed.notified());
            // Before the look: what is given back right after it is heard.
            freed.as_mut().enable();
            if !self.is_over() {
                return;
            }
            let excess = budget.excess();
            let end = begun + pause(PAUSE, excess, budget.limit / 16);
            let sooner = begun + pause(AWAITED_PAUSE, excess, budget.limit / 4);
            let now = Instant::now();
            if now >= end || (now >= sooner && is_awaited()) {
                return;
            }
            let look = (now - begun).clamp(AWAITED_PAUSE, LOOK);
            // Before the sum is within the limit nobody says that it falls.
            let next = (now + look).max(sooner.min(now + LOOK)).min(end);
            let _looks_either_way = timeout_at(next, freed).await;
        }
    }

    fn take(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        if bytes > 0 {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            self.budget.give(bytes);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.links.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Unfinished {
    /// It is so much from now on.
    pub(crate) fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes > before {
            self.budget
                .used
                .fetch_add(bytes - before, Ordering::Relaxed);
        } else if bytes < before {
            self.budget.give(before - bytes);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.count.fetch_sub(1, Ordering::Relaxed);
        let mut accounts = self.budget.lock();
        // The node may have another one already.
        if accounts
            .get(&self.node)
            .is_some_and(|account| account.strong_count() == 0)
        {
            accounts.remove(&self.node);
        }
    }
}

impl Charge {
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// It is for as many bytes from now on.
    pub(crate) fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.account.take(bytes - self.bytes);
        } else {
            self.account.give(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// A charge of its own for some of the bytes.
    pub(crate) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self {
            account: Arc::clone(&self.account),
            bytes,
        }
    }

    /// Takes in another one; gives it back when it is of another node.
    pub(crate) fn join(&mut self, mut other: Self) -> Result<(), Self> {
        if !Arc::ptr_eq(&self.account, &other.account) {
            return Err(other);
        }
        self.bytes += std::mem::take(&mut other.bytes);
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use trunkline_etf::atom;

    use super::*;

    /// Nobody else's pause ends it: whoever gives something back does.
    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_room_gets_it() {
        let budget = Budget::new(100);
        let account = budget.account(&atom!("a@h"));
        let first = account.charge(100);
        assert!(!account.is_over());
        let mut second = account.charge(51);
        assert!(account.is_over());
        let begun = Instant::now();
        let freed = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        tokio::join!(account.pause(|| false), freed);
        assert!(!account.is_over() && begun.elapsed() < AWAITED_PAUSE);
        second.resize(200);
        assert!(account.is_over());
    }

    /// Reads 256 KiB after each pause, of which nothing is ever taken; how much waits after so long.
    async fn grown(limit: usize, time: Duration, is_awaited: bool) -> usize {
        let budget = Budget::new(limit);
        let account = budget.account(&atom!("a@h"));
        let mut waits = account.charge(limit + 1);
        let begun = Instant::now();
        while begun.elapsed() < time {
            account.pause(|| is_awaited).await;
            waits.resize(waits.bytes() + (256 << 10));
        }
        waits.bytes()
    }

    /// A flood that nobody takes.
    #[tokio::test(start_paused = true)]
    async fn a_full_node_stays_bounded() {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        let limit = 64 << 20;
        let minute = grown(limit, minutes(1), false).await;
        assert!(minute > limit + (12 << 20), "{minute}");
        let hour = grown(limit, minutes(60), false).await;
        assert!(hour < limit + (48 << 20), "{hour}");
        // Somebody waits all the time for what does not come.
        let awaited = grown(limit, minutes(10), true).await;
        assert!((2 * limit..4 * limit).contains(&awaited), "{awaited}");
    }

    /// The same in years, with the usual limit.
    #[test]
    fn how_long_it_takes_to_double() {
        let (limit, read) = (1_usize << 30, 256 << 10);
        let mut time = Duration::ZERO;
        for excess in (0..limit).step_by(read) {
            time += pause(PAUSE, excess, limit / 16);
        }
        assert!(time > Duration::from_secs(30 * 86_400), "{time:?}");
        let far = pause(AWAITED_PAUSE, usize::MAX, 1);
        assert_eq!(far, LONGEST);
    }

    /// Something is taken while a long pause lasts: it is as long as what is left says.
    #[tokio::test(start_paused = true)]
    async fn a_long_pause_gets_shorter() {
        let budget = Budget::new(16_000);
        let account = budget.account(&atom!("a@h"));
        let (much, _little) = (account.charge(12_000), account.charge(16_100));
        let begun = Instant::now();
        let taken = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            drop(much);
        };
        tokio::join!(account.pause(|| false), taken);
        let paused = begun.elapsed();
        assert!((9..12).contains(&paused.as_secs()), "{paused:?}");
        assert!(account.is_over());
    }

    /// Something is taken after a second of a pause; how long that went on.
    async fn paused(account: &Arc<Account>, awaited: bool, taken: Charge) -> Duration {
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        let taken = async {
            tokio::time::sleep(second).await;
            drop(taken);
        };
        tokio::join!(account.pause(|| awaited), taken);
        begun.elapsed().saturating_sub(second)
    }

    /// Even an awaited pause would last an hour: it is over soon after there is less of the node, although
    /// the sum stays above the limit, of which nobody hears.
    #[tokio::test(start_paused = true)]
    async fn the_longest_pause_ends_with_its_cause() {
        let mib = 1 << 20;
        let budget = Budget::new(16 * mib);
        let (a, b) = (budget.account(&atom!("a@h")), budget.account(&atom!("b@h")));
        let _both = (a.connected(), b.connected());
        for awaited in [false, true] {
            // Another connection has unfinished messages.
            let mut unfinished = a.unfinished();
            unfinished.set(128 * mib);
            let late = paused(&b, awaited, b.charge(9 * mib)).await;
            assert!(late <= LOOK, "{late:?}");
            drop(unfinished);
            // Another node floods.
            let flood = a.charge(128 * mib);
            let late = paused(&b, awaited, b.charge(9 * mib)).await;
            assert!(late <= LOOK, "{late:?}");
            drop(flood);
            // Nearly all is taken: what is left is worth a pause that is over.
            let _little = b.charge(17 * mib);
            let late = paused(&b, awaited, b.charge(100 * mib)).await;
            assert!(late <= LOOK, "{late:?}");
        }
    }

    /// Somebody begins to wait in the midst of a long one.
    #[tokio::test(start_paused = true)]
    async fn a_long_pause_ends_for_whoever_waits() {
        let budget = Budget::new(16_000);
        let account = budget.account(&atom!("a@h"));
        let _much = account.charge(16_000 + 12_000);
        let begun = Instant::now();
        let ten = Duration::from_secs(10);
        account.pause(|| begun.elapsed() > ten).await;
        let paused = begun.elapsed();
        assert!(paused < ten + 2 * LOOK, "{paused:?}");
    }

    /// What is unfinished leaves others less room, and does not slow down whom it belongs to.
    #[test]
    fn what_is_unfinished_counts() {
        let budget = Budget::new(100);
        let [one, other] =
            ["one@h", "other@h"].map(|node| budget.account(&Atom::new(node).unwrap()));
        let _both = [one.connected(), other.connected()];
        let _waits = other.charge(60);
        let mut unfinished = one.unfinished();
        assert!(!other.is_over());
        unfinished.set(41);
        assert!(other.is_over() && !one.is_over());
        unfinished.set(40);
        assert!(!other.is_over());
        unfinished.set(500);
        assert!(other.is_over() && !one.is_over());
        drop(unfinished);
        assert_eq!(budget.used.load(Ordering::Relaxed), 60);
    }

    /// A node whose connection is over, of which nothing waits, has no part, whoever still knows it.
    #[test]
    fn who_is_gone_has_no_part() {
        let budget = Budget::new(100);
        let [one, gone] = ["one@h", "gone@h"].map(|node| budget.account(&Atom::new(node).unwrap()));
        let (_here, connection) = (one.connected(), gone.connected());
        let _waits = one.charge(60);
        let much = gone.charge(50);
        assert!(one.is_over());
        drop(connection);
        assert!(one.is_over(), "something waits of the other one");
        drop(much);
        let mut unfinished = gone.unfinished();
        unfinished.set(50);
        assert!(!one.is_over(), "it has all");
    }

    /// Only who has more than its part is over, whoever else floods.
    #[test]
    fn the_others_are_not_over() {
        let budget = Budget::new(100);
        let [flood, quiet] =
            ["flood@h", "quiet@h"].map(|node| budget.account(&Atom::new(node).unwrap()));
        let small = quiet.charge(50);
        let large = flood.charge(200);
        assert!(flood.is_over() && !quiet.is_over());
        let more = quiet.charge(1);
        assert!(quiet.is_over());
        drop((more, large));
        assert!(!flood.is_over() && !quiet.is_over());
        assert_eq!(small.bytes(), 50);
    }

    /// Who comes again has what it left, and only as long as something of it waits.
    #[test]
    fn a_connection_that_comes_again() {
        let budget = Budget::new(100);
        let node = atom!("flood@h");
        let waits = budget.account(&node).charge(150);
        assert!(budget.account(&node).is_over());
        let (mut one, other) = (
            budget.account(&node).charge(1),
            budget.account(&atom!("b@h")),
        );
        assert!(one.join(other.charge(1)).is_err());
        assert!(one.join(waits).is_ok());
        assert_eq!((one.bytes(), one.split(100).bytes()), (151, 100));
        drop((one, other));
        assert_eq!(budget.count.load(Ordering::Relaxed), 0);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
        assert!(budget.lock().is_empty());
    }

    /// Nothing is ever taken: a connection is read all the same, sooner where somebody waits.
    #[tokio::test(start_paused = true)]
    async fn a_pause_ends() {
        let budget = Budget::new(100);
        let account = budget.account(&atom!("a@h"));
        let _waits = account.charge(101);
        for awaited in [true, false] {
            let begun = Instant::now();
            account.pause(|| awaited).await;
            let least = if awaited { AWAITED_PAUSE } else { PAUSE };
            assert!((least..2 * least).contains(&begun.elapsed()));
        }
    }
}
