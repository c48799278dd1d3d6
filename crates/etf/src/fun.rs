//! Closures, external functions and native records.

use alloc::vec::Vec;
use core::hash::Hash;

use triomphe::Arc;

use crate::{Atom, Pid, Term, items::Items};

/// A closure: it can be passed on, and run only where its module is loaded. Only decoding makes one.
#[derive(Clone)]
pub struct Fun {
    /// The module whose code it is.
    pub module: Atom,
    /// How many arguments it takes.
    pub arity: u8,
    /// MD5 of the significant parts of the module.
    pub uniq: [u8; 16],
    /// Which fun of the module.
    pub index: u32,
    /// Which fun of the module, as older releases counted.
    pub old_index: i64,
    /// Hash of its parse, as older releases identified it.
    pub old_uniq: i64,
    /// The process that made it.
    pub pid: Pid,
    pub(crate) free: Items,
    /// What the size field says, from when it became a term.
    pub(crate) size: usize,
}

impl Fun {
    /// The variables that it holds.
    #[must_use]
    pub fn free(&self) -> &[Term] {
        &self.free
    }

    /// What identifies it, but for the variables.
    pub(crate) fn head(&self) -> impl Ord + Hash {
        let Self {
            module,
            arity,
            uniq,
            index,
            old_index,
            old_uniq,
            pid,
            free: _,
            size: _,
        } = self;
        (module, index, uniq, arity, old_index, old_uniq, pid)
    }
}

/// `fun Module:Function/Arity`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Export {
    /// The module.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// How many arguments it takes.
    pub arity: u8,
}

/// A native record, `#module:name{field = value}` (OTP 29 and newer).
#[derive(Clone)]
pub struct Record {
    /// The module that defines it.
    pub module: Atom,
    /// Its name there.
    pub name: Atom,
    /// As sent; bit 0 is set when the module exports the record.
    pub flags: u8,
    pub(crate) fields: Arc<[Atom]>,
    pub(crate) values: Items,
}

impl Record {
    /// A record with these fields, in this order.
    pub fn new(
        module: Atom,
        name: Atom,
        exported: bool,
        fields: impl IntoIterator<Item = (Atom, Term)>,
    ) -> Self {
        let (fields, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        Self {
            module,
            name,
            flags: u8::from(exported),
            fields: fields.into(),
            values: Items::from(values),
        }
    }

    /// Whether its module exports it.
    #[must_use]
    pub fn is_exported(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Names and values, in their order.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&Atom, &Term)> {
        self.fields.iter().zip(self.values.iter())
    }

    /// Everything but the values.
    pub(crate) fn head(&self) -> impl Ord + Hash {
        (&self.module, &self.name, self.flags, &self.fields)
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Term> {
        self.fields()
            .find(|(name, _)| **name == *field)
            .map(|(_, value)| value)
    }
}

impl core::fmt::Debug for Fun {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        crate::print::fun(f, self)
    }
}

impl core::fmt::Debug for Record {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(&Term::from(self.clone()), f)
    }
}
