//! The messages, without their length prefix.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use crate::wire::{Reader, put_counted};
use crate::{Creation, Digest, Flags, NodeName};

/// `send_name` and `send_challenge` of version 6.
const TAG_NAME: u8 = b'N';
/// `send_name` and `send_challenge` of version 5, before OTP 23.
const TAG_OLD_NAME: u8 = b'n';
const TAG_STATUS: u8 = b's';
const TAG_REPLY: u8 = b'r';
const TAG_ACK: u8 = b'a';
/// The longest name: an atom of 255 characters of four bytes.
const MAX_NAME: usize = 1020;

/// Which message, in the words of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Step 1: the caller's name.
    SendName,
    /// Step 2: what the acceptor thinks of it, and the caller's answer to `alive`.
    Status,
    /// Step 3: the acceptor's name and challenge.
    SendChallenge,
    /// Step 4: the caller's challenge and proof.
    SendChallengeReply,
    /// Step 5: the acceptor's proof.
    SendChallengeAck,
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SendName => "send_name",
            Self::Status => "status",
            Self::SendChallenge => "send_challenge",
            Self::SendChallengeReply => "send_challenge_reply",
            Self::SendChallengeAck => "send_challenge_ack",
        })
    }
}

/// Why a frame is not the message that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The frame ends before the message does.
    #[error("a {0} that ends too early")]
    Truncated(MessageKind),
    /// Bytes after a message that has a fixed size.
    #[error("bytes after the end of {0}")]
    Trailing(MessageKind),
    /// Another message, or none.
    #[error("no {0}")]
    Unexpected(MessageKind),
    /// A handshake of before OTP 23.
    #[error("an old handshake")]
    OldVersion,
    /// A status that is not in the specification.
    #[error("an unknown status")]
    UnknownStatus,
    /// A name that no node can have.
    #[error("a name that no node can have")]
    BadName,
}

/// Step 1, caller to acceptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendName {
    /// What the caller can do.
    pub flags: Flags,
    /// Its incarnation; 0 when it asks for a name.
    pub creation: Creation,
    /// Its name; only the host when it asks for a name ([`Flags::NAME_ME`]).
    pub name: String,
}

impl SendName {
    /// The frame. A name of more than 64 KiB cannot be written and becomes an empty one.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.name.len().saturating_add(15));
        out.push(TAG_NAME);
        out.extend_from_slice(&self.flags.bits().to_be_bytes());
        out.extend_from_slice(&self.creation.0.to_be_bytes());
        put_name(&mut out, &self.name);
        out
    }

    /// Decodes a frame. Bytes after the name are ignored, as the specification demands.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        const KIND: MessageKind = MessageKind::SendName;
        let mut reader = tagged_name(frame, KIND)?;
        let (flags, creation, name) = (|| {
            let flags = Flags::from_bits(reader.u64()?);
            let creation = Creation(reader.u32()?);
            Some((flags, creation, reader.counted()?))
        })()
        .ok_or(Malformed::Truncated(KIND))?;
        Ok(Self {
            flags,
            creation,
            name: text(name)?,
        })
    }
}

/// Step 3, acceptor to caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// What the acceptor can do.
    pub flags: Flags,
    /// What the caller's proof has to be made for.
    pub challenge: u32,
    /// The acceptor's incarnation.
    pub creation: Creation,
    /// The acceptor's name.
    pub name: NodeName,
}

impl Challenge {
    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        let name = self.name.as_str();
        let mut out = Vec::with_capacity(name.len().saturating_add(19));
        out.push(TAG_NAME);
        out.extend_from_slice(&self.flags.bits().to_be_bytes());
        out.extend_from_slice(&self.challenge.to_be_bytes());
        out.extend_from_slice(&self.creation.0.to_be_bytes());
        put_name(&mut out, name);
        out
    }

    /// Decodes a frame. Bytes after the name are ignored, as the specification demands.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        const KIND: MessageKind = MessageKind::SendChallenge;
        let mut reader = tagged_name(frame, KIND)?;
        let (flags, challenge, creation, name) = (|| {
            let flags = Flags::from_bits(reader.u64()?);
            let challenge = reader.u32()?;
            let creation = Creation(reader.u32()?);
            Some((flags, challenge, creation, reader.counted()?))
        })()
        .ok_or(Malformed::Truncated(KIND))?;
        Ok(Self {
            flags,
            challenge,
            creation,
            name: node_name(name)?,
        })
    }
}

/// Step 2, acceptor to caller; and the caller's answer to [`Status::Alive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Go on.
    Ok,
    /// Go on; the acceptor drops its own attempt to reach the caller.
    OkSimultaneous,
    /// The acceptor's own attempt to reach the caller wins.
    Nok,
    /// The acceptor does not want this caller.
    NotAllowed,
    /// The acceptor still has a connection to that name. The caller answers true or false.
    Alive,
    /// Go on, under this name.
    Named {
        /// The caller's name from now on.
        name: NodeName,
        /// The caller's incarnation from now on.
        creation: Creation,
    },
    /// The caller's answer to [`Status::Alive`]: replace the old connection.
    True,
    /// The caller's answer to [`Status::Alive`]: keep the old connection.
    False,
}

const NAMED: &[u8] = b"named:";

impl Status {
    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        out.push(TAG_STATUS);
        match self {
            Self::Named { name, creation } => {
                out.extend_from_slice(NAMED);
                put_name(&mut out, name.as_str());
                out.extend_from_slice(&creation.0.to_be_bytes());
            }
            Self::Ok => out.extend_from_slice(b"ok"),
            Self::OkSimultaneous => out.extend_from_slice(b"ok_simultaneous"),
            Self::Nok => out.extend_from_slice(b"nok"),
            Self::NotAllowed => out.extend_from_slice(b"not_allowed"),
            Self::Alive => out.extend_from_slice(b"alive"),
            Self::True => out.extend_from_slice(b"true"),
            Self::False => out.extend_from_slice(b"false"),
        }
        out
    }

    /// Decodes a frame. Bytes after `named:` and its fields are ignored.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        let reader = tagged(frame, TAG_STATUS, MessageKind::Status)?;
        Ok(match reader.rest() {
            b"ok" => Self::Ok,
            b"ok_simultaneous" => Self::OkSimultaneous,
            b"nok" => Self::Nok,
            b"not_allowed" => Self::NotAllowed,
            b"alive" => Self::Alive,
            b"true" => Self::True,
            b"false" => Self::False,
            other => return Self::named(other),
        })
    }

    fn named(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields = bytes.strip_prefix(NAMED).ok_or(Malformed::UnknownStatus)?;
        let mut reader = Reader::new(fields);
        let name = reader.counted();
        let (Some(name), Some(creation)) = (name, reader.u32()) else {
            return Err(Malformed::Truncated(MessageKind::Status));
        };
        Ok(Self::Named {
            name: node_name(name)?,
            creation: Creation(creation),
        })
    }
}

/// Step 4, caller to acceptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChallengeReply {
    /// What the acceptor's proof has to be made for.
    pub challenge: u32,
    /// The caller's proof.
    pub digest: Digest,
}

impl ChallengeReply {
    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(21);
        out.push(TAG_REPLY);
        out.extend_from_slice(&self.challenge.to_be_bytes());
        out.extend_from_slice(&self.digest);
        out
    }

    /// Decodes a frame.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        const KIND: MessageKind = MessageKind::SendChallengeReply;
        let mut reader = tagged(frame, TAG_REPLY, KIND)?;
        let challenge = reader.u32().ok_or(Malformed::Truncated(KIND))?;
        let digest = reader.array().ok_or(Malformed::Truncated(KIND))?;
        ended(reader, KIND)?;
        Ok(Self { challenge, digest })
    }
}

/// Step 5, acceptor to caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChallengeAck {
    /// The acceptor's proof.
    pub digest: Digest,
}

impl ChallengeAck {
    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(17);
        out.push(TAG_ACK);
        out.extend_from_slice(&self.digest);
        out
    }

    /// Decodes a frame.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        const KIND: MessageKind = MessageKind::SendChallengeAck;
        let mut reader = tagged(frame, TAG_ACK, KIND)?;
        let digest = reader.array().ok_or(Malformed::Truncated(KIND))?;
        ended(reader, KIND)?;
        Ok(Self { digest })
    }
}

fn tagged_name(frame: &[u8], kind: MessageKind) -> Result<Reader<'_>, Malformed> {
    if frame.first() == Some(&TAG_OLD_NAME) {
        return Err(Malformed::OldVersion);
    }
    tagged(frame, TAG_NAME, kind)
}

fn tagged(frame: &[u8], tag: u8, kind: MessageKind) -> Result<Reader<'_>, Malformed> {
    let mut reader = Reader::new(frame);
    match reader.u8() {
        Some(found) if found == tag => Ok(reader),
        Some(_) => Err(Malformed::Unexpected(kind)),
        None => Err(Malformed::Truncated(kind)),
    }
}

fn ended(reader: Reader<'_>, kind: MessageKind) -> Result<(), Malformed> {
    if reader.is_empty() {
        Ok(())
    } else {
        Err(Malformed::Trailing(kind))
    }
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    if bytes.is_empty() || bytes.len() > MAX_NAME {
        return Err(Malformed::BadName);
    }
    core::str::from_utf8(bytes)
        .map(String::from)
        .map_err(|_| Malformed::BadName)
}

fn node_name(bytes: &[u8]) -> Result<NodeName, Malformed> {
    text(bytes)?.parse().map_err(|_| Malformed::BadName)
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    if put_counted(out, name.as_bytes()).is_none() {
        // No node name is this long; an empty one is refused by every peer.
        out.extend_from_slice(&[0, 0]);
    }
}
