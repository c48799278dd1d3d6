//! Who is in the middle of a handshake here, and who has to make room.
//!
//! A stranger needs no cookie to open a connection and be silent. Callers are therefore never made
//! to wait for others: when there are too many, one of the network that sends the most is hung up on,
//! the one that has been here longest. A node that means well is through within some round trips.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// How many may be in their handshake at once. Each costs a file descriptor and about 4 KiB.
const MAX: usize = 512;

/// All strangers of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers(Arc<Mutex<Present>>);

#[derive(Debug, Default)]
struct Present {
    next: u64,
    by_age: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// A stranger, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Stranger {
    all: Strangers,
    number: u64,
    /// Somebody else needs the room.
    pub(crate) evicted: CancellationToken,
}

impl Strangers {
    /// One more, from this address.
    pub(crate) fn admit(&self, from: IpAddr) -> Stranger {
        let evicted = CancellationToken::new();
        let mut present = self.present();
        if present.by_age.len() >= MAX {
            present.make_room();
        }
        let number = present.next;
        present.next += 1;
        let entry = (network(from), evicted.clone());
        present.by_age.insert(number, entry);
        drop(present);
        Stranger {
            all: self.clone(),
            number,
            evicted,
        }
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    fn make_room(&mut self) {
        let mut crowds: HashMap<IpAddr, (usize, u64)> = HashMap::new();
        for (number, (network, _)) in &self.by_age {
            // The first one that is seen of a network is its oldest.
            crowds.entry(*network).or_insert((0, *number)).0 += 1;
        }
        let fullest = crowds
            .into_values()
            .max_by_key(|(size, oldest)| (*size, u64::MAX - oldest));
        if let Some((_, evicted)) = fullest.and_then(|(_, oldest)| self.by_age.remove(&oldest)) {
            evicted.cancel();
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.all.present().by_age.remove(&self.number);
    }
}

/// What one sender has at its disposal: an IPv4 address, or 64 bits of IPv6.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_oldest_of_the_fullest_network_makes_room() {
        let strangers = Strangers::default();
        let node = strangers.admit(ip("10.0.0.5"));
        let flood = |n: usize| strangers.admit(ip(&format!("fd00::{n:x}")));
        let mut crowd: Vec<_> = (0..MAX - 1).map(flood).collect();
        assert!(
            crowd
                .iter()
                .all(|stranger| !stranger.evicted.is_cancelled())
        );
        crowd.extend((0..2 * MAX).map(flood));
        let left = crowd
            .iter()
            .filter(|stranger| !stranger.evicted.is_cancelled());
        assert_eq!(left.count(), MAX - 1);
        assert!(
            crowd[2 * MAX..]
                .iter()
                .all(|stranger| !stranger.evicted.is_cancelled())
        );
        assert!(!node.evicted.is_cancelled());
        drop((node, crowd));
        assert!(strangers.present().by_age.is_empty());
    }
}
