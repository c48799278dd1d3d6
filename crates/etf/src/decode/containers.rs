//! Terms with parts.

use alloc::{boxed::Box, vec::Vec};

use super::{Parse, Parsed};
use crate::{
    DecodeError, Map, Pid, Term,
    fun::{Fun, Record},
    input::Input,
    items::Items,
    parts::{self, Names, OVERHEAD},
    tag,
    term::Repr,
};

/// The beginning of a term.
pub(super) enum Head {
    /// All of it.
    Leaf(Term),
    /// A container and the number of its parts, at least one.
    Open(Kind, usize),
}

pub(super) enum Kind {
    Tuple,
    /// After its elements comes a tail.
    List,
    /// Its elements are there, the tail is not.
    Improper,
    Map,
    /// Without its variables, and how many bytes are left where it ends.
    Fun(Box<Fun>, usize),
    Record(Box<Record>),
}

impl<'b> Parse<'b> {
    /// A term of any kind after its tag.
    ///
    /// This recurses, through the parts of a container, but only [`RECURSION`] levels deep.
    #[inline(never)]
    pub(super) fn container(
        &mut self,
        tag: u8,
        mut input: Input<'b>,
        depth: usize,
        owed: usize,
    ) -> Parsed<'b> {
        let (kind, missing) = match self.open(tag, &mut input, owed)? {
            Head::Leaf(term) => return Ok((term, input)),
            Head::Open(kind, missing) => (kind, missing),
        };
        if depth >= self.limits.depth {
            return Err(DecodeError::TooDeep(self.limits.depth));
        }
        if depth >= RECURSION {
            return self.deep(kind, missing, input, depth, owed);
        }
        let inner = depth.saturating_add(1);
        // A list owes its tail, too.
        let tail = usize::from(matches!(kind, Kind::List));
        let items = self.items(missing, &mut input, inner, owed.saturating_add(tail))?;
        if let Kind::List = kind {
            if input.peek()? == tag::NIL {
                input.skip(1)?;
                return Ok((Term(Repr::List(items)), input));
            }
            return self.list_goes_on(items, input, inner, owed);
        }
        Ok((self.close(kind, items, input)?, input))
    }

    /// So many parts, straight into their place.
    #[inline]
    fn items(
        &mut self,
        count: usize,
        input: &mut Input<'b>,
        depth: usize,
        owed: usize,
    ) -> Result<Items, DecodeError> {
        let mut failed = None;
        let mut rest = *input;
        let items = (0..count).map(|index| {
            let others = count.saturating_sub(index).saturating_sub(1);
            match self.part(rest, depth, owed.saturating_add(others)) {
                Ok((term, after)) => {
                    rest = after;
                    term
                }
                Err(error) => {
                    failed.get_or_insert(error);
                    // So that all others fail at once.
                    rest = Input(&[]);
                    Term::nil()
                }
            }
        });
        let items = items.collect();
        *input = rest;
        match failed {
            None => Ok(items),
            Some(error) => Err(error),
        }
    }

    /// A list with another tail than `[]`: one that continues it, or one that makes it improper.
    #[cold]
    fn list_goes_on(
        &mut self,
        items: Items,
        mut input: Input<'b>,
        depth: usize,
        owed: usize,
    ) -> Parsed<'b> {
        let mut values = items.to_vec();
        let from = &mut input;
        loop {
            match from.u8()? {
                tag::NIL => break,
                // `[1 | [2]]`: the same list goes on.
                tag::LIST => {
                    let count = from.count()?;
                    let others = owed.saturating_add(1);
                    if count > 0 {
                        self.claim(count, others, *from)?;
                    }
                    values.extend_from_slice(&self.items(count, from, depth, others)?);
                }
                tag::STRING => {
                    let rest = self.string(from)?;
                    values.extend_from_slice(rest.as_list().unwrap_or_default());
                    break;
                }
                tag => {
                    let tail;
                    (tail, input) = self.container(tag, input, depth, owed)?;
                    values.push(tail);
                    return Ok((Term(Repr::Improper(values.into())), input));
                }
            }
        }
        Ok((Term(Repr::List(values.into())), input))
    }

    /// A term after its tag, up to its parts.
    pub(super) fn open(
        &mut self,
        mut tag: u8,
        input: &mut Input<'b>,
        owed: usize,
    ) -> Result<Head, DecodeError> {
        // OTP takes a list without elements for its tail.
        while tag == tag::LIST && input.skip_zero_count() {
            tag = input.u8()?;
        }
        let (kind, missing) = match tag {
            tag::SMALL_TUPLE => (Kind::Tuple, input.u8()?.into()),
            tag::LARGE_TUPLE => (Kind::Tuple, input.count()?),
            tag::LIST => (Kind::List, input.count()?),
            tag::MAP => (Kind::Map, input.count()?.saturating_mul(2)),
            tag::NEW_FUN => return self.fun(input, owed),
            tag::RECORD => return self.record(input, owed),
            _ => {
                let leaf = self.seldom(tag, input)?;
                return leaf.map(Head::Leaf).ok_or(DecodeError::Tag(tag));
            }
        };
        if missing == 0 {
            return Ok(Head::Leaf(match kind {
                Kind::Map => Map::default().into(),
                _ => Term(Repr::Tuple(Items::default())),
            }));
        }
        let tail = usize::from(matches!(kind, Kind::List));
        self.claim(missing, owed.saturating_add(tail), *input)?;
        Ok(Head::Open(kind, missing))
    }

    fn fun(&mut self, input: &mut Input<'b>, owed: usize) -> Result<Head, DecodeError> {
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
        if head.variables == 0 {
            return Ok(Head::Leaf(close_fun(fun, head.left, *input)?));
        }
        self.claim(head.variables, owed, *input)?;
        Ok(Head::Open(
            Kind::Fun(Box::new(fun), head.left),
            head.variables,
        ))
    }

    fn record(&mut self, input: &mut Input<'b>, owed: usize) -> Result<Head, DecodeError> {
        let count = input.count()?;
        let flags = input.u8()?;
        let (module, name) = (self.name(input)?, self.name(input)?);
        // Names and values.
        self.present(count.saturating_mul(2).saturating_add(owed), *input)?;
        self.charge(OVERHEAD.saturating_add(count.saturating_mul(size_of::<Term>())))?;
        let fields = (0..count)
            .map(|_| self.name(input))
            .collect::<Result<Vec<_>, _>>()?;
        let record = Record {
            module,
            name,
            flags,
            fields: fields.into(),
            values: Items::default(),
        };
        if count == 0 {
            return Ok(Head::Leaf(record.into()));
        }
        self.claim(count, owed, *input)?;
        Ok(Head::Open(Kind::Record(Box::new(record)), count))
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
        self.present(parts.saturating_add(owed), input)?;
        let bytes = parts.saturating_mul(size_of::<Term>());
        self.charge(bytes.saturating_add(OVERHEAD))
    }

    /// Each part has a byte at least.
    #[inline]
    fn present(&self, parts: usize, input: Input<'b>) -> Result<(), DecodeError> {
        if parts > input.left() {
            return Err(DecodeError::Truncated);
        }
        Ok(())
    }

    pub(super) fn close(
        &self,
        kind: Kind,
        items: Items,
        input: Input<'b>,
    ) -> Result<Term, DecodeError> {
        Ok(match kind {
            Kind::Tuple => Term(Repr::Tuple(items)),
            Kind::List => Term(Repr::List(items)),
            Kind::Improper => Term(Repr::Improper(items)),
            Kind::Map => Map::distinct(items)
                .ok_or(DecodeError::DuplicateKey)?
                .into(),
            Kind::Fun(fun, left) => {
                let free = items;
                close_fun(Fun { free, ..*fun }, left, input)?
            }
            Kind::Record(record) => {
                let values = items;
                Record { values, ..*record }.into()
            }
        })
    }
}

fn close_fun(mut fun: Fun, left: usize, input: Input<'_>) -> Result<Term, DecodeError> {
    if input.left() != left {
        return Err(DecodeError::FunSize);
    }
    fun.size = fun.measure();
    Ok(fun.into())
}

/// How many levels of nesting are decoded by recursion: most terms have fewer, and a level takes a few hundred
/// bytes of stack. What lies deeper is decoded with a stack on the heap.
const RECURSION: usize = 6;
