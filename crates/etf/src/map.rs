//! [`Map`]: pairs in the order in which they came, many of them found by binary search.

use alloc::{boxed::Box, vec::Vec};
use core::{cmp::Ordering, fmt};

use triomphe::Arc;

use crate::{Term, items::Items, term::Repr};

/// The pairs of a map. Iteration has the order of the wire (or of construction), so that what was decoded
/// encodes to the same bytes; equality, hash and look-up do not depend on it.
#[derive(Clone)]
pub struct Map(Pairs);

#[derive(Clone)]
enum Pairs {
    /// Key, value, key, value, …; up to [`SMALL`] pairs, and no key has parts.
    Small(Items),
    Large(Arc<Large>),
}

struct Large {
    items: Items,
    /// Which pair comes first, second, … by its key; empty when the pairs are in that order already.
    sorted: Box<[u32]>,
}

impl Map {
    /// The value of this key.
    #[must_use]
    pub fn get(&self, key: &Term) -> Option<&Term> {
        let large = match &self.0 {
            Pairs::Small(_) => {
                let mark = mark(key);
                let found = |[own, _]: &&[Term; 2]| self::mark(own) == mark && own == key;
                return self.pairs().iter().find(found).map(|[_, value]| value);
            }
            Pairs::Large(large) => large,
        };
        let sorted = Sorted {
            pairs: self.pairs(),
            places: Places::Known(&large.sorted),
        };
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let [candidate, value] = sorted.pair(middle)?;
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
        self.items().is_empty()
    }

    /// Keys and values, in the order of the wire.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Term, &Term)> + DoubleEndedIterator {
        self.pairs().iter().map(|[key, value]| (key, value))
    }

    /// Key, value, key, value, …
    #[inline]
    pub(crate) fn items(&self) -> &Items {
        match &self.0 {
            Pairs::Small(items) => items,
            Pairs::Large(large) => &large.items,
        }
    }

    /// The same to change, when nobody else holds them.
    pub(crate) fn items_mut(&mut self) -> Option<&mut Items> {
        match &mut self.0 {
            Pairs::Small(items) => Some(items),
            Pairs::Large(large) => Arc::get_mut(large).map(|large| &mut large.items),
        }
    }

    /// By key. Small maps are put into that order each time: most are never asked.
    pub(crate) fn sorted(&self) -> Sorted<'_> {
        let pairs = self.pairs();
        let places = match &self.0 {
            Pairs::Large(large) => Places::Known(&large.sorted),
            Pairs::Small(_) if ascending(pairs, &[]) => Places::Known(&[]),
            Pairs::Small(_) => Places::Own(ranks(pairs)),
        };
        Sorted { pairs, places }
    }

    /// From key, value, key, value, …; `None` when a key comes twice.
    pub(crate) fn distinct(items: Items) -> Option<Self> {
        let (pairs, _) = items.as_chunks::<2>();
        // Comparing keys that have parts would go as deep as they nest, if it had to order their keys first.
        if pairs.len() <= SMALL && pairs.iter().all(|[key, _]| key.is_flat()) {
            return all_different(pairs).then_some(Self(Pairs::Small(items)));
        }
        let sorted = if ascending(pairs, &[]) {
            Box::default()
        } else {
            ranks(pairs)
        };
        ascending(pairs, &sorted).then(|| Self(Pairs::Large(Arc::new(Large { items, sorted }))))
    }

    /// From key, value, key, value, …; the last value of a key is kept, at the place of its first.
    pub(crate) fn last_wins(items: Vec<Term>) -> Self {
        let items = Items::from(items);
        if let Some(map) = Self::distinct(items.clone()) {
            return map;
        }
        let (pairs, _) = items.as_chunks::<2>();
        let mut kept: Vec<(u32, [Term; 2])> = Vec::new();
        for place in ranks(pairs) {
            let Some([key, value]) = pairs.get(place as usize) else {
                continue;
            };
            match kept.last_mut() {
                Some((_, [last, newer])) if last == key => *newer = value.clone(),
                _ => kept.push((place, [key.clone(), value.clone()])),
            }
        }
        kept.sort_by_key(|(place, _)| *place);
        let items: Items = kept.into_iter().flat_map(|(_, pair)| pair).collect();
        Self::distinct(items).unwrap_or_default()
    }

    fn pairs(&self) -> &[[Term; 2]] {
        self.items().as_chunks().0
    }
}

impl Default for Map {
    fn default() -> Self {
        Self(Pairs::Small(Items::default()))
    }
}

/// The pairs of a map in the order of their keys.
pub(crate) struct Sorted<'a> {
    pairs: &'a [[Term; 2]],
    places: Places<'a>,
}

enum Places<'a> {
    Known(&'a [u32]),
    Own(Box<[u32]>),
}

impl<'a> Sorted<'a> {
    fn pair(&self, rank: usize) -> Option<&'a [Term; 2]> {
        let places = match &self.places {
            Places::Known(places) => places,
            Places::Own(places) => &**places,
        };
        let place = places.get(rank).map_or(rank, |place| *place as usize);
        self.pairs.get(place)
    }

    /// All keys, then all values.
    pub(crate) fn key_or_value(&self, number: usize) -> Option<&'a Term> {
        match number.checked_sub(self.pairs.len()) {
            None => self.pair(number).map(|[key, _]| key),
            Some(rank) => self.pair(rank).map(|[_, value]| value),
        }
    }

    /// Keys and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a Term, &'a Term)> {
        (0..self.pairs.len()).filter_map(|rank| self.pair(rank).map(|[key, value]| (key, value)))
    }
}

/// Whether these are in the strict order of their keys.
fn ascending(pairs: &[[Term; 2]], sorted: &[u32]) -> bool {
    let sorted = Sorted {
        pairs,
        places: Places::Known(sorted),
    };
    sorted.iter().is_sorted_by(|(one, _), (next, _)| one < next)
}

/// Places of the pairs in the order of their keys, equal ones as they came.
fn ranks(pairs: &[[Term; 2]]) -> Box<[u32]> {
    // The format counts pairs in 32 bits, and four billion of them are 200 GB of terms.
    let mut places: Vec<u32> = (0..u32::try_from(pairs.len()).unwrap_or(u32::MAX)).collect();
    let key = |place: &u32| pairs.get(*place as usize).map(|[key, _]| key);
    places.sort_by(|one, other| key(one).cmp(&key(other)));
    places.into()
}

/// Whether no key comes twice, by a mark of each: keys are compared only where marks are the same.
fn all_different(pairs: &[[Term; 2]]) -> bool {
    let mut marks = [0; SMALL];
    for (place, [key, _]) in marks.iter_mut().zip(pairs) {
        *place = mark(key);
    }
    let marked = || marks.iter().zip(pairs);
    marked().enumerate().all(|(index, (own, [key, _]))| {
        let twice = |(mark, [other, _]): (&u64, &[Term; 2])| mark == own && other == key;
        !marked().take(index).any(twice)
    })
}

/// Equal keys have equal marks, and others mostly different ones.
#[inline]
fn mark(key: &Term) -> u64 {
    match &key.0 {
        Repr::Atom(atom) => atom.mark(),
        Repr::Int(value) => value.cast_unsigned(),
        Repr::ShortBinary(binary) => binary.mark(),
        _ => 0,
    }
}

/// From more pairs on, an index of the keys pays.
const SMALL: usize = 32;

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.sorted().iter().eq(other.sorted().iter())
    }
}

impl Eq for Map {}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Term::from(self.clone()), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_two_words() {
        assert_eq!(size_of::<Map>(), 16);
    }

    #[test]
    fn maps_of_every_size_are_equal_in_any_order() {
        for size in 0..70_i64 {
            let forwards = Term::map((0..size).map(|key| (key * 7, key)));
            let backwards = Term::map((0..size).rev().map(|key| (key * 7, key)));
            assert_eq!(forwards, backwards);
            assert_eq!(forwards.cmp(&backwards), Ordering::Equal);
            let map = backwards.as_map().unwrap();
            let found = (0..size).all(|key| map.get(&(key * 7).into()) == Some(&key.into()));
            assert!(found && map.get(&Term::from(1)).is_none(), "{size}");
        }
    }
}
