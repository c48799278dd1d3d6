//! Where pieces of a term go: most have a few bytes, and a `Vec` would look at its capacity for each of them.
//!
//! How much is used goes through the functions by value, so that loops keep it in a register: a number in memory would have
//! each piece wait until the one before has stored it.

use alloc::vec::Vec;

use super::Sink;

/// How many bytes of the [`place`](Out::place) are used.
pub(super) type Used = usize;

/// A place to write to that always has room for the next piece.
pub(super) trait Out {
    type To: Sink;

    /// Whether pieces go to their sink one by one.
    const STRAIGHT: bool;

    /// All of the place.
    fn place(&mut self) -> &mut [u8];

    /// Makes room for so many bytes.
    fn make_room(&mut self, used: Used, length: usize) -> Used;

    /// Whether there is no room for a piece of this length.
    fn lacks(&mut self, used: Used, length: usize) -> bool;

    /// The sink, which has everything that came before, and how much is used then.
    fn sink(&mut self, used: Used) -> (&mut Self::To, Used);

    /// The sink, which may not yet have what came before.
    fn sink_aside(&mut self) -> &mut Self::To;

    /// How many of the next bytes the sink counts: none wait then where it asks for atoms.
    fn counted(&mut self) -> &mut usize;

    /// How much is used after the sink was given so many bytes.
    fn begun(&mut self, given: usize) -> Used;

    #[inline(always)]
    fn fitting(&mut self, used: Used, length: usize) -> Used {
        if self.lacks(used, length) {
            return self.make_room(used, length);
        }
        used
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, used: Used, bytes: [u8; N]) -> Used {
        self.short(used, [], &bytes, 0).wrapping_add(N)
    }

    /// Appends a head and the first `count` of the bytes; all of them are written, and the next piece covers the others.
    #[inline(always)]
    fn short<const H: usize, const N: usize>(
        &mut self,
        used: Used,
        head: [u8; H],
        bytes: &[u8; N],
        count: u8,
    ) -> Used {
        let used = self.fitting(used, const { H + N });
        if let Some(place) = self.place().get_mut(used..)
            && let Some((place, rest)) = place.split_first_chunk_mut()
            && let Some(rest) = rest.first_chunk_mut()
        {
            *place = head;
            *rest = *bytes;
        }
        used.wrapping_add(H).wrapping_add(count.into())
    }

    /// Appends the first `count` of these numbers.
    #[inline(always)]
    fn words<const N: usize>(&mut self, used: Used, words: [u32; N], count: u8) -> Used {
        let used = self.fitting(used, const { N * 4 });
        let place = self.place().get_mut(used..).unwrap_or_default();
        for (place, word) in place.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        used.wrapping_add(usize::from(count).wrapping_mul(4))
    }

    /// Appends any number of bytes.
    #[inline(always)]
    fn slice(&mut self, used: Used, bytes: &[u8]) -> Used {
        if bytes.len() > LENGTH {
            return self.long_slice(used, bytes);
        }
        let used = self.fitting(used, bytes.len());
        let end = used.wrapping_add(bytes.len());
        if let Some(place) = self.place().get_mut(used..end) {
            place.copy_from_slice(bytes);
        }
        end
    }

    #[inline(never)]
    fn long_slice(&mut self, used: Used, bytes: &[u8]) -> Used {
        self.sink(used).0.put(bytes);
        self.begun(bytes.len())
    }

    /// The sink for the question where an atom is in its table.
    #[inline(always)]
    fn sink_of_atoms(&mut self, used: Used) -> (&mut Self::To, Used) {
        match *self.counted() {
            0 => (self.sink_aside(), used),
            _ => self.sink(used),
        }
    }

    /// As [`Sink::measured`].
    fn measured(&mut self, used: Used, length: usize) -> Used {
        let (sink, _) = self.sink(used);
        sink.measured(length);
        let counted = self.counted();
        *counted = length.max(*counted);
        self.begun(0)
    }
}

/// Pieces wait in a block of their own, and go to the sink together.
pub(super) struct Block<'s, S: Sink> {
    sink: &'s mut S,
    bytes: [u8; LENGTH],
    /// How many of the next bytes, those that wait included, the sink counts.
    counted: usize,
}

impl<'s, S: Sink> Block<'s, S> {
    #[inline(always)]
    pub(super) fn new(sink: &'s mut S, counted: usize) -> Self {
        Self {
            sink,
            bytes: [0; LENGTH],
            counted,
        }
    }

    /// The last of it; gives how many of the next bytes the sink counts.
    #[inline(always)]
    pub(super) fn end(self, used: Used) -> usize {
        self.sink.put(self.bytes.get(..used).unwrap_or_default());
        self.counted.saturating_sub(used)
    }
}

impl<S: Sink> Out for Block<'_, S> {
    type To = S;
    const STRAIGHT: bool = false;

    #[inline(always)]
    fn place(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    #[inline(never)]
    fn make_room(&mut self, used: Used, _: usize) -> Used {
        self.sink(used).1
    }

    #[inline(always)]
    fn lacks(&mut self, used: Used, length: usize) -> bool {
        used > LENGTH.saturating_sub(length)
    }

    #[inline]
    fn sink(&mut self, used: Used) -> (&mut S, Used) {
        let bytes = self.bytes.get(..used).unwrap_or_default();
        if !bytes.is_empty() {
            self.sink.put(bytes);
            self.counted = self.counted.saturating_sub(used);
        }
        (self.sink, 0)
    }

    #[inline(always)]
    fn sink_aside(&mut self) -> &mut S {
        self.sink
    }

    #[inline(always)]
    fn counted(&mut self) -> &mut usize {
        &mut self.counted
    }

    #[inline(always)]
    fn begun(&mut self, given: usize) -> Used {
        self.counted = self.counted.saturating_sub(given);
        0
    }
}

/// Pieces go straight to where the sink collects them: what was written a moment ago need not be read again to be moved.
pub(super) struct Straight<'s, S: Sink> {
    sink: &'s mut S,
    counted: usize,
    /// How much was used when `counted` was right.
    since: Used,
}

impl<'s, S: Sink> Straight<'s, S> {
    /// When the sink has such a place, and room there: a new `Vec` is better asked for what the whole term takes.
    #[inline(always)]
    pub(super) fn new(sink: &'s mut S) -> Option<(Self, Used)> {
        let buffer = sink.buffer()?;
        let used = buffer.len();
        if buffer.capacity().saturating_sub(used) < ROOM {
            return None;
        }
        let straight = Self {
            sink,
            counted: 0,
            since: used,
        };
        Some((straight, used))
    }

    /// The last of it.
    #[inline(always)]
    pub(super) fn end(mut self, used: Used) {
        self.sink(used);
    }
}

impl<S: Sink> Out for Straight<'_, S> {
    type To = S;
    const STRAIGHT: bool = true;

    #[inline(always)]
    fn place(&mut self) -> &mut [u8] {
        self.sink.buffer().map_or(&mut [], Vec::as_mut_slice)
    }

    #[inline(never)]
    fn make_room(&mut self, used: Used, length: usize) -> Used {
        if let Some(buffer) = self.sink.buffer() {
            // What is there, else as much again, as far as clearing it costs less than asking once more.
            let spare = buffer.capacity().saturating_sub(used);
            let more = match spare.min(LENGTH) {
                enough if enough >= length => enough,
                _ => used.clamp(LENGTH, MOST).max(length),
            };
            buffer.resize(used.saturating_add(more), 0);
        }
        used
    }

    #[inline(always)]
    fn lacks(&mut self, used: Used, length: usize) -> bool {
        let left = self.place().len().checked_sub(used);
        left.is_none_or(|left| left < length)
    }

    #[inline]
    fn sink(&mut self, used: Used) -> (&mut S, Used) {
        if let Some(buffer) = self.sink.buffer() {
            buffer.truncate(used);
        }
        if self.counted > 0 {
            let given = used.saturating_sub(self.since);
            self.counted = self.counted.saturating_sub(given);
            self.since = used;
        }
        (self.sink, used)
    }

    #[inline(always)]
    fn sink_aside(&mut self) -> &mut S {
        self.sink
    }

    #[inline(always)]
    fn counted(&mut self) -> &mut usize {
        &mut self.counted
    }

    #[inline(always)]
    fn begun(&mut self, given: usize) -> Used {
        self.counted = self.counted.saturating_sub(given);
        self.since = self.sink.buffer().map_or(0, |buffer| buffer.len());
        self.since
    }
}

/// Longer than any head of a term, short enough to be cleared at little cost.
const LENGTH: usize = 256;

/// Room for most small messages: with less a buffer grows anyway.
const ROOM: usize = 64;

/// What is cleared at once at most.
const MOST: usize = 4096;
