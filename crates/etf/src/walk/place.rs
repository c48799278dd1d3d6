//! [`Place`]: where in a term a reader is.

use alloc::vec::Vec;

use crate::{Term, parts::OVERHEAD};

/// How many values are missing, and which containers are open.
///
/// What is missing is counted in twos, over all open containers together. Of each container only that count is kept
/// which makes it complete, plus one if it is a list. So one number tells everything about the next value: whether it is the
/// last one of its container, and whether it is the tail of a list, which may continue that list.
pub(super) struct Place {
    missing: usize,
    /// Of the innermost container.
    end: usize,
    level: usize,
    /// Of the containers around it, the first of them.
    near: [usize; NEAR],
    /// The others.
    far: Vec<usize>,
}

/// Levels that need no memory.
const NEAR: usize = 16;

/// Which limit a container breaks.
pub(super) enum Refused {
    /// It claims more parts than there are bytes.
    Truncated,
    TooDeep,
    TooLarge,
}

impl Place {
    /// Before the first value.
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            missing: 2,
            end: 0,
            level: 0,
            near: [0; NEAR],
            far: Vec::new(),
        }
    }

    /// How many containers are open.
    #[inline(always)]
    pub(super) fn level(&self) -> usize {
        self.level
    }

    /// A value without parts has been read.
    #[inline(always)]
    pub(super) fn pass(&mut self) {
        self.missing = self.missing.wrapping_sub(2);
    }

    /// Whether no part of the innermost container is missing; then [`close`](Self::close) it.
    #[inline(always)]
    pub(super) fn is_complete(&self) -> bool {
        self.missing <= self.end
    }

    /// A container begins that has so many parts, without the tail, and with `left` bytes after this.
    #[inline(always)]
    pub(super) fn open(
        &mut self,
        parts: usize,
        list: bool,
        left: usize,
        levels: usize,
        budget: &mut usize,
    ) -> Result<(), Refused> {
        let outside = self.missing.wrapping_sub(2);
        if parts > 0 {
            let parts_and_tail = parts.saturating_add(list.into());
            self.missing = outside.saturating_add(parts_and_tail.saturating_mul(2));
            if self.missing / 2 > left {
                return Err(Refused::Truncated);
            }
            let cost = parts.saturating_mul(size_of::<Term>());
            let after = budget.checked_sub(cost.saturating_add(OVERHEAD));
            *budget = after.ok_or(Refused::TooLarge)?;
            // `[1 | [2]]`: the same list goes on.
            if list && outside.wrapping_add(1) == self.end {
                return Ok(());
            }
        } else {
            self.missing = outside;
            // Complete at once.
        }
        if parts > 0 && self.level >= levels {
            return Err(Refused::TooDeep);
        }
        match self.near.get_mut(self.level) {
            Some(place) => *place = self.end,
            None => self.far.push(self.end),
        }
        self.level = self.level.wrapping_add(1);
        self.end = outside | usize::from(list);
        Ok(())
    }

    /// The innermost container is complete; `None` when none is open.
    #[inline(always)]
    pub(super) fn close(&mut self) -> Option<()> {
        self.level = self.level.checked_sub(1)?;
        self.end = match self.near.get(self.level) {
            Some(end) => *end,
            None => self.far.pop()?,
        };
        Some(())
    }
}
