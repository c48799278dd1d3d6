//! [`Place`]: where in a term a reader is.

use alloc::{boxed::Box, vec::Vec};

use crate::DecodeError;

/// How many values are missing, and which container is the innermost one.
///
/// What is missing is counted in twos, over all open containers together. Of each container only that count is kept
/// which makes it complete, plus one if it is a list. So one number tells everything about the next value: whether it is the
/// last one of its container, and whether it is the tail of a list, which may continue that list.
pub(super) struct Place {
    missing: usize,
    /// Of the innermost container.
    end: usize,
    level: usize,
}

/// The containers around the innermost one. Apart from [`Place`], so that its numbers stay in registers.
pub(super) struct Around {
    near: [usize; NEAR],
    deep: Option<Box<Deep>>,
}

/// What few terms need.
#[derive(Default)]
struct Deep {
    /// Ends of the containers for which there is no place in `near`.
    ends: Vec<usize>,
    /// Of each open closure its level, and how many bytes must be left where it ends.
    funs: Vec<(usize, usize)>,
}

/// Levels that need no memory.
const NEAR: usize = 16;

impl Place {
    /// Before the first value.
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            missing: 2,
            end: 0,
            level: 0,
        }
    }

    /// The same numbers, for somebody who wants them in memory.
    #[inline(always)]
    pub(super) fn copied(&self) -> Self {
        Self { ..*self }
    }

    /// How many containers are open.
    #[inline(always)]
    pub(super) fn level(&self) -> usize {
        self.level
    }

    /// How many values there have to be, after a container with so many parts has begun and all that was open before.
    #[inline(always)]
    pub(super) fn with(&self, parts: usize, list: bool) -> usize {
        let outside = self.missing.wrapping_sub(2);
        (outside / 2).wrapping_add(parts).wrapping_add(list.into())
    }

    /// Whether a list that begins here continues the one that it is the tail of: `[1 | [2]]`.
    #[inline(always)]
    pub(super) fn continues(&self, list: bool) -> bool {
        list && self.missing == self.end.wrapping_add(1)
    }

    /// A value without parts has been read.
    #[inline(always)]
    pub(super) fn pass(&mut self) {
        self.missing = self.missing.wrapping_sub(2);
    }

    /// A container begins; `values` as [`with`](Self::with) gave it.
    #[inline(always)]
    pub(super) fn open(&mut self, values: usize, list: bool, around: &mut Around) {
        if !self.continues(list) {
            match around.near.get_mut(self.level) {
                Some(place) => *place = self.end,
                None => around.push(self.end),
            }
            self.level = self.level.wrapping_add(1);
            self.end = self.missing.wrapping_sub(2) | usize::from(list);
        }
        self.missing = values.wrapping_mul(2);
    }

    /// Whether no part of the innermost container is missing; then [`close`](Self::close) it.
    #[inline(always)]
    pub(super) fn is_complete(&self) -> bool {
        self.missing <= self.end
    }

    /// The innermost container is complete, and `left` bytes follow; `None` when none is open.
    #[inline(always)]
    pub(super) fn close(
        &mut self,
        left: usize,
        around: &mut Around,
    ) -> Result<Option<()>, DecodeError> {
        if around.deep.is_some() {
            around.end_of_fun(self.level, left)?;
        }
        let Some(level) = self.level.checked_sub(1) else {
            return Ok(None);
        };
        self.level = level;
        self.end = match around.near.get(level) {
            Some(end) => *end,
            None => around.pop(),
        };
        Ok(Some(()))
    }
}

impl Around {
    /// Without any.
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            near: [0; NEAR],
            deep: None,
        }
    }

    /// A closure with variables begins, which so many bytes must follow.
    pub(super) fn open_fun(&mut self, level: usize, left: usize) {
        self.deep.get_or_insert_default().funs.push((level, left));
    }

    #[cold]
    #[inline(never)]
    fn push(&mut self, end: usize) {
        self.deep.get_or_insert_default().ends.push(end);
    }

    #[cold]
    #[inline(never)]
    fn pop(&mut self) -> usize {
        let deep = self.deep.as_mut();
        deep.and_then(|deep| deep.ends.pop()).unwrap_or_default()
    }

    /// Whether a container of this level, a closure perhaps, may end here.
    #[cold]
    #[inline(never)]
    fn end_of_fun(&mut self, level: usize, left: usize) -> Result<(), DecodeError> {
        let Some(deep) = &mut self.deep else {
            return Ok(());
        };
        match deep.funs.pop_if(|(of, _)| *of == level) {
            Some((_, wanted)) if wanted != left => Err(DecodeError::FunSize),
            _ => Ok(()),
        }
    }
}
