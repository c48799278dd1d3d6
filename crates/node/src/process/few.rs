//! A table that has few entries, mostly.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// A table. As long as it has few entries they lie one behind the other, and their memory stays: something that comes and goes
/// costs no allocation and is found by a comparison or two. With many it is a [`HashMap`].
#[derive(Debug)]
pub(crate) struct Few<K, V> {
    near: Vec<(K, V)>,
    many: HashMap<K, V>,
}

/// So many lie one behind the other.
const NEAR: usize = 8;

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self {
            near: Vec::new(),
            many: HashMap::default(),
        }
    }
}

impl<K: Eq + Hash, V> Few<K, V> {
    /// What was there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some((_, there)) = self.near.iter_mut().find(|(near, _)| *near == key) {
            return Some(mem::replace(there, value));
        }
        if self.many.is_empty() && self.near.len() < NEAR {
            self.near.push((key, value));
            return None;
        }
        self.many.insert(key, value)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        if let Some(place) = self.near.iter().position(|(near, _)| near == key) {
            return Some(self.near.swap_remove(place).1);
        }
        if self.many.is_empty() {
            return None;
        }
        let value = self.many.remove(key);
        if self.many.is_empty() {
            // There were many once.
            self.many = HashMap::default();
        }
        value
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.near.is_empty() && self.many.is_empty()
    }

    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&K, &mut V) -> bool) {
        self.near.retain_mut(|(key, value)| stays(key, value));
        self.many.retain(stays);
    }
}

impl<K, V> IntoIterator for Few<K, V> {
    type Item = (K, V);
    type IntoIter =
        std::iter::Chain<std::vec::IntoIter<(K, V)>, std::collections::hash_map::IntoIter<K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.near.into_iter().chain(self.many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the table of the standard library, whatever comes and goes.
    #[test]
    fn it_is_a_table() {
        let (mut few, mut model) = (Few::default(), HashMap::new());
        let mut random = 1_u64;
        for round in 0..20_000_u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let key = (random >> 33) % if round % 1000 < 500 { 40 } else { 5 };
            match (random >> 20) % 9 {
                0..4 => assert_eq!(few.insert(key, round), model.insert(key, round)),
                4..8 => assert_eq!(few.remove(&key), model.remove(&key)),
                _ if round % 50 == 0 => {
                    few.retain(|key, value| (*key + *value) % 7 != 0);
                    model.retain(|key, value| (*key + *value) % 7 != 0);
                }
                _ => {}
            }
            assert_eq!(few.is_empty(), model.is_empty());
        }
        let mut left: Vec<_> = few.into_iter().collect();
        let mut wanted: Vec<_> = model.into_iter().collect();
        left.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(left, wanted);
    }
}
