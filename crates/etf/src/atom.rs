//! [`Atom`]: a name, as a value; and the macro `atom!`.

use core::{cmp::Ordering, fmt, hash::Hash, str};

use triomphe::Arc;

use crate::text;

/// The name that Erlang calls an atom: at most 255 characters of UTF-8.
///
/// 24 bytes; text of up to 23 bytes is held inside, longer text is shared. There is no atom table:
/// a peer that invents names costs what its frame costs, and only as long as the term lives.
/// `Display` gives the bare text; a [`Term`](crate::Term) prints it as Erlang does, quoted where needed.
#[derive(Clone)]
pub struct Atom(Text);

/// The niche is the last byte (`Length`), so an enum around it, `Term` too, stays at 24 bytes.
#[derive(Clone)]
enum Text {
    Inline([u8; INLINE], Length),
    Static(&'static str),
    Shared(Arc<str>),
}

impl Atom {
    /// The atom with this text.
    ///
    /// # Errors
    /// When it has more than 255 characters.
    pub fn new(text: &str) -> Result<Self, AtomError> {
        if text.len() > MAX_CHARS && text.chars().count() > MAX_CHARS {
            return Err(AtomError::TooLong);
        }
        Ok(Self(match Self::inline(text) {
            Some((bytes, length)) => Text::Inline(bytes, length),
            None => Text::Shared(Arc::from(text)),
        }))
    }

    /// From ASCII of this length in the words of [`text::padded`].
    #[inline]
    pub(crate) fn from_words(words: [u64; 3], length: usize) -> Option<Self> {
        let [bytes @ .., _] = text::unpacked(words);
        Some(Self(Text::Inline(bytes, Length::new(length)?)))
    }

    /// What `atom!` calls, in a constant: a literal that is too long fails to compile.
    #[doc(hidden)]
    #[must_use]
    pub const fn __literal(text: &'static str) -> Self {
        // Bytes instead of characters: counting these is not possible in a constant.
        assert!(
            text.len() <= MAX_CHARS,
            "an atom has at most 255 characters"
        );
        match Self::inline(text) {
            Some((bytes, length)) => Self(Text::Inline(bytes, length)),
            None => Self(Text::Static(text)),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Always UTF-8: it was copied from a `str`. Checking at most 23 bytes saves an `unsafe`.
            Text::Inline(..) => str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }

    /// The text as UTF-8; cheaper than [`as_str`](Self::as_str) where bytes will do.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Inline(bytes, length) => {
                bytes.get(..usize::from(*length as u8)).unwrap_or_default()
            }
            Text::Static(text) => text.as_bytes(),
            Text::Shared(text) => text.as_bytes(),
        }
    }

    /// Short text, with zeros after it, and its length.
    #[inline]
    pub(crate) fn padded(&self) -> Option<(&[u8; INLINE], u8)> {
        match &self.0 {
            Text::Inline(bytes, length) => Some((bytes, *length as u8)),
            _ => None,
        }
    }

    /// A clone, when it needs no counter.
    #[inline(always)]
    pub(crate) fn clone_short(&self) -> Option<Self> {
        let Text::Inline(bytes, length) = &self.0 else {
            return None;
        };
        Some(Self(Text::Inline(*bytes, *length)))
    }

    /// Equal atoms have the same, others mostly not.
    #[inline]
    pub(crate) fn mark(&self) -> u64 {
        let mut wide = [0; text::WIDE];
        if let Text::Inline(bytes, length) = &self.0 {
            let [content @ .., last] = &mut wide;
            *content = *bytes;
            *last = *length as u8;
        }
        text::mark(&wide)
    }

    /// Bytes on the heap, for the size limit of decoding.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Text::Shared(text) => Self::heap_bytes_of(text.len()),
            _ => 0,
        }
    }

    /// The same for text of this length that is not there yet.
    pub(crate) const fn heap_bytes_of(length: usize) -> usize {
        // A counter, and what the whole is rounded up to.
        if length > INLINE {
            length.saturating_add(16)
        } else {
            0
        }
    }

    const fn inline(text: &str) -> Option<([u8; INLINE], Length)> {
        let Some(length) = Length::new(text.len()) else {
            return None;
        };
        let mut bytes = [0; INLINE];
        bytes
            .split_at_mut(text.len())
            .0
            .copy_from_slice(text.as_bytes());
        Some((bytes, length))
    }
}

/// An [`Atom`](crate::Atom) from a literal, checked when it is compiled.
///
/// ```
/// use trunkline_etf::atom;
/// assert_eq!(atom!("ok").as_str(), "ok");
/// ```
#[macro_export]
macro_rules! atom {
    ($text:expr) => {
        const { $crate::Atom::__literal($text) }
    };
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // What is beyond the length is zero.
            (Text::Inline(one, length), Text::Inline(other, other_length)) => {
                length == other_length && one == other
            }
            _ => self.as_bytes() == other.as_bytes(),
        }
    }
}

impl Eq for Atom {}

impl PartialEq<str> for Atom {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Atom {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        // UTF-8 sorts as its characters do, which is Erlang's order.
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Atom {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl AsRef<str> for Atom {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for Atom {
    type Error = AtomError;

    fn try_from(text: &str) -> Result<Self, AtomError> {
        Self::new(text)
    }
}

impl From<bool> for Atom {
    fn from(value: bool) -> Self {
        if value { atom!("true") } else { atom!("false") }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::print::atom(f, self)
    }
}

/// Why a text is no atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AtomError {
    /// More than 255 characters.
    #[error("an atom has at most 255 characters")]
    TooLong,
    /// Bytes that are not UTF-8 (overlong forms and surrogates are not).
    #[error("the text of an atom is not UTF-8")]
    NotUtf8,
}

/// What fits into three words beside one byte of length.
const INLINE: usize = 23;

/// `MAX_ATOM_CHARACTERS` of the runtime.
pub(crate) const MAX_CHARS: usize = 255;

/// Every length of an inline text by name, so that the compiler knows which values cannot occur.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[rustfmt::skip]
enum Length { L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14, L15, L16, L17, L18, L19, L20, L21, L22, L23 }

impl Length {
    #[rustfmt::skip]
    const fn new(length: usize) -> Option<Self> {
        Some(match length {
            0 => Self::L0, 1 => Self::L1, 2 => Self::L2, 3 => Self::L3, 4 => Self::L4, 5 => Self::L5,
            6 => Self::L6, 7 => Self::L7, 8 => Self::L8, 9 => Self::L9, 10 => Self::L10, 11 => Self::L11,
            12 => Self::L12, 13 => Self::L13, 14 => Self::L14, 15 => Self::L15, 16 => Self::L16, 17 => Self::L17,
            18 => Self::L18, 19 => Self::L19, 20 => Self::L20, 21 => Self::L21, 22 => Self::L22, 23 => Self::L23,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};

    #[test]
    fn is_three_words_and_has_a_niche() {
        assert_eq!(size_of::<Atom>(), 24);
        assert_eq!(size_of::<Option<Option<Atom>>>(), 24);
    }

    #[test]
    fn text_of_every_length_comes_back() {
        for length in 0..=255 {
            let text = "é".repeat(length / 2) + &"x".repeat(length % 2);
            let atom = Atom::new(&text).unwrap();
            assert_eq!(atom.as_str(), text);
            assert_eq!(atom.to_string(), text);
            assert_eq!(atom, Atom::new(&text).unwrap());
        }
    }

    #[test]
    fn more_than_255_characters_are_refused() {
        assert!(Atom::new(&"😀".repeat(255)).is_ok());
        assert_eq!(Atom::new(&"a".repeat(256)).unwrap_err(), AtomError::TooLong);
    }

    #[test]
    fn a_literal_equals_the_same_text_made_at_run_time() {
        let long = atom!("Elixir.Some.Module.That.Is.Longer.Than.23.Bytes");
        assert_eq!(
            long,
            Atom::new("Elixir.Some.Module.That.Is.Longer.Than.23.Bytes").unwrap()
        );
        assert_eq!(format!("{:>4}", atom!("ok")), "  ok");
        assert!(atom!("a") < atom!("b"));
        assert_eq!(atom!("ok"), "ok");
    }
}
