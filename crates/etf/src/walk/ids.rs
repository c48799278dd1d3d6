//! Identifiers where they stand on the wire: what is asked for is read, and no atom is made.

use core::fmt;

use super::{AtomRef, Encoded};
use crate::{
    Pid, Port, Reference, atom,
    decode::{short_pid, short_reference},
    input::Input,
    tag,
};

/// A process identifier where it stands on the wire.
///
/// ```
/// use trunkline_etf::{Limits, Pid, RawTerm, Term, Token, atom};
///
/// let pid = Pid { node: atom!("app@host"), id: 83, serial: 0, creation: 7 };
/// let raw = RawTerm::from(&Term::from(&pid));
/// let mut walk = raw.walk(&Limits::default())?;
/// if let Some(Token::Pid(found)) = walk.token() {
///     assert!(found.node() == "app@host" && found.id() == 83 && found.creation() == 7);
///     assert_eq!(found.to_pid(), pid);
/// }
/// # Ok::<(), trunkline_etf::DecodeError>(())
/// ```
#[derive(Clone, Copy)]
pub struct PidRef<'a>(Encoded<'a>);

impl<'a> PidRef<'a> {
    /// Of a process identifier that was checked.
    #[inline(always)]
    pub(super) fn new(encoded: Encoded<'a>) -> Self {
        Self(encoded)
    }

    /// As it stands on the wire.
    #[must_use]
    pub fn encoded(self) -> Encoded<'a> {
        self.0
    }

    /// The node it lives on.
    #[inline]
    #[must_use]
    pub fn node(self) -> AtomRef<'a> {
        self.0.name_at(1)
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub fn id(self) -> u32 {
        self.numbers().0
    }

    /// The upper part of its number.
    #[inline]
    #[must_use]
    pub fn serial(self) -> u32 {
        self.numbers().1
    }

    /// Which incarnation of the node; 0 matches any.
    #[inline]
    #[must_use]
    pub fn creation(self) -> u32 {
        self.numbers().2
    }

    /// The identifier, to keep.
    #[must_use]
    pub fn to_pid(self) -> Pid {
        if let [tag::NEW_PID, rest @ ..] = self.0.bytes()
            && let Some((pid, _)) = short_pid(Input(rest), self.0.atoms())
        {
            return pid;
        }
        let (id, serial, creation) = self.numbers();
        Pid {
            node: self.node().to_atom().unwrap_or(atom!("")),
            id,
            serial,
            creation,
        }
    }

    #[inline(always)]
    fn numbers(self) -> (u32, u32, u32) {
        match self.0.bytes() {
            [tag::NEW_PID, after @ ..] => match after.last_chunk() {
                Some([a, b, c, d, e, f, g, h, i, j, k, l]) => (
                    u32::from_be_bytes([*a, *b, *c, *d]),
                    u32::from_be_bytes([*e, *f, *g, *h]),
                    u32::from_be_bytes([*i, *j, *k, *l]),
                ),
                None => (0, 0, 0),
            },
            [_, .., a, b, c, d, e, f, g, h, creation] => (
                u32::from_be_bytes([*a, *b, *c, *d]),
                u32::from_be_bytes([*e, *f, *g, *h]),
                u32::from(*creation),
            ),
            _ => (0, 0, 0),
        }
    }
}

/// A port where it stands on the wire.
#[derive(Clone, Copy)]
pub struct PortRef<'a>(Encoded<'a>);

impl<'a> PortRef<'a> {
    /// Of a port that was checked.
    pub(super) fn new(encoded: Encoded<'a>) -> Self {
        Self(encoded)
    }

    /// As it stands on the wire.
    #[must_use]
    pub fn encoded(self) -> Encoded<'a> {
        self.0
    }

    /// The node it lives on.
    #[must_use]
    pub fn node(self) -> AtomRef<'a> {
        self.0.name_at(1)
    }

    /// Its number.
    #[must_use]
    pub fn id(self) -> u64 {
        self.numbers().0
    }

    /// Which incarnation of the node; 0 matches any.
    #[must_use]
    pub fn creation(self) -> u32 {
        self.numbers().1
    }

    /// The identifier, to keep.
    #[must_use]
    pub fn to_port(self) -> Port {
        let (id, creation) = self.numbers();
        Port {
            node: self.node().to_atom().unwrap_or(atom!("")),
            id,
            creation,
        }
    }

    fn numbers(self) -> (u64, u32) {
        match self.0.bytes() {
            [tag::PORT, .., a, b, c, d, creation] => (
                u32::from_be_bytes([*a, *b, *c, *d]).into(),
                u32::from(*creation),
            ),
            [tag::V4_PORT, .., a, b, c, d, e, f, g, h, i, j, k, l] => (
                u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
                u32::from_be_bytes([*i, *j, *k, *l]),
            ),
            [_, .., a, b, c, d, e, f, g, h] => (
                u32::from_be_bytes([*a, *b, *c, *d]).into(),
                u32::from_be_bytes([*e, *f, *g, *h]),
            ),
            _ => (0, 0),
        }
    }
}

/// A reference where it stands on the wire.
#[derive(Clone, Copy)]
pub struct ReferenceRef<'a>(Encoded<'a>);

impl<'a> ReferenceRef<'a> {
    /// Of a reference that was checked.
    #[inline(always)]
    pub(super) fn new(encoded: Encoded<'a>) -> Self {
        Self(encoded)
    }

    /// As it stands on the wire.
    #[must_use]
    pub fn encoded(self) -> Encoded<'a> {
        self.0
    }

    /// The node that made it.
    #[inline]
    #[must_use]
    pub fn node(self) -> AtomRef<'a> {
        match self.0.bytes() {
            [tag::REFERENCE, ..] => self.0.name_at(1),
            _ => self.0.name_at(3),
        }
    }

    /// Which incarnation of the node; 0 matches any.
    #[inline]
    #[must_use]
    pub fn creation(self) -> u32 {
        match *self.split().0 {
            [tag::NEWER_REFERENCE, .., a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
            [tag::NEW_REFERENCE, .., creation] => creation.into(),
            // The oldest form has it after its one word.
            _ => self.0.bytes().last().copied().unwrap_or_default().into(),
        }
    }

    /// Its 1 to 5 words, in the order of the wire.
    #[inline]
    pub fn words(self) -> impl ExactSizeIterator<Item = u32> + 'a {
        let words = self.split().1.iter();
        words.map(|word| u32::from_be_bytes(*word))
    }

    /// The identifier, to keep.
    #[must_use]
    pub fn to_reference(self) -> Reference {
        if let [tag::NEWER_REFERENCE, rest @ ..] = self.0.bytes()
            && let Some((reference, _)) = short_reference(Input(rest), self.0.atoms())
        {
            return reference;
        }
        let node = self.node().to_atom().unwrap_or(atom!(""));
        Reference::from_wire(node, self.creation(), self.split().1)
    }

    /// What stands before the words, and the words.
    #[inline(always)]
    fn split(self) -> (&'a [u8], &'a [[u8; 4]]) {
        let bytes = self.0.bytes();
        let (before, words) = match bytes {
            [tag::REFERENCE, .., _] => (bytes.len().saturating_sub(5), 1),
            [_, _, words, ..] => {
                let words = usize::from(*words);
                (bytes.len().saturating_sub(words.saturating_mul(4)), words)
            }
            _ => (0, 0),
        };
        let (before, after) = bytes.split_at_checked(before).unwrap_or_default();
        let words = after.as_chunks().0.get(..words);
        (before, words.unwrap_or_default())
    }
}

impl fmt::Debug for PidRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_pid(), f)
    }
}

impl fmt::Debug for PortRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_port(), f)
    }
}

impl fmt::Debug for ReferenceRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_reference(), f)
    }
}
