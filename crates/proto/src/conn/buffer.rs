//! Where bytes are read to, and the frames in them.

use core::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::ConnectionError;

/// The least that is read at once: many connections are quiet, and each holds this much for a second after a word.
const MIN_READ: usize = 1 << 10;

/// A read that brought all that was asked for is followed by one so many times as large: a burst is a few reads.
const GROWTH: usize = 8;

/// What is read at once of a fragment that is to be read to its place: header, control message none.
const HEAD_READ: usize = 64;

/// The same where many small messages go between two fragments: each read that brings nothing else is followed by one twice as
/// large. No more of a large message is read than so much, while a small one waits in front of it.
const HEAD_READ_MOST: usize = 16 << 10;

/// The most that is read at once. What a frame claims is not taken in advance.
pub(super) const MAX_READ: usize = 256 << 10;

/// A buffer that grew beyond this for one frame is given back when that is done.
const MAX_KEPT: usize = 1 << 20;

/// A length of four bytes precedes each frame.
const LENGTH: usize = 4;

/// Bytes as they come. Whole frames are cut off all at once, so that what many small messages cost
/// together is one counter.
pub(super) struct Buffer {
    /// What has come, behind the whole frames.
    read: BytesMut,
    /// The memory for `read`, empty, while that is a [small one](Self::head_buf).
    parked: Option<BytesMut>,
    /// Whole frames that were not taken yet.
    whole: Bytes,
    /// How much is read at once: more with each read that brings all that was asked for.
    size: usize,
    /// The same of heads, beyond what is missing of a frame that has begun.
    head: usize,
    /// When a head was read last, little was missing of the frame that had begun.
    is_small: bool,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self {
            read: BytesMut::new(),
            parked: None,
            whole: Bytes::new(),
            size: MIN_READ,
            head: HEAD_READ,
            is_small: false,
        }
    }

    /// Where to read into.
    pub(super) fn read_buf(&mut self) -> &mut BytesMut {
        if let Some(parked) = self.parked.take() {
            let head = core::mem::replace(&mut self.read, parked);
            self.read.extend_from_slice(&head);
        }
        if self.read.is_empty() && self.read.try_reclaim(MAX_KEPT) {
            self.read = BytesMut::new();
        }
        let missing = self.missing();
        let wanted = missing.clamp(self.size, MAX_READ);
        let spare = self.read.capacity().saturating_sub(self.read.len());
        // A new buffer where slices of this one are alive; no sooner than a good part of it is full.
        if spare < wanted && !self.read.try_reclaim(wanted) {
            let least = missing.clamp(self.size.div_euclid(4), MAX_READ);
            if spare < least {
                self.read.reserve(wanted);
            }
        }
        &mut self.read
    }

    /// Where to read into, when what comes next is the head of a large fragment, mostly, or a small message that goes between
    /// two: no more than that, so that all the rest is read straight to where it belongs, and what is small is not kept
    /// waiting by it.
    pub(super) fn head_buf(&mut self) -> &mut BytesMut {
        let missing = self.missing();
        self.is_small = missing <= self.head;
        let wanted = match missing {
            0..=HEAD_READ_MOST => missing.saturating_add(self.head),
            // Whether it is a fragment is not known yet.
            _ if self.read.len() < HEAD_READ => HEAD_READ,
            _ => return self.read_buf(),
        };
        let spare = self.read.capacity().saturating_sub(self.read.len());
        let fits = (wanted..=wanted.saturating_mul(2)).contains(&spare);
        if self.parked.is_none() || !fits {
            let mut small = BytesMut::with_capacity(self.read.len().saturating_add(wanted));
            small.extend_from_slice(&self.read);
            let mut before = core::mem::replace(&mut self.read, small);
            before.clear();
            self.parked.get_or_insert(before);
        }
        &mut self.read
    }

    /// How much is missing of a frame that has begun.
    fn missing(&self) -> usize {
        claimed(&self.read).map_or(0, |len| {
            len.saturating_add(LENGTH).saturating_sub(self.read.len())
        })
    }

    /// Something was read.
    pub(super) fn advance(&mut self) {
        if self.read.len() < self.read.capacity() {
            return;
        }
        match self.parked {
            None => self.size = self.size.saturating_mul(GROWTH).min(MAX_READ),
            Some(_) if self.is_small => self.head = self.head.saturating_mul(2).min(HEAD_READ_MOST),
            Some(_) => {}
        }
    }

    /// Whether it holds memory that a quiet connection does not need.
    pub(super) fn is_idle(&self) -> bool {
        let parked = self.parked.as_ref().map_or(0, BytesMut::capacity);
        let memory = self.read.capacity().max(parked);
        self.is_empty() && memory > 0
    }

    /// Gives its memory back, if nothing is in it.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }

    /// Puts what came otherwise behind what is there.
    pub(super) fn extend(&mut self, bytes: BytesMut) {
        if self.is_empty() {
            self.read = bytes;
        } else {
            self.read.extend_from_slice(&bytes);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.read.len().saturating_add(self.whole.len())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of the next frame that is whole and no tick. It is at the front of
    /// [`whole`](Self::whole) then, without the bytes that say its length.
    pub(super) fn next_frame(&mut self, limit: usize) -> Result<Option<usize>, ConnectionError> {
        loop {
            while let Some(len) = claimed(&self.whole) {
                self.whole.advance(LENGTH);
                if len > 0 {
                    return Ok(Some(len));
                }
            }
            // Nothing of it must keep the memory from being used again.
            self.whole = Bytes::new();
            match whole_frames(&self.read, limit)? {
                0 => return Ok(None),
                len => self.whole = self.read.split_to(len).freeze(),
            }
        }
    }

    /// The next frame, if all of it has come; empty for a tick. Its length was not compared with any
    /// limit.
    #[inline]
    pub(super) fn front(&self) -> Option<&[u8]> {
        let from: &[u8] = if self.whole.is_empty() {
            &self.read
        } else {
            &self.whole
        };
        let len = claimed(from)?;
        from.get(LENGTH..)?.get(..len)
    }

    /// That frame was taken. What nobody else looks at needs no counter.
    #[inline]
    pub(super) fn drop_front(&mut self, len: usize) {
        let all = LENGTH.saturating_add(len);
        if self.whole.is_empty() {
            self.read.advance(all.min(self.read.len()));
        } else {
            self.whole.advance(all.min(self.whole.len()));
        }
    }

    /// Whole frames, the next one first.
    pub(super) fn whole(&self) -> &Bytes {
        &self.whole
    }

    /// The next frame, of `len` bytes, was taken.
    pub(super) fn taken(&mut self, len: usize) {
        self.whole.advance(len.min(self.whole.len()));
    }

    /// What there is of the body of a frame that is not whole, and how long it will be.
    pub(super) fn partial(&self) -> Option<(&[u8], usize)> {
        let len = claimed(&self.read)?;
        Some((self.read.get(LENGTH..)?, len))
    }

    /// Forgets the frame that is not whole: a large one, which is read elsewhere.
    pub(super) fn drop_partial(&mut self) {
        self.read.clear();
        self.head = HEAD_READ;
    }

    /// Where to put what was read beyond the end of a fragment.
    pub(super) fn beyond(&mut self) -> &mut BytesMut {
        &mut self.read
    }
}

/// What waits in it is somebody's message: its size only.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("bytes", &self.len())
            .finish()
    }
}

/// The length that the next frame says it has.
fn claimed(buffer: &[u8]) -> Option<usize> {
    let len = u32::from_be_bytes(*buffer.first_chunk()?);
    Some(usize::try_from(len).unwrap_or(usize::MAX))
}

/// How many bytes the whole frames at the front take. An error is about the first one: what comes
/// before is good.
fn whole_frames(buffer: &[u8], limit: usize) -> Result<usize, ConnectionError> {
    let mut rest = buffer;
    while let Some(len) = claimed(rest) {
        if len > limit {
            if rest.len() == buffer.len() {
                return Err(ConnectionError::FrameTooLarge { len });
            }
            break;
        }
        match rest.get(len.saturating_add(LENGTH)..) {
            Some(after) => rest = after,
            None => break,
        }
    }
    Ok(buffer.len().saturating_sub(rest.len()))
}
