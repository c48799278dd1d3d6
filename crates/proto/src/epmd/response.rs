//! Answers. EPMD closes after each but that to ALIVE2_REQ, so most end with the connection.

use alloc::string::String;
use alloc::vec::Vec;

use super::request::is_printable;
use super::{EpmdError, Registration};
use crate::Creation;
use crate::wire::Reader;

const ALIVE2_RESP: u8 = b'y';
const ALIVE2_X_RESP: u8 = b'v';
const PORT2_RESP: u8 = b'w';

/// The answer to ALIVE2_REQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliveResponse {
    /// ALIVE2_X_RESP, for nodes whose highest version is 6 or more.
    Extended {
        /// 0 when registered.
        result: u8,
        /// The node's creation; 99 beside an error.
        creation: Creation,
    },
    /// ALIVE2_RESP, for older nodes.
    Old {
        /// 0 when registered.
        result: u8,
        /// The node's creation, 1 to 3.
        creation: u16,
    },
}

impl AliveResponse {
    /// The creation when the node is registered.
    pub fn registered(self) -> Option<Creation> {
        match self {
            Self::Extended {
                result: 0,
                creation,
            } => Some(creation),
            Self::Old {
                result: 0,
                creation,
            } => Some(Creation(u32::from(creation))),
            Self::Extended { .. } | Self::Old { .. } => None,
        }
    }

    /// The answer as it goes over the wire.
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(6);
        match self {
            Self::Extended { result, creation } => {
                out.extend_from_slice(&[ALIVE2_X_RESP, result]);
                out.extend_from_slice(&creation.0.to_be_bytes());
            }
            Self::Old { result, creation } => {
                out.extend_from_slice(&[ALIVE2_RESP, result]);
                out.extend_from_slice(&creation.to_be_bytes());
            }
        }
        out
    }

    /// Takes the answer out of what EPMD sent: the answer and how many bytes it took, or `None`
    /// while it is not complete. The connection stays open afterwards.
    pub fn decode_prefix(bytes: &[u8]) -> Result<Option<(Self, usize)>, EpmdError> {
        let mut reader = Reader::new(bytes);
        match reader.u8() {
            None => Ok(None),
            Some(ALIVE2_X_RESP) => Ok(Self::extended(&mut reader).map(|answer| (answer, 6))),
            Some(ALIVE2_RESP) => Ok(Self::old(&mut reader).map(|answer| (answer, 4))),
            Some(other) => Err(EpmdError::Unknown(other)),
        }
    }

    fn extended(reader: &mut Reader<'_>) -> Option<Self> {
        let result = reader.u8()?;
        let creation = Creation(reader.u32()?);
        Some(Self::Extended { result, creation })
    }

    fn old(reader: &mut Reader<'_>) -> Option<Self> {
        let result = reader.u8()?;
        let creation = reader.u16()?;
        Some(Self::Old { result, creation })
    }
}

/// The answer to PORT_PLEASE2_REQ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortResponse {
    /// The node is registered.
    Found(Registration),
    /// The node is not registered.
    Unknown {
        /// What EPMD gives as the reason; 1.
        result: u8,
    },
}

impl PortResponse {
    /// The answer as it goes over the wire.
    pub fn encode(&self) -> Result<Vec<u8>, EpmdError> {
        let mut out = Vec::with_capacity(32);
        out.push(PORT2_RESP);
        match self {
            Self::Found(registration) => {
                out.push(0);
                registration.encode(&mut out)?;
            }
            Self::Unknown { result } => out.push(*result),
        }
        Ok(out)
    }

    /// Takes the answer out of what EPMD sent, or `None` while it is not complete. There is no need
    /// to wait for the end of the connection.
    pub fn decode_prefix(bytes: &[u8]) -> Result<Option<(Self, usize)>, EpmdError> {
        let mut reader = Reader::new(bytes);
        match reader.u8() {
            None => return Ok(None),
            Some(PORT2_RESP) => {}
            Some(other) => return Err(EpmdError::Unknown(other)),
        }
        let response = match reader.u8() {
            None => return Ok(None),
            Some(0) => match Registration::decode(&mut reader) {
                Ok(registration) => Self::Found(registration),
                Err(EpmdError::Truncated) => return Ok(None),
                Err(error) => return Err(error),
            },
            Some(result) => Self::Unknown { result },
        };
        let used = bytes.len().saturating_sub(reader.rest().len());
        Ok(Some((response, used)))
    }
}

/// The answer to NAMES_REQ: everything until EPMD closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesResponse {
    /// The port where EPMD itself listens.
    pub epmd_port: u32,
    /// Who is registered, newest first.
    pub names: Vec<NameEntry>,
}

/// One line of a [`NamesResponse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameEntry {
    /// The part of the node's name before the `@`.
    pub alive: String,
    /// Where the node listens.
    pub port: u16,
}

impl NamesResponse {
    /// The answer as it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::new();
        for NameEntry { alive, port } in &self.names {
            text.push_str(&alloc::format!("name {alive} at port {port}\n"));
        }
        let mut out = self.epmd_port.to_be_bytes().to_vec();
        out.extend_from_slice(text.as_bytes());
        out
    }

    /// Decodes all that came until EPMD closed the connection.
    pub fn decode(bytes: &[u8]) -> Result<Self, EpmdError> {
        let mut reader = Reader::new(bytes);
        let epmd_port = reader.u32().ok_or(EpmdError::Truncated)?;
        let text = core::str::from_utf8(reader.rest()).map_err(|_| EpmdError::BadName)?;
        if !(text.is_empty() || text.ends_with('\n')) {
            return Err(EpmdError::Truncated);
        }
        let names = text
            .lines()
            .map(entry)
            .collect::<Option<_>>()
            .ok_or(EpmdError::BadLine)?;
        Ok(Self { epmd_port, names })
    }
}

fn entry(line: &str) -> Option<NameEntry> {
    let (alive, port) = line.strip_prefix("name ")?.rsplit_once(" at port ")?;
    is_printable(alive).then_some(())?;
    Some(NameEntry {
        alive: alive.into(),
        port: port.parse().ok()?,
    })
}
