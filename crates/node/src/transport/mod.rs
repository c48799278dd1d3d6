//! What a connection runs over.
//!
//! Both halves have the shape and the meaning of tokio's TCP halves, so that whoever drives them
//! needs no second path: wait until `readable` or `writable`, try, and wait again on `WouldBlock`.
//! One thing is more: what [`WriteHalf::try_write_vectored`] took may not be with the system yet.
//! Whoever has nothing more to write asks [`WriteHalf::try_flush`], and waits until `writable` when
//! that says no.

mod backlog;
mod heard;
mod session;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub(crate) use self::heard::Heard;
pub(crate) use self::session::{HandshakeFailed, Session};
use crate::tls::Names;

/// An open connection.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Tls(Arc<Session>),
}

/// The half that reads.
#[derive(Debug)]
pub(crate) enum ReadHalf {
    Tcp(OwnedReadHalf),
    Tls(Arc<Session>),
}

/// The half that writes. Dropped, it tells the peer that nothing follows.
#[derive(Debug)]
pub(crate) enum WriteHalf {
    Tcp(OwnedWriteHalf),
    Tls(Closing),
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes that the system has taken.
    pub(crate) written: u64,
    /// Bytes of them that the peer's system has acknowledged.
    pub(crate) acknowledged: u64,
}

/// Tells the peer on drop that nothing follows.
#[derive(Debug)]
pub(crate) struct Closing(Arc<Session>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl Transport {
    /// For whom the certificate is that the peer showed, if it showed one.
    pub(crate) fn peer_names(&self) -> Option<Names> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(session) => session.peer_names(),
        }
    }

    /// Two halves, for two places in one task or two.
    pub(crate) fn split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Self::Tls(session) => {
                let write = Closing(Arc::clone(&session));
                (ReadHalf::Tls(session), WriteHalf::Tls(write))
            }
        }
    }

    /// Reads what there is, or waits for something. 0 is the end. Safe to drop. As with
    /// [`ReadHalf::read_buf`] a socket is not asked in vain after a read that brought all there was.
    pub(crate) async fn read_buf(&mut self, buf: &mut BytesMut) -> io::Result<usize> {
        let session = match self {
            Self::Tcp(stream) => return stream.read_buf(buf).await,
            Self::Tls(session) => session,
        };
        loop {
            session.readable().await?;
            match session.try_read_buf(buf) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Writes all of `bytes`.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
                Self::Tls(session) => {
                    session.writable().await?;
                    session.try_write_vectored(&[IoSlice::new(bytes)])
                }
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                Err(why) => return Err(why),
            }
        }
        if let Self::Tls(session) = self {
            while !session.flush()? {
                session.writable().await?;
            }
        }
        Ok(())
    }
}

impl ReadHalf {
    /// The socket, where nothing is between it and what is read.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(half) => Some(half.as_ref()),
            Self::Tls(_) => None,
        }
    }

    /// Appends what there is to `buf`, as far as it has room, or waits for something. 0 is the end.
    /// Safe to drop. After a read that brought all there was a socket is not asked again, as
    /// [`try_read_buf`](Self::try_read_buf) would ask: one system call less.
    pub(crate) async fn read_buf(&mut self, buf: &mut BytesMut) -> io::Result<usize> {
        if let Self::Tcp(half) = self {
            return half.read_buf(buf).await;
        }
        loop {
            self.readable().await?;
            match self.try_read_buf(buf) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Whether the peer is known to send nothing any more: what can be read yet is here.
    pub(crate) fn is_read_closed(&self) -> bool {
        let ready = self.socket().ready(Interest::READABLE).now_or_never();
        ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()))
    }

    /// What the system has heard of the peer's. `None` where it does not say.
    pub(crate) fn heard(&self) -> Option<Heard> {
        heard::heard(self.socket())
    }

    /// The socket, whatever is between it and what is read.
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(half) => half.as_ref(),
            Self::Tls(session) => session.socket(),
        }
    }

    /// Waits until there may be something to read, or the end. Safe to drop.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(half) => half.readable().await,
            Self::Tls(session) => session.readable().await,
        }
    }

    /// Appends what there is to `buf`, as far as it has room. 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing.
    pub(crate) fn try_read_buf(&self, buf: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_read_buf(buf),
            Self::Tls(session) => session.try_read_buf(buf),
        }
    }
}

impl WriteHalf {
    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(half) => half.as_ref(),
            Self::Tls(Closing(session)) => session.socket(),
        }
    }

    /// As [`try_write_vectored`](Self::try_write_vectored) for one slice.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(bytes),
            Self::Tls(Closing(session)) => session.try_write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    /// Waits until something may be written. Safe to drop.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(half) => half.writable().await,
            Self::Tls(Closing(session)) => session.writable().await,
        }
    }

    /// Takes from the front of `slices` what can go now; how many bytes.
    ///
    /// # Errors
    /// `WouldBlock` when nothing can.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write_vectored(slices),
            Self::Tls(Closing(session)) => session.try_write_vectored(slices),
        }
    }

    /// How far the stream has come, of which `written` bytes were taken since the connection began. `None`
    /// where the system does not say.
    pub(crate) fn progress(&self, written: u64) -> Option<Progress> {
        let (written, waiting) = match self {
            Self::Tcp(half) => (written, backlog::unacknowledged(half.as_ref())),
            Self::Tls(Closing(session)) => session.backlog(),
        };
        // Some of the handshake may wait, too.
        let acknowledged = written.saturating_sub(waiting?);
        Some(Progress {
            written,
            acknowledged,
        })
    }

    /// Whether the system has all that was taken. When it has not, call again once it is
    /// [`writable`](Self::writable): nobody else does.
    pub(crate) fn try_flush(&self) -> io::Result<bool> {
        match self {
            Self::Tcp(_) => Ok(true),
            Self::Tls(Closing(session)) => session.flush(),
        }
    }
}
