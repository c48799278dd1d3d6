//! What the system has heard of the peer's, which answers for a process that does not read.

use std::time::Duration;

use tokio::net::TcpStream;

/// What the system has heard of the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Since it has acknowledged something, be it that it has no room.
    pub(crate) since: Duration,
    /// How often what it has not acknowledged was sent again, or it was asked for room, since then.
    pub(crate) tries: u8,
}

/// So many packets are not lost one after another. They are 0.2, 0.4, 0.8 seconds apart, and so on up to
/// two minutes.
const TRIES: u8 = 3;

impl Heard {
    /// Whether the peer's system is gone: it owes an answer for longer than a peer may be silent. One whose
    /// process reads nothing still answers. Where it had no room for long, the attempts are two
    /// minutes apart.
    pub(crate) fn is_gone(self, patience: Duration) -> bool {
        // Without attempts nothing is owed, or this host was asleep itself.
        self.tries >= TRIES && self.since >= patience
    }
}

/// `None` where the system does not say.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "no crate that is used here has this call; without it a host that has vanished is noticed after 15 minutes \
              (924 s as Linux counts) while its connection is read slowly, with it after the tick time"
)]
pub(super) fn heard(socket: &TcpStream) -> Option<Heard> {
    use std::os::fd::AsRawFd as _;

    /// `struct tcp_info` up to `tcpi_last_ack_recv`, whose place is the same on every architecture: the
    /// system gives as much as there is room for.
    const LENGTH: usize = 60;
    let mut info = [0_u32; LENGTH / 4];
    let mut length = LENGTH as libc::socklen_t;
    // SAFETY: the system writes at most `length` bytes to `info`, which has as many, and what it wrote to
    // `length`; the socket is open as long as it is lent.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if failed != 0 || (length as usize) < LENGTH {
        return None;
    }
    let [first, .., last_ack_recv] = info;
    let [_, _, retransmits, probes] = first.to_ne_bytes();
    Some(Heard {
        since: Duration::from_millis(last_ack_recv.into()),
        tries: retransmits.max(probes),
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn heard(_: &TcpStream) -> Option<Heard> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone() {
        let patience = Duration::from_secs(75);
        let gone = |since, tries| {
            let since = Duration::from_secs(since);
            Heard { since, tries }.is_gone(patience)
        };
        assert!(!gone(0, 0));
        assert!(!gone(60, 9), "not for long enough");
        assert!(!gone(3600, 0), "nothing is owed");
        assert!(!gone(3600, 2), "packets get lost");
        assert!(gone(75, 3));
        assert!(gone(300, 9));
    }
}
