//! To whom something goes.

use trunkline_etf::{Atom, Pid, Reference};
use trunkline_proto::NodeName;
use trunkline_proto::control::PidOrName;

/// To whom something goes; everything that takes one takes what it can be made `From`.
///
/// | Erlang | here |
/// |---|---|
/// | `Pid` | `&pid` |
/// | `name` | `atom!("name")`, `&name` |
/// | `{name, Node}` | `(atom!("name"), &node)` |
/// | an alias | `&reference` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dest<'a> {
    /// A process.
    Pid(&'a Pid),
    /// A registered process of this node.
    Name(Atom),
    /// A registered process of some node.
    NameAt(Atom, &'a NodeName),
    /// An alias; only messages can go there.
    Alias(&'a Reference),
}

impl<'a> From<&'a Pid> for Dest<'a> {
    fn from(pid: &'a Pid) -> Self {
        Self::Pid(pid)
    }
}

impl<'a> From<&'a Reference> for Dest<'a> {
    fn from(alias: &'a Reference) -> Self {
        Self::Alias(alias)
    }
}

impl From<Atom> for Dest<'_> {
    fn from(name: Atom) -> Self {
        Self::Name(name)
    }
}

impl From<&Atom> for Dest<'_> {
    fn from(name: &Atom) -> Self {
        Self::Name(name.clone())
    }
}

impl<'a> From<(Atom, &'a NodeName)> for Dest<'a> {
    fn from((name, node): (Atom, &'a NodeName)) -> Self {
        Self::NameAt(name, node)
    }
}

impl<'a> From<(&Atom, &'a NodeName)> for Dest<'a> {
    fn from((name, node): (&Atom, &'a NodeName)) -> Self {
        Self::NameAt(name.clone(), node)
    }
}

/// Where it lives, and who it is there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) node: Atom,
    pub(crate) who: PidOrName,
}
