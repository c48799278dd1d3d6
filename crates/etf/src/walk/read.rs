//! Reading a term once: each value is checked and shown, then the next one. Checking alone is reading for a visitor that
//! looks at nothing.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::{
    Encoded, Token, Visit,
    common::{Head, common},
    place::{Place, Refused},
    seldom::Single,
    token::{Nothing, show},
};
use crate::{
    Atom, DecodeError, Limits, RawTerm,
    fun::Fun,
    input::Input,
    parts::{self, Names, OVERHEAD},
};

/// Shows the term that begins here, if it is within the limits, and gives what follows it; where the visitor stops, what
/// follows the value that it was shown last.
#[inline]
pub(super) fn read<'a, V: Visit<'a> + ?Sized>(
    bytes: &'a [u8],
    raw: &'a RawTerm,
    limits: &Limits,
    visitor: &mut V,
) -> Read<'a, V::Stop> {
    let single = Single {
        raw,
        budget: limits.size,
        size: limits.size,
    };
    let mut reader = Reader {
        single,
        depth: limits.depth,
        levels: limits.depth,
        opens_funs: false,
        funs: Vec::new(),
    };
    reader.term(bytes, visitor)
}

/// How it ended, and what follows.
type Read<'a, Stop> = Result<(ControlFlow<Stop>, &'a [u8]), DecodeError>;

/// A value, shown as far as [`Head`] says, and what follows it.
type Shown<'a, Stop> = Result<(ControlFlow<Stop, Head>, &'a [u8]), DecodeError>;

struct Reader<'a> {
    single: Single<'a>,
    /// [`Limits::depth`], for the error.
    depth: usize,
    /// How many containers may be open at once.
    levels: usize,
    /// Whether a closure is a container of its variables; to visitors it is one value.
    opens_funs: bool,
    /// Of each open closure its level, and how many bytes must be left where it ends.
    funs: Vec<(usize, usize)>,
}

impl<'a> Reader<'a> {
    /// What is left, the budget and the place are locals that nobody else gets hold of, so that they stay in registers.
    #[inline]
    fn term<V: Visit<'a> + ?Sized>(
        &mut self,
        bytes: &'a [u8],
        visitor: &mut V,
    ) -> Read<'a, V::Stop> {
        let raw = self.single.raw;
        let mut budget = self.single.budget;
        let mut place = Place::new();
        let mut rest = bytes;
        loop {
            let (flow, after) = match common(rest, raw, &mut budget, visitor) {
                Some(found) => found,
                None => {
                    self.single.budget = budget;
                    let found = self.seldom(Input(rest), place.level(), visitor)?;
                    budget = self.single.budget;
                    found
                }
            };
            rest = after;
            let head = match flow {
                ControlFlow::Continue(head) => head,
                ControlFlow::Break(stop) => return Ok((ControlFlow::Break(stop), rest)),
            };
            let levels = self.levels;
            let mut open = |parts, list| {
                let opened = place.open(parts, list, rest.len(), levels, &mut budget);
                opened.map_err(|refused| self.fault(refused))
            };
            let flow = match head {
                Head::Leaf => ControlFlow::Continue(()),
                Head::Tuple(arity) => {
                    open(arity, false)?;
                    visitor.tuple(arity)
                }
                Head::List(length) => {
                    open(length, true)?;
                    visitor.list(length)
                }
                Head::Map(pairs) => {
                    open(pairs.saturating_mul(2), false)?;
                    visitor.map(pairs)
                }
                Head::Shown(parts) => {
                    open(parts, false)?;
                    ControlFlow::Continue(())
                }
            };
            if let ControlFlow::Break(stop) = flow {
                return Ok((ControlFlow::Break(stop), rest));
            }
            if let Head::Leaf = head {
                place.pass();
            }
            while place.is_complete() {
                if !self.funs.is_empty() {
                    self.end_of_fun(place.level(), rest)?;
                }
                let Some(()) = place.close() else {
                    self.single.budget = budget;
                    return Ok((ControlFlow::Continue(()), rest));
                };
                if let ControlFlow::Break(stop) = visitor.end() {
                    return Ok((ControlFlow::Break(stop), rest));
                }
            }
        }
    }

    #[cold]
    fn fault(&self, refused: Refused) -> DecodeError {
        match refused {
            Refused::Truncated => DecodeError::Truncated,
            Refused::TooDeep => DecodeError::TooDeep(self.depth),
            Refused::TooLarge => DecodeError::TooLarge(self.single.size),
        }
    }

    /// As [`common`], for everything, with every fault.
    #[inline(never)]
    fn seldom<V: Visit<'a> + ?Sized>(
        &mut self,
        input: Input<'a>,
        level: usize,
        visitor: &mut V,
    ) -> Shown<'a, V::Stop> {
        let (token, after) = self.single.token(input)?;
        let head = match token {
            Token::Tuple(arity) => Head::Tuple(arity),
            Token::List(length) => Head::List(length),
            Token::Map(pairs) => Head::Map(pairs),
            Token::Record(fields, _) => return self.record(token, fields, after, visitor),
            Token::Fun(fun) if self.opens_funs => return self.open_fun(fun, input, after, level),
            Token::Fun(fun) => {
                self.check_fun(fun, level)?;
                return Ok((leaf(visitor.token(token)), after.0));
            }
            token => return Ok((leaf(show(token, visitor)), after.0)),
        };
        Ok((ControlFlow::Continue(head), after.0))
    }

    /// A native record up to its values.
    fn record<V: Visit<'a> + ?Sized>(
        &mut self,
        token: Token<'a>,
        fields: usize,
        mut from: Input<'a>,
        visitor: &mut V,
    ) -> Shown<'a, V::Stop> {
        let names = fields.saturating_add(2);
        if names.saturating_add(fields) > from.left() {
            return Err(DecodeError::Truncated);
        }
        // The names; the values are charged for with their container.
        let bytes = fields.saturating_mul(size_of::<Atom>());
        self.single.charge(bytes.saturating_add(OVERHEAD))?;
        let mut flow = visitor.token(token);
        for _ in 0..names {
            if flow.is_break() {
                break;
            }
            flow = visitor.atom(self.single.name(&mut from)?);
        }
        Ok((flow.map_continue(|()| Head::Shown(fields)), from.0))
    }

    /// A closure up to its variables, which `level` containers are open around. It stands somewhere in `input`, and `after` follows it.
    fn open_fun<Stop>(
        &mut self,
        fun: Encoded<'a>,
        input: Input<'a>,
        after: Input<'a>,
        level: usize,
    ) -> Shown<'a, Stop> {
        let left = fun.bytes().len().saturating_add(after.left());
        let mut from = Input(input.0);
        // The tag, and lists without elements before it.
        from.skip(input.left().saturating_sub(left).saturating_add(1))?;
        let head = parts::fun(&mut self.single, &mut from)?;
        // Its process has no cost of its own here, as in decoding.
        self.single.charge(size_of::<Fun>())?;
        if head.variables == 0 {
            return match head.left == from.left() {
                true => Ok((ControlFlow::Continue(Head::Leaf), from.0)),
                false => Err(DecodeError::FunSize),
            };
        }
        self.funs.push((level.saturating_add(1), head.left));
        Ok((ControlFlow::Continue(Head::Shown(head.variables)), from.0))
    }

    /// Whether a container of this level may end here, closures being open.
    #[cold]
    fn end_of_fun(&mut self, level: usize, rest: &[u8]) -> Result<(), DecodeError> {
        match self.funs.pop_if(|(of, _)| *of == level) {
            Some((_, left)) if left != rest.len() => Err(DecodeError::FunSize),
            _ => Ok(()),
        }
    }

    /// Checks a whole closure without showing what is in it. It may hold others, but no visitor is shown them, so this one
    /// step is all there is.
    fn check_fun(&mut self, fun: Encoded<'a>, level: usize) -> Result<(), DecodeError> {
        let single = Single { ..self.single };
        let mut inside = Reader {
            single,
            depth: self.depth,
            levels: self.levels.saturating_sub(level),
            opens_funs: true,
            funs: Vec::new(),
        };
        let (_, rest) = inside.term(fun.bytes(), &mut Nothing)?;
        self.single.budget = inside.single.budget;
        match rest {
            [] => Ok(()),
            _ => Err(DecodeError::FunSize),
        }
    }
}

fn leaf<Stop>(flow: ControlFlow<Stop>) -> ControlFlow<Stop, Head> {
    flow.map_continue(|()| Head::Leaf)
}
