//! [`Items`]: the parts of a term, shared, and dropped without recursion.

use alloc::{sync::Arc, vec::Vec};
use core::{mem, ops::Deref};

use crate::{Term, term::Repr};

/// Shared terms. A clone is a counter; the last drop walks down with a stack of its own, so that no depth of
/// nesting can exhaust the thread's.
#[derive(Clone, Default)]
pub(crate) struct Items(Arc<[Term]>);

impl Items {
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
        // What nests no deeper than twice goes down by itself.
        if self.0.iter().all(Term::is_shallow) {
            return;
        }
        let mut waiting = Vec::new();
        self.take_nested(&mut waiting);
        while let Some(mut term) = waiting.pop() {
            term.take_nested(&mut waiting);
            // What is dropped here has shallow parts only, or is shared and lives on.
        }
    }
}

impl Items {
    /// Moves the parts that have parts of their own out, when nobody else holds these items.
    fn take_nested(&mut self, waiting: &mut Vec<Term>) {
        let Some(items) = Arc::get_mut(&mut self.0) else {
            return;
        };
        waiting.extend(
            items
                .iter_mut()
                .filter(|item| !item.is_shallow())
                .map(mem::take),
        );
    }
}

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

    /// Whether its parts have no parts.
    #[inline]
    fn is_shallow(&self) -> bool {
        self.is_flat() || self.parts().iter().all(Self::is_flat)
    }

    fn take_nested(&mut self, waiting: &mut Vec<Self>) {
        match &mut self.0 {
            Repr::Tuple(items) | Repr::List(items) | Repr::Improper(items) => {
                items.take_nested(waiting)
            }
            Repr::Map(map) => {
                if let Some(items) = map.items_mut() {
                    items.take_nested(waiting);
                }
            }
            Repr::Fun(fun) => {
                if let Some(fun) = Arc::get_mut(fun) {
                    fun.free.take_nested(waiting);
                }
            }
            Repr::Record(record) => {
                if let Some(record) = Arc::get_mut(record) {
                    record.values.take_nested(waiting);
                }
            }
            _ => {}
        }
    }
}
