//! Requests: a u16 length and a body that begins with the tag.

use alloc::string::String;
use alloc::vec::Vec;

use super::{EpmdError, MAX_NAME};
use crate::wire::{Reader, put_counted};

const ALIVE2_REQ: u8 = b'x';
const PORT_PLEASE2_REQ: u8 = b'z';
const NAMES_REQ: u8 = b'n';
const DUMP_REQ: u8 = b'd';
const KILL_REQ: u8 = b'k';
const STOP_REQ: u8 = b's';

/// One question to EPMD. It answers and closes; only [`Request::Alive2`] keeps the connection,
/// which *is* the registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// ALIVE2_REQ: register this node for as long as the connection lives.
    Alive2(Registration),
    /// PORT_PLEASE2_REQ: where does the node with this alive part listen?
    PortPlease2 {
        /// The part of the node's name before the `@`.
        alive: String,
    },
    /// NAMES_REQ: who is registered?
    Names,
    /// DUMP_REQ: who is registered, with details for debugging.
    Dump,
    /// KILL_REQ: end.
    Kill,
    /// STOP_REQ: forget this name.
    Stop {
        /// The part of the node's name before the `@`.
        alive: String,
    },
}

impl Request {
    /// The request with its length prefix.
    pub fn encode(&self) -> Result<Vec<u8>, EpmdError> {
        let mut body = Vec::with_capacity(32);
        match self {
            Self::Alive2(registration) => {
                body.push(ALIVE2_REQ);
                registration.encode(&mut body)?;
            }
            Self::PortPlease2 { alive } => {
                body.push(PORT_PLEASE2_REQ);
                body.extend_from_slice(alive.as_bytes());
            }
            Self::Names => body.push(NAMES_REQ),
            Self::Dump => body.push(DUMP_REQ),
            Self::Kill => body.push(KILL_REQ),
            Self::Stop { alive } => {
                body.push(STOP_REQ);
                body.extend_from_slice(alive.as_bytes());
            }
        }
        let mut out = Vec::with_capacity(body.len().saturating_add(2));
        put_counted(&mut out, &body).ok_or(EpmdError::TooLong)?;
        Ok(out)
    }

    /// Takes the first request out of what a client sent: the request and how many bytes it took,
    /// or `None` while it is not complete.
    pub fn decode_prefix(bytes: &[u8]) -> Result<Option<(Self, usize)>, EpmdError> {
        let mut reader = Reader::new(bytes);
        let Some(body) = reader.counted() else {
            return Ok(None);
        };
        let used = bytes.len().saturating_sub(reader.rest().len());
        Self::decode(body).map(|request| Some((request, used)))
    }

    /// Decodes a request without its length prefix.
    pub fn decode(body: &[u8]) -> Result<Self, EpmdError> {
        let mut reader = Reader::new(body);
        let tag = reader.u8().ok_or(EpmdError::Empty)?;
        match tag {
            ALIVE2_REQ => {
                let registration = Registration::decode(&mut reader)?;
                ended(reader, Self::Alive2(registration))
            }
            PORT_PLEASE2_REQ => Ok(Self::PortPlease2 {
                alive: name(reader.rest())?,
            }),
            NAMES_REQ => ended(reader, Self::Names),
            DUMP_REQ => ended(reader, Self::Dump),
            KILL_REQ => ended(reader, Self::Kill),
            STOP_REQ => Ok(Self::Stop {
                alive: name(reader.rest())?,
            }),
            other => Err(EpmdError::Unknown(other)),
        }
    }
}

fn ended(reader: Reader<'_>, request: Request) -> Result<Request, EpmdError> {
    if reader.is_empty() {
        Ok(request)
    } else {
        Err(EpmdError::Trailing)
    }
}

pub(super) fn name(bytes: &[u8]) -> Result<String, EpmdError> {
    if bytes.is_empty() || bytes.len() > MAX_NAME {
        return Err(EpmdError::BadName);
    }
    match core::str::from_utf8(bytes) {
        Ok(name) if is_printable(name) => Ok(name.into()),
        _ => Err(EpmdError::BadName),
    }
}

/// Names end up in lists of lines, in logs and on terminals.
pub(super) fn is_printable(name: &str) -> bool {
    !name.contains(char::is_control)
}

/// What a node tells EPMD about itself, and EPMD others about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The part of the node's name before the `@`.
    pub alive: String,
    /// Where the node listens.
    pub port: u16,
    /// Visible or hidden.
    pub node_type: NodeType,
    /// 0 for TCP, over IPv4 and IPv6, with TLS and without.
    pub protocol: u8,
    /// The newest handshake that the node speaks.
    pub highest: u16,
    /// The oldest handshake that the node speaks.
    pub lowest: u16,
    /// Kept and echoed, without a meaning.
    pub extra: Vec<u8>,
}

impl Registration {
    /// The newest handshake that there is.
    pub const HIGHEST: u16 = 6;

    /// What OTP 25 to 29 register as the oldest one, whatever the documentation says.
    pub const LOWEST: u16 = 5;

    /// A registration as OTP makes it.
    pub fn new(alive: impl Into<String>, port: u16, node_type: NodeType) -> Self {
        Self {
            alive: alive.into(),
            port,
            node_type,
            protocol: 0,
            highest: Self::HIGHEST,
            lowest: Self::LOWEST,
            extra: Vec::new(),
        }
    }

    /// Whether the node is a hidden one.
    pub fn hidden(&self) -> bool {
        self.node_type == NodeType::HIDDEN
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EpmdError> {
        out.extend_from_slice(&self.port.to_be_bytes());
        out.push(self.node_type.0);
        out.push(self.protocol);
        out.extend_from_slice(&self.highest.to_be_bytes());
        out.extend_from_slice(&self.lowest.to_be_bytes());
        put_counted(out, self.alive.as_bytes()).ok_or(EpmdError::TooLong)?;
        put_counted(out, &self.extra).ok_or(EpmdError::TooLong)
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, EpmdError> {
        Self::parts(reader).ok_or(EpmdError::Truncated)?
    }

    fn parts(reader: &mut Reader<'_>) -> Option<Result<Self, EpmdError>> {
        let port = reader.u16()?;
        let node_type = NodeType(reader.u8()?);
        let protocol = reader.u8()?;
        let highest = reader.u16()?;
        let lowest = reader.u16()?;
        let alive = reader.counted()?;
        let extra = reader.counted()?.to_vec();
        Some(name(alive).map(|alive| Self {
            alive,
            port,
            node_type,
            protocol,
            highest,
            lowest,
            extra,
        }))
    }
}

/// How a node takes part: the byte of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeType(pub u8);

impl NodeType {
    /// An ordinary node.
    pub const VISIBLE: Self = Self(77);
    /// A hidden node.
    pub const HIDDEN: Self = Self(72);
}
