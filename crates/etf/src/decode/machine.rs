//! The loop over everything that a term consists of, with a stack on the heap: no depth of nesting can exhaust the
//! thread's.

use alloc::vec::Vec;

use super::{
    Parse, Parsed,
    leaves::{short_atom, short_big, short_binary},
};
use crate::{DecodeError, Term, input::Input, tag, term::Repr};

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
            (open.missing, rest) = leaves(open.missing, rest, &mut values);
            let mut opened = None;
            if open.missing > 0 {
                if let [tag::SMALL_TUPLE, arity @ 1..=u8::MAX, after @ ..] = rest.0 {
                    opened = Some((Kind::Tuple, (*arity).into()));
                    rest = Input(after);
                } else {
                    let tag = rest.u8()?;
                    opened = self.seldom(tag, &mut rest, &mut values)?;
                }
                open.missing = open.missing.saturating_sub(usize::from(opened.is_none()));
            }
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
            } else if open.missing > 0 {
                continue;
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

/// Puts what messages mostly consist of among the values; stops at everything else, and at faults. Gives how many parts
/// are still missing.
///
/// Each kind is put to its place by itself: a value that were made in several branches and moved in one would wait for
/// its own bytes. And nothing here makes a `Result`, which would cost as much as the value.
#[inline]
fn leaves<'b>(
    mut missing: usize,
    mut rest: Input<'b>,
    values: &mut Vec<Term>,
) -> (usize, Input<'b>) {
    while missing > 0 {
        let Some((tag, after)) = rest.0.split_first() else {
            break;
        };
        match *tag {
            tag::SMALL_INTEGER => {
                let Some((value, after)) = after.split_first() else {
                    break;
                };
                values.push(Term(Repr::Int((*value).into())));
                rest = Input(after);
            }
            tag::INTEGER => {
                let Some((value, after)) = after.split_first_chunk() else {
                    break;
                };
                values.push(Term(Repr::Int(i32::from_be_bytes(*value).into())));
                rest = Input(after);
            }
            tag::NIL => {
                values.push(Term(Repr::Nil));
                rest = Input(after);
            }
            tag::SMALL_ATOM_UTF8 => {
                let Some((atom, after)) = short_atom(Input(after)) else {
                    break;
                };
                values.push(Term(Repr::Atom(atom)));
                rest = after;
            }
            tag::BINARY => {
                let Some((binary, after)) = short_binary(Input(after)) else {
                    break;
                };
                values.push(Term(Repr::ShortBinary(binary)));
                rest = after;
            }
            tag::NEW_FLOAT => {
                let Some((value, after)) = after.split_first_chunk() else {
                    break;
                };
                let value = f64::from_be_bytes(*value);
                if !value.is_finite() {
                    break;
                }
                values.push(Term(Repr::Float(value)));
                rest = Input(after);
            }
            tag::SMALL_BIG => match short_big(Input(after)) {
                Some((Ok(value), after)) => {
                    values.push(Term(Repr::Int(value)));
                    rest = after;
                }
                Some((Err(value), after)) => {
                    values.push(Term(Repr::ShortBig(value)));
                    rest = after;
                }
                None => break,
            },
            _ => break,
        }
        missing = missing.saturating_sub(1);
    }
    (missing, rest)
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
