//! TCP sockets as distribution wants them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
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
    let stream = timeout(limit, connect(addr)).await;
    let stream = stream.unwrap_or(Err(DialError::Silent))?;
    set_options(&stream);
    Ok(stream)
}

/// The same without a limit, for one small question: no options.
pub(crate) async fn connect(addr: SocketAddr) -> Result<TcpStream, DialError> {
    match TcpStream::connect(addr).await {
        Ok(stream) => Ok(stream),
        Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => Err(DialError::Refused),
        Err(why) => {
            tracing::debug!(%addr, %why, "dial failed");
            Err(DialError::Silent)
        }
    }
}

/// Small frames leave at once, and large ones wait here rather than in the system, where a small one cannot go
/// between them. Not worth failing a connection for.
pub(crate) fn set_options(stream: &TcpStream) {
    let unsent = if is_near(stream) { UNSENT_NEAR } else { UNSENT };
    let socket = socket2::SockRef::from(stream);
    let set = stream.set_nodelay(true);
    if let Err(why) = set.and_then(|()| socket.set_tcp_notsent_lowat(unsent)) {
        tracing::debug!(%why, "socket options refused");
    }
}

/// So many bytes that the network does not take yet may wait in the system: what it sends while whoever writes is woken.
const UNSENT: u32 = 128 << 10;

/// The same within one host, where nothing else is on the way.
const UNSENT_NEAR: u32 = 32 << 10;

/// Whether both ends are on this host.
pub(crate) fn is_near(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(here), Ok(there)) => here.ip() == there.ip(),
        _ => false,
    }
}

/// A vanished peer is noticed in the end. Distribution has ticks for that, and handshakes their
/// limits.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    if let Err(why) = socket.set_tcp_keepalive(&KEEPALIVE) {
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

/// Listens on every one of `ips`, on one common port: the first of `ports` that is free on all; 0
/// stands for any.
///
/// # Errors
/// Any but "in use" at once; that when every port of the range is in use.
pub(crate) fn listen_all(
    ips: &[IpAddr],
    ports: &RangeInclusive<u16>,
) -> io::Result<Vec<TcpListener>> {
    let mut full = io::ErrorKind::AddrInUse.into();
    for port in ports.clone() {
        // What is free on the first address may be taken on the second.
        for _ in 0..if port == 0 { ANY_TRIES } else { 1 } {
            match listen_on(ips, port) {
                Err(why) if why.kind() == io::ErrorKind::AddrInUse => full = why,
                done => return done,
            }
        }
    }
    Err(full)
}

/// How often a free port is taken that turns out not to be free on all addresses.
const ANY_TRIES: usize = 8;

fn listen_on(ips: &[IpAddr], port: u16) -> io::Result<Vec<TcpListener>> {
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
        let listeners = listen_all(&ips, &(0..=0)).unwrap();
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
