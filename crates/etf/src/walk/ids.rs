//! Identifiers where they stand on the wire: no atom is made.

use core::fmt;

use super::AtomRef;
use crate::{Pid, Port, Reference};

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
///     assert_eq!(found.to_pid(), Some(pid));
/// }
/// # Ok::<(), trunkline_etf::DecodeError>(())
/// ```
#[derive(Clone, Copy)]
pub struct PidRef<'a> {
    pub(super) node: AtomRef<'a>,
    pub(super) id: u32,
    pub(super) serial: u32,
    pub(super) creation: u32,
}

impl<'a> PidRef<'a> {
    /// The node it lives on.
    #[inline]
    #[must_use]
    pub fn node(self) -> AtomRef<'a> {
        self.node
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }

    /// The upper part of its number.
    #[inline]
    #[must_use]
    pub fn serial(self) -> u32 {
        self.serial
    }

    /// Which incarnation of the node; 0 matches any.
    #[inline]
    #[must_use]
    pub fn creation(self) -> u32 {
        self.creation
    }

    /// The identifier, to keep; never `None` for what a walk gives.
    #[must_use]
    pub fn to_pid(self) -> Option<Pid> {
        Some(Pid {
            node: self.node.to_atom().ok()?,
            id: self.id,
            serial: self.serial,
            creation: self.creation,
        })
    }
}

/// A port where it stands on the wire.
#[derive(Clone, Copy)]
pub struct PortRef<'a> {
    pub(super) node: AtomRef<'a>,
    pub(super) id: u64,
    pub(super) creation: u32,
}

impl<'a> PortRef<'a> {
    /// The node it lives on.
    #[must_use]
    pub fn node(self) -> AtomRef<'a> {
        self.node
    }

    /// Its number.
    #[must_use]
    pub fn id(self) -> u64 {
        self.id
    }

    /// Which incarnation of the node; 0 matches any.
    #[must_use]
    pub fn creation(self) -> u32 {
        self.creation
    }

    /// The identifier, to keep; never `None` for what a walk gives.
    #[must_use]
    pub fn to_port(self) -> Option<Port> {
        Some(Port {
            node: self.node.to_atom().ok()?,
            id: self.id,
            creation: self.creation,
        })
    }
}

/// A reference where it stands on the wire.
#[derive(Clone, Copy)]
pub struct ReferenceRef<'a> {
    pub(super) node: AtomRef<'a>,
    pub(super) creation: u32,
    pub(super) words: &'a [[u8; 4]],
}

impl<'a> ReferenceRef<'a> {
    /// The node that made it.
    #[inline]
    #[must_use]
    pub fn node(self) -> AtomRef<'a> {
        self.node
    }

    /// Which incarnation of the node; 0 matches any.
    #[inline]
    #[must_use]
    pub fn creation(self) -> u32 {
        self.creation
    }

    /// Its 1 to 5 words, in the order of the wire.
    #[inline]
    pub fn words(self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.words.iter().map(|word| u32::from_be_bytes(*word))
    }

    /// The identifier, to keep; never `None` for what a walk gives.
    #[must_use]
    pub fn to_reference(self) -> Option<Reference> {
        Reference::of_words(self.node.to_atom().ok()?, self.creation, self.words)
    }
}

impl fmt::Debug for PidRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "#Pid<{} {}.{} c={}>",
            self.node, self.id, self.serial, self.creation
        )
    }
}

impl fmt::Debug for PortRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Port<{} {} c={}>", self.node, self.id, self.creation)
    }
}

impl fmt::Debug for ReferenceRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Ref<{} ", self.node)?;
        f.debug_list().entries(self.words()).finish()?;
        write!(f, " c={}>", self.creation)
    }
}
