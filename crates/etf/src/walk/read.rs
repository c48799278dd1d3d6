//! Reading a term once: each value is checked and shown, then the next one. Checking alone is reading for a visitor that
//! looks at nothing.

use core::{convert::Infallible, ops::ControlFlow};

use super::{
    Encoded, Token, Visit,
    common::{Head, common},
    place::{Around, Place},
    seldom::Single,
    token::{Nothing, show},
};
use crate::{
    DecodeError, Limits, RawTerm,
    input::Input,
    parts::{self, Names, OVERHEAD, PART},
};

/// Shows the term that begins here, if it is within the limits, and gives what follows it; where the visitor stops, what
/// follows the value that it was shown last.
#[inline(always)]
pub(super) fn read<'a, V: Visit<'a> + ?Sized>(
    bytes: &'a [u8],
    raw: &'a RawTerm,
    limits: &Limits,
    visitor: &mut V,
) -> Read<'a, V::Stop> {
    let mut reader = Reader {
        raw,
        limits,
        budget: limits.size,
        levels: limits.depth,
        opens_funs: false,
        around: Around::new(),
    };
    reader.term(bytes, visitor)
}

/// As [`read`], shown to nobody. Not a part of each reader of a visitor.
#[inline(never)]
pub(super) fn check<'a>(
    bytes: &'a [u8],
    raw: &'a RawTerm,
    limits: &Limits,
) -> Result<&'a [u8], DecodeError> {
    let (_, rest) = read(bytes, raw, limits, &mut Nothing)?;
    Ok(rest)
}

/// How it ended, and what follows.
type Read<'a, Stop> = Result<(ControlFlow<Stop>, &'a [u8]), DecodeError>;

/// A value, shown as far as [`Head`] says, and what follows it.
type Shown<'a, Stop> = Result<(ControlFlow<Stop, Head>, &'a [u8]), DecodeError>;

struct Reader<'a, 'l> {
    raw: &'a RawTerm,
    limits: &'l Limits,
    /// How much memory the term may still take if somebody decodes it.
    budget: usize,
    /// How many containers may be open at once.
    levels: usize,
    /// Inside of a closure, which is one value for visitors, closures are containers of their variables.
    opens_funs: bool,
    around: Around,
}

impl<'a> Reader<'a, '_> {
    /// What is left and the place are locals that nobody else gets hold of, so that they stay in registers.
    #[inline(always)]
    fn term<V: Visit<'a> + ?Sized>(
        &mut self,
        bytes: &'a [u8],
        visitor: &mut V,
    ) -> Read<'a, V::Stop> {
        let mut place = Place::new();
        let mut rest = bytes;
        loop {
            let (flow, after) = match common(rest, self.raw, &mut self.budget, visitor) {
                Some(found) => found,
                None => self.seldom(Input(rest), &place.copied(), visitor)?,
            };
            rest = after;
            let flow = match flow {
                ControlFlow::Continue(Head::Leaf) => {
                    place.pass();
                    ControlFlow::Continue(())
                }
                ControlFlow::Continue(Head::Tuple(arity)) => {
                    self.open(&mut place, arity, false, rest)?;
                    visitor.tuple(arity)
                }
                ControlFlow::Continue(Head::List(length)) => {
                    self.open(&mut place, length, true, rest)?;
                    visitor.list(length)
                }
                ControlFlow::Continue(Head::Map(pairs)) => {
                    self.open(&mut place, pairs.saturating_mul(2), false, rest)?;
                    visitor.map(pairs)
                }
                ControlFlow::Continue(Head::Shown(parts)) => {
                    self.open(&mut place, parts, false, rest)?;
                    ControlFlow::Continue(())
                }
                ControlFlow::Break(stop) => ControlFlow::Break(stop),
            };
            if let ControlFlow::Break(stop) = flow {
                return Ok((ControlFlow::Break(stop), rest));
            }
            while place.is_complete() {
                let Some(()) = place.close(rest.len(), &mut self.around)? else {
                    return Ok((ControlFlow::Continue(()), rest));
                };
                if let ControlFlow::Break(stop) = visitor.end() {
                    return Ok((ControlFlow::Break(stop), rest));
                }
            }
        }
    }

    /// A container begins that has so many parts, one at least, the tail of a list not counted; `rest` follows its head.
    #[inline(always)]
    fn open(
        &mut self,
        place: &mut Place,
        parts: usize,
        list: bool,
        rest: &[u8],
    ) -> Result<(), DecodeError> {
        let values = place.with(parts, list);
        if parts > rest.len() || values > rest.len() {
            return Err(DecodeError::Truncated);
        }
        // There cannot be so many parts that this wraps.
        let cost = (parts as u64).wrapping_mul(PART as u64);
        let cost = usize::try_from(cost.wrapping_add(OVERHEAD as u64));
        let budget = cost.ok().and_then(|cost| self.budget.checked_sub(cost));
        self.budget = budget.ok_or(DecodeError::TooLarge(self.limits.size))?;
        if place.level() >= self.levels && !place.continues(list) {
            return Err(DecodeError::TooDeep(self.limits.depth));
        }
        place.open(values, list, &mut self.around);
        Ok(())
    }

    /// As [`common`], for everything, with every fault.
    #[cold]
    #[inline(never)]
    fn seldom<V: Visit<'a> + ?Sized>(
        &mut self,
        input: Input<'a>,
        place: &Place,
        visitor: &mut V,
    ) -> Shown<'a, V::Stop> {
        let level = place.level();
        let (token, after) = self.single(|single| single.token(input))?;
        let head = match token {
            Token::Tuple(0) | Token::Map(0) => {
                self.single(|single| single.charge(OVERHEAD))?;
                let flow = show(token, visitor);
                return Ok((leaf(ended(flow, visitor)), after.0));
            }
            Token::Tuple(arity) => Head::Tuple(arity),
            Token::List(length) => Head::List(length),
            Token::Map(pairs) => Head::Map(pairs),
            Token::Record(fields, _) => {
                return self.record(token, fields, after, place, visitor);
            }
            Token::Fun(fun) if self.opens_funs => {
                return self.open_fun(fun, input, after, level);
            }
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
        place: &Place,
        visitor: &mut V,
    ) -> Shown<'a, V::Stop> {
        let names = fields.saturating_add(2);
        if place.with(names.saturating_add(fields), false) > from.left() {
            return Err(DecodeError::Truncated);
        }
        if fields > 0 && place.level() >= self.levels {
            return Err(DecodeError::TooDeep(self.limits.depth));
        }
        // The names; the values are charged for with their container.
        self.single(|single| single.charge(parts::record_cost(fields)))?;
        let mut flow = visitor.token(token);
        for _ in 0..names {
            if flow.is_break() {
                break;
            }
            flow = visitor.atom(self.single(|single| single.name(&mut from))?);
        }
        if fields == 0 {
            self.single(|single| single.charge(OVERHEAD))?;
            return Ok((leaf(ended(flow, visitor)), from.0));
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
        let head = self.single(|single| {
            // Its process has no cost of its own here, as in decoding.
            single.charge(parts::fun_cost())?;
            parts::fun(single, &mut from)
        })?;
        if head.variables == 0 {
            self.single(|single| single.charge(OVERHEAD))?;
            return match head.left == from.left() {
                true => Ok((ControlFlow::Continue(Head::Leaf), from.0)),
                false => Err(DecodeError::FunSize),
            };
        }
        self.around.open_fun(level.saturating_add(1), head.left);
        Ok((ControlFlow::Continue(Head::Shown(head.variables)), from.0))
    }

    fn single<T>(
        &mut self,
        read: impl FnOnce(&mut Single<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut single = Single {
            raw: self.raw,
            budget: self.budget,
            size: self.limits.size,
        };
        let result = read(&mut single);
        self.budget = single.budget;
        result
    }

    /// Checks a whole closure without showing what is in it. It may hold others, but no visitor is shown them, so this one
    /// step is all there is.
    fn check_fun(&mut self, fun: Encoded<'a>, level: usize) -> Result<(), DecodeError> {
        let mut inside = Reader {
            raw: self.raw,
            limits: self.limits,
            budget: self.budget,
            levels: self.levels.saturating_sub(level),
            opens_funs: true,
            around: Around::new(),
        };
        let (_, rest) = inside.fun(fun.bytes())?;
        self.budget = inside.budget;
        match rest {
            [] => Ok(()),
            _ => Err(DecodeError::FunSize),
        }
    }
}

/// The end of a container without parts.
fn ended<'a, V: Visit<'a> + ?Sized>(
    begun: ControlFlow<V::Stop>,
    visitor: &mut V,
) -> ControlFlow<V::Stop> {
    begun?;
    visitor.end()
}

impl<'a> Reader<'a, '_> {
    /// A whole closure, shown to nobody.
    #[cold]
    #[inline(never)]
    fn fun(&mut self, bytes: &'a [u8]) -> Read<'a, Infallible> {
        self.term(bytes, &mut Nothing)
    }
}

fn leaf<Stop>(flow: ControlFlow<Stop>) -> ControlFlow<Stop, Head> {
    flow.map_continue(|()| Head::Leaf)
}
