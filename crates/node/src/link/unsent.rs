//! How much of a connection may wait in the system, not sent yet.
//!
//! What the system has, nothing can go before. So it gets little (128 KiB between hosts, less
//! within one, where nothing else is on the way), and small messages of others go between the fragments of large ones
//! here. That has a price: the system asks for the next bytes again and again, and takes few at a time. Where large
//! messages have been alone for long ([`Portion::is_alone`](trunkline_proto::conn::Portion::is_alone)) nobody gains by
//! it, and the system's own limit holds (`tcp_notsent_lowat`, none by default, so a socket's send buffer), until the next
//! message goes between two fragments.
//!
//! Between two hosts the same holds for what it costs. What is gained there by a limit is less: what the network has
//! taken (its window) is on the way in any case, and a lifted limit adds what the send buffer holds beyond that, for one
//! message.

use tokio::net::TcpStream;

use crate::socket::limit_unsent;

/// What holds on a connection.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// The limit is not ours.
    lifted: bool,
}

impl Unsent {
    /// Large messages are `alone` on the connection, or not.
    pub(super) fn follow(&mut self, alone: bool, stream: &TcpStream) {
        if std::mem::replace(&mut self.lifted, alone) != alone {
            limit_unsent(stream, !alone);
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;
    use crate::socket::{SYSTEMS, UNSENT_NEAR};

    #[tokio::test]
    async fn the_limit_follows_what_passes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap();
        let stream = TcpStream::connect(port).await.unwrap();
        limit_unsent(&stream, true);
        let limit = || SockRef::from(&stream).tcp_notsent_lowat().unwrap();
        let mut unsent = Unsent::default();
        let mut seen = Vec::new();
        for alone in [false, true, true, false, false] {
            unsent.follow(alone, &stream);
            seen.push(limit());
        }
        let (near, own) = (UNSENT_NEAR, SYSTEMS);
        assert_eq!(seen, [near, own, own, near, near]);
        // It is set when that changes, and not otherwise.
        limit_unsent(&stream, false);
        unsent.follow(false, &stream);
        assert_eq!(limit(), own);
    }
}
