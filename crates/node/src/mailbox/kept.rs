//! Memory that empty queues keep for what comes next. It is on nobody's account: all of them together have no
//! more than [`ALL`] of it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What a queue keeps of each of its two pieces at most: what one read brings.
pub(super) const MOST: usize = 256 << 10;

/// So little is not counted: every queue that is used has some.
pub(super) const FREE: usize = 4 << 10;

/// What all queues of the program may keep: a sixty-fourth of the usual budget. Whoever finds no room gives its
/// memory back whenever it is empty, and asks for it anew.
const ALL: usize = 16 << 20;

static KEPT: AtomicUsize = AtomicUsize::new(0);

/// What one queue keeps.
#[derive(Debug, Default)]
pub(super) struct Kept(usize);

impl Kept {
    /// Whether it is so much.
    #[inline]
    pub(super) fn is(&self, bytes: usize) -> bool {
        self.0 == bytes
    }

    /// It is so much from now on; nothing, and `false`, where the others leave no room for that.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        KEPT.fetch_sub(self.0, Ordering::Relaxed);
        let before = KEPT.fetch_add(bytes, Ordering::Relaxed);
        self.0 = bytes;
        let fits = before + bytes <= ALL;
        if !fits {
            KEPT.fetch_sub(bytes, Ordering::Relaxed);
            self.0 = 0;
        }
        fits
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.0 > 0 {
            KEPT.fetch_sub(self.0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Queue;

    /// A thousand that had a burst once, and nothing since.
    #[test]
    fn what_empty_queues_keep_together() {
        let burst = || {
            let mut queue = Queue::default();
            for _ in 0..200 {
                queue.push_small(&[7; 1000]);
            }
            let used = queue.memory();
            while queue.pop().is_some() {
                queue.settle();
            }
            queue.clear();
            (used, queue)
        };
        let (used, queues): (Vec<_>, Vec<_>) = (0..1000).map(|_| burst()).unzip();
        assert!(used.iter().sum::<usize>() > 10 * ALL);
        let kept = || queues.iter().map(Queue::memory).sum::<usize>();
        // Others' tests have some, too.
        assert!((ALL / 2..=ALL).contains(&kept()), "{}", kept());
        drop(queues);
        // Whoever comes now finds room.
        let (used, queue) = burst();
        assert_eq!(queue.memory(), used);
    }
}
