//! Runs of integers, which lists of numbers are: in blocks, so that each costs little more than its bytes.

use alloc::vec::Vec;

use super::{
    Parse,
    leaves::short_big,
    machine::{Frame, Kind},
};
use crate::{DecodeError, Term, input::Input, items::Items, tag, term::Repr};

impl<'b> Parse<'b> {
    /// The integers with which a container begins. `true` when it consists of nothing else: it is a value then.
    pub(super) fn integers(
        &mut self,
        open: &mut Frame,
        mut rest: Input<'b>,
        values: &mut Vec<Term>,
    ) -> Result<(bool, Input<'b>), DecodeError> {
        let mut block = [0; BLOCK];
        let length;
        (length, rest) = run(rest, open.missing, &mut block);
        if length < BLOCK.min(open.missing) {
            // Something else comes soon.
            values.reserve(open.missing);
            values.extend(integers(block.get(..length).unwrap_or_default()));
            open.missing = open.missing.saturating_sub(length);
            return Ok((false, rest));
        }
        let mut all: Vec<i64> = Vec::with_capacity(open.missing);
        all.extend_from_slice(block.get(..length).unwrap_or_default());
        open.missing = open.missing.saturating_sub(length);
        while open.missing > 0 {
            let length;
            (length, rest) = run(rest, open.missing, &mut block);
            all.extend_from_slice(block.get(..length).unwrap_or_default());
            open.missing = open.missing.saturating_sub(length);
            if length == 0 {
                break;
            }
        }
        let proper = open.kind == Kind::List && rest.peek() == Ok(tag::NIL);
        if open.missing > 0 || !(proper || open.kind == Kind::Tuple) {
            values.reserve(all.len().saturating_add(open.missing));
            values.extend(integers(&all));
            return Ok((false, rest));
        }
        let items: Items = integers(&all).collect();
        if proper {
            rest.skip(1)?;
            values.push(Term(Repr::List(items)));
        } else {
            values.push(Term(Repr::Tuple(items)));
        }
        Ok((true, rest))
    }
}

fn integers(values: &[i64]) -> impl Iterator<Item = Term> {
    values.iter().map(|value| Term(Repr::Int(*value)))
}

/// As many integers as come next, up to the length of the block and up to `most`.
fn run<'b>(mut rest: Input<'b>, most: usize, block: &mut [i64; BLOCK]) -> (usize, Input<'b>) {
    let mut length = 0_usize;
    for place in block.iter_mut().take(most) {
        match rest.0 {
            [tag::SMALL_INTEGER, value, after @ ..] => {
                *place = i64::from(*value);
                rest = Input(after);
            }
            [tag::INTEGER, a, b, c, d, after @ ..] => {
                *place = i32::from_be_bytes([*a, *b, *c, *d]).into();
                rest = Input(after);
            }
            [tag::SMALL_BIG, after @ ..] => match short_big(Input(after)) {
                Some((Ok(value), after)) => {
                    *place = value;
                    rest = after;
                }
                _ => break,
            },
            _ => break,
        }
        length = length.saturating_add(1);
    }
    (length, rest)
}

/// How many are read before they are put to their place.
const BLOCK: usize = 64;
