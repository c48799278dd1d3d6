//! Identifiers of processes, ports and references, each with the node that made it.
//!
//! Fields are public, here and in [`Fun`](crate::Fun), [`Export`](crate::Export) and [`Record`](crate::Record), where every value of their type is one
//! that OTP takes; what has to hold between fields (how many words count, a value for each name) is kept by methods.

use core::fmt;

use crate::Atom;

/// A process identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid {
    /// The node it lives on.
    pub node: Atom,
    /// Its number.
    pub id: u32,
    /// The upper part of its number.
    pub serial: u32,
    /// Which incarnation of the node; 0 matches any.
    pub creation: u32,
}

/// A port identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The node it lives on.
    pub node: Atom,
    /// Its number.
    pub id: u64,
    /// Which incarnation of the node; 0 matches any.
    pub creation: u32,
}

/// A reference: unique for the node that made it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    node: Atom,
    creation: u32,
    length: u8,
    words: [u32; Self::MAX_WORDS],
}

impl Reference {
    /// The most words that any release sends (an alias of a process on a 64-bit runtime has five).
    pub const MAX_WORDS: usize = 5;

    /// A reference of 1 to 5 words, in the order of the wire (which is the reverse of what `#Ref<…>` shows).
    ///
    /// # Errors
    /// For any other number of words.
    pub fn new(node: Atom, creation: u32, words: &[u32]) -> Result<Self, ReferenceError> {
        let error = || ReferenceError(words.len());
        if words.is_empty() {
            return Err(error());
        }
        let mut own = [0; Self::MAX_WORDS];
        own.get_mut(..words.len())
            .ok_or_else(error)?
            .copy_from_slice(words);
        let length = u8::try_from(words.len()).map_err(|_| error())?;
        Ok(Self {
            node,
            creation,
            length,
            words: own,
        })
    }

    /// Of 1 to 5 words as the wire has them, else `None`.
    #[inline]
    pub(crate) fn of_words(node: Atom, creation: u32, words: &[[u8; 4]]) -> Option<Self> {
        let length = u8::try_from(words.len())
            .ok()
            .filter(|length| *length > 0)?;
        let mut own = [0; Self::MAX_WORDS];
        for (own, word) in own.get_mut(..words.len())?.iter_mut().zip(words) {
            *own = u32::from_be_bytes(*word);
        }
        Some(Self {
            node,
            creation,
            length,
            words: own,
        })
    }

    /// Its words with zeros after them.
    #[inline]
    pub(crate) fn padded(&self) -> &[u32; Self::MAX_WORDS] {
        &self.words
    }

    /// The node that made it.
    #[must_use]
    pub fn node(&self) -> &Atom {
        &self.node
    }

    /// Which incarnation of the node; 0 matches any.
    #[must_use]
    pub fn creation(&self) -> u32 {
        self.creation
    }

    /// Its 1 to 5 words, in the order of the wire.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        self.words
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

/// A reference has 1 to 5 words; this one has the number given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reference has 1 to 5 words, not {0}")]
pub struct ReferenceError(pub usize);

/// `#Pid<app@host 83.0 c=7>`: Erlang's own `<1.83.0>` has a number that means something on one node only.
impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "#Pid<{} {}.{} c={}>",
            self.node, self.id, self.serial, self.creation
        )
    }
}

/// `#Port<app@host 5 c=7>`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Port<{} {} c={}>", self.node, self.id, self.creation)
    }
}

/// `#Ref<app@host 1.2.3 c=7>`, words in the order of the wire.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Ref<{} ", self.node)?;
        for (index, word) in self.words().iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "{word}")?;
        }
        write!(f, " c={}>", self.creation)
    }
}
