//! Terms with parts: how they begin and end.

use alloc::vec::Vec;
use core::mem;

use super::{
    Head, Parse,
    machine::{Frame, Kind},
};
use crate::{
    DecodeError, Map, Pid, Term,
    fun::{Fun, Record},
    input::Input,
    items::Items,
    parts::{self, Names, OVERHEAD},
    tag,
    term::Repr,
};

/// A container that has begun, and the number of its parts, at least one.
type Opened = Option<(Kind, usize)>;

impl<'b> Parse<'b> {
    /// A term of any kind after its tag, up to its parts; one without any is a value.
    #[inline(never)]
    pub(super) fn seldom(
        &mut self,
        mut tag: u8,
        input: &mut Input<'b>,
        values: &mut Vec<Term>,
    ) -> Result<Opened, DecodeError> {
        // OTP takes a list without elements for its tail.
        while tag == tag::LIST && input.skip_zero_count() {
            tag = input.u8()?;
        }
        let (kind, missing) = match tag {
            tag::SMALL_TUPLE => (Kind::Tuple, input.u8()?.into()),
            tag::LARGE_TUPLE => (Kind::Tuple, input.count()?),
            tag::LIST => (Kind::List, input.count()?),
            tag::MAP => (Kind::Map, input.count()?.saturating_mul(2)),
            tag::NEW_FUN => (Kind::Headed, self.fun(input)?),
            tag::RECORD => (Kind::Headed, self.record(input)?),
            _ => {
                let leaf = self.leaf(tag, input)?;
                values.push(leaf.ok_or(DecodeError::Tag(tag))?);
                return Ok(None);
            }
        };
        if missing > 0 {
            return Ok(Some((kind, missing)));
        }
        let start = values.len();
        self.close(
            Frame {
                kind,
                missing,
                start,
            },
            *input,
            values,
        )?;
        Ok(None)
    }

    /// A closure, up to its variables; gives how many it has.
    fn fun(&mut self, input: &mut Input<'b>) -> Result<usize, DecodeError> {
        let head = parts::fun(self, input)?;
        let (node, id, serial, creation) = head.pid;
        let fun = Fun {
            module: head.module,
            arity: head.arity,
            uniq: head.uniq,
            index: head.index,
            old_index: head.old_index,
            old_uniq: head.old_uniq,
            pid: Pid {
                node,
                id,
                serial,
                creation,
            },
            free: Items::default(),
            size: 0,
        };
        self.charge(size_of::<Fun>())?;
        self.heads.push(Head::Fun(fun, head.left));
        Ok(head.variables)
    }

    /// A native record, up to its values; gives how many it has.
    fn record(&mut self, input: &mut Input<'b>) -> Result<usize, DecodeError> {
        let count = input.count()?;
        let flags = input.u8()?;
        let (module, name) = (self.name(input)?, self.name(input)?);
        // Names and values.
        present(count.saturating_mul(2), *input)?;
        self.charge(OVERHEAD.saturating_add(count.saturating_mul(size_of::<Term>())))?;
        let fields = (0..count)
            .map(|_| self.name(input))
            .collect::<Result<Vec<_>, _>>()?;
        self.heads.push(Head::Record(Record {
            module,
            name,
            flags,
            fields: fields.into(),
            values: Items::default(),
        }));
        Ok(count)
    }

    /// Refuses parts for which there cannot be bytes, then those for which there is no memory. With this, what
    /// is reserved is in proportion to the bytes present, over all open containers together.
    #[inline]
    pub(super) fn claim(
        &mut self,
        parts: usize,
        owed: usize,
        input: Input<'b>,
    ) -> Result<(), DecodeError> {
        present(parts.saturating_add(owed), input)?;
        let bytes = parts.saturating_mul(size_of::<Term>());
        self.charge(bytes.saturating_add(OVERHEAD))
    }

    /// What comes after the elements of a list: its end, which makes it a value, or more of it.
    #[inline]
    pub(super) fn tail(
        &mut self,
        open: &mut Frame,
        mut input: Input<'b>,
        values: &mut Vec<Term>,
        owed: usize,
    ) -> Result<Input<'b>, DecodeError> {
        if input.peek()? != tag::NIL {
            input = self.other_tail(open, input, values, owed)?;
            if open.missing > 0 {
                return Ok(input);
            }
        } else {
            input.skip(1)?;
        }
        let items = last(values, open.start);
        values.push(Term(Repr::List(items)));
        Ok(input)
    }

    #[cold]
    fn other_tail(
        &mut self,
        open: &mut Frame,
        mut input: Input<'b>,
        values: &mut Vec<Term>,
        owed: usize,
    ) -> Result<Input<'b>, DecodeError> {
        loop {
            match input.peek()? {
                tag::NIL => {
                    input.skip(1)?;
                    return Ok(input);
                }
                // `[1 | [2]]`: the same list goes on.
                tag::LIST => {
                    input.skip(1)?;
                    open.missing = input.count()?;
                    if open.missing > 0 {
                        self.claim(open.missing, owed.saturating_add(1), input)?;
                        return Ok(input);
                    }
                }
                tag::STRING => {
                    input.skip(1)?;
                    let rest = self.string(&mut input)?;
                    values.extend_from_slice(rest.as_list().unwrap_or_default());
                    return Ok(input);
                }
                _ => {
                    open.kind = Kind::Improper;
                    open.missing = 1;
                    return Ok(input);
                }
            }
        }
    }

    /// Makes a container of its parts, the last of the values.
    #[inline]
    pub(super) fn close(
        &mut self,
        open: Frame,
        input: Input<'b>,
        values: &mut Vec<Term>,
    ) -> Result<(), DecodeError> {
        let items = last(values, open.start);
        match open.kind {
            Kind::Tuple => values.push(Term(Repr::Tuple(items))),
            Kind::Map => {
                let map = Map::distinct(items).ok_or(DecodeError::DuplicateKey)?;
                values.push(map.into());
            }
            Kind::Improper => values.push(Term(Repr::Improper(items))),
            _ => values.push(self.headed(items, input)?),
        }
        Ok(())
    }

    #[cold]
    fn headed(&mut self, items: Items, input: Input<'b>) -> Result<Term, DecodeError> {
        match self.heads.pop() {
            Some(Head::Fun(mut fun, left)) if left == input.left() => {
                fun.free = items;
                fun.size = fun.measure();
                Ok(fun.into())
            }
            Some(Head::Record(mut record)) => {
                record.values = items;
                Ok(record.into())
            }
            _ => Err(DecodeError::FunSize),
        }
    }
}

/// The values from `start` on.
#[inline]
fn last(values: &mut Vec<Term>, start: usize) -> Items {
    if start == 0 {
        mem::take(values).into()
    } else if values.len().saturating_sub(start) > FEW {
        values.split_off(start).into()
    } else {
        values.drain(start..).collect()
    }
}

/// Up to so many values are moved one by one, more as one block: that needs memory in between, but no value
/// waits for its own bytes.
const FEW: usize = 6;

/// Each part has a byte at least.
#[inline]
fn present(parts: usize, input: Input<'_>) -> Result<(), DecodeError> {
    if parts > input.left() {
        return Err(DecodeError::Truncated);
    }
    Ok(())
}
