//! [`Limits`] of decoding, and what can go wrong there.

use crate::{AtomError, ReferenceError};

/// How much a peer may make us hold. Whatever it claims, memory is taken only for bytes that are there:
/// these limits bound what honest bytes may grow into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How deep terms may nest. Default 10,000. Nothing here recurses, code that walks a term may.
    pub depth: usize,
    /// Memory of the decoded term in bytes, without the binaries, which stay in the input. Default 64 MiB.
    /// What the finished term holds is never more than what is counted (as asked of the allocator), and what a string becomes
    /// when its elements are asked for is in it; while it is made it takes up to about twice that, and some words for each level.
    /// A byte of input counts as 45 bytes at most (a tuple of one), a character of a string as 25, and an atom of a frame's
    /// table as nothing: the table has it.
    pub size: usize,
    /// Size of a compressed term when inflated. Default 64 MiB; 0 refuses compression.
    pub inflated: usize,
}

impl Limits {
    /// With another [`depth`](Self::depth).
    #[must_use]
    pub const fn with_depth(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    /// With another [`size`](Self::size).
    #[must_use]
    pub const fn with_size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// With another limit for [`inflated`](Self::inflated).
    #[must_use]
    pub const fn with_inflated(self, inflated: usize) -> Self {
        Self { inflated, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 10_000,
            size: 64 << 20,
            inflated: 64 << 20,
        }
    }
}

/// Why bytes are no term. The sender broke the format, except for the last three, which are limits of ours
/// ([`is_limit`](Self::is_limit)). A decoder that failed is not to be used further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside the term, or it claims more parts than there are bytes left.
    #[error("the term is cut short")]
    Truncated,
    /// This many bytes follow the term.
    #[error("{0} bytes follow the term")]
    Trailing(usize),
    /// The first byte is not 131.
    #[error("the format version is {0}, not 131")]
    Version(u8),
    /// No term begins with this tag, or not here: compressed and local terms cannot be parts.
    #[error("unknown tag {0}")]
    Tag(u8),
    /// Something else stands where only an atom, an identifier or a small integer can.
    #[error("a part has the wrong type")]
    Part,
    /// An atom is too long or not UTF-8.
    #[error(transparent)]
    Atom(#[from] AtomError),
    /// The frame brought no atom with this index.
    #[error("the frame has no atom {0}")]
    AtomCache(u8),
    /// Not a finite number, or not the text of one.
    #[error("a float is not a finite number")]
    Float,
    /// The last byte of a bitstring has 1 to 8 bits.
    #[error("a bitstring with {0} bits in its last byte")]
    Bits(u8),
    /// A reference has 1 to 5 words.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The old forms of identifiers have creations 0 to 3.
    #[error("creation {0} in an old form that ends at 3")]
    Creation(u8),
    /// A map has the same key twice.
    #[error("a map has a key twice")]
    DuplicateKey,
    /// A closure's size is not what it occupies.
    #[error("the size of a fun is wrong")]
    FunSize,
    /// The compressed stream is damaged, or inflates to another size than it claims.
    #[error("the compressed term is damaged")]
    Compressed,
    /// Nested deeper than [`Limits::depth`].
    #[error("the term is nested deeper than {0}")]
    TooDeep(usize),
    /// Larger than [`Limits::size`].
    #[error("the decoded term is larger than {0} bytes")]
    TooLarge(usize),
    /// Inflates to more than [`Limits::inflated`].
    #[error("the inflated term is larger than {0} bytes")]
    TooInflated(usize),
}

impl DecodeError {
    /// Whether the term may be sound, only more than we are willing to hold.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::TooDeep(_) | Self::TooLarge(_) | Self::TooInflated(_)
        )
    }
}
