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

    /// Appends these bytes, the first `count` of them; what is beyond may come from anywhere.
    #[inline(always)]
    pub(super) fn first<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        if self.place::<N>().is_none() {
            self.flush();
        }
        if let Some(place) = self.place::<N>() {
            *place = bytes;
            self.used = self.used.saturating_add(count);
        }
    }

    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.first(bytes, N);
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

    #[inline(always)]
    fn place<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.bytes.get_mut(self.used..)?.first_chunk_mut()
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
