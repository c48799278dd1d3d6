//! How much of a connection may wait in the system, not read yet.
//!
//! The system lets the buffer of a connection grow to some MiB while a large message passes: that is what
//! one stream wants, and what a small message of somebody else waits behind, which goes between two fragments.
//! Within one host there is no way to fill, so a small buffer is enough while both are there: some
//! ten times less to wait, for a few percent of the stream.

use std::sync::LazyLock;

use socket2::SockRef;

use crate::transport::ReadHalf;

/// What may wait while others' messages pass between fragments. The system counts twice as much, for what it adds.
/// Less would be below one packet of the loopback interface (64 KiB): the sender then waits for its timer, again and again.
const NARROW: usize = 64 << 10;

/// After so many bytes without any others the system's own size is best again. What was under way when the buffer became
/// small (Linux lets it grow to 32 MiB) counts, too, and who waits for an answer behind all that says nothing meanwhile:
/// so it is several times as much.
const ALONE: usize = 256 << 20;

/// A buffer is made small only where it may be made large again: the system has a limit for what is asked for
/// (`net.core.rmem_max`), and looks for a size by itself only as long as nobody asks.
const LARGE: usize = 1 << 20;

/// The buffer of one connection.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What it was before it was made small.
    before: Option<usize>,
    /// Bytes since somebody else's message came between fragments.
    alone: usize,
    /// Whether it may be made small; not looked at yet.
    may: Option<bool>,
}

impl Window {
    /// So many bytes were read.
    pub(super) fn read(&mut self, count: usize, stream: &ReadHalf) {
        if self.before.is_some() {
            self.alone += count;
            if self.alone >= ALONE {
                self.widen(stream);
            }
        }
    }

    /// Small messages came between the fragments of a large one.
    pub(super) fn shared(&mut self, stream: &ReadHalf) {
        self.alone = 0;
        if self.before.is_none() && *self.may.get_or_insert_with(|| may(stream)) {
            self.narrow(stream);
        }
    }

    fn narrow(&mut self, stream: &ReadHalf) {
        let Some(stream) = stream.tcp() else {
            return;
        };
        let socket = SockRef::from(stream);
        match socket.recv_buffer_size() {
            // As it was asked for, half of what it is said to be.
            Ok(size) if size / 2 > NARROW => {
                self.before = Some(size / 2);
                set(&socket, NARROW);
            }
            _ => {}
        }
    }

    fn widen(&mut self, stream: &ReadHalf) {
        if let (Some(before), Some(stream)) = (self.before.take(), stream.tcp()) {
            set(&SockRef::from(stream), before.max(LARGE));
        }
    }
}

/// Not worth failing a connection for.
fn set(socket: &SockRef<'_>, size: usize) {
    if let Err(why) = socket.set_recv_buffer_size(size) {
        tracing::debug!(%why, "socket options refused");
    }
}

/// Whether both ends are on this host, and the buffer can grow again.
fn may(stream: &ReadHalf) -> bool {
    static LIMIT: LazyLock<Option<usize>> = LazyLock::new(|| {
        let text = std::fs::read_to_string("/proc/sys/net/core/rmem_max").ok()?;
        text.trim().parse().ok()
    });
    let near = stream.tcp().is_some_and(crate::socket::is_near);
    near && LIMIT.is_some_and(|limit| limit >= LARGE)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::transport::Transport;

    #[tokio::test]
    async fn the_buffer_is_small_while_it_is_shared() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap();
        let stream = TcpStream::connect(port).await.unwrap();
        SockRef::from(&stream).set_recv_buffer_size(LARGE).unwrap();
        let (read, _write) = Transport::from(stream).split();
        let size = || {
            let socket = SockRef::from(read.tcp().unwrap());
            socket.recv_buffer_size().unwrap()
        };
        let large = size();
        let mut window = Window::default();
        window.read(2 * ALONE, &read);
        assert_eq!(size(), large, "nobody else came");
        window.shared(&read);
        // Where the system does not let it grow again, it stays as it is.
        let expected = if may(&read) { 2 * NARROW } else { large };
        assert_eq!(size(), expected);
        window.read(ALONE - 1, &read);
        window.shared(&read);
        window.read(ALONE - 1, &read);
        assert_eq!(size(), expected, "somebody else came meanwhile");
        window.read(1, &read);
        assert_eq!(size(), large);
    }
}
