//! TLS over a TCP connection that somebody polls: rustls does the records, this moves bytes.
//!
//! Both halves share one [`Session`]. The lock is held for as long as one call encrypts or
//! decrypts, never across a wait. Ciphertext that the socket does not take stays in rustls' buffer:
//! [`Session::flush`] moves it on, and whoever waits to read does that too when the reader itself
//! left some behind (an alert).

use std::io::{self, BufRead as _, IoSlice, IoSliceMut, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{BufMut as _, BytesMut};
use rustls::Connection;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::backlog::unacknowledged;
use crate::tls::Names;

/// How much plaintext one call takes: 16 records, which leave in one `writev`. Above what a socket
/// buffer holds more would only wait here.
const TAKE: usize = 256 << 10;

/// How much ciphertext one system call reads once more comes than rustls' own window
/// holds: four whole records.
const AHEAD: usize = 64 << 10;

/// What rustls reads at a time.
const WINDOW: usize = 4 << 10;

/// A TLS connection.
#[derive(Debug)]
pub(crate) struct Session {
    tcp: TcpStream,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connection: Connection,
    ahead: Ahead,
    /// The peer has said that nothing follows, or has closed.
    ended: bool,
    /// Bytes of ciphertext that the system has taken.
    written: u64,
}

/// Ciphertext that was read and that rustls has not taken yet.
#[derive(Default)]
struct Ahead {
    buffer: Vec<u8>,
    /// What of it is filled.
    from: usize,
    to: usize,
    /// The last read filled a window: more is on its way.
    busy: bool,
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead")
            .field("bytes", &self.len())
            .finish_non_exhaustive()
    }
}

/// A handshake that failed.
#[derive(Debug)]
pub(crate) struct HandshakeFailed {
    /// [`rustls::Error`] inside, or the socket's own.
    pub(crate) why: io::Error,
    /// The first bytes that the peer sent.
    pub(crate) heard: Vec<u8>,
}

/// How much of what a peer answers is kept to explain a failure.
const HEARD: usize = 64;

impl Session {
    /// `connection` has not begun its handshake.
    pub(crate) fn new(tcp: TcpStream, mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(TAKE));
        Self {
            tcp,
            state: Mutex::new(State {
                connection,
                ahead: Ahead::default(),
                ended: false,
                written: 0,
            }),
        }
    }

    /// For whom the certificate is that the peer showed; nobody when it cannot be read.
    pub(crate) fn peer_names(&self) -> Option<Names> {
        let state = self.state();
        let chain = state.connection.peer_certificates()?;
        chain
            .first()
            .map(|leaf| Names::of(leaf).unwrap_or_default())
    }

    /// Runs the handshake to its end. An alert for the peer has been sent when it fails. `heard`
    /// is told once the peer has said something.
    pub(crate) async fn handshake(&self, heard: impl Fn()) -> Result<(), HandshakeFailed> {
        let mut first = Vec::new();
        match self.shake(&mut first, heard).await {
            Ok(()) => Ok(()),
            Err(why) => Err(HandshakeFailed { why, heard: first }),
        }
    }

    async fn shake(&self, first: &mut Vec<u8>, heard: impl Fn()) -> io::Result<()> {
        loop {
            while !self.flush()? {
                self.tcp.writable().await?;
            }
            if !self.state().connection.is_handshaking() {
                return Ok(());
            }
            if self.state().ahead.len() == 0 {
                self.tcp.readable().await?;
            }
            let mut state = self.state();
            let State {
                connection, ahead, ..
            } = &mut *state;
            let mut feed = Feed {
                tcp: &self.tcp,
                ahead,
                copy: (first.len() < HEARD).then_some(&mut *first),
            };
            match connection.read_tls(&mut feed) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => heard(),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => continue,
                Err(why) => return Err(why),
            }
            if let Err(why) = connection.process_new_packets() {
                drop(state);
                return Err(self.failed(why));
            }
        }
    }

    /// Waits until there is something to read, or the end.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        loop {
            let owes = {
                let mut state = self.state();
                if state.has_something() {
                    return Ok(());
                }
                state.connection.wants_write()
            };
            if !owes {
                return self.tcp.readable().await;
            }
            tokio::select! {
                ready = self.tcp.readable() => return ready,
                ready = self.tcp.writable() => {
                    ready?;
                    self.flush()?;
                }
            }
        }
    }

    /// Appends plaintext to `buf`, as far as it has room. 0 is the end.
    pub(crate) fn try_read_buf(&self, buf: &mut BytesMut) -> io::Result<usize> {
        if buf.len() == buf.capacity() {
            buf.reserve(AHEAD / 16);
        }
        let mut guard = self.state();
        let state = &mut *guard;
        let mut taken = 0;
        loop {
            taken += state.take(buf);
            let full = buf.len() == buf.capacity();
            if full || state.ended || (taken > 0 && state.ahead.len() == 0) {
                return Ok(taken);
            }
            let mut feed = Feed {
                tcp: &self.tcp,
                ahead: &mut state.ahead,
                copy: None,
            };
            match state.connection.read_tls(&mut feed) {
                Ok(0) => state.ended = true,
                Ok(_) => {
                    if let Err(why) = state.connection.process_new_packets() {
                        drop(guard);
                        return Err(self.failed(why));
                    }
                    if state.connection.wants_write() {
                        state.flush(&self.tcp)?;
                    }
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock && taken > 0 => {
                    return Ok(taken);
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// Takes plaintext from the front of `slices`, and sends what the socket takes of it.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state();
        if !state.flush(&self.tcp)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = state.connection.writer().write_vectored(slices)?;
        if taken == 0 {
            // It has said itself that nothing follows.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.flush(&self.tcp)?;
        Ok(taken)
    }

    /// Waits until something can be written.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.tcp.writable().await
    }

    /// Whether the system has all that was taken.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        self.state().flush(&self.tcp)
    }

    /// What its records travel through.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.tcp
    }

    /// Bytes of ciphertext that the system has taken, and how many of these the peer's has not.
    pub(super) fn backlog(&self) -> (u64, Option<u64>) {
        (self.state().written, unacknowledged(&self.tcp))
    }

    /// Tells the peer that nothing follows, as far as that goes without waiting.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.connection.send_close_notify();
        let told = state.flush(&self.tcp);
        let closed = socket2::SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Write);
        if let Err(why) = told.map(drop).and(closed) {
            tracing::debug!(%why, "TLS connection not closed in order");
        }
    }

    /// Sends the alert that goes with a failure, if it can.
    fn failed(&self, why: rustls::Error) -> io::Error {
        if let Err(unsent) = self.flush() {
            tracing::debug!(%unsent, "alert not sent");
        }
        io::Error::new(io::ErrorKind::InvalidData, why)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a read has something to do without the socket.
    fn has_something(&mut self) -> bool {
        let plaintext = |connection: &mut Connection| {
            let mut reader = connection.reader();
            reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty())
        };
        self.ended || self.ahead.len() > 0 || plaintext(&mut self.connection)
    }

    /// Whether all ciphertext is with the system.
    fn flush(&mut self, tcp: &TcpStream) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Drain(tcp)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count as u64,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(why) => return Err(why),
            }
        }
        Ok(true)
    }

    /// Moves plaintext that waits into the room of `buf`; how many bytes.
    fn take(&mut self, buf: &mut BytesMut) -> usize {
        let before = buf.len();
        let mut reader = self.connection.reader();
        while buf.len() < buf.capacity() {
            let room = buf.capacity() - buf.len();
            let count = match reader.fill_buf() {
                Ok([]) => {
                    self.ended = true;
                    break;
                }
                Ok(bytes) => {
                    let bytes = bytes.get(..room).unwrap_or(bytes);
                    buf.put_slice(bytes);
                    bytes.len()
                }
                // Nothing there. That the peer closed without a word is its end all the same:
                // frames have lengths, nothing can be cut short unnoticed.
                Err(_) => break,
            };
            reader.consume(count);
        }
        buf.len() - before
    }
}

/// The socket as rustls writes to it.
struct Drain<'a>(&'a TcpStream);

impl Write for Drain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The socket as rustls reads from it: in windows of 4 KiB, behind which a larger buffer is put
/// while more comes than that.
struct Feed<'a> {
    tcp: &'a TcpStream,
    ahead: &'a mut Ahead,
    copy: Option<&'a mut Vec<u8>>,
}

impl Read for Feed<'_> {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        let count = self.ahead.read(self.tcp, window)?;
        if let (Some(copy), Some(bytes)) = (&mut self.copy, window.get(..count)) {
            copy.extend_from_slice(bytes);
        }
        Ok(count)
    }
}

impl Ahead {
    const fn len(&self) -> usize {
        self.to - self.from
    }

    fn read(&mut self, tcp: &TcpStream, window: &mut [u8]) -> io::Result<usize> {
        if self.len() == 0 && self.busy {
            self.buffer.resize(AHEAD, 0);
            match read_some(tcp, &mut self.buffer) {
                Ok(count) => {
                    (self.from, self.to) = (0, count);
                    self.busy = count >= WINDOW;
                }
                Err(why) => {
                    *self = Self::default();
                    return Err(why);
                }
            }
        }
        if self.len() == 0 {
            self.buffer = Vec::new();
            let count = read_some(tcp, window)?;
            self.busy = count >= WINDOW;
            return Ok(count);
        }
        let waiting = self.buffer.get(self.from..self.to).unwrap_or_default();
        let count = waiting.len().min(window.len());
        window[..count].copy_from_slice(&waiting[..count]);
        self.from += count;
        Ok(count)
    }
}

/// Reads, and remembers that there was no more than that: the next attempt waits instead of asking
/// the system in vain, which tells whenever something new comes.
fn read_some(tcp: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    let room = into.len();
    let mut read = Err(io::ErrorKind::WouldBlock.into());
    let unread = tcp.try_io(Interest::READABLE, || {
        read = tcp.try_read_vectored(&mut [IoSliceMut::new(into)]);
        match &read {
            Ok(count) if *count > 0 && *count < room => Err(io::ErrorKind::WouldBlock.into()),
            Ok(_) => Ok(()),
            Err(why) => Err(why.kind().into()),
        }
    });
    match (read, unread) {
        (Err(why), Err(_)) => Err(why),
        (read, _) => read,
    }
}
