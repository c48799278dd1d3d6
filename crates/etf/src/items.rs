//! [`Items`]: the parts of a term, shared, and dropped without recursion.

use alloc::vec::Vec;
use core::{mem, ops::Deref};

use triomphe::{Arc, HeaderSlice};

use crate::{Term, term::Repr};

/// Shared terms. A clone is a counter; the last drop of what nests deep has a stack of its own, so that no depth of
/// nesting can exhaust the thread's.
///
/// The counter is `triomphe`'s: it has no weak references, which cost the standard library's two atomic operations more
/// for each tuple that is made and dropped.
#[derive(Clone)]
pub(crate) struct Items(Arc<HeaderSlice<Levels, [Term]>>);

/// How many levels of containers there are at most, these parts included; the highest number stands for more.
pub(crate) type Levels = u8;

impl Items {
    /// So many places, in which nothing is yet.
    #[inline]
    pub(crate) fn nils(count: usize) -> Self {
        let nils = (0..count).map(|_| Term::nil());
        Self(Arc::from_header_and_iter(0, nils))
    }

    /// To fill, when nobody else holds them: the number of levels and the places.
    #[inline]
    pub(crate) fn open(&mut self) -> Option<(&mut Levels, &mut [Term])> {
        let HeaderSlice { header, slice } = Arc::get_mut(&mut self.0)?;
        Some((header, slice))
    }

    /// How many levels there are, after the places were filled.
    pub(crate) fn seal(&mut self) {
        if let Some((levels, parts)) = self.open() {
            *levels = around(parts);
        }
    }

    pub(crate) fn levels(&self) -> Levels {
        self.0.header
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Levels of a container of these parts.
fn around(parts: &[Term]) -> Levels {
    let inner = parts.iter().map(Term::levels).max();
    inner.unwrap_or(0).saturating_add(1)
}

impl Deref for Items {
    type Target = [Term];

    #[inline]
    fn deref(&self) -> &[Term] {
        &self.0.slice
    }
}

impl Default for Items {
    fn default() -> Self {
        Self::nils(0)
    }
}

impl FromIterator<Term> for Items {
    fn from_iter<I: IntoIterator<Item = Term>>(items: I) -> Self {
        let mut items = items.into_iter();
        let (expected, _) = items.size_hint();
        let mut own = Self::nils(expected);
        let mut taken = 0_usize;
        let (_, places) = own.open().unwrap_or((&mut 0, &mut []));
        for (place, item) in places.iter_mut().zip(&mut items) {
            *place = item;
            taken = taken.saturating_add(1);
        }
        // Most iterators know how many they have.
        match items.next() {
            None if taken == expected => {
                own.seal();
                own
            }
            next => {
                let mut all: Vec<Term> = own.iter().take(taken).cloned().collect();
                all.extend(next);
                all.extend(items);
                all.into()
            }
        }
    }
}

impl From<Vec<Term>> for Items {
    fn from(items: Vec<Term>) -> Self {
        Self(Arc::from_header_and_vec(around(&items), items))
    }
}

impl Drop for Items {
    #[inline]
    fn drop(&mut self) {
        // What has few levels goes by itself, one call inside of another, and nobody looks at its parts.
        if self.levels() > NEAR {
            self.clear();
        }
    }
}

impl Items {
    #[cold]
    fn clear(&mut self) {
        let mut deep = Vec::new();
        self.take_deep(&mut deep);
        while let Some(mut term) = deep.pop() {
            if let Some(items) = term.items_mut() {
                items.take_deep(&mut deep);
            }
            // What is dropped here has few levels, or is shared and lives on.
        }
    }

    /// Takes the parts that are deep themselves, when nobody else holds these. When another thread lets go of them at the
    /// same moment, both may find that they are not alone: then these parts drop each other, which is one level of the
    /// thread's stack.
    fn take_deep(&mut self, deep: &mut Vec<Term>) {
        let Some((levels, parts)) = self.open() else {
            return;
        };
        *levels = 0;
        deep.extend(
            parts
                .iter_mut()
                .filter(|part| part.levels() > NEAR)
                .map(mem::take),
        );
    }
}

/// How many levels may use the thread's stack: twice what decoding gives to a message at most, which may then be wrapped.
const NEAR: Levels = 16;

impl Term {
    /// Whether it has no parts.
    #[inline]
    pub(crate) fn is_flat(&self) -> bool {
        !matches!(
            self.0,
            Repr::Tuple(_)
                | Repr::List(_)
                | Repr::Improper(_)
                | Repr::Map(_)
                | Repr::Fun(_)
                | Repr::Record(_)
        )
    }

    /// How many levels of containers it has at most.
    #[inline]
    fn levels(&self) -> Levels {
        match &self.0 {
            Repr::Tuple(items) | Repr::List(items) | Repr::Improper(items) => items.levels(),
            Repr::Map(map) => map.items().levels(),
            Repr::Fun(fun) => fun.free.levels(),
            Repr::Record(record) => record.values.levels(),
            _ => 0,
        }
    }

    /// Its parts, when nobody else holds what they are in.
    fn items_mut(&mut self) -> Option<&mut Items> {
        match &mut self.0 {
            Repr::Tuple(items) | Repr::List(items) | Repr::Improper(items) => Some(items),
            Repr::Map(map) => map.items_mut(),
            Repr::Fun(fun) => Arc::get_mut(fun).map(|fun| &mut fun.free),
            Repr::Record(record) => Arc::get_mut(record).map(|record| &mut record.values),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Compared within one run: what looks at all parts takes many thousand times as long.
    #[test]
    fn letting_go_of_a_shared_one_costs_no_look_at_its_parts() {
        let one = Term::list([Term::from(1)]);
        let many = Term::list((0..1_000_000).map(Term::from));
        let time = |term: &Term| {
            let tries = (0..5).map(|_| {
                let copies = std::vec![term.clone(); 100];
                let begun = Instant::now();
                drop(copies);
                begun.elapsed()
            });
            tries.min().unwrap_or_default()
        };
        let (short, long) = (time(&one), time(&many));
        assert!(long < short * 500, "{long:?} instead of about {short:?}");
    }

    /// However a term was put together: its number of levels is never less than it has, and few are told as they are.
    #[test]
    fn levels_are_counted() {
        let mut term = Term::from(1);
        for level in 1..300_u32 {
            let named = || crate::Atom::from(true);
            term = match level % 7 {
                0 => Term::tuple([term]),
                1 => Term::list([Term::nil(), term]),
                2 => Term::list_with_tail([term], 1.into()),
                3 => Term::map([(term, 1)]),
                4 => Term::map([(1.into(), term), (Term::from(2), Term::nil())]),
                5 => crate::Record::new(named(), named(), true, [(named(), term)]).into(),
                // An iterator that does not know how many it has.
                _ => Term::tuple(Some(term).into_iter().filter(|_| true)),
            };
            assert_eq!(u32::from(term.levels()), level.min(255));
        }
    }
}
