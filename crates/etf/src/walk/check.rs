//! Checking a term without building it: what [`crate::Decoder`] takes is taken here, and nothing else.

use alloc::vec::Vec;

use crate::{
    Atom, DecodeError, Limits, Term,
    big::Big,
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
    /// Ends with its last part.
    Plain,
    /// After its elements comes the tail.
    List,
    Fun,
}

/// One part (`None`), or the beginning of it.
type Head = Option<Open>;

impl Check<'_> {
    fn term<'b>(&mut self, mut input: Input<'b>) -> Result<Input<'b>, DecodeError> {
        let mut waiting: Vec<Open> = Vec::new();
        let mut open = Open {
            kind: Kind::Plain,
            missing: 1,
        };
        loop {
            let head;
            (head, input) = self.head(input)?;
            if let Some(inner) = head {
                if waiting.len() >= self.limits.depth {
                    return Err(DecodeError::TooDeep(self.limits.depth));
                }
                waiting.push(open);
                open = inner;
                (open.missing, input) = integers(open.missing, input);
                if open.missing > 0 {
                    continue;
                }
            } else {
                open.missing = open.missing.saturating_sub(1);
            }
            // A part is complete, and with it perhaps what it is the last part of, and so on.
            while open.missing == 0 {
                if open.kind != Kind::Plain {
                    (open, input) = self.end(open, input)?;
                    if open.missing > 0 {
                        break;
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

    #[inline(always)]
    fn head<'b>(&mut self, mut input: Input<'b>) -> Result<(Head, Input<'b>), DecodeError> {
        match input.u8()? {
            tag::SMALL_INTEGER => input.skip(1)?,
            tag::INTEGER => input.skip(4)?,
            tag::NIL => {}
            tag::SMALL_ATOM_UTF8 => match short_atom(input) {
                Some(rest) => input = rest,
                None => return self.seldom(tag::SMALL_ATOM_UTF8, input),
            },
            tag::BINARY => {
                let length = input.count()?;
                input.skip(length)?;
            }
            tag::NEW_FLOAT => {
                parts::float(&mut input)?;
            }
            tag::SMALL_BIG => {
                let (_, magnitude) = parts::big(tag::SMALL_BIG, &mut input)?;
                self.charge(Big::heap_bytes(magnitude.len()))?;
            }
            tag::SMALL_TUPLE => {
                let arity = usize::from(input.u8()?);
                return Ok((self.open(Kind::Plain, arity)?, input));
            }
            tag::LIST => {
                let length = input.count()?;
                if length > 0 {
                    return Ok((self.open(Kind::List, length)?, input));
                }
                return self.tail_alone(input);
            }
            tag => return self.seldom(tag, input),
        }
        Ok((None, input))
    }

    /// OTP takes a list without elements for its tail.
    #[cold]
    fn tail_alone<'b>(&mut self, mut input: Input<'b>) -> Result<(Head, Input<'b>), DecodeError> {
        loop {
            match input.u8()? {
                tag::LIST if input.skip_zero_count() => {}
                tag::LIST => {
                    let length = input.count()?;
                    return Ok((self.open(Kind::List, length)?, input));
                }
                tag => return self.seldom(tag, input),
            }
        }
    }

    /// Everything, but for lists, in its plainest form.
    #[inline(never)]
    fn seldom<'b>(
        &mut self,
        tag: u8,
        mut input: Input<'b>,
    ) -> Result<(Head, Input<'b>), DecodeError> {
        let from = &mut input;
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
        self.charge(length.saturating_mul(size_of::<Term>()))
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
            && let Some(rest) = short_atom(*input)
        {
            *input = rest;
            return Ok(());
        }
        self.atom(tag, input)?
            .then_some(())
            .ok_or(DecodeError::Part)
    }
}

/// Passes over the integers with which a container begins; gives how many other parts it has.
#[inline(always)]
fn integers(mut missing: usize, mut input: Input<'_>) -> (usize, Input<'_>) {
    while missing > 0 {
        match input.0 {
            [tag::SMALL_INTEGER, _, after @ ..] | [tag::INTEGER, _, _, _, _, after @ ..] => {
                input = Input(after);
            }
            _ => break,
        }
        missing = missing.saturating_sub(1);
    }
    (missing, input)
}

/// Passes over a short ASCII atom after its tag, which no heap is needed for; `None` when it may be something else.
#[inline]
fn short_atom(mut input: Input<'_>) -> Option<Input<'_>> {
    let length = usize::from(input.u8().ok()?);
    text::padded_ascii(input.0, length)?;
    input.skip(length).ok()?;
    Some(input)
}
