//! By which connections a process has sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use trunkline_etf::Atom;

use crate::link::Link;

/// The connections that a process has sent by, as long as they are there. To find one takes no lock, and to use it no
/// counter: places are filled once, and emptied by the process alone.
#[derive(Debug, Default)]
pub(super) struct Recent {
    places: [OnceLock<Known>; PLACES],
    /// Where there is no place: the last one. Whoever speaks to that many nodes.
    other: Mutex<Option<(u64, Arc<Link>)>>,
}

const PLACES: usize = 4;

#[derive(Debug)]
struct Known {
    link: Arc<Link>,
    /// It was there when connections were so.
    epoch: AtomicU64,
}

impl Recent {
    /// The connection to a node, when that is known, and was used since connections last came or went.
    #[inline]
    pub(super) fn known(&self, epoch: u64, node: &[u8]) -> Option<&Link> {
        for place in &self.places {
            let known = place.get()?;
            if known.epoch.load(Ordering::Relaxed) == epoch && known.link.atom.as_bytes() == node {
                return Some(&known.link);
            }
        }
        None
    }

    /// The same, to be held.
    pub(super) fn get(&self, epoch: u64, node: &Atom) -> Option<Arc<Link>> {
        let known = self.places.iter().map_while(OnceLock::get);
        let mut known = known.filter(|known| known.epoch.load(Ordering::Relaxed) == epoch);
        if let Some(known) = known.find(|known| known.link.atom == *node) {
            return Some(Arc::clone(&known.link));
        }
        match &*self.lock() {
            Some((then, link)) if *then == epoch && link.atom == *node => Some(Arc::clone(link)),
            _ => None,
        }
    }

    /// This one was there when connections were so.
    pub(super) fn set(&self, epoch: u64, link: &Arc<Link>) {
        for place in &self.places {
            let known = place.get_or_init(|| Known {
                link: Arc::clone(link),
                epoch: AtomicU64::new(epoch),
            });
            if Arc::ptr_eq(&known.link, link) {
                return known.epoch.store(epoch, Ordering::Relaxed);
            }
        }
        *self.lock() = Some((epoch, Arc::clone(link)));
    }

    /// Empties the places when all are taken, and connections have changed since: some are lost, perhaps. The process does
    /// so itself, where it waits.
    pub(super) fn renew(&mut self, epoch: impl FnOnce() -> u64) {
        let Some(last) = self.places.last().and_then(OnceLock::get) else {
            return;
        };
        let epoch = epoch();
        let is_old = |known: &Known| known.epoch.load(Ordering::Relaxed) != epoch;
        if is_old(last) || self.places.iter().filter_map(OnceLock::get).any(is_old) {
            *self = Self::default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u64, Arc<Link>)>> {
        self.other.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
