//! What can go wrong, and whose fault it is.

use alloc::string::ToString;
use alloc::vec::Vec;

use thiserror::Error;

use super::{FrameTooLarge, Malformed, Status};
use crate::{Flags, NodeName, Reason};

/// Why a handshake failed. The connection is of no use afterwards: write [`HandshakeError::farewell`]
/// and close it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The other end broke the protocol, or speaks another one.
    #[error("it sent {0}")]
    Malformed(#[from] Malformed),
    /// The other end speaks another protocol.
    #[error("it sent {0}")]
    FrameTooLarge(#[from] FrameTooLarge),
    /// A status that does not fit to what was asked.
    #[error("it sent a status that is not due: {0:?}")]
    StatusNotDue(Status),
    /// The other end lacks what this one demands.
    #[error("it does not offer {missing}")]
    MissingFlags {
        /// What it lacks.
        missing: Flags,
    },
    /// The other end speaks the handshake of before OTP 23.
    #[error("it speaks a handshake of before OTP 23")]
    OldVersion,
    /// Another node answers than the one that was called.
    #[error("{actual} answers instead of {wanted}")]
    NameMismatch {
        /// Who was called.
        wanted: NodeName,
        /// Who answers.
        actual: NodeName,
    },
    /// The other end refuses this node.
    #[error("it does not allow this node")]
    NotAllowed,
    /// The other end was dialling this one, and its dial wins.
    #[error("its own attempt to connect wins")]
    Nok,
    /// The other end still has a connection to this name, and keeps it.
    #[error("it still has a connection to this name")]
    StillAlive,
    /// The proof is not that of our cookie.
    #[error("its cookie is another one")]
    CookieMismatch,
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What answers is no node, or a broken one.
    PeerBroken,
    /// A node that cannot work with this one.
    PeerIncompatible,
    /// The other end's decision.
    PeerRefuses,
    /// Names or cookies do not fit together; a person has to decide which is right.
    Configuration,
    /// Nobody's: two attempts met.
    Race,
}

impl HandshakeError {
    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Malformed(_) | Self::FrameTooLarge(_) | Self::StatusNotDue(_) => {
                Fault::PeerBroken
            }
            Self::MissingFlags { .. } | Self::OldVersion => Fault::PeerIncompatible,
            Self::NotAllowed => Fault::PeerRefuses,
            Self::NameMismatch { .. } | Self::CookieMismatch => Fault::Configuration,
            Self::Nok | Self::StillAlive => Fault::Race,
        }
    }

    /// The reason in the words that every part of the project uses.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Malformed(_) | Self::FrameTooLarge(_) | Self::StatusNotDue(_) => {
                Reason::NotDist {
                    detail: self.to_string(),
                }
            }
            Self::MissingFlags { .. } | Self::OldVersion => Reason::Incompatible {
                detail: self.to_string(),
            },
            Self::NameMismatch { actual, .. } => Reason::NameMismatch {
                actual: actual.clone(),
            },
            Self::NotAllowed => Reason::NotAllowed { here: false },
            Self::Nok => Reason::LostRace,
            Self::StillAlive => Reason::AlreadyConnected,
            Self::CookieMismatch => Reason::CookieMismatch,
        }
    }

    /// What an acceptor writes before it closes: a caller that lacks flags is told `not_allowed`.
    pub fn farewell(&self) -> Option<Vec<u8>> {
        match self {
            Self::MissingFlags { .. } | Self::OldVersion => Some(Status::NotAllowed.encode()),
            _ => None,
        }
    }

    pub(super) fn from_malformed(error: Malformed) -> Self {
        match error {
            Malformed::OldVersion => Self::OldVersion,
            other => Self::Malformed(other),
        }
    }

    /// Checks what the other end announced.
    pub(super) fn check_flags(announced: Flags) -> Result<(), Self> {
        let missing = announced.missing_from(Flags::MANDATORY_26);
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Self::MissingFlags { missing })
        }
    }
}
