//! By which connections the processes of a thread have sent.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use trunkline_etf::Atom;

use crate::link::Link;

/// The connections that processes have sent by on one thread, with the [`Epoch`] in which each was there. To find one takes no
/// lock, and to use it no counter. They are the thread's and not the process's, so that a process that ends, or never sends
/// again, keeps none: what has ended goes when the thread finds another connection.
struct Recent([Option<(u64, Arc<Link>)>; PLACES]);

/// Each node has two of them. A thread that speaks to more nodes looks for the connections of some in the node's own list.
const PLACES: usize = 64;

thread_local! {
    static RECENT: RefCell<Recent> = const { RefCell::new(Recent([const { None }; PLACES])) };
}

/// Which connections a node has: another number, that no other node of the program has, whenever some come or go.
#[derive(Debug)]
pub(crate) struct Epoch(AtomicU64);

impl Epoch {
    pub(crate) fn begin() -> Self {
        Self(AtomicU64::new(next()))
    }

    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Connections have come or gone.
    pub(crate) fn ends(&self) {
        // Two that do so at once may be seen in either order: each number was there never before.
        self.0.store(next(), Ordering::Release);
    }
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Has the connection to a node, when that is known and connections are since then as they were. `use_it` must not wait.
#[inline]
pub(super) fn with<T>(epoch: u64, node: &[u8], use_it: impl FnOnce(&Arc<Link>) -> T) -> Option<T> {
    let found = RECENT.try_with(|recent| {
        // A waker that is dropped while places are may send.
        let recent = recent.try_borrow().ok()?;
        recent.find(epoch, node).map(use_it)
    });
    // No thread has any that ends.
    found.ok().flatten()
}

/// The same, to be held.
pub(super) fn get(epoch: u64, node: &Atom) -> Option<Arc<Link>> {
    with(epoch, node.as_bytes(), Arc::clone)
}

/// This one was there when connections were so.
pub(super) fn set(epoch: u64, link: &Arc<Link>) {
    let gone = RECENT.try_with(|recent| {
        let Ok(mut recent) = recent.try_borrow_mut() else {
            return Vec::new();
        };
        recent.set(epoch, link)
    });
    drop(gone);
}

impl Recent {
    #[inline]
    fn find(&self, epoch: u64, node: &[u8]) -> Option<&Arc<Link>> {
        let place = place(node);
        for place in [place, place ^ 1] {
            if let Some((known, link)) = self.0.get(place)?
                && *known == epoch
                && link.atom.as_bytes() == node
            {
                return Some(link);
            }
        }
        None
    }

    /// What has ended, to be dropped when nothing is borrowed.
    fn set(&mut self, epoch: u64, link: &Arc<Link>) -> Vec<Arc<Link>> {
        let has_ended = |place: &mut Option<(u64, Arc<Link>)>| {
            place.take_if(|(known, link)| *known != epoch && link.stop.is_cancelled())
        };
        let ended = self.0.iter_mut().filter_map(has_ended);
        let mut gone: Vec<_> = ended.map(|(_, link)| link).collect();
        let node = link.atom.as_bytes();
        let first = place(node);
        let places = [first, first ^ 1];
        let there = |place: &usize| self.0.get(*place).and_then(Option::as_ref);
        let free = places.iter().find(|place| there(place).is_none());
        // The same node's, that may be known to another one of this program.
        let same =
            |place: &&usize| there(place).is_some_and(|(_, link)| link.atom.as_bytes() == node);
        let place = free.or_else(|| places.iter().find(same));
        let place = place.copied().unwrap_or(first);
        if let Some(place) = self.0.get_mut(place) {
            let before = place.replace((epoch, Arc::clone(link)));
            gone.extend(before.map(|(_, link)| link));
        }
        gone
    }
}

/// Names of nodes differ in how they begin, or in how they end.
#[inline]
fn place(node: &[u8]) -> usize {
    let (first, last) = match (node.first_chunk(), node.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        // A short one.
        _ => (
            node.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
            0,
        ),
    };
    // Fibonacci hashing.
    let spread = (first ^ last.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::from(spread.to_be_bytes()[0]) % PLACES
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Weak;
    use std::time::{Duration, Instant};

    use trunkline_etf::Term;
    use trunkline_proto::Cookie;

    use super::*;
    use crate::{Node, Target};

    async fn node(name: &str) -> Node {
        let node = Node::builder(name.parse().unwrap()).cookie(Cookie::new("monster").unwrap());
        let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None);
        node.start().await.unwrap()
    }

    /// It receives nothing and lives on; each of its connections is lost but the last.
    #[tokio::test]
    async fn who_only_sends_keeps_no_connection_that_has_ended() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        let (sends, far) = (one.process(), two.process().pid());
        let mut ended = Vec::<Weak<Link>>::new();
        for _ in 0..10 {
            one.disconnect(two.name());
            one.connect(&there).await.unwrap();
            sends.send(&far, Term::atom("hello")).await.unwrap();
            let link = one.shared.link(two.name().as_str()).unwrap();
            ended.push(Arc::downgrade(&link));
            // By the quick way, also the tenth.
            let known = get(one.shared.epoch.now(), &far.node);
            assert!(known.is_some_and(|known| Arc::ptr_eq(&known, &link)));
        }
        ended.pop();
        let begun = Instant::now();
        while ended.iter().any(|link| link.strong_count() > 0) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "somebody keeps one"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Of nodes with all kinds of names; one that is not found costs time only.
    #[test]
    fn most_nodes_of_a_fleet_have_a_place() {
        for name in [
            |n: usize| format!("app@10.0.0.{n}"),
            |n: usize| format!("app{n}@host"),
            |n: usize| format!("n{n}@h"),
        ] {
            let mut places = [0; PLACES];
            for n in 0..32 {
                places[place(name(n).as_bytes()) & !1] += 1;
            }
            let fit: usize = places.iter().map(|count| 2.min(*count)).sum();
            assert!(fit >= 20, "{fit} of {}", name(1));
        }
    }
}
