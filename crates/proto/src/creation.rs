//! The incarnation number of a node.

use core::fmt;

/// Which incarnation of a node something belongs to: handed out by EPMD (or random without one),
/// carried in every pid, port and reference and in the handshake. Identifiers with an older
/// creation are dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Creation(pub u32);

impl Creation {
    /// 0, which OTP treats as "any incarnation". Never announce it as one's own.
    pub const ANY: Self = Self(0);
}

impl fmt::Display for Creation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
