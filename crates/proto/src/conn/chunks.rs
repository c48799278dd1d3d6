//! Encoded bytes: small parts one behind the other, large binaries as they are.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use trunkline_etf::Sink;

/// Binaries of this size and more go out as they are. Below, a copy is cheaper than one more
/// segment for the kernel to gather.
pub(super) const SHARED_FROM: usize = 4 << 10;

/// What was encoded, in order.
#[derive(Default)]
pub(super) struct Chunks {
    copied: Vec<u8>,
    /// Large binaries, each with the number of copied bytes before it.
    shared: Vec<(usize, Bytes)>,
    shared_len: usize,
}

/// A place between two bytes.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    copied: usize,
    shared: usize,
    shared_len: usize,
}

impl Chunks {
    pub(super) fn len(&self) -> usize {
        self.copied.len().saturating_add(self.shared_len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.copied.is_empty() && self.shared.is_empty()
    }

    /// The end.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            copied: self.copied.len(),
            shared: self.shared.len(),
            shared_len: self.shared_len,
        }
    }

    /// How many bytes were appended since.
    pub(super) fn len_since(&self, mark: Mark) -> usize {
        let copied = self.copied.len().saturating_sub(mark.copied);
        copied.saturating_add(self.shared_len.saturating_sub(mark.shared_len))
    }

    /// Where small parts go.
    pub(super) fn copied(&mut self) -> &mut Vec<u8> {
        &mut self.copied
    }

    /// The four bytes behind a mark.
    pub(super) fn word_at(&mut self, mark: Mark) -> Option<&mut [u8; 4]> {
        self.copied.get_mut(mark.copied..)?.first_chunk_mut()
    }

    /// Forgets what was appended since.
    pub(super) fn truncate(&mut self, mark: Mark) {
        self.copied.truncate(mark.copied);
        self.shared.truncate(mark.shared);
        self.shared_len = mark.shared_len;
    }

    /// Takes out what was appended since, in order.
    pub(super) fn split_off(&mut self, mark: Mark) -> VecDeque<Bytes> {
        let mut copied = Bytes::copy_from_slice(self.copied.get(mark.copied..).unwrap_or_default());
        let mut at = mark.copied;
        let shared = self.shared.len().saturating_sub(mark.shared);
        let mut parts = VecDeque::with_capacity(shared.saturating_mul(2).saturating_add(1));
        for (before, binary) in self.shared.drain(mark.shared.min(self.shared.len())..) {
            let len = before.saturating_sub(at).min(copied.len());
            at = before;
            parts.push_back(copied.split_to(len));
            parts.push_back(binary);
        }
        parts.push_back(copied);
        self.truncate(mark);
        parts
    }

    /// Appends a binary that somebody else has too.
    pub(super) fn share(&mut self, binary: Bytes) {
        if binary.len() < SHARED_FROM {
            return self.put(&binary);
        }
        self.shared_len = self.shared_len.saturating_add(binary.len());
        self.shared.push((self.copied.len(), binary));
    }

    /// Moves all of `other` behind this.
    pub(super) fn append(&mut self, other: &mut Self) {
        let base = self.copied.len();
        self.copied.extend_from_slice(&other.copied);
        for (before, binary) in other.shared.drain(..) {
            self.shared.push((base.saturating_add(before), binary));
        }
        self.shared_len = self.shared_len.saturating_add(other.shared_len);
        other.clear(usize::MAX);
    }

    /// Forgets everything. Memory beyond `kept` bytes is given back.
    pub(super) fn clear(&mut self, kept: usize) {
        self.copied.clear();
        self.copied.shrink_to(kept);
        self.shared.clear();
        self.shared
            .shrink_to(kept.div_euclid(size_of::<(usize, Bytes)>()));
        self.shared_len = 0;
    }

    /// All of it, in order, but the first `skipped` bytes.
    pub(super) fn segments(&self, skipped: usize) -> impl Iterator<Item = &[u8]> {
        let binaries = self.shared.iter().scan(0, |at, (before, binary)| {
            let copied = self.copied.get(*at..*before).unwrap_or_default();
            *at = *before;
            Some([copied, binary])
        });
        let last = self.shared.last().map_or(0, |(before, _)| *before);
        let rest = self.copied.get(last..).unwrap_or_default();
        let mut skipped = skipped;
        binaries.flatten().chain([rest]).filter_map(move |segment| {
            let left = segment.get(skipped..).unwrap_or_default();
            skipped = skipped.saturating_sub(segment.len());
            (!left.is_empty()).then_some(left)
        })
    }
}

impl Sink for Chunks {
    fn put(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    #[inline]
    fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.copied)
    }

    fn put_shared(&mut self, bytes: &[u8], shared: impl FnOnce() -> Bytes) {
        if bytes.len() < SHARED_FROM {
            self.put(bytes);
        } else {
            self.share(shared());
        }
    }
}
