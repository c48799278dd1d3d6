//! Answers that are still good.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::time::Instant;

use super::message::Found;

/// Names looked up by one agent are a handful, or the hosts of a few hundred SRV records; the cache
/// must not grow with what servers send.
const ENTRIES: usize = 1024;
/// All answers together, an address or a service each.
const RECORDS: usize = 16 * 1024;
/// An answer with more records than any cluster has nodes is not kept.
const MOST: usize = 1024;
/// A record may live longer in its zone, but a cluster wants to see a change soon.
const MAX_TTL: Duration = Duration::from_secs(30);
/// What is missing now may be there in a moment: the first peer registers.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(5);

type Key = (String, RecordType);

/// Good answers by name and kind, as long as their TTL says and not much longer than a poll.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<BTreeMap<Key, Entry>>);

#[derive(Debug)]
struct Entry {
    until: Instant,
    found: Arc<Found>,
}

impl Cache {
    pub(super) fn get(&self, name: &str, kind: RecordType) -> Option<Arc<Found>> {
        let entries = self.lock();
        let entry = entries.get(&(name.to_ascii_lowercase(), kind))?;
        (Instant::now() < entry.until).then(|| Arc::clone(&entry.found))
    }

    pub(super) fn put(&self, name: &str, kind: RecordType, found: Arc<Found>) {
        let longest = if found.data.is_empty() {
            MAX_NEGATIVE_TTL
        } else {
            MAX_TTL
        };
        let ttl = found.ttl.min(longest);
        let mut entries = self.lock();
        let key = (name.to_ascii_lowercase(), kind);
        if ttl.is_zero() || found.data.len() > MOST {
            entries.remove(&key);
            return;
        }
        let now = Instant::now();
        entries.retain(|_, entry| now < entry.until);
        entries.remove(&key);
        let mut kept: usize = entries.values().map(|entry| entry.found.data.len()).sum();
        while entries.len() >= ENTRIES || kept + found.data.len() > RECORDS {
            let soonest = entries.iter().min_by_key(|(_, entry)| entry.until);
            let Some(soonest) = soonest.map(|(key, _)| key.clone()) else {
                break;
            };
            let gone = entries.remove(&soonest);
            kept -= gone.map_or(0, |entry| entry.found.data.len());
        }
        let until = now + ttl;
        entries.insert(key, Entry { until, found });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::A;
    use tokio::time::advance;

    use super::*;

    fn found(count: usize, ttl: u64) -> Arc<Found> {
        Arc::new(Found {
            data: vec![RData::A(A(Ipv4Addr::LOCALHOST)); count],
            ttl: Duration::from_secs(ttl),
            ..Found::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn ttl_counts_and_has_its_bounds() {
        let cache = Cache::default();
        let lives = async |count, ttl| {
            cache.put("App.internal", RecordType::A, found(count, ttl));
            let mut seconds = 0;
            while cache.get("app.internal", RecordType::A).is_some() {
                advance(Duration::from_secs(1)).await;
                seconds += 1;
            }
            seconds
        };
        assert_eq!(lives(1, 7).await, 7);
        assert_eq!(lives(1, 3600).await, 30);
        assert_eq!(lives(1, 0).await, 0);
        assert_eq!(lives(0, 3).await, 3);
        assert_eq!(lives(0, 3600).await, 5);
        assert_eq!(lives(MOST + 1, 7).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_grow() {
        let cache = Cache::default();
        for (records, kept) in [(1, ENTRIES), (100, RECORDS / 100), (0, ENTRIES)] {
            for n in 0..1100 {
                cache.put(&format!("n{n}.internal"), RecordType::A, found(records, 30));
                advance(Duration::from_millis(1)).await;
            }
            let entries = cache.lock().len();
            // An absence is kept for five seconds, so that some have ended.
            assert!((1..=kept).contains(&entries), "{entries} of {kept}");
            assert!(cache.get("n0.internal", RecordType::A).is_none());
        }
        cache.put("last.internal", RecordType::A, found(1, 30));
        assert!(cache.get("last.internal", RecordType::A).is_some());
        assert!(cache.get("last.internal", RecordType::AAAA).is_none());
    }
}
