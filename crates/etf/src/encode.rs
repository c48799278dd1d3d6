//! Encoding.

mod block;
mod copy;
mod out;
mod parts;
mod straight;

use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use self::parts::{measure, write, write_new};
use crate::{Atom, Term};

/// Where encoded bytes go.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Where [`put`](Self::put) appends, if that is all it does. Default `None`.
    ///
    /// While a term is being encoded the buffer is with the encoder, and an empty one in its place; it is back whenever `put` or
    /// [`put_shared`](Self::put_shared) is called, and after the term. A sink that has none by then is given all of it by `put`.
    #[inline]
    fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        None
    }

    /// Appends the bytes of a binary; a sink of several segments may keep them instead of copying.
    fn put_shared(&mut self, bytes: &[u8], shared: impl FnOnce() -> Bytes) {
        let _ = shared;
        self.put(bytes);
    }

    /// The place of this atom in a table that goes before the term, to which the term refers then
    /// (`ATOM_CACHE_REF`). A sink without such a table gives `None`: the atom is written out. Not asked inside of a closure,
    /// which says how long it is with its atoms written out.
    fn place_of(&mut self, atom: &Atom) -> Option<u8> {
        let _ = atom;
        None
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn buffer(&mut self) -> Option<&mut Self> {
        Some(self)
    }
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

/// Counts.
impl Sink for usize {
    fn put(&mut self, bytes: &[u8]) {
        *self = self.saturating_add(bytes.len());
    }
}

impl Term {
    /// Appends the term with the version byte 131, as `term_to_binary/1` gives it.
    pub fn encode(&self, out: &mut impl Sink) {
        write::<true>(self, out);
    }

    /// Appends the term without the version byte, as frames with a distribution header carry it.
    pub fn encode_bare(&self, out: &mut impl Sink) {
        write::<false>(self, out);
    }

    /// The encoded term with the version byte 131.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut gathered = Gathered {
            copied: Vec::new(),
            shared: Vec::new(),
        };
        let new = Vec::with_capacity(SMALL);
        let last = write_new::<true>(self, &mut gathered, new);
        if gathered.shared.is_empty() {
            return last;
        }
        gathered.copied = last;
        gathered.into_vec()
    }

    /// How many bytes [`encode_bare`](Self::encode_bare) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        measure(self)
    }
}

/// Large binaries wait until the size of everything is known: a buffer that grew around them would copy them again.
struct Gathered {
    copied: Vec<u8>,
    /// Each with the number of copied bytes before it.
    shared: Vec<(usize, Bytes)>,
}

impl Sink for Gathered {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    #[inline]
    fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.copied)
    }

    fn put_shared(&mut self, bytes: &[u8], shared: impl FnOnce() -> Bytes) {
        match bytes.len() {
            LARGE.. => self.shared.push((self.copied.len(), shared())),
            _ => self.put(bytes),
        }
    }
}

impl Gathered {
    #[cold]
    #[inline(never)]
    fn into_vec(self) -> Vec<u8> {
        let lengths = self.shared.iter().map(|(_, bytes)| bytes.len());
        let size = lengths.fold(self.copied.len(), usize::saturating_add);
        let mut all = Vec::with_capacity(size);
        let mut begun = 0;
        for (end, bytes) in &self.shared {
            all.extend_from_slice(self.copied.get(begun..*end).unwrap_or_default());
            all.extend_from_slice(bytes);
            begun = *end;
        }
        all.extend_from_slice(self.copied.get(begun..).unwrap_or_default());
        all
    }
}

/// What a small message takes at most.
const SMALL: usize = 128;

/// Binaries from this size on are not copied twice.
const LARGE: usize = 512;
