//! [`Block`]: small pieces go to a sink together.

use super::Sink;

/// A sink that is given what it gets in blocks: most pieces have a few bytes, and a `Vec` would look at its capacity for
/// each of them.
pub(super) struct Block<'s, S: Sink> {
    sink: &'s mut S,
    bytes: [u8; LENGTH],
    used: usize,
    /// Whether the sink counts what it gets: nothing waits then.
    counted: bool,
}

impl<'s, S: Sink> Block<'s, S> {
    pub(super) fn new(sink: &'s mut S) -> Self {
        Self {
            sink,
            bytes: [0; LENGTH],
            used: 0,
            counted: false,
        }
    }

    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.short([], &bytes, 0);
        self.used = self.used.saturating_add(N);
    }

    /// Appends a head and the first `count` of the bytes; all of them are written, and the next piece covers the others.
    #[inline(always)]
    pub(super) fn short<const H: usize, const N: usize>(
        &mut self,
        head: [u8; H],
        bytes: &[u8; N],
        count: u8,
    ) {
        if const { H + N } > LENGTH.saturating_sub(self.used) {
            self.flush();
        }
        let Some(place) = self.bytes.get_mut(self.used..) else {
            return;
        };
        if let Some((place, rest)) = place.split_first_chunk_mut()
            && let Some(rest) = rest.first_chunk_mut()
        {
            *place = head;
            *rest = *bytes;
            self.used = self.used.saturating_add(H).saturating_add(count.into());
        }
    }

    /// Appends the first `count` of these numbers.
    #[inline(always)]
    pub(super) fn words<const N: usize>(&mut self, words: [u32; N], count: u8) {
        if const { N * 4 } > LENGTH.saturating_sub(self.used) {
            self.flush();
        }
        let place = self.bytes.get_mut(self.used..).unwrap_or_default();
        for (place, word) in place.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        let bytes = usize::from(count).saturating_mul(4);
        self.used = self.used.saturating_add(bytes);
    }

    /// Room for so many bytes (at most a block), which count as written.
    #[inline]
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        if self.used.saturating_add(length) > LENGTH {
            self.flush();
        }
        let begun = self.used;
        self.used = begun.saturating_add(length).min(LENGTH);
        self.bytes.get_mut(begun..self.used).unwrap_or_default()
    }

    /// Appends any number of bytes.
    pub(super) fn slice(&mut self, bytes: &[u8]) {
        if bytes.len() > LENGTH {
            self.flush();
            return self.sink.put(bytes);
        }
        let room = self.room(bytes.len());
        room.copy_from_slice(bytes);
    }

    /// The sink, which has everything that came before.
    pub(super) fn sink(&mut self) -> &mut S {
        self.flush();
        self.sink
    }

    /// The sink, which may not yet have what came before.
    #[inline]
    pub(super) fn sink_aside(&mut self) -> &mut S {
        if self.counted {
            self.flush();
        }
        self.sink
    }

    /// As [`Sink::measured`].
    pub(super) fn measured(&mut self, length: usize) {
        self.sink().measured(length);
        self.counted = true;
    }

    #[cold]
    fn flush(&mut self) {
        let bytes = self.bytes.get(..self.used).unwrap_or_default();
        if !bytes.is_empty() {
            self.sink.put(bytes);
        }
        self.used = 0;
    }
}

impl<S: Sink> Drop for Block<'_, S> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Longer than any head of a term, short enough to be cleared at little cost.
pub(super) const LENGTH: usize = 256;
