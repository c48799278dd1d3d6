//! How many bytes may wait here that came from other nodes, and what happens to the connections that
//! bring more.
//!
//! Every byte that waits (in a mailbox, as the answer to a call, as an exit or a DOWN) is on the account
//! of the node that sent it, with what its atoms take and what its place costs: a [`Charge`] travels
//! with it, and whoever takes or drops the message gives it back.
//!
//! **The rule.** While all accounts together hold more than the limit, a connection whose own account
//! holds more than its part (the limit by the number of nodes that are connected or still have something
//! here) is read slowly: [`PAUSE`] passes between two reads. The others go on as if nothing were: who
//! sends little is not made to wait for who floods. So all accounts hold twice the limit at most, and
//! what is read slowly.
//!
//! **Nothing is stopped altogether**, because nobody can know what a message behind the flood is for.
//! Mailboxes have no limit in Erlang, and programs rely on it: a process that floods another and waits
//! for its answer, while that one floods it, goes on in OTP. A connection that is not read at all would
//! hold them for ever. Where it is known that somebody here waits for what comes by the connection (an
//! answer to a call, or room to send, for which the other side may have to read, which it may do only
//! when it is read itself), only [`AWAITED_PAUSE`] passes. A read is 256 KiB at most, so a flood that
//! nobody takes makes the node grow by 1 MiB a second, or some 25 while somebody waits; other nodes'
//! senders are slowed down by their own busy limits meanwhile. Ticks go on: they are written by another
//! task, and what is not read is no silence of the peer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use trunkline_etf::Atom;

/// Between two reads of a connection that brings too much.
const PAUSE: Duration = Duration::from_millis(250);

/// The same where somebody waits for what it may bring.
const AWAITED_PAUSE: Duration = Duration::from_millis(10);

/// What may wait in a node of what came from others.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
    accounts: Mutex<HashMap<Atom, Weak<Account>>>,
    /// How many accounts there are.
    count: AtomicUsize,
}

/// What waits of one node's messages. It outlives the connection as long as anything does, and the
/// node's next connection has it again.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Arc<Budget>,
    node: Atom,
    held: AtomicUsize,
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
        });
        accounts.insert(node.clone(), Arc::downgrade(&account));
        self.count.fetch_add(1, Ordering::Relaxed);
        account
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Atom, Weak<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What one account may hold when there is too much.
    fn part(&self) -> usize {
        self.limit / self.count.load(Ordering::Relaxed).max(1)
    }
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

    /// Whether all hold too much, and this one more than its part.
    pub(crate) fn is_over(&self) -> bool {
        self.budget.used.load(Ordering::Relaxed) > self.budget.limit
            && self.held.load(Ordering::Relaxed) > self.budget.part()
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Waits until the connection may be read again: until there is room, or for a time that is
    /// shorter while somebody waits for what comes by it. Cancel safe.
    pub(crate) async fn pause(&self, is_awaited: impl Fn() -> bool) {
        let end = Instant::now() + PAUSE;
        while self.is_over() && Instant::now() < end {
            let step = (Instant::now() + AWAITED_PAUSE).min(end);
            if timeout_at(step, self.room()).await.is_err() && is_awaited() {
                return;
            }
        }
    }

    async fn room(&self) {
        loop {
            let freed = self.budget.freed.notified();
            if !self.is_over() {
                return;
            }
            freed.await;
        }
    }

    fn take(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        let budget = &self.budget;
        let before = budget.used.fetch_sub(bytes, Ordering::AcqRel);
        if before > budget.limit {
            // Enough is left perhaps, or this account has its part no longer.
            budget.freed.notify_waiters();
        }
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
    use tokio::time::timeout;
    use trunkline_etf::atom;

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn whoever_waits_for_room_gets_it() {
        let budget = Budget::new(100);
        let account = budget.account(&atom!("a@h"));
        let first = account.charge(100);
        assert!(!account.is_over());
        let mut second = account.charge(51);
        assert!(account.is_over());
        let freed = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        tokio::join!(account.room(), freed);
        assert!(!account.is_over());
        second.resize(200);
        assert!(account.is_over());
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
    #[tokio::test]
    async fn a_pause_ends() {
        let budget = Budget::new(100);
        let account = budget.account(&atom!("a@h"));
        let _waits = account.charge(101);
        for awaited in [true, false] {
            let begun = Instant::now();
            let pause = account.pause(|| awaited);
            timeout(SOON, pause).await.expect("it ends");
            let least = if awaited { AWAITED_PAUSE } else { PAUSE };
            assert!(begun.elapsed() >= least);
        }
    }
}
