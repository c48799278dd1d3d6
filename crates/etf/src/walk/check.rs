//! Checking a term without building it: what [`crate::Decoder`] takes is taken here, and nothing else.

use alloc::vec::Vec;

use crate::{
    Atom, DecodeError, Limits, Term,
    big::{Big, ShortBig},
    fun::Fun,
    input::Input,
    parts::{self, Names, OVERHEAD, Text},
    tag, text,
};

/// Checks that a bare term within the limits begins here; gives what follows it.
pub(super) fn check<'b>(
    bytes: &'b [u8],
    atoms: &[Atom],
    limits: &Limits,
) -> Result<&'b [u8], DecodeError> {
    let mut check = Check {
        atoms,
        limits,
        budget: limits.size,
        funs: Vec::new(),
    };
    check.term(Input(bytes)).map(|rest| rest.0)
}

struct Check<'a> {
    atoms: &'a [Atom],
    limits: &'a Limits,
    /// Bytes of memory that the term may still take, if somebody decodes it.
    budget: usize,
    /// How many bytes must be left where each open closure ends.
    funs: Vec<usize>,
}

/// A container of which parts are still to come.
#[derive(Clone, Copy)]
struct Open {
    kind: Kind,
    missing: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// None at all.
    Leaf,
    /// Ends with its last part.
    Plain,
    /// After its elements comes the tail.
    List,
    Fun,
}

/// One part (`None`), or the beginning of it.
type Head = Option<Open>;

impl Open {
    #[inline]
    fn open(self) -> Head {
        (self.kind != Kind::Leaf).then_some(self)
    }
}

impl Check<'_> {
    fn term<'b>(&mut self, mut input: Input<'b>) -> Result<Input<'b>, DecodeError> {
        let mut waiting: Vec<Open> = Vec::new();
        let mut open = Open {
            kind: Kind::Plain,
            missing: 1,
        };
        loop {
            (open.missing, input) = leaves(open.missing, input);
            let mut head = None;
            if open.missing > 0 {
                match self.common(input) {
                    Some((found, after)) => {
                        head = found.open();
                        input = after;
                    }
                    None => {
                        let tag = input.u8()?;
                        (head, input) = self.seldom(tag, input)?;
                    }
                }
            }
            if let Some(inner) = head {
                if waiting.len() >= self.limits.depth {
                    return Err(DecodeError::TooDeep(self.limits.depth));
                }
                waiting.push(open);
                open = inner;
                continue;
            }
            open.missing = open.missing.saturating_sub(1);
            // A part is complete, and with it perhaps what it is the last part of, and so on.
            while open.missing == 0 {
                match (open.kind, input.0) {
                    (Kind::Plain, _) => {}
                    (Kind::List, [tag::NIL, after @ ..]) => input = Input(after),
                    _ => {
                        (open, input) = self.end(open, input)?;
                        if open.missing > 0 {
                            break;
                        }
                    }
                }
                let Some(outer) = waiting.pop() else {
                    return Ok(input);
                };
                open = outer;
                open.missing = open.missing.saturating_sub(1);
            }
        }
    }

    /// The beginnings of common containers, and common leaves that cost memory; `None` for everything else, and for
    /// faults. Nothing here makes a `Result`.
    #[inline(always)]
    fn common<'b>(&mut self, input: Input<'b>) -> Option<(Open, Input<'b>)> {
        let (tag, after) = input.0.split_first()?;
        let (kind, missing, cost, after) = match *tag {
            tag::SMALL_TUPLE => {
                let (arity, after) = after.split_first()?;
                (Kind::Plain, usize::from(*arity), OVERHEAD, after)
            }
            tag::LIST => {
                let (count, after) = count(after)?;
                (Kind::List, count, OVERHEAD, after)
            }
            tag::MAP => {
                let (pairs, after) = count(after)?;
                (Kind::Plain, pairs.checked_mul(2)?, OVERHEAD, after)
            }
            tag::STRING => {
                let (length, after) = after.split_first_chunk()?;
                let length = usize::from(u16::from_be_bytes(*length));
                (
                    Kind::Leaf,
                    0,
                    parts::string_cost(length),
                    after.get(length..)?,
                )
            }
            tag::NEW_PID => (Kind::Leaf, 0, OVERHEAD, short_name(after)?.get(12..)?),
            tag::NEWER_REFERENCE => {
                let ([0, words @ 1..=5], after) = after.split_first_chunk()? else {
                    return None;
                };
                let words = usize::from(*words).saturating_add(1).saturating_mul(4);
                (Kind::Leaf, 0, OVERHEAD, short_name(after)?.get(words..)?)
            }
            _ => return None,
        };
        if missing == 0 && kind != Kind::Leaf {
            return None;
        }
        let parts = missing.saturating_mul(size_of::<Term>());
        self.budget = self.budget.checked_sub(cost.saturating_add(parts))?;
        Some((Open { kind, missing }, Input(after)))
    }

    /// Everything, and every fault of it.
    #[inline(never)]
    fn seldom<'b>(
        &mut self,
        mut tag: u8,
        mut input: Input<'b>,
    ) -> Result<(Head, Input<'b>), DecodeError> {
        let from = &mut input;
        // OTP takes a list without elements for its tail.
        while tag == tag::LIST && from.skip_zero_count() {
            tag = from.u8()?;
        }
        let mut cost = 0;
        match tag {
            tag::SMALL_INTEGER => from.skip(1)?,
            tag::INTEGER => from.skip(4)?,
            tag::NIL => {}
            tag::NEW_FLOAT => drop(parts::float(from)?),
            tag::FLOAT => drop(parts::old_float(from)?),
            tag::SMALL_BIG | tag::LARGE_BIG => {
                cost = Big::heap_bytes(parts::big(tag, from)?.1.len());
            }
            tag::STRING => self.string(from)?,
            tag::BINARY => {
                let length = from.count()?;
                from.skip(length)?;
            }
            tag::BIT_BINARY => match parts::bits(from)? {
                (_, 8) => {}
                _ => cost = OVERHEAD,
            },
            tag::PID | tag::NEW_PID => {
                parts::pid(self, tag, from)?;
                cost = OVERHEAD;
            }
            tag::PORT | tag::NEW_PORT | tag::V4_PORT => {
                parts::port(self, tag, from)?;
                cost = OVERHEAD;
            }
            tag::REFERENCE | tag::NEW_REFERENCE | tag::NEWER_REFERENCE => {
                parts::reference(self, tag, from)?;
                cost = OVERHEAD;
            }
            tag::EXPORT => {
                parts::export(self, from)?;
                cost = OVERHEAD;
            }
            _ if self.atom(tag, from)? => {}
            _ => return Ok((self.container(tag, from)?, input)),
        }
        self.charge(cost)?;
        Ok((None, input))
    }

    fn container(&mut self, tag: u8, from: &mut Input<'_>) -> Result<Head, DecodeError> {
        match tag {
            tag::SMALL_TUPLE => {
                let arity = from.u8()?;
                self.open(Kind::Plain, arity.into())
            }
            tag::LIST => {
                let length = from.count()?;
                self.open(Kind::List, length)
            }
            tag::LARGE_TUPLE => {
                let arity = from.count()?;
                self.open(Kind::Plain, arity)
            }
            tag::MAP => {
                let pairs = from.count()?;
                self.open(Kind::Plain, pairs.saturating_mul(2))
            }
            tag::NEW_FUN => {
                let fun = parts::fun(self, from)?;
                // Its process has no cost of its own here, as in decoding.
                self.charge(size_of::<Fun>())?;
                if fun.variables > 0 {
                    self.funs.push(fun.left);
                } else if fun.left != from.left() {
                    return Err(DecodeError::FunSize);
                }
                self.open(Kind::Fun, fun.variables)
            }
            tag::RECORD => {
                let fields = from.count()?;
                from.skip(1)?;
                for _ in 0..fields.saturating_add(2) {
                    self.name(from)?;
                }
                // The names; the values are charged for with their container.
                self.charge(OVERHEAD.saturating_add(fields.saturating_mul(size_of::<Atom>())))?;
                self.open(Kind::Plain, fields)
            }
            other => Err(DecodeError::Tag(other)),
        }
    }

    /// A container of so many parts; one without any is complete.
    #[inline]
    fn open(&mut self, kind: Kind, missing: usize) -> Result<Head, DecodeError> {
        if missing == 0 {
            return Ok(None);
        }
        let parts = missing.saturating_mul(size_of::<Term>());
        self.charge(parts.saturating_add(OVERHEAD))?;
        Ok(Some(Open { kind, missing }))
    }

    /// What ends a list or a closure; a list may go on.
    fn end<'b>(
        &mut self,
        mut open: Open,
        mut input: Input<'b>,
    ) -> Result<(Open, Input<'b>), DecodeError> {
        if open.kind == Kind::Fun {
            return match self.funs.pop() {
                Some(left) if left == input.left() => Ok((open, input)),
                _ => Err(DecodeError::FunSize),
            };
        }
        loop {
            match input.peek()? {
                tag::NIL => {
                    input.skip(1)?;
                    return Ok((open, input));
                }
                // `[1 | [2]]`: the same list goes on.
                tag::LIST => {
                    input.skip(1)?;
                    let length = input.count()?;
                    if let Some(more) = self.open(Kind::List, length)? {
                        return Ok((more, input));
                    }
                }
                tag::STRING => {
                    input.skip(1)?;
                    self.string(&mut input)?;
                    return Ok((open, input));
                }
                _ => {
                    open.kind = Kind::Plain;
                    open.missing = 1;
                    return Ok((open, input));
                }
            }
        }
    }

    fn string(&mut self, from: &mut Input<'_>) -> Result<(), DecodeError> {
        let length = usize::from(from.u16()?);
        from.skip(length)?;
        self.charge(parts::string_cost(length))
    }

    /// An atom after its tag; `false` when the tag is not an atom's.
    fn atom(&mut self, tag: u8, from: &mut Input<'_>) -> Result<bool, DecodeError> {
        let heap = match parts::atom(tag, from)? {
            None => return Ok(false),
            Some(Text::Utf8(text)) => Atom::heap_bytes_of(text.len()),
            Some(Text::Latin1(text)) => Atom::heap_bytes_of(parts::latin1_length(text)),
            Some(Text::Cached(place)) => {
                let atom = self.atoms.get(usize::from(place));
                atom.ok_or(DecodeError::AtomCache(place))?.heap_bytes()
            }
        };
        self.charge(heap)?;
        Ok(true)
    }

    #[inline]
    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or(DecodeError::TooLarge(self.limits.size))?;
        Ok(())
    }
}

impl<'b> Names<'b> for Check<'_> {
    type Name = ();

    fn name(&mut self, input: &mut Input<'b>) -> Result<(), DecodeError> {
        let tag = input.u8()?;
        if tag == tag::SMALL_ATOM_UTF8
            && let Some(rest) = short_atom(input.0)
        {
            *input = Input(rest);
            return Ok(());
        }
        self.atom(tag, input)?
            .then_some(())
            .ok_or(DecodeError::Part)
    }
}

/// Passes over what messages mostly consist of, sound and free of cost; stops at everything else, and at faults. Gives
/// how many parts are still missing. Nothing here makes a `Result`, which would cost as much as the value.
#[inline]
fn leaves(mut missing: usize, input: Input<'_>) -> (usize, Input<'_>) {
    let mut rest = input.0;
    while missing > 0 {
        let Some((tag, after)) = rest.split_first() else {
            break;
        };
        let after = match *tag {
            tag::SMALL_INTEGER => after.get(1..),
            tag::INTEGER => after.get(4..),
            tag::NIL => Some(after),
            tag::SMALL_ATOM_UTF8 => short_atom(after),
            tag::BINARY => binary(after),
            tag::NEW_FLOAT => float(after),
            tag::SMALL_BIG => short_big(after),
            _ => None,
        };
        let Some(after) = after else {
            break;
        };
        rest = after;
        missing = missing.saturating_sub(1);
    }
    (missing, Input(rest))
}

/// Passes over a short ASCII atom after its tag, which no heap is needed for; `None` when it may be something else.
#[inline(always)]
fn short_atom(bytes: &[u8]) -> Option<&[u8]> {
    let (length, text) = bytes.split_first()?;
    let length = usize::from(*length);
    text::padded_ascii(text, length)?;
    text.get(length..)
}

/// Passes over a short ASCII atom.
#[inline(always)]
fn short_name(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [tag::SMALL_ATOM_UTF8, after @ ..] => short_atom(after),
        _ => None,
    }
}

#[inline(always)]
fn count(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (count, after) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_be_bytes(*count)).ok()?, after))
}

#[inline(always)]
fn binary(bytes: &[u8]) -> Option<&[u8]> {
    let (length, content) = bytes.split_first_chunk()?;
    content.get(usize::try_from(u32::from_be_bytes(*length)).ok()?..)
}

#[inline(always)]
fn float(bytes: &[u8]) -> Option<&[u8]> {
    let (value, after) = bytes.split_first_chunk()?;
    f64::from_be_bytes(*value).is_finite().then_some(after)
}

/// An integer that needs no heap.
#[inline(always)]
fn short_big(bytes: &[u8]) -> Option<&[u8]> {
    let ([length, _], magnitude) = bytes.split_first_chunk()?;
    let length = usize::from(*length);
    if length > ShortBig::MAX {
        return None;
    }
    magnitude.get(length..)
}
