//! Capabilities that both ends announce in the handshake (`erl_dist_protocol`, "Distribution
//! Flags").

use core::fmt;
use core::ops::{BitAnd, BitOr, Not};

/// What a node can do. Both ends announce theirs; what holds on a connection is what both have.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flags(u64);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// Every bit with a name, lowest first.
            const NAMES: &[(Self, &str)] = &[$((Self::$name, stringify!($name)),)*];
        }
    };
}

flags! {
    /// A visible node: listed by `nodes/0`, takes part in `global`.
    PUBLISHED = 0;
    /// The atom cache before `DIST_HDR_ATOM_CACHE`; no longer used.
    ATOM_CACHE = 1;
    /// References of several words.
    EXTENDED_REFERENCES = 2;
    /// MONITOR_P, DEMONITOR_P and their exits.
    DIST_MONITOR = 3;
    /// Funs have a tag of their own.
    FUN_TAGS = 4;
    /// Monitors of registered names.
    DIST_MONITOR_NAME = 5;
    /// The old atom cache, for hidden nodes; no longer used.
    HIDDEN_ATOM_CACHE = 6;
    /// NEW_FUN_EXT.
    NEW_FUN_TAGS = 7;
    /// Pids and ports of more than 18 bits.
    EXTENDED_PIDS_PORTS = 8;
    /// EXPORT_EXT.
    EXPORT_PTR_TAG = 9;
    /// BIT_BINARY_EXT.
    BIT_BINARIES = 10;
    /// NEW_FLOAT_EXT.
    NEW_FLOATS = 11;
    /// Unicode in the I/O protocol.
    UNICODE_IO = 12;
    /// Frames begin with a distribution header, which may use the atom cache.
    DIST_HDR_ATOM_CACHE = 13;
    /// SMALL_ATOM_EXT.
    SMALL_ATOM_TAGS = 14;
    /// Atoms in UTF-8.
    UTF8_ATOMS = 16;
    /// MAP_EXT.
    MAP_TAG = 17;
    /// Creations of 32 bits.
    BIG_CREATION = 18;
    /// SEND_SENDER instead of SEND.
    SEND_SENDER = 19;
    /// Any term as a label of a sequential trace token.
    BIG_SEQTRACE_LABELS = 20;
    /// Exit reasons travel as payload, not in the control message.
    EXIT_PAYLOAD = 22;
    /// Large messages may come in fragments.
    FRAGMENTS = 23;
    /// The handshake of OTP 23: `N` messages and version 6.
    HANDSHAKE_23 = 24;
    /// UNLINK_ID and its acknowledgement.
    UNLINK_ID = 25;
    /// Stands for everything that OTP 25 demands. The published documentation says bit 36; the
    /// wire and `dist.hrl` say 26.
    MANDATORY_25_DIGEST = 26;
    /// SPAWN_REQUEST and SPAWN_REPLY.
    SPAWN = 32;
    /// The caller asks for a name.
    NAME_ME = 33;
    /// Pids, ports and references with numbers of up to 64 bits, references of five words.
    V4_NC = 34;
    /// ALIAS_SEND.
    ALIAS = 35;
    /// ALTACT_SIG_SEND (OTP 28).
    ALTACT_SIG = 37;
    /// RECORD_EXT (OTP 29).
    NATIVE_RECORDS = 38;
}

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// What OTP 25 demands of a peer; `MANDATORY_25_DIGEST` stands for all of it.
    pub const MANDATORY_25: Self = Self(
        Self::EXTENDED_REFERENCES.0
            | Self::FUN_TAGS.0
            | Self::NEW_FUN_TAGS.0
            | Self::EXTENDED_PIDS_PORTS.0
            | Self::EXPORT_PTR_TAG.0
            | Self::BIT_BINARIES.0
            | Self::NEW_FLOATS.0
            | Self::UTF8_ATOMS.0
            | Self::MAP_TAG.0
            | Self::BIG_CREATION.0
            | Self::HANDSHAKE_23.0,
    );

    /// What OTP 26 and newer demand of a peer.
    pub const MANDATORY_26: Self = Self(Self::MANDATORY_25.0 | Self::UNLINK_ID.0 | Self::V4_NC.0);

    /// What a hidden node built on this crate announces: all that [`crate::conn`] and
    /// [`crate::control`] understand. `ALTACT_SIG` is understood too, but left out: a peer then
    /// sends ALIAS_SEND, which says the same.
    pub const fn hidden_default() -> Self {
        Self(
            Self::MANDATORY_26.0
                | Self::MANDATORY_25_DIGEST.0
                | Self::DIST_MONITOR.0
                | Self::DIST_MONITOR_NAME.0
                | Self::UNICODE_IO.0
                | Self::DIST_HDR_ATOM_CACHE.0
                | Self::SMALL_ATOM_TAGS.0
                | Self::SEND_SENDER.0
                | Self::BIG_SEQTRACE_LABELS.0
                | Self::EXIT_PAYLOAD.0
                | Self::FRAGMENTS.0
                | Self::SPAWN.0
                | Self::ALIAS.0
                | Self::NATIVE_RECORDS.0,
        )
    }

    /// Takes the bits of the wire as they are.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits of the wire.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether every flag of `other` is in here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// `MANDATORY_25_DIGEST` written out.
    #[must_use]
    pub const fn expanded(self) -> Self {
        if self.contains(Self::MANDATORY_25_DIGEST) {
            Self(self.0 | Self::MANDATORY_25.0)
        } else {
            self
        }
    }

    /// What `required` has and `self` lacks, the digest taken for what it stands for.
    #[must_use]
    pub const fn missing_from(self, required: Self) -> Self {
        Self(required.0 & !self.expanded().0)
    }

    /// What holds on a connection between `self` and `other`.
    #[must_use]
    pub const fn shared_with(self, other: Self) -> Self {
        Self(self.expanded().0 & other.expanded().0)
    }

    /// `self` and `other` together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// `self` without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}

impl BitAnd for Flags {
    type Output = Self;

    fn bitand(self, rhs: Self) -> Self {
        Self(self.0 & rhs.0)
    }
}

impl Not for Flags {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Display for Flags {
    /// The names, comma separated; bits without a name as one hexadecimal number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut separator = "";
        for (flag, name) in Self::NAMES {
            if self.contains(*flag) {
                write!(f, "{separator}{name}")?;
                separator = ", ";
                rest &= !flag.0;
            }
        }
        if rest != 0 || self.0 == 0 {
            write!(f, "{separator}{rest:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#x}: {self})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// What real nodes and scripted peers showed.
    #[test]
    fn values_of_the_wire() {
        assert_eq!(Flags::MANDATORY_25.bits(), 0x107_0f94);
        assert_eq!(Flags::MANDATORY_26.bits(), 0x4_0307_0f94);
        assert_eq!(Flags::MANDATORY_25_DIGEST.bits(), 0x400_0000);
        let otp25 = Flags::from_bits(0xd_07df_7fbd);
        assert!(otp25.missing_from(Flags::MANDATORY_26).is_empty());
        assert!(
            Flags::hidden_default()
                .missing_from(Flags::MANDATORY_26)
                .is_empty()
        );
        assert!(!Flags::hidden_default().contains(Flags::PUBLISHED));
    }

    #[test]
    fn the_digest_stands_for_what_otp_25_demands() {
        let least = Flags::from_bits(0x4_0600_0000);
        assert!(least.missing_from(Flags::MANDATORY_26).is_empty());
        let old = Flags::from_bits(0x400_0000);
        assert_eq!(
            old.missing_from(Flags::MANDATORY_26),
            Flags::UNLINK_ID | Flags::V4_NC
        );
        assert_eq!(old.shared_with(Flags::MANDATORY_25), Flags::MANDATORY_25);
    }

    #[test]
    fn printed_by_name() {
        let flags = Flags::UNLINK_ID | Flags::V4_NC | Flags::from_bits(1 << 60);
        assert_eq!(flags.to_string(), "UNLINK_ID, V4_NC, 0x1000000000000000");
        assert_eq!(Flags::NONE.to_string(), "0x0");
    }
}
