//! The loop over everything that a term consists of, with a stack on the heap: no depth of nesting can exhaust the
//! thread's.

use alloc::vec::Vec;

use super::{
    Parse, Parsed,
    leaves::{short_atom, short_big, short_binary},
};
use crate::{DecodeError, Term, input::Input, parts, tag, term::Repr};

/// A container of which parts are still to come.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// How many parts are still to come; a list's tail is not counted.
    pub(super) missing: usize,
    /// Where its first part is among the values.
    pub(super) start: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The term itself.
    Whole,
    Tuple,
    /// After its elements comes a tail.
    List,
    /// Its elements are there, the tail is not.
    Improper,
    Map,
    /// The last of the heads is what it has before its parts.
    Headed,
}

impl<'b> Parse<'b> {
    /// The next term, of any kind.
    ///
    /// What messages mostly consist of is decoded right in the loop, each kind put to its place by itself: a value
    /// that were made in several branches and moved in one would wait for its own bytes.
    pub(super) fn term(&mut self, mut rest: Input<'b>) -> Parsed<'b> {
        // Values wait here until the last part of their container has come.
        let mut values: Vec<Term> = Vec::new();
        let mut waiting: Vec<Frame> = Vec::new();
        // Parts of waiting containers that have not begun: each has a byte at least.
        let mut owed = 0_usize;
        let mut open = Frame {
            kind: Kind::Whole,
            missing: 1,
            start: 0,
        };
        loop {
            let opened = match rest.u8()? {
                tag::SMALL_INTEGER => {
                    values.push(Term(Repr::Int(rest.u8()?.into())));
                    None
                }
                tag::INTEGER => {
                    let value = i32::from_be_bytes(rest.array()?);
                    values.push(Term(Repr::Int(value.into())));
                    None
                }
                tag::NIL => {
                    values.push(Term(Repr::Nil));
                    None
                }
                tag::SMALL_ATOM_UTF8 => match short_atom(rest) {
                    Some((atom, after)) => {
                        rest = after;
                        values.push(Term(Repr::Atom(atom)));
                        None
                    }
                    None => self.seldom(tag::SMALL_ATOM_UTF8, &mut rest, &mut values)?,
                },
                tag::BINARY => match short_binary(rest) {
                    Some((binary, after)) => {
                        rest = after;
                        values.push(Term(Repr::ShortBinary(binary)));
                        None
                    }
                    None => self.seldom(tag::BINARY, &mut rest, &mut values)?,
                },
                tag::NEW_FLOAT => {
                    let value = parts::float(&mut rest)?;
                    values.push(Term(Repr::Float(value)));
                    None
                }
                tag::SMALL_BIG => match short_big(rest) {
                    Some((Ok(value), after)) => {
                        rest = after;
                        values.push(Term(Repr::Int(value)));
                        None
                    }
                    Some((Err(value), after)) => {
                        rest = after;
                        values.push(Term(Repr::ShortBig(value)));
                        None
                    }
                    None => self.seldom(tag::SMALL_BIG, &mut rest, &mut values)?,
                },
                tag::SMALL_TUPLE if rest.peek()? > 0 => Some((Kind::Tuple, rest.u8()?.into())),
                tag::LIST => {
                    let mut after = rest;
                    match after.count()? {
                        0 => self.seldom(tag::LIST, &mut rest, &mut values)?,
                        length => {
                            rest = after;
                            Some((Kind::List, length))
                        }
                    }
                }
                tag => self.seldom(tag, &mut rest, &mut values)?,
            };
            if let Some((kind, missing)) = opened {
                if waiting.len() >= self.limits.depth {
                    return Err(DecodeError::TooDeep(self.limits.depth));
                }
                let tail = usize::from(open.kind == Kind::List);
                owed = owed.saturating_add(open.missing.saturating_sub(1).saturating_add(tail));
                let tail = usize::from(kind == Kind::List);
                self.claim(missing, owed.saturating_add(tail), rest)?;
                waiting.push(open);
                open = Frame {
                    kind,
                    missing,
                    start: values.len(),
                };
                values.reserve(if missing < INTEGERS { missing } else { 0 });
                let mut whole = false;
                if missing >= INTEGERS {
                    (whole, rest) = self.integers(&mut open, rest, &mut values)?;
                }
                if whole {
                    open = outer(&mut waiting, &mut owed)?;
                } else if open.missing > 0 {
                    continue;
                }
            } else {
                open.missing = open.missing.saturating_sub(1);
            }
            // A value is complete, and with it perhaps what it is the last part of, and so on.
            while open.missing == 0 {
                match open.kind {
                    Kind::Whole => {
                        let term = values.pop().ok_or(DecodeError::Truncated)?;
                        return Ok((term, rest));
                    }
                    Kind::List => {
                        rest = self.tail(&mut open, rest, &mut values, owed)?;
                        if open.missing > 0 {
                            break;
                        }
                    }
                    _ => self.close(open, rest, &mut values)?,
                }
                open = outer(&mut waiting, &mut owed)?;
            }
        }
    }
}

/// The container around a part that is complete now.
#[inline]
fn outer(waiting: &mut Vec<Frame>, owed: &mut usize) -> Result<Frame, DecodeError> {
    let mut open = waiting.pop().ok_or(DecodeError::Truncated)?;
    open.missing = open.missing.saturating_sub(1);
    let tail = usize::from(open.kind == Kind::List);
    *owed = owed.saturating_sub(open.missing.saturating_add(tail));
    Ok(open)
}

/// From how many parts on a container is tried for a run of integers.
const INTEGERS: usize = 8;
