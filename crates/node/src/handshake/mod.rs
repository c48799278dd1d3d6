//! The handshake of `trunkline-proto` over a connection, one file per role.

pub(crate) mod acceptor;
pub(crate) mod initiator;

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};
use trunkline_proto::handshake::{HandshakeFramer, Prefix};
use trunkline_proto::{Reason, Step};

use crate::tls;
use crate::transport::Transport;

/// How much of a stranger's first bytes a reason shows.
const EXCERPT: usize = 40;

/// A connection on which handshake messages are read and written until `deadline`.
#[derive(Debug)]
pub(crate) struct Framed {
    transport: Transport,
    framer: HandshakeFramer,
    /// Leaves with what is written next.
    held: Vec<u8>,
    deadline: Instant,
}

/// Why no message came.
#[derive(Debug)]
pub(crate) enum Missing {
    /// Closed between two messages; what that means depends on the state.
    Closed,
    /// Something came, and explains.
    Explained(Reason),
    /// Nothing came in time.
    Late,
}

impl Missing {
    /// The reason, for a state in which a close means `closed` and which belongs to `step`.
    pub(crate) fn reason(self, closed: Reason, step: Step) -> Reason {
        match self {
            Self::Closed => closed,
            Self::Explained(reason) => reason,
            Self::Late => Reason::Timeout { step },
        }
    }
}

impl Framed {
    pub(crate) fn new(transport: impl Into<Transport>, deadline: Instant) -> Self {
        let transport = transport.into();
        // OTP lets its TLS sockets write lengths of four bytes from the beginning.
        let prefix = match &transport {
            Transport::Tcp(_) => Prefix::U16,
            Transport::Tls(_) => Prefix::U32,
        };
        Self {
            transport,
            framer: HandshakeFramer::new(prefix),
            held: Vec::new(),
            deadline,
        }
    }

    /// OTP restarts its `net_setuptime` at each step; so does an acceptor.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// The next message.
    pub(crate) async fn read(&mut self) -> Result<Bytes, Missing> {
        loop {
            match self.framer.next_frame() {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(_) => return Err(Missing::Explained(stranger(self.framer.pending()))),
            }
            let read = self.transport.read_buf(self.framer.read_buf());
            match timeout_at(self.deadline, read).await {
                Err(_) => return Err(Missing::Late),
                Ok(Ok(0)) => return Err(self.closed()),
                Ok(Err(why)) => {
                    let explained = tls::of_io(&why).map(Missing::Explained);
                    return Err(explained.unwrap_or_else(|| self.closed()));
                }
                Ok(Ok(_)) => {}
            }
        }
    }

    /// What it means that nothing more comes.
    fn closed(&self) -> Missing {
        match self.framer.pending() {
            [] => Missing::Closed,
            bytes => Missing::Explained(stranger(bytes)),
        }
    }

    /// A message that leaves together with the next one that is written: nothing is to be heard before
    /// that.
    pub(crate) fn hold(&mut self, message: &[u8]) {
        self.held.extend(self.framer.frame(message));
    }

    /// Writes one message, behind what was held. That the other end is gone shows when its answer is read: what it said
    /// before it went is worth more than the error of this write.
    pub(crate) async fn write(&mut self, message: &[u8]) {
        let mut frame = std::mem::take(&mut self.held);
        frame.extend(self.framer.frame(message));
        let written: Result<io::Result<()>, _> =
            timeout_at(self.deadline, self.transport.write_all(&frame)).await;
        if let Ok(Err(why)) = written {
            tracing::debug!(%why, "handshake message not written");
        }
    }

    /// The connection, and what has come after the last message.
    pub(crate) fn into_parts(self) -> (Transport, BytesMut) {
        (self.transport, self.framer.into_rest())
    }
}

/// What answers with these bytes?
pub(crate) fn stranger(bytes: &[u8]) -> Reason {
    match bytes {
        // A TLS record of type alert or handshake, version 3.x: what `inet_tls` answers to a plain
        // send_name is `15 03 03 00 02 02 0a` (unexpected_message).
        [0x15 | 0x16, 0x03, ..] => Reason::TlsRequired,
        _ => {
            let shown = bytes.get(..EXCERPT).unwrap_or(bytes);
            Reason::NotDist {
                detail: format!("it answers \"{}\"", shown.escape_ascii()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers() {
        assert_eq!(stranger(b"\x15\x03\x03\0\x02\x02\n"), Reason::TlsRequired);
        let web = stranger(b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\n\r\n");
        assert_eq!(
            web.to_string(),
            "not an Erlang node on that port: \
             it answers \"HTTP/1.1 400 Bad Request\\r\\nServer: nginx/\""
        );
    }
}
