//! The fields of a control message's tuple, and what becomes of them: terms, or bytes at once.

use alloc::vec::Vec;

use trunkline_etf::{Atom, Pid, Reference, Sink, Term, atom};

use super::{AltactTo, PidOrName};

/// A tuple in the making, field by field.
pub(super) trait Fields: Sized {
    fn term(&mut self, term: &Term) -> &mut Self;
    fn pid(&mut self, pid: &Pid) -> &mut Self;
    fn atom(&mut self, atom: &Atom) -> &mut Self;
    fn reference(&mut self, reference: &Reference) -> &mut Self;
    fn number(&mut self, number: u64) -> &mut Self;
    /// A number of the specification.
    fn op(&mut self, op: i64) -> &mut Self;
    /// `{Module, Function, Arity}`.
    fn function(&mut self, module: &Atom, function: &Atom, arity: u32) -> &mut Self;

    fn op_of(&mut self, plain: i64, traced: i64, token: &Option<Term>) -> &mut Self {
        self.op(if token.is_some() { traced } else { plain })
    }

    fn token(&mut self, token: &Option<Term>) -> &mut Self {
        match token {
            Some(token) => self.term(token),
            None => self,
        }
    }

    fn process(&mut self, process: &PidOrName) -> &mut Self {
        match process {
            PidOrName::Pid(pid) => self.pid(pid),
            PidOrName::Name(name) => self.atom(name),
        }
    }

    fn altact_to(&mut self, to: &AltactTo) -> &mut Self {
        match to {
            AltactTo::Pid(pid) => self.pid(pid),
            AltactTo::Alias(alias) => self.reference(alias),
            AltactTo::Name(name) => self.atom(name),
        }
    }

    /// The place where a cookie was, long ago.
    fn unused(&mut self) -> &mut Self {
        self.atom(&atom!(""))
    }
}

/// Terms.
pub(super) struct Terms(pub(super) Vec<Term>);

impl Terms {
    fn push(&mut self, field: impl Into<Term>) -> &mut Self {
        self.0.push(field.into());
        self
    }
}

impl Fields for Terms {
    fn term(&mut self, term: &Term) -> &mut Self {
        self.push(term.clone())
    }

    fn pid(&mut self, pid: &Pid) -> &mut Self {
        self.push(pid.clone())
    }

    fn atom(&mut self, atom: &Atom) -> &mut Self {
        self.push(atom.clone())
    }

    fn reference(&mut self, reference: &Reference) -> &mut Self {
        self.push(reference.clone())
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.push(number)
    }

    fn op(&mut self, op: i64) -> &mut Self {
        self.push(op)
    }

    fn function(&mut self, module: &Atom, function: &Atom, arity: u32) -> &mut Self {
        let mfa: [Term; 3] = [module.clone().into(), function.clone().into(), arity.into()];
        self.push(Term::tuple(mfa))
    }
}

/// How many there are.
pub(super) struct Count(pub(super) u8);

impl Count {
    fn one(&mut self) -> &mut Self {
        self.0 = self.0.saturating_add(1);
        self
    }
}

impl Fields for Count {
    fn term(&mut self, _: &Term) -> &mut Self {
        self.one()
    }

    fn pid(&mut self, _: &Pid) -> &mut Self {
        self.one()
    }

    fn atom(&mut self, _: &Atom) -> &mut Self {
        self.one()
    }

    fn reference(&mut self, _: &Reference) -> &mut Self {
        self.one()
    }

    fn number(&mut self, _: u64) -> &mut Self {
        self.one()
    }

    fn op(&mut self, _: i64) -> &mut Self {
        self.one()
    }

    fn function(&mut self, _: &Atom, _: &Atom, _: u32) -> &mut Self {
        self.one()
    }
}

/// Bytes.
pub(super) struct Write<'a, S>(pub(super) &'a mut S);

// `erl_ext_dist`: the tags of what control messages consist of.
pub(crate) const SMALL_TUPLE: u8 = 104;
pub(super) const SMALL_INTEGER: u8 = 97;
pub(super) const NEW_PID: u8 = 88;
pub(super) const NEWER_REFERENCE: u8 = 90;
pub(super) const SMALL_ATOM_UTF8: u8 = 119;
pub(super) const ATOM_UTF8: u8 = 118;
pub(super) const ATOM_CACHE_REF: u8 = 82;

impl<S: Sink> Write<'_, S> {
    /// A tuple of so many fields.
    pub(super) fn begin(&mut self, arity: u8) {
        self.0.put(&[SMALL_TUPLE, arity]);
    }
}

impl<S: Sink> Fields for Write<'_, S> {
    fn term(&mut self, term: &Term) -> &mut Self {
        term.encode_bare(self.0);
        self
    }

    #[inline]
    fn pid(&mut self, pid: &Pid) -> &mut Self {
        self.0.put(&[NEW_PID]);
        self.atom(&pid.node);
        let mut numbers = [0; 12];
        let words = [pid.id, pid.serial, pid.creation].map(u32::to_be_bytes);
        for (to, from) in numbers.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *to = from;
        }
        self.0.put(&numbers);
        self
    }

    #[inline]
    fn atom(&mut self, atom: &Atom) -> &mut Self {
        if let Some(place) = self.0.place_of(atom) {
            self.0.put(&[ATOM_CACHE_REF, place]);
            return self;
        }
        let text = atom.as_bytes();
        // At most 255 characters, 1,020 bytes.
        let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        match (u8::try_from(len), len.to_be_bytes()) {
            (Ok(len), _) => self.0.put(&[SMALL_ATOM_UTF8, len]),
            (Err(_), [high, low]) => self.0.put(&[ATOM_UTF8, high, low]),
        }
        self.0.put(text);
        self
    }

    fn reference(&mut self, reference: &Reference) -> &mut Self {
        let words = reference.words();
        // One to five.
        let count = u8::try_from(words.len()).unwrap_or(u8::MAX);
        self.0.put(&[NEWER_REFERENCE, 0, count]);
        self.atom(reference.node());
        self.0.put(&reference.creation().to_be_bytes());
        for word in words {
            self.0.put(&word.to_be_bytes());
        }
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        match u8::try_from(number) {
            Ok(number) => self.0.put(&[SMALL_INTEGER, number]),
            Err(_) => Term::from(number).encode_bare(self.0),
        }
        self
    }

    fn op(&mut self, op: i64) -> &mut Self {
        // The specification's are small; any other would be one of ours, and 0 is none.
        self.0.put(&[SMALL_INTEGER, u8::try_from(op).unwrap_or(0)]);
        self
    }

    fn function(&mut self, module: &Atom, function: &Atom, arity: u32) -> &mut Self {
        self.begin(3);
        self.atom(module).atom(function).number(u64::from(arity))
    }
}
