//! Terms of every kind, at every depth: the open containers wait on the heap, so that no depth of nesting can exhaust
//! the thread's stack.

use alloc::{boxed::Box, vec::Vec};
use core::mem;

use super::{Parse, leaves::leaves};
use crate::{
    DecodeError, Map, Pid, Term,
    fun::{Fun, Record},
    input::Input,
    items::Items,
    parts::{self, Names, OVERHEAD},
    tag,
    term::Repr,
};

/// A container of which parts are still to come.
struct Open {
    kind: Kind,
    /// All that have been claimed, in their order; nothing yet in those from `next` on.
    parts: Vec<Term>,
    next: usize,
}

enum Kind {
    Tuple,
    /// After its elements comes a tail.
    List,
    /// Its tail is its last part.
    Improper,
    Map,
    /// And how many bytes are left where it ends.
    Fun(Box<Fun>, usize),
    Record(Box<Record>),
}

impl<'b> Parse<'b> {
    /// Puts the next term into this place; for the arguments see [`fill`](Self::fill).
    #[inline(never)]
    pub(super) fn far(
        &mut self,
        place: &mut Term,
        mut rest: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<Input<'b>> {
        match self.begin(place, &mut rest, level, owed) {
            Ok(None) => Some(rest),
            Ok(Some(open)) => self.finish(place, open, rest, level, owed),
            Err(fault) => self.fail(fault),
        }
    }

    /// Puts a list into this place of which the elements are there, and after which something else comes than its end.
    #[cold]
    pub(super) fn list_goes_on(
        &mut self,
        place: &mut Term,
        mut elements: Items,
        rest: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<Input<'b>> {
        let (_, places) = elements.open()?;
        // With one for the tail.
        let mut parts = Vec::with_capacity(places.len().saturating_add(1));
        parts.extend(places.iter_mut().map(mem::take));
        // The places, not to be held as long as the list goes on.
        drop(elements);
        let open = Open {
            kind: Kind::List,
            next: parts.len(),
            parts,
        };
        self.finish(place, open, rest, level, owed)
    }

    fn finish(
        &mut self,
        place: &mut Term,
        open: Open,
        rest: Input<'b>,
        level: usize,
        owed: usize,
    ) -> Option<Input<'b>> {
        match self.run(open, rest, level.saturating_add(1), owed) {
            Ok((term, rest)) => {
                self.deep = true;
                *place = term;
                Some(rest)
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// The rest of a container, with which `level` are open.
    fn run(
        &mut self,
        mut open: Open,
        mut rest: Input<'b>,
        level: usize,
        mut owed: usize,
    ) -> Result<(Term, Input<'b>), DecodeError> {
        let mut waiting: Vec<Open> = Vec::new();
        loop {
            let places = open.parts.get_mut(open.next..).unwrap_or_default();
            let (places, after) = leaves(places, rest, self.atoms);
            rest = after;
            let missing = places.len();
            if let Some(place) = places.first_mut() {
                let level = level.saturating_add(waiting.len());
                let more = open.kind.owes(missing);
                let begun = self.begin(place, &mut rest, level, owed.saturating_add(more))?;
                open.next = open.parts.len().saturating_sub(missing);
                match begun {
                    None => open.next = open.next.saturating_add(1),
                    Some(inner) => {
                        owed = owed.saturating_add(more);
                        waiting.push(mem::replace(&mut open, inner));
                    }
                }
                continue;
            }
            if self.goes_on(&mut open, &mut rest, owed)? {
                continue;
            }
            let term = close(open.kind, open.parts.into(), rest)?;
            let Some(outer) = waiting.pop() else {
                return Ok((term, rest));
            };
            open = outer;
            let missing = open.parts.len().saturating_sub(open.next);
            owed = owed.saturating_sub(open.kind.owes(missing));
            if let Some(place) = open.parts.get_mut(open.next) {
                *place = term;
            }
            open.next = open.next.saturating_add(1);
        }
    }

    /// The next term, when it has no parts: it is put into its place. Else the container.
    fn begin(
        &mut self,
        place: &mut Term,
        rest: &mut Input<'b>,
        level: usize,
        owed: usize,
    ) -> Result<Option<Open>, DecodeError> {
        let mut tag = rest.u8()?;
        // OTP takes a list without elements for its tail.
        while tag == tag::LIST && rest.skip_zero_count() {
            tag = rest.u8()?;
        }
        let (kind, count) = match tag {
            tag::SMALL_TUPLE => (Kind::Tuple, rest.u8()?.into()),
            tag::LARGE_TUPLE => (Kind::Tuple, rest.count()?),
            tag::LIST => (Kind::List, rest.count()?),
            tag::MAP => (Kind::Map, rest.count()?.saturating_mul(2)),
            tag::NEW_FUN => self.fun(rest)?,
            tag::RECORD => self.record(rest)?,
            _ => {
                *place = self.leaf(tag, rest)?.ok_or(DecodeError::Tag(tag))?;
                return Ok(None);
            }
        };
        if count == 0 {
            self.charge(OVERHEAD).ok_or(self.fault)?;
            *place = close(kind, Items::default(), *rest)?;
            return Ok(None);
        }
        if level >= self.limits.depth {
            return Err(DecodeError::TooDeep(self.limits.depth));
        }
        let tail = usize::from(matches!(kind, Kind::List));
        self.claim(count, owed.saturating_add(tail), *rest)
            .ok_or(self.fault)?;
        let mut parts = Vec::with_capacity(count.saturating_add(tail));
        parts.resize_with(count, Term::nil);
        Ok(Some(Open {
            kind,
            parts,
            next: 0,
        }))
    }

    /// Whether there is more of a list after the elements that were claimed: its own tail, or more elements.
    fn goes_on(
        &mut self,
        open: &mut Open,
        rest: &mut Input<'b>,
        owed: usize,
    ) -> Result<bool, DecodeError> {
        open.next = open.parts.len();
        if !matches!(open.kind, Kind::List) {
            return Ok(false);
        }
        loop {
            match rest.peek()? {
                tag::NIL => {
                    rest.skip(1)?;
                    return Ok(false);
                }
                // `[1 | [2]]`: the same list goes on.
                tag::LIST => {
                    rest.skip(1)?;
                    let count = rest.count()?;
                    if count > 0 {
                        self.claim(count, owed.saturating_add(1), *rest)
                            .ok_or(self.fault)?;
                        reserve(&mut open.parts, count);
                        let length = open.parts.len().saturating_add(count);
                        open.parts.resize_with(length, Term::nil);
                        return Ok(true);
                    }
                }
                tag::STRING => {
                    rest.skip(1)?;
                    let bytes = self.string(rest)?;
                    open.parts.reserve_exact(bytes.len());
                    open.parts
                        .extend(bytes.iter().map(|byte| Term::from(*byte)));
                    return Ok(false);
                }
                _ => {
                    open.kind = Kind::Improper;
                    open.parts.reserve_exact(1);
                    open.parts.push(Term::nil());
                    return Ok(true);
                }
            }
        }
    }

    /// A closure, up to its variables, and how many it has.
    fn fun(&mut self, input: &mut Input<'b>) -> Result<(Kind, usize), DecodeError> {
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
        self.charge(parts::fun_cost()).ok_or(self.fault)?;
        Ok((Kind::Fun(Box::new(fun), head.left), head.variables))
    }

    /// A native record, up to its values, and how many it has.
    fn record(&mut self, input: &mut Input<'b>) -> Result<(Kind, usize), DecodeError> {
        let count = input.count()?;
        let flags = input.u8()?;
        let (module, name) = (self.name(input)?, self.name(input)?);
        // Names and values.
        present(count.saturating_mul(2), *input)?;
        self.charge(parts::record_cost(count)).ok_or(self.fault)?;
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
        Ok((Kind::Record(Box::new(record)), count))
    }
}

impl Kind {
    /// With so many parts missing: how many are, beside the next one.
    fn owes(&self, missing: usize) -> usize {
        let tail = usize::from(matches!(self, Self::List));
        missing.saturating_sub(1).saturating_add(tail)
    }
}

/// Room for so many more elements, of which a peer decides: twice as much would not be paid for, and only what is
/// needed would copy a list of many short stretches again and again.
fn reserve(parts: &mut Vec<Term>, more: usize) {
    let spare = parts.capacity().saturating_sub(parts.len());
    if spare < more {
        parts.reserve_exact(more.max(parts.len().wrapping_shr(4)));
    }
}

/// A container of its parts.
fn close(kind: Kind, items: Items, rest: Input<'_>) -> Result<Term, DecodeError> {
    Ok(match kind {
        Kind::Tuple => Term(Repr::Tuple(items)),
        Kind::List => Term(Repr::list(items)),
        Kind::Improper => Term(Repr::Improper(items)),
        Kind::Map => Map::distinct(items)
            .ok_or(DecodeError::DuplicateKey)?
            .into(),
        Kind::Fun(_, left) if left != rest.left() => return Err(DecodeError::FunSize),
        Kind::Fun(mut fun, _) => {
            fun.free = items;
            (*fun).into()
        }
        Kind::Record(mut record) => {
            record.values = items;
            (*record).into()
        }
    })
}

/// Each part has a byte at least.
#[inline]
pub(super) fn present(parts: usize, input: Input<'_>) -> Result<(), DecodeError> {
    if parts > input.left() {
        return Err(DecodeError::Truncated);
    }
    Ok(())
}
