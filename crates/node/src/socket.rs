//! TCP sockets as distribution wants them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How many connections may wait to be accepted; OTP's distribution listener takes 128 as well.
const BACKLOG: i32 = 128;

/// A dead host behind a NAT or firewall that forgot us is noticed by ticks first; keepalive is
/// for the connections that have none (an EPMD registration).
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15));

/// Why a TCP connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DialError {
    /// Somebody answered, with a reset.
    Refused,
    /// Nobody answered in time, or there is no way there.
    Silent,
}

/// Opens a connection within `limit`.
pub(crate) async fn dial(addr: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
    match timeout(limit, TcpStream::connect(addr)).await {
        Ok(Ok(stream)) => {
            set_options(&stream);
            Ok(stream)
        }
        Ok(Err(why)) if why.kind() == io::ErrorKind::ConnectionRefused => Err(DialError::Refused),
        Ok(Err(why)) => {
            tracing::debug!(%addr, %why, "dial failed");
            Err(DialError::Silent)
        }
        Err(_) => Err(DialError::Silent),
    }
}

/// Small frames leave at once, and a vanished peer is noticed in the end. Neither is worth failing
/// a connection for.
pub(crate) fn set_options(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let done = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&KEEPALIVE));
    if let Err(why) = done {
        tracing::debug!(%why, "socket options refused");
    }
}

/// Listens on `addr`. An IPv6 socket takes IPv6 only, so that `0.0.0.0` and `::` can be bound
/// side by side on one port.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Listens on every one of `ips`, on one common port: `port`, or a free one when it is 0.
pub(crate) fn listen_all(ips: &[IpAddr], port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(ips.len());
    let mut port = port;
    for ip in ips {
        let listener = listen(SocketAddr::new(*ip, port))?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_port_on_both_families() {
        let ips = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        let listeners = listen_all(&ips, 0).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        assert_eq!(listeners[1].local_addr().unwrap().port(), port);
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let addr = listen("127.0.0.1:0".parse().unwrap())
            .unwrap()
            .local_addr()
            .unwrap();
        let refused = dial(addr, Duration::from_secs(5)).await.err();
        assert_eq!(refused, Some(DialError::Refused));
    }
}
