//! Asking a [`Walk`] for what is expected.

use super::{AtomRef, Token, Walk};
use crate::{Pid, Port, Reference};

impl<'a> Walk<'a> {
    /// The integer, when the next value is one that fits.
    #[inline]
    pub fn int(&mut self) -> Option<i64> {
        self.expect(|token| match token {
            Token::Int(value) => Some(value),
            _ => None,
        })
    }

    /// The float, when the next value is one.
    #[inline]
    pub fn float(&mut self) -> Option<f64> {
        self.expect(|token| match token {
            Token::Float(value) => Some(value),
            _ => None,
        })
    }

    /// The atom, when the next value is one.
    #[inline]
    pub fn atom(&mut self) -> Option<AtomRef<'a>> {
        self.expect(|token| match token {
            Token::Atom(atom) => Some(atom),
            _ => None,
        })
    }

    /// Whether the next value is the atom with this text; moves past it then.
    #[inline]
    pub fn is_atom(&mut self, text: &str) -> bool {
        self.expect(|token| match token {
            Token::Atom(atom) if atom == *text => Some(()),
            _ => None,
        })
        .is_some()
    }

    /// The bytes, when the next value is a binary.
    #[inline]
    pub fn binary(&mut self) -> Option<&'a [u8]> {
        self.expect(|token| match token {
            Token::Binary(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// How many elements follow, when the next value is a tuple.
    #[inline]
    pub fn tuple(&mut self) -> Option<usize> {
        self.expect(|token| match token {
            Token::Tuple(arity) => Some(arity),
            _ => None,
        })
    }

    /// How many elements and then the tail follow, when the next value is a list; 0, and no tail, for `[]`.
    #[inline]
    pub fn list(&mut self) -> Option<usize> {
        self.expect(|token| match token {
            Token::List(length) => Some(length),
            Token::Nil => Some(0),
            _ => None,
        })
    }

    /// Whether the next value is `[]`, as at the end of a proper list; moves past it then.
    #[inline]
    pub fn nil(&mut self) -> bool {
        self.expect(|token| match token {
            Token::Nil => Some(()),
            _ => None,
        })
        .is_some()
    }

    /// How many pairs follow, when the next value is a map.
    #[inline]
    pub fn map(&mut self) -> Option<usize> {
        self.expect(|token| match token {
            Token::Map(pairs) => Some(pairs),
            _ => None,
        })
    }

    /// The text of a string, the bytes of a packed list of small integers, when the next value is one.
    #[inline]
    pub fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(|token| match token {
            Token::String(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// The process identifier, when the next value is one.
    pub fn pid(&mut self) -> Option<Pid> {
        self.expect(|token| match token {
            Token::Pid(pid) => pid.to_pid(),
            _ => None,
        })
    }

    /// The port, when the next value is one.
    pub fn port(&mut self) -> Option<Port> {
        self.expect(|token| match token {
            Token::Port(port) => port.to_port(),
            _ => None,
        })
    }

    /// The reference, when the next value is one.
    pub fn reference(&mut self) -> Option<Reference> {
        self.expect(|token| match token {
            Token::Reference(reference) => reference.to_reference(),
            _ => None,
        })
    }

    #[inline(always)]
    fn expect<T>(&mut self, take: impl FnOnce(Token<'a>) -> Option<T>) -> Option<T> {
        let mut ahead = *self;
        let value = take(ahead.token()?)?;
        *self = ahead;
        Some(value)
    }
}
