//! [`Items`]: the parts of a term, shared, and dropped without recursion.

use alloc::{sync::Arc, vec::Vec};
use core::{mem, ops::Deref};

use crate::{Term, term::Repr};

/// Shared terms. A clone is a counter; the last drop walks down with a stack of its own, so that no depth of
/// nesting can exhaust the thread's.
#[derive(Clone, Default)]
pub(crate) struct Items(Arc<[Term]>);

impl Items {
    /// So many places, in which nothing is yet.
    #[inline]
    pub(crate) fn nils(count: usize) -> Self {
        Self((0..count).map(|_| Term::nil()).collect())
    }

    /// To change, when nobody else holds them.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> Option<&mut [Term]> {
        Arc::get_mut(&mut self.0)
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Items {
    type Target = [Term];

    fn deref(&self) -> &[Term] {
        &self.0
    }
}

impl FromIterator<Term> for Items {
    fn from_iter<I: IntoIterator<Item = Term>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl From<Vec<Term>> for Items {
    fn from(items: Vec<Term>) -> Self {
        Self(items.into())
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        // A shared one costs no look at its parts, and what has none goes by itself.
        if self.is_last() && self.has_nested() {
            self.clear();
        }
    }
}

impl Items {
    /// Whether nobody else holds these parts. When another thread lets go of them at the same moment, both may find
    /// that they are not alone: then these parts drop each other, which is one level of the thread's stack.
    #[inline]
    fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    #[inline]
    fn has_nested(&self) -> bool {
        self.0.iter().any(|part| !part.is_flat())
    }

    #[inline(never)]
    fn clear(&mut self) {
        let mut deep = Vec::new();
        self.clear_nested(NEAR, &mut deep);
        while let Some(mut term) = deep.pop() {
            term.clear_nested(NEAR, &mut deep);
        }
    }

    /// Drops the parts that have parts of their own, when nobody else holds these. What is so many levels down waits.
    fn clear_nested(&mut self, levels: usize, deep: &mut Vec<Term>) {
        if !(self.is_last() && self.has_nested()) {
            return;
        }
        let parts = Arc::get_mut(&mut self.0).unwrap_or_default();
        for part in parts.iter_mut().filter(|part| !part.is_flat()) {
            let mut part = mem::take(part);
            match levels.checked_sub(1) {
                Some(levels) => part.clear_nested(levels, deep),
                None => deep.push(part),
            }
            // What is dropped here has flat parts only, or is shared and lives on.
        }
    }
}

/// How many levels may use the thread's stack.
const NEAR: usize = 8;

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

    fn clear_nested(&mut self, levels: usize, deep: &mut Vec<Self>) {
        match &mut self.0 {
            Repr::Tuple(items) | Repr::List(items) | Repr::Improper(items) => {
                items.clear_nested(levels, deep);
            }
            Repr::Map(map) => {
                if let Some(items) = map.items_mut() {
                    items.clear_nested(levels, deep);
                }
            }
            Repr::Fun(fun) => {
                if let Some(fun) = Arc::get_mut(fun) {
                    fun.free.clear_nested(levels, deep);
                }
            }
            Repr::Record(record) => {
                if let Some(record) = Arc::get_mut(record) {
                    record.values.clear_nested(levels, deep);
                }
            }
            _ => {}
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
}
