//! Terms with parts.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use super::{Decoder, Head, leaves::OVERHEAD};
use crate::{
    DecodeError, Map, Term,
    fun::{Fun, Record},
    items::Items,
    tag,
    term::Repr,
};

/// A container of which parts are still to come.
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// How many parts are still to come; a list's tail is not counted.
    pub(super) missing: usize,
    /// Where its first part is among the values.
    pub(super) start: usize,
}

pub(super) enum Kind {
    Tuple,
    List,
    /// Its elements are there, the tail is not.
    Improper,
    Map,
    /// Without its variables, and what its size field says about where it ends.
    Fun(Box<Fun>, usize),
    Record(Box<Record>),
}

impl Kind {
    pub(super) fn has_tail(&self) -> bool {
        matches!(self, Self::List)
    }
}

impl Decoder<'_> {
    pub(super) fn container(&mut self, tag: u8, others: usize) -> Result<Head, DecodeError> {
        match tag {
            tag::SMALL_TUPLE => {
                let arity = self.reader.u8()?.into();
                self.tuple(arity, others)
            }
            tag::LARGE_TUPLE => {
                let arity = self.reader.count()?;
                self.tuple(arity, others)
            }
            tag::LIST => {
                let length = self.reader.count()?;
                self.claim(length, others.saturating_add(1))?;
                Ok(Head::Open(Kind::List, length))
            }
            tag::MAP => match self.reader.count()? {
                0 => {
                    self.charge(1, OVERHEAD)?;
                    Ok(Head::Leaf(Map::default().into()))
                }
                pairs => {
                    let parts = pairs.saturating_mul(2);
                    self.claim(parts, others)?;
                    Ok(Head::Open(Kind::Map, parts))
                }
            },
            tag::NEW_FUN => self.fun(others),
            tag::RECORD => self.record(others),
            other => Err(DecodeError::Tag(other)),
        }
    }

    fn tuple(&mut self, arity: usize, others: usize) -> Result<Head, DecodeError> {
        if arity == 0 {
            return Ok(Head::Leaf(Term(Repr::Tuple(Items::default()))));
        }
        self.claim(arity, others)?;
        Ok(Head::Open(Kind::Tuple, arity))
    }

    fn fun(&mut self, others: usize) -> Result<Head, DecodeError> {
        let start = self.reader.used();
        let end = start.saturating_add(self.reader.count()?);
        let arity = self.reader.u8()?;
        let uniq = self.reader.array()?;
        let index = self.reader.u32()?;
        let variables = self.reader.count()?;
        let module = self.atom()?;
        let (old_index, old_uniq) = (self.integer()?, self.integer()?);
        let tag = self.reader.u8()?;
        let pid = self.pid(tag)?;
        let free = Items::default();
        let fun = Fun {
            module,
            arity,
            uniq,
            index,
            old_index,
            old_uniq,
            pid,
            free,
            size: 0,
        };
        self.claim(variables, others)?;
        self.charge(1, size_of::<Fun>())?;
        match variables {
            0 => Ok(Head::Leaf(self.close_fun(fun, end)?)),
            _ => Ok(Head::Open(Kind::Fun(Box::new(fun), end), variables)),
        }
    }

    fn close_fun(&self, mut fun: Fun, end: usize) -> Result<Term, DecodeError> {
        if self.reader.used() != end {
            return Err(DecodeError::FunSize);
        }
        fun.size = fun.measure();
        Ok(fun.into())
    }

    fn record(&mut self, others: usize) -> Result<Head, DecodeError> {
        let count = self.reader.count()?;
        let flags = self.reader.u8()?;
        let (module, name) = (self.atom()?, self.atom()?);
        // Names and values.
        self.claim(count.saturating_mul(2), others)?;
        let fields = (0..count)
            .map(|_| self.atom())
            .collect::<Result<Vec<_>, _>>()?;
        let values = Items::default();
        let record = Record {
            module,
            name,
            flags,
            fields: fields.into(),
            values,
        };
        self.charge(1, OVERHEAD)?;
        match count {
            0 => Ok(Head::Leaf(record.into())),
            _ => Ok(Head::Open(Kind::Record(Box::new(record)), count)),
        }
    }

    /// Refuses parts for which there cannot be bytes, then those for which there is no memory. With this, what
    /// is reserved is in proportion to the bytes present, over all open containers together.
    fn claim(&mut self, parts: usize, others: usize) -> Result<(), DecodeError> {
        if parts.saturating_add(others) > self.reader.left() {
            return Err(DecodeError::Truncated);
        }
        self.charge(1, OVERHEAD)?;
        self.charge(parts, size_of::<Term>())
    }

    /// Whether a container with all its counted parts needs more: a list has a tail, which may continue it.
    pub(super) fn awaits_more(
        &mut self,
        frame: &mut Frame,
        values: &mut Vec<Term>,
        owed: &mut usize,
    ) -> Result<bool, DecodeError> {
        while matches!(frame.kind, Kind::List) {
            match self.reader.peek()? {
                tag::NIL => {
                    self.reader.u8()?;
                    *owed = owed.saturating_sub(1);
                    return Ok(false);
                }
                // `[1 | [2]]`: the same list goes on.
                tag::LIST => {
                    self.reader.u8()?;
                    frame.missing = self.reader.count()?;
                    self.claim(frame.missing, *owed)?;
                    *owed = owed.saturating_add(frame.missing);
                    if frame.missing > 0 {
                        return Ok(true);
                    }
                }
                tag::STRING => {
                    let Head::Leaf(rest) = self.head(*owed)? else {
                        return Err(DecodeError::Part);
                    };
                    values.extend(rest.as_list().unwrap_or_default().iter().cloned());
                    *owed = owed.saturating_sub(1);
                    return Ok(false);
                }
                _ => {
                    frame.kind = Kind::Improper;
                    frame.missing = 1;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    pub(super) fn close(&self, frame: Frame, values: &mut Vec<Term>) -> Result<Term, DecodeError> {
        let items: Items = values.drain(frame.start..).collect();
        Ok(match frame.kind {
            Kind::Tuple => Term(Repr::Tuple(items)),
            Kind::List => Term(Repr::List(items)),
            Kind::Improper => Term(Repr::Improper(items)),
            Kind::Map => {
                let map = Map::distinct(items).ok_or(DecodeError::DuplicateKey)?;
                Term(Repr::Map(Arc::new(map)))
            }
            Kind::Fun(fun, end) => self.close_fun(
                Fun {
                    free: items,
                    ..*fun
                },
                end,
            )?,
            Kind::Record(record) => Record {
                values: items,
                ..*record
            }
            .into(),
        })
    }
}
