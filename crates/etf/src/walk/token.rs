//! [`Token`]: one value on the wire; [`Visit`]: who is shown all of them.

use core::{convert::Infallible, ops::ControlFlow};

use super::{AtomRef, Encoded, PidRef, PortRef, ReferenceRef};
use crate::BigInt;

/// What comes next in a [`Walk`](super::Walk).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Token<'a> {
    /// An integer, in any of its forms.
    Int(i64),
    /// Outside the range of `i64`.
    Big(BigInt<'a>),
    /// A float.
    Float(f64),
    /// An atom.
    Atom(AtomRef<'a>),
    /// A binary.
    Binary(&'a [u8]),
    /// A bitstring, and how many bits (1 to 7) of its last byte count; the others may be set.
    Bits(&'a [u8], u8),
    /// A list of small integers, packed; complete, no tail follows.
    String(&'a [u8]),
    /// The empty list; after the elements of a [`List`](Self::List), its proper end.
    Nil,
    /// This many elements follow, at least one, then the tail: mostly [`Nil`](Self::Nil), else another list, which
    /// continues this one, or any other term.
    List(usize),
    /// This many elements follow.
    Tuple(usize),
    /// This many times a key and its value follow.
    Map(usize),
    /// A process identifier.
    Pid(PidRef<'a>),
    /// A port.
    Port(PortRef<'a>),
    /// A reference.
    Reference(ReferenceRef<'a>),
    /// `fun Module:Function/Arity`.
    Export(Encoded<'a>),
    /// A closure, its variables included.
    Fun(Encoded<'a>),
    /// A native record with this many fields, and its flags (bit 0: its module exports it): the atoms of its module and its
    /// name follow, the names of all fields, then their values.
    Record(usize, u8),
}

/// Who is shown the values of a term, in the order of the wire, by [`RawTerm::visit`](crate::RawTerm::visit) and
/// [`Walk::visit`](super::Walk::visit).
///
/// [`token`](Self::token) gets what has no method of its own, and what the visitor has not written the method for.
/// `Break` stops: nothing more is shown. Who never stops has the type [`Infallible`] for [`Stop`](Self::Stop), and
/// pays nothing for the possibility.
pub trait Visit<'a> {
    /// What a visitor gives to the caller when it stops: what it was looking for, or its error.
    type Stop;

    /// Any value.
    fn token(&mut self, token: Token<'a>) -> ControlFlow<Self::Stop>;

    /// As [`Token::Int`].
    #[inline]
    fn int(&mut self, value: i64) -> ControlFlow<Self::Stop> {
        self.token(Token::Int(value))
    }

    /// As [`Token::Float`].
    #[inline]
    fn float(&mut self, value: f64) -> ControlFlow<Self::Stop> {
        self.token(Token::Float(value))
    }

    /// As [`Token::Atom`].
    #[inline]
    fn atom(&mut self, atom: AtomRef<'a>) -> ControlFlow<Self::Stop> {
        self.token(Token::Atom(atom))
    }

    /// As [`Token::Binary`].
    #[inline]
    fn binary(&mut self, bytes: &'a [u8]) -> ControlFlow<Self::Stop> {
        self.token(Token::Binary(bytes))
    }

    /// As [`Token::String`].
    #[inline]
    fn string(&mut self, bytes: &'a [u8]) -> ControlFlow<Self::Stop> {
        self.token(Token::String(bytes))
    }

    /// As [`Token::Nil`].
    #[inline]
    fn nil(&mut self) -> ControlFlow<Self::Stop> {
        self.token(Token::Nil)
    }

    /// As [`Token::Pid`].
    #[inline]
    fn pid(&mut self, pid: PidRef<'a>) -> ControlFlow<Self::Stop> {
        self.token(Token::Pid(pid))
    }

    /// As [`Token::Reference`].
    #[inline]
    fn reference(&mut self, reference: ReferenceRef<'a>) -> ControlFlow<Self::Stop> {
        self.token(Token::Reference(reference))
    }

    /// As [`Token::List`].
    #[inline]
    fn list(&mut self, length: usize) -> ControlFlow<Self::Stop> {
        self.token(Token::List(length))
    }

    /// As [`Token::Tuple`].
    #[inline]
    fn tuple(&mut self, arity: usize) -> ControlFlow<Self::Stop> {
        self.token(Token::Tuple(arity))
    }

    /// As [`Token::Map`].
    #[inline]
    fn map(&mut self, pairs: usize) -> ControlFlow<Self::Stop> {
        self.token(Token::Map(pairs))
    }

    /// All parts of the tuple, list, map or record that began last and has not ended yet have been shown, the tail of a list
    /// included. Those without parts end at once; a list that continues another one ends with it, and has no end of its own.
    #[inline]
    fn end(&mut self) -> ControlFlow<Self::Stop> {
        ControlFlow::Continue(())
    }
}

/// Gives a value to the method that is for it.
pub(super) fn show<'a, V: Visit<'a> + ?Sized>(
    token: Token<'a>,
    visitor: &mut V,
) -> ControlFlow<V::Stop> {
    match token {
        Token::Int(value) => visitor.int(value),
        Token::Float(value) => visitor.float(value),
        Token::Atom(atom) => visitor.atom(atom),
        Token::Binary(bytes) => visitor.binary(bytes),
        Token::String(bytes) => visitor.string(bytes),
        Token::Nil => visitor.nil(),
        Token::Pid(pid) => visitor.pid(pid),
        Token::Reference(reference) => visitor.reference(reference),
        Token::List(length) => visitor.list(length),
        Token::Tuple(arity) => visitor.tuple(arity),
        Token::Map(pairs) => visitor.map(pairs),
        other => visitor.token(other),
    }
}

/// Looks at nothing: reading for it is checking.
pub(super) struct Nothing;

impl<'a> Visit<'a> for Nothing {
    type Stop = Infallible;

    #[inline(always)]
    fn token(&mut self, _: Token<'a>) -> ControlFlow<Infallible> {
        ControlFlow::Continue(())
    }
}

/// Keeps what it is shown.
pub(super) struct Last<'a>(pub(super) Option<Token<'a>>);

impl<'a> Visit<'a> for Last<'a> {
    type Stop = Infallible;

    #[inline(always)]
    fn token(&mut self, token: Token<'a>) -> ControlFlow<Infallible> {
        self.0 = Some(token);
        ControlFlow::Continue(())
    }
}
