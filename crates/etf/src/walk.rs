//! [`Walk`]: reading a term without building it.

mod check;
mod encoded;
mod seldom;

use core::fmt;

use crate::{
    BigInt, DecodeError, Limits, Pid, Port, RawTerm, Reference, Term, big, input::Input, tag, text,
};

pub use encoded::{AtomRef, Encoded};

impl RawTerm {
    /// Checks all bytes once, and gives a cursor that reads the values out of them without building anything.
    ///
    /// What is refused here is exactly what [`decode`](Self::decode) refuses, limits included, but for one thing:
    /// that no key of a map comes twice is not looked for.
    ///
    /// # Errors
    /// When the bytes are not one term within the limits.
    pub fn walk(&self, limits: &Limits) -> Result<Walk<'_>, DecodeError> {
        let rest = check::check(self.bytes(), self.atoms(), limits)?;
        match rest.len() {
            0 => Ok(Walk {
                rest: Input(self.bytes()),
                raw: self,
            }),
            more => Err(DecodeError::Trailing(more)),
        }
    }
}

/// A cursor over a checked term: gives value after value in the order of the wire, and never fails.
///
/// [`token`](Self::token) tells a container by the number of its parts, and then the parts follow: `{ok, [1, 2]}` is `Tuple(2)`, `Atom(ok)`, `List(2)`, `Int(1)`, `Int(2)`, `Nil`. Who knows what to expect asks for
/// just that: [`tuple`](Self::tuple), [`int`](Self::int), … move on only when that is what comes next.
/// A copy of a cursor is a bookmark.
///
/// ```
/// use trunkline_etf::{Limits, RawTerm, Term};
///
/// let message = RawTerm::from(&Term::tuple([Term::atom("add"), 20.into(), Term::from("to it")]));
/// let mut walk = message.walk(&Limits::default())?;
/// assert_eq!(walk.tuple(), Some(3));
/// assert!(walk.is_atom("add"));
/// assert_eq!(walk.binary(), None);
/// assert_eq!(walk.int(), Some(20));
/// assert_eq!(walk.binary(), Some(&b"to it"[..]));
/// assert!(walk.is_done());
/// # Ok::<(), trunkline_etf::DecodeError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Walk<'a> {
    rest: Input<'a>,
    raw: &'a RawTerm,
}

/// What comes next in a [`Walk`].
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
    Pid(Encoded<'a>),
    /// A port.
    Port(Encoded<'a>),
    /// A reference.
    Reference(Encoded<'a>),
    /// `fun Module:Function/Arity`.
    Export(Encoded<'a>),
    /// A closure, its variables included.
    Fun(Encoded<'a>),
    /// A native record with this many fields, and its flags (bit 0: its module exports it): the atoms of its module and its
    /// name follow, the names of all fields, then their values.
    Record(usize, u8),
}

impl<'a> Walk<'a> {
    /// What comes next; `None` at the end.
    #[inline(always)]
    pub fn token(&mut self) -> Option<Token<'a>> {
        let (token, rest) = match last(self.rest.0, self.raw) {
            Some(found) => found,
            // A copy goes and comes back, so that this cursor stays in registers.
            None => seldom::token(*self)?,
        };
        self.rest = Input(rest);
        Some(token)
    }

    /// All that is left, token by token.
    pub fn tokens(mut self) -> impl Iterator<Item = Token<'a>> {
        core::iter::from_fn(move || self.token())
    }

    /// Shows all that is left to a visitor: the quickest way to read everything, since nobody has to look twice at what a
    /// value is.
    #[inline]
    pub fn visit(self, visitor: &mut impl Visit<'a>) {
        let Walk { mut rest, raw } = self;
        while rest.left() > 0 {
            let after = common(rest.0, raw, visitor).or_else(|| {
                let (token, after) = seldom::token(Walk { rest, raw })?;
                show(token, visitor);
                Some(after)
            });
            rest = Input(after.unwrap_or_default());
        }
    }
}

/// Who is shown the values of a term, in the order of the wire, by [`Walk::visit`].
///
/// [`token`](Self::token) gets what has no method of its own, and what the visitor has not written the method for.
pub trait Visit<'a> {
    /// Any value.
    fn token(&mut self, token: Token<'a>);
    /// As [`Token::Int`].
    #[inline]
    fn int(&mut self, value: i64) {
        self.token(Token::Int(value));
    }
    /// As [`Token::Float`].
    #[inline]
    fn float(&mut self, value: f64) {
        self.token(Token::Float(value));
    }
    /// As [`Token::Atom`].
    #[inline]
    fn atom(&mut self, atom: AtomRef<'a>) {
        self.token(Token::Atom(atom));
    }
    /// As [`Token::Binary`].
    #[inline]
    fn binary(&mut self, bytes: &'a [u8]) {
        self.token(Token::Binary(bytes));
    }
    /// As [`Token::String`].
    #[inline]
    fn string(&mut self, bytes: &'a [u8]) {
        self.token(Token::String(bytes));
    }
    /// As [`Token::Nil`].
    #[inline]
    fn nil(&mut self) {
        self.token(Token::Nil);
    }
    /// As [`Token::List`].
    #[inline]
    fn list(&mut self, length: usize) {
        self.token(Token::List(length));
    }
    /// As [`Token::Tuple`].
    #[inline]
    fn tuple(&mut self, arity: usize) {
        self.token(Token::Tuple(arity));
    }
    /// As [`Token::Map`].
    #[inline]
    fn map(&mut self, pairs: usize) {
        self.token(Token::Map(pairs));
    }
}

/// Gives a value to the method that is for it, in whatever form it came.
fn show<'a>(token: Token<'a>, visitor: &mut impl Visit<'a>) {
    match token {
        Token::Int(value) => visitor.int(value),
        Token::Float(value) => visitor.float(value),
        Token::Atom(atom) => visitor.atom(atom),
        Token::Binary(bytes) => visitor.binary(bytes),
        Token::String(bytes) => visitor.string(bytes),
        Token::Nil => visitor.nil(),
        Token::List(length) => visitor.list(length),
        Token::Tuple(arity) => visitor.tuple(arity),
        Token::Map(pairs) => visitor.map(pairs),
        other => visitor.token(other),
    }
}

#[inline(always)]
fn last<'a>(bytes: &'a [u8], raw: &'a RawTerm) -> Option<(Token<'a>, &'a [u8])> {
    let mut last = Last(None);
    let rest = common(bytes, raw, &mut last)?;
    Some((last.0?, rest))
}

/// Keeps what it is shown.
struct Last<'a>(Option<Token<'a>>);

impl<'a> Visit<'a> for Last<'a> {
    #[inline(always)]
    fn token(&mut self, token: Token<'a>) {
        self.0 = Some(token);
    }
}

/// Gives what messages mostly consist of, and what follows it; `None` for everything else. Each kind is given at a place of its own, so
/// that whoever gets it needs no look at what it is.
#[inline(always)]
fn common<'a>(bytes: &'a [u8], raw: &'a RawTerm, visitor: &mut impl Visit<'a>) -> Option<&'a [u8]> {
    let (tag, after) = bytes.split_first()?;
    Some(match *tag {
        tag::SMALL_INTEGER => {
            let (value, rest) = after.split_first()?;
            visitor.int((*value).into());
            rest
        }
        tag::INTEGER => {
            let (value, rest) = after.split_first_chunk()?;
            visitor.int(i32::from_be_bytes(*value).into());
            rest
        }
        tag::NIL => {
            visitor.nil();
            after
        }
        tag::SMALL_ATOM_UTF8 => {
            let (length, rest) = after.split_first()?;
            let (text, rest) = rest.split_at_checked((*length).into())?;
            visitor.atom(AtomRef::utf8(text));
            rest
        }
        tag::BINARY => {
            let (length, rest) = count(after)?;
            let (bytes, rest) = rest.split_at_checked(length)?;
            visitor.binary(bytes);
            rest
        }
        tag::STRING => {
            let (length, rest) = after.split_first_chunk()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (bytes, rest) = rest.split_at_checked(length)?;
            if bytes.is_empty() {
                return None;
            }
            visitor.string(bytes);
            rest
        }
        tag::NEW_FLOAT => {
            let (value, rest) = after.split_first_chunk()?;
            visitor.float(f64::from_be_bytes(*value));
            rest
        }
        tag::SMALL_TUPLE => {
            let (arity, rest) = after.split_first()?;
            visitor.tuple((*arity).into());
            rest
        }
        tag::MAP => {
            let (pairs, rest) = count(after)?;
            visitor.map(pairs);
            rest
        }
        tag::LIST => match count(after)? {
            (0, _) => return None,
            (length, rest) => {
                visitor.list(length);
                rest
            }
        },
        tag::SMALL_BIG => big(after, visitor)?,
        tag::NEW_PID => {
            let (encoded, rest) = bytes.split_at_checked(identifier(after, 1, 12)?)?;
            visitor.token(Token::Pid(Encoded::new(encoded, raw)));
            rest
        }
        tag::NEWER_REFERENCE => {
            let ([_, words], after) = after.split_first_chunk()?;
            let words = usize::from(*words).saturating_add(1).saturating_mul(4);
            let (encoded, rest) = bytes.split_at_checked(identifier(after, 3, words)?)?;
            visitor.token(Token::Reference(Encoded::new(encoded, raw)));
            rest
        }
        _ => return None,
    })
}

/// How long an identifier is that has so many bytes before the short name of its node, and so many after it.
#[inline(always)]
fn identifier(bytes: &[u8], before: usize, after: usize) -> Option<usize> {
    let [tag::SMALL_ATOM_UTF8, length, ..] = bytes else {
        return None;
    };
    let name = usize::from(*length).checked_add(2)?;
    name.checked_add(before)?.checked_add(after)
}

#[inline(always)]
fn count(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_be_bytes(*count)).ok()?, rest))
}

/// The quick way for integers in the form of large ones.
#[inline(always)]
fn big<'a>(bytes: &'a [u8], visitor: &mut impl Visit<'a>) -> Option<&'a [u8]> {
    let ([length, sign], rest) = bytes.split_first_chunk()?;
    let length = usize::from(*length);
    let (magnitude, after) = rest.split_at_checked(length)?;
    if length > size_of::<u64>() {
        let value = BigInt::in_normal_form(*sign != 0, magnitude)?;
        visitor.token(Token::Big(value));
        return Some(after);
    }
    let [word, ..] = text::padded(rest, length)?;
    visitor.int(big::small_word(*sign != 0, word)?);
    Some(after)
}

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
            Token::Pid(encoded) => encoded.pid(),
            _ => None,
        })
    }

    /// The port, when the next value is one.
    pub fn port(&mut self) -> Option<Port> {
        self.expect(|token| match token {
            Token::Port(encoded) => encoded.port(),
            _ => None,
        })
    }

    /// The reference, when the next value is one.
    pub fn reference(&mut self) -> Option<Reference> {
        self.expect(|token| match token {
            Token::Reference(encoded) => encoded.reference(),
            _ => None,
        })
    }

    /// Moves past the next value, with everything in it, and gives it as it stands on the wire; `None` at the end.
    pub fn part(&mut self) -> Option<Encoded<'a>> {
        let begun = *self;
        let mut owed = 1_usize;
        while owed > 0 {
            let more = match self.token()? {
                Token::List(length) => length.saturating_add(1),
                Token::Tuple(arity) => arity,
                Token::Map(pairs) => pairs.saturating_mul(2),
                Token::Record(fields, _) => fields.saturating_mul(2).saturating_add(2),
                _ => 0,
            };
            owed = owed.saturating_sub(1).saturating_add(more);
        }
        Some(self.since(begun))
    }

    /// Builds the next value and moves past it; `None` at the end, and when a map in it has a key twice, which only
    /// shows now.
    pub fn term(&mut self) -> Option<Term> {
        self.part()?.decode().ok()
    }

    /// Whether all of the term has been read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.rest.left() == 0
    }

    /// What was passed since `begun`.
    fn since(&self, begun: Self) -> Encoded<'a> {
        let length = begun.rest.left().saturating_sub(self.rest.left());
        let bytes = begun.rest.0.get(..length).unwrap_or_default();
        Encoded::new(bytes, self.raw)
    }

    #[inline(always)]
    fn expect<T>(&mut self, take: impl FnOnce(Token<'a>) -> Option<T>) -> Option<T> {
        let mut ahead = *self;
        let value = take(ahead.token()?)?;
        *self = ahead;
        Some(value)
    }
}

/// It is somebody's message: where the cursor stands only.
impl fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.rest.left();
        f.debug_struct("Walk").field("left", &left).finish()
    }
}
