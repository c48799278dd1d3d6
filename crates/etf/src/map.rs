//! [`Map`]: pairs in the order in which they came, found by binary search.

use alloc::{boxed::Box, vec::Vec};
use core::{cmp::Ordering, fmt};

use crate::{Term, items::Items};

/// The pairs of a map. Iteration has the order of the wire (or of construction), so that what was decoded
/// encodes to the same bytes; equality, hash and look-up do not depend on it.
#[derive(Clone, Default)]
pub struct Map {
    /// Key, value, key, value, …
    pub(crate) items: Items,
    /// Which pair comes first, second, … by its key; empty when the pairs are in that order already.
    sorted: Box<[u32]>,
}

impl Map {
    /// The value of this key.
    #[must_use]
    pub fn get(&self, key: &Term) -> Option<&Term> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let (candidate, value) = self.by_rank(middle)?;
            match candidate.cmp(key) {
                Ordering::Equal => return Some(value),
                Ordering::Less => low = middle.saturating_add(1),
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The value of the key that is the atom with this text.
    #[must_use]
    pub fn get_atom(&self, text: &str) -> Option<&Term> {
        self.get(&crate::Atom::new(text).ok()?.into())
    }

    /// How many pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Keys and values, in the order of the wire.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Term, &Term)> + DoubleEndedIterator {
        self.pairs().iter().map(|[key, value]| (key, value))
    }

    /// Keys and values, in the order of the keys.
    pub(crate) fn by_key(&self) -> impl Iterator<Item = (&Term, &Term)> {
        (0..self.len()).filter_map(|rank| self.by_rank(rank))
    }

    /// All keys, then all values, in the order of the keys.
    pub(crate) fn key_or_value(&self, number: usize) -> Option<&Term> {
        match number.checked_sub(self.len()) {
            None => self.by_rank(number).map(|(key, _)| key),
            Some(rank) => self.by_rank(rank).map(|(_, value)| value),
        }
    }

    /// From key, value, key, value, …; `None` when a key comes twice.
    pub(crate) fn distinct(items: Items) -> Option<Self> {
        let mut map = Self {
            items,
            sorted: Box::default(),
        };
        if !map.ascending() {
            map.sorted = ranks(map.pairs());
        }
        map.ascending().then_some(map)
    }

    /// From key, value, key, value, …; the last value of a key is kept, at the place of its first.
    pub(crate) fn last_wins(items: Vec<Term>) -> Self {
        let items = Items::from(items);
        if let Some(map) = Self::distinct(items.clone()) {
            return map;
        }
        let all = Self {
            sorted: ranks(items.as_chunks().0),
            items,
        };
        let mut kept: Vec<(usize, [Term; 2])> = Vec::new();
        for (rank, (key, value)) in all.by_key().enumerate() {
            match kept.last_mut() {
                Some((_, [last, newer])) if last == key => *newer = value.clone(),
                _ => kept.push((all.place(rank), [key.clone(), value.clone()])),
            }
        }
        kept.sort_by_key(|(place, _)| *place);
        let items: Items = kept.into_iter().flat_map(|(_, pair)| pair).collect();
        let sorted = ranks(items.as_chunks().0);
        Self { items, sorted }
    }

    fn pairs(&self) -> &[[Term; 2]] {
        self.items.as_chunks().0
    }

    fn by_rank(&self, rank: usize) -> Option<(&Term, &Term)> {
        self.pairs()
            .get(self.place(rank))
            .map(|[key, value]| (key, value))
    }

    fn place(&self, rank: usize) -> usize {
        self.sorted.get(rank).map_or(rank, |place| *place as usize)
    }

    fn ascending(&self) -> bool {
        self.by_key().is_sorted_by(|(one, _), (next, _)| one < next)
    }
}

/// Places of the pairs in the order of their keys, equal ones as they came.
fn ranks(pairs: &[[Term; 2]]) -> Box<[u32]> {
    // The format counts pairs in 32 bits, and four billion of them are 200 GB of terms.
    let mut places: Vec<u32> = (0..u32::try_from(pairs.len()).unwrap_or(u32::MAX)).collect();
    let key = |place: &u32| pairs.get(*place as usize).map(|[key, _]| key);
    places.sort_by(|one, other| key(one).cmp(&key(other)));
    places.into()
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.by_key().eq(other.by_key())
    }
}

impl Eq for Map {}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Term::from(self.clone()), f)
    }
}
