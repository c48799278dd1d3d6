//! Frames of the handshake: a length of two bytes over TCP, of four over TLS.

use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// The longest message is a name of 1,020 bytes and a few numbers. More is not a node.
const MAX_FRAME: usize = 4096;

/// How long the length is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Two bytes: plain TCP.
    U16,
    /// Four bytes: TLS, during the handshake too.
    U32,
}

/// Cuts what comes from a connection into frames, and puts the length before what goes out.
///
/// When the handshake is done, [`HandshakeFramer::into_rest`] is what came behind it: the first
/// bytes of the connection proper.
#[derive(Clone)]
pub struct HandshakeFramer {
    prefix: Prefix,
    buffer: BytesMut,
}

/// What waits in it may be the peer's first messages: its size only.
impl fmt::Debug for HandshakeFramer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeFramer")
            .field("prefix", &self.prefix)
            .field("bytes", &self.buffer.len())
            .finish()
    }
}

/// The frame's length is none of a handshake message: the other end is no node, or speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a handshake message of {len} bytes")]
pub struct FrameTooLarge {
    /// The length that was claimed.
    pub len: usize,
}

impl HandshakeFramer {
    /// An empty framer.
    pub fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            buffer: BytesMut::new(),
        }
    }

    /// Where to put what was read. No handshake holds more than a few hundred bytes.
    pub fn read_buf(&mut self) -> &mut BytesMut {
        self.buffer.reserve(512);
        &mut self.buffer
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, without its length; `None` while it is not complete.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameTooLarge> {
        let Some((prefix, len)) = self.claimed() else {
            return Ok(None);
        };
        if len > MAX_FRAME {
            return Err(FrameTooLarge { len });
        }
        if self.buffer.len() < prefix.saturating_add(len) {
            return Ok(None);
        }
        self.buffer.advance(prefix);
        Ok(Some(self.buffer.split_to(len).freeze()))
    }

    /// A frame with its length, ready to be written.
    pub fn frame(&self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len().saturating_add(4));
        match self.prefix {
            // Messages are made here and are shorter than MAX_FRAME.
            Prefix::U16 => {
                let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Prefix::U32 => {
                let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&len.to_be_bytes());
            }
        }
        out.extend_from_slice(message);
        out
    }

    /// What has come and is not part of a frame yet: evidence of what answers there when it is no
    /// node.
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// What came after the last frame, and no more memory than that takes.
    pub fn into_rest(self) -> BytesMut {
        BytesMut::from(&self.buffer[..])
    }

    fn claimed(&self) -> Option<(usize, usize)> {
        match self.prefix {
            Prefix::U16 => {
                let len = u16::from_be_bytes(*self.buffer.first_chunk()?);
                Some((2, usize::from(len)))
            }
            Prefix::U32 => {
                let len = u32::from_be_bytes(*self.buffer.first_chunk()?);
                Some((4, usize::try_from(len).unwrap_or(usize::MAX)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_prefixes_byte_by_byte() {
        for prefix in [Prefix::U16, Prefix::U32] {
            let mut framer = HandshakeFramer::new(prefix);
            let mut wire = framer.frame(b"sok");
            wire.extend(framer.frame(b""));
            wire.extend_from_slice(b"rest");
            let mut frames = Vec::new();
            for byte in wire.iter().take(wire.len() - 4) {
                assert_eq!(framer.next_frame(), Ok(None));
                framer.push(&[*byte]);
                frames.extend(framer.next_frame().unwrap());
            }
            framer.push(b"rest");
            assert_eq!(frames, [&b"sok"[..], b""]);
            assert_eq!(&framer.into_rest()[..], b"rest");
        }
    }

    #[test]
    fn a_web_server_is_no_node() {
        let mut framer = HandshakeFramer::new(Prefix::U16);
        framer.push(b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(framer.next_frame(), Err(FrameTooLarge { len: 0x4854 }));
        assert!(framer.pending().starts_with(b"HTTP"));
    }
}
