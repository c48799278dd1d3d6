//! What nests deep: a stack on the heap instead of recursion.

use alloc::vec::Vec;

use super::{
    Parse, Parsed,
    containers::{Head, Kind},
};
use crate::{DecodeError, Term, input::Input, tag};

/// A container of which parts are still to come.
struct Frame {
    kind: Kind,
    /// How many parts are still to come; a list's tail is not counted.
    missing: usize,
    /// Where its first part is among the values.
    start: usize,
}

impl<'b> Parse<'b> {
    /// A container of which no part has come, with everything in it.
    #[inline(never)]
    pub(super) fn deep(
        &mut self,
        kind: Kind,
        missing: usize,
        mut input: Input<'b>,
        depth: usize,
        owed: usize,
    ) -> Parsed<'b> {
        // Values wait here until the last part of their container has come.
        let mut values = Vec::new();
        let mut open: Vec<Frame> = Vec::new();
        // Parts of open containers that have not begun: each has a byte at least.
        let mut owed = owed;
        let mut head = Head::Open(kind, missing);
        loop {
            match head {
                Head::Leaf(term) => values.push(term),
                Head::Open(kind, missing) => {
                    if depth.saturating_add(open.len()) >= self.limits.depth {
                        return Err(DecodeError::TooDeep(self.limits.depth));
                    }
                    let tail = usize::from(matches!(kind, Kind::List));
                    owed = owed.saturating_add(missing).saturating_add(tail);
                    values.reserve(missing);
                    open.push(Frame {
                        kind,
                        missing,
                        start: values.len(),
                    });
                    head = self.next(&mut input, &mut owed)?;
                    continue;
                }
            }
            // A value is complete, and with it perhaps what it is the last part of, and so on.
            loop {
                let Some(frame) = open.last_mut() else {
                    let term = values.pop().ok_or(DecodeError::Truncated)?;
                    return Ok((term, input));
                };
                frame.missing = frame.missing.saturating_sub(1);
                if frame.missing > 0
                    || self.awaits_more(frame, &mut values, &mut input, &mut owed)?
                {
                    break;
                }
                if let Some(frame) = open.pop() {
                    let items = values.drain(frame.start..).collect();
                    values.push(self.close(frame.kind, items, input)?);
                }
            }
            head = self.next(&mut input, &mut owed)?;
        }
    }

    fn next(&mut self, input: &mut Input<'b>, owed: &mut usize) -> Result<Head, DecodeError> {
        // What comes now is owed no longer, whatever it owes itself.
        *owed = owed.saturating_sub(1);
        let tag = input.u8()?;
        self.open(tag, input, *owed)
    }

    /// Whether a container with all its counted parts needs more: a list has a tail, which may continue it.
    fn awaits_more(
        &mut self,
        frame: &mut Frame,
        values: &mut Vec<Term>,
        input: &mut Input<'b>,
        owed: &mut usize,
    ) -> Result<bool, DecodeError> {
        while matches!(frame.kind, Kind::List) {
            match input.peek()? {
                tag::NIL => {
                    input.skip(1)?;
                    *owed = owed.saturating_sub(1);
                    return Ok(false);
                }
                // `[1 | [2]]`: the same list goes on.
                tag::LIST => {
                    input.skip(1)?;
                    frame.missing = input.count()?;
                    if frame.missing > 0 {
                        self.claim(frame.missing, *owed, *input)?;
                        *owed = owed.saturating_add(frame.missing);
                        return Ok(true);
                    }
                }
                tag::STRING => {
                    input.skip(1)?;
                    let rest = self.string(input)?;
                    values.extend_from_slice(rest.as_list().unwrap_or_default());
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
}
