//! [`Walk`]: reading a term without building it.

mod common;
mod encoded;
mod expect;
mod ids;
mod place;
mod read;
mod seldom;
mod token;

use core::{fmt, ops::ControlFlow};

use crate::{DecodeError, Limits, RawTerm, Term, input::Input};
use common::{Head, common};
use seldom::Single;
use token::Last;

pub use encoded::{AtomRef, Encoded};
pub use ids::{PidRef, PortRef, ReferenceRef};
pub use token::{Token, Visit};

impl RawTerm {
    /// Shows all values to a visitor, in the order of the wire, each as soon as it is checked: the quickest way to read
    /// everything, in one pass, without building anything.
    ///
    /// What is refused here is exactly what [`decode`](Self::decode) refuses, limits included, but for one thing:
    /// that no key of a map comes twice is not looked for. The visitor may have seen values before the one that is refused;
    /// it is never told of more parts than there are bytes. `Break` when the visitor stopped: what is behind that place has not been checked.
    ///
    /// # Errors
    /// When the bytes are not one term within the limits.
    ///
    /// ```
    /// use std::{convert::Infallible, ops::ControlFlow};
    /// use trunkline_etf::{Limits, RawTerm, Term, Token, Visit};
    ///
    /// #[derive(Default)]
    /// struct Sum(i64);
    ///
    /// impl<'a> Visit<'a> for Sum {
    ///     type Stop = Infallible;
    ///
    ///     fn token(&mut self, token: Token<'a>) -> ControlFlow<Infallible> {
    ///         if let Token::Int(value) = token {
    ///             self.0 += value;
    ///         }
    ///         ControlFlow::Continue(())
    ///     }
    /// }
    ///
    /// let message = RawTerm::from(&Term::tuple([Term::from(20), Term::list([1, 2, 1000])]));
    /// let mut sum = Sum::default();
    /// let flow = message.visit(&Limits::default(), &mut sum)?;
    /// assert!(flow.is_continue());
    /// assert_eq!(sum.0, 1023);
    /// # Ok::<(), trunkline_etf::DecodeError>(())
    /// ```
    #[inline]
    pub fn visit<'a, V: Visit<'a> + ?Sized>(
        &'a self,
        limits: &Limits,
        visitor: &mut V,
    ) -> Result<ControlFlow<V::Stop>, DecodeError> {
        let (flow, rest) = read::read(self.bytes(), self, limits, visitor)?;
        match rest.len() {
            more if more > 0 && flow.is_continue() => Err(DecodeError::Trailing(more)),
            _ => Ok(flow),
        }
    }

    /// Checks all bytes once, and gives a cursor that reads values out of them: for who wants to look at parts, or
    /// more than once.
    ///
    /// What is refused is what [`visit`](Self::visit) refuses.
    ///
    /// # Errors
    /// When the bytes are not one term within the limits.
    pub fn walk(&self, limits: &Limits) -> Result<Walk<'_>, DecodeError> {
        match read::check(self.bytes(), self, limits)?.len() {
            0 => Ok(Walk {
                rest: self.bytes(),
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
    rest: &'a [u8],
    raw: &'a RawTerm,
}

impl<'a> Walk<'a> {
    /// What comes next; `None` at the end.
    #[inline(always)]
    pub fn token(&mut self) -> Option<Token<'a>> {
        let (mut last, mut budget) = (Last(None), usize::MAX);
        let (token, rest) = match common(self.rest, self.raw, &mut budget, &mut last) {
            Some((ControlFlow::Continue(head), rest)) => match head {
                Head::Tuple(arity) => (Token::Tuple(arity), rest),
                Head::List(length) => (Token::List(length), rest),
                Head::Map(pairs) => (Token::Map(pairs), rest),
                Head::Leaf | Head::Shown(_) => (last.0?, rest),
            },
            // A copy goes and comes back, so that this cursor stays in registers.
            None => self.seldom()?,
        };
        self.rest = rest;
        Some(token)
    }

    #[inline(never)]
    fn seldom(self) -> Option<(Token<'a>, &'a [u8])> {
        let (token, rest) = Single::unlimited(self.raw).token(Input(self.rest)).ok()?;
        Some((token, rest.0))
    }

    /// What comes next, without moving; `None` at the end.
    #[must_use]
    pub fn peek(&self) -> Option<Token<'a>> {
        { *self }.token()
    }

    /// All that is left, token by token.
    pub fn tokens(mut self) -> impl Iterator<Item = Token<'a>> {
        core::iter::from_fn(move || self.token())
    }

    /// Shows the next value, with everything in it, to a visitor, and moves past it; shows nothing at the end. Where the visitor stops,
    /// the cursor stands after what it was shown last, which may be the beginning of a tuple.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use trunkline_etf::{AtomRef, Limits, RawTerm, Token, Visit, term};
    ///
    /// /// Stops behind a key.
    /// struct Find(&'static str);
    ///
    /// impl<'a> Visit<'a> for Find {
    ///     type Stop = ();
    ///
    ///     fn token(&mut self, _: Token<'a>) -> ControlFlow<()> {
    ///         ControlFlow::Continue(())
    ///     }
    ///     fn atom(&mut self, atom: AtomRef<'a>) -> ControlFlow<()> {
    ///         match atom == *self.0 {
    ///             true => ControlFlow::Break(()),
    ///             false => ControlFlow::Continue(()),
    ///         }
    ///     }
    /// }
    ///
    /// let options = RawTerm::from(&term!([{retries, 3}, {timeout, 5000}]));
    /// let mut walk = options.walk(&Limits::default())?;
    /// assert!(walk.visit(&mut Find("timeout")).is_break());
    /// assert_eq!(walk.int(), Some(5000));
    /// # Ok::<(), trunkline_etf::DecodeError>(())
    /// ```
    #[inline]
    pub fn visit<V: Visit<'a> + ?Sized>(&mut self, visitor: &mut V) -> ControlFlow<V::Stop> {
        if self.rest.is_empty() {
            return ControlFlow::Continue(());
        }
        // What was checked is checked again: that is quicker than a reader that did without, and there is only one.
        let shown = read::read(self.rest, self.raw, &CHECKED, visitor);
        match shown {
            Ok((flow, rest)) => {
                self.rest = rest;
                flow
            }
            // Cannot be.
            Err(_) => {
                self.rest = &[];
                ControlFlow::Continue(())
            }
        }
    }
}

/// For what is within the caller's limits already.
const CHECKED: Limits = Limits {
    depth: usize::MAX,
    size: usize::MAX,
    inflated: 0,
};

impl<'a> Walk<'a> {
    /// Moves past the next value, with everything in it, and gives it as it stands on the wire; `None` at the end.
    pub fn part(&mut self) -> Option<Encoded<'a>> {
        let begun = self.rest;
        if begun.is_empty() {
            return None;
        }
        self.rest = read::check(begun, self.raw, &CHECKED).ok()?;
        let length = begun.len().saturating_sub(self.rest.len());
        Some(Encoded::new(begun.get(..length)?, self.raw))
    }

    /// Builds the next value and moves past it; `None` at the end, and when a map in it has a key twice, which only
    /// shows now.
    pub fn term(&mut self) -> Option<Term> {
        self.part()?.decode().ok()
    }

    /// Whether all of the term has been read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

/// It is somebody's message: where the cursor stands only.
impl fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.rest.len();
        f.debug_struct("Walk").field("left", &left).finish()
    }
}
