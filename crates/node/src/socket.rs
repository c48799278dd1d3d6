//! TCP sockets as distribution wants them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::AsyncWriteExt as _;
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

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// One small question: no options.
    Question,
    /// Everything between two nodes.
    Distribution,
}

/// Opens a connection within `limit`.
pub(crate) async fn dial(addr: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
    dial_saying(addr, &[], limit).await
}

/// The same, and says `first` on it.
pub(crate) async fn dial_saying(
    addr: SocketAddr,
    first: &[u8],
    limit: Duration,
) -> Result<TcpStream, DialError> {
    let stream = timeout(limit, connect(addr, first, Use::Distribution)).await;
    stream.unwrap_or(Err(DialError::Silent))
}

/// The same without a limit.
///
/// Within a host a connection is there when the system call returns that asks for it, though that says
/// otherwise. So `first` is written without waiting for anything, and the other end has something to do while
/// this one tells the runtime of the new socket. Whether that end takes `first` shows when its answer is read.
pub(crate) async fn connect(
    addr: SocketAddr,
    first: &[u8],
    wanted: Use,
) -> Result<TcpStream, DialError> {
    let begun = begin(addr, first);
    let (socket, said) = begun.map_err(|why| failed(addr, &why))?;
    if wanted == Use::Distribution {
        // Not on a socket that the runtime knows: it would be woken by that.
        set_options(&socket, is_own(addr.ip(), || local_addr(&socket)));
    }
    let registered = TcpStream::from_std(socket.into());
    let mut stream = registered.map_err(|why| failed(addr, &why))?;
    if said.is_none() {
        let open = stream.writable().await.and_then(|()| stream.take_error());
        if let Some(why) = open.unwrap_or_else(Some) {
            return Err(failed(addr, &why));
        }
    }
    let left = first.get(said.unwrap_or(0)..).unwrap_or_default();
    if let Err(why) = stream.write_all(left).await {
        tracing::debug!(%addr, %why, "the first bytes are not written");
    }
    Ok(stream)
}

/// Asks for a connection and writes as much of `first` as goes at once. `None`: it is not there yet.
fn begin(addr: SocketAddr, first: &[u8]) -> io::Result<(Socket, Option<usize>)> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
    match socket.connect(&addr.into()) {
        Err(why) if is_under_way(&why) => {}
        done => done?,
    }
    if first.is_empty() {
        return Ok((socket, None));
    }
    match socket.send_with_flags(first, NO_SIGNAL) {
        Ok(count) => Ok((socket, Some(count))),
        Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => Err(why),
        // It was there and is no more. What the other end said before is to be read.
        Err(why) if is_lost(&why) => Ok((socket, Some(first.len()))),
        Err(_) => Ok((socket, None)),
    }
}

/// A peer that is gone already is an error here, also in a program that lets SIGPIPE end it.
#[cfg(target_os = "linux")]
const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const NO_SIGNAL: i32 = 0;

fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    let here = socket.local_addr()?.as_socket();
    here.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn is_under_way(why: &io::Error) -> bool {
    // The kind of this has no stable name.
    #[cfg(target_os = "linux")]
    const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
    /// On macOS and all BSDs.
    #[cfg(not(target_os = "linux"))]
    const IN_PROGRESS: i32 = 36;
    why.raw_os_error() == Some(IN_PROGRESS)
}

fn is_lost(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn failed(addr: SocketAddr, why: &io::Error) -> DialError {
    if why.kind() == io::ErrorKind::ConnectionRefused {
        return DialError::Refused;
    }
    tracing::debug!(%addr, %why, "dial failed");
    DialError::Silent
}

/// Sets up a connection of `listener`s that has come from there. On Linux it has what the listening socket has: what is
/// wanted within one host.
pub(crate) fn set_up_accepted(stream: &TcpStream, from: SocketAddr) {
    let near = is_own(from.ip(), || stream.local_addr());
    if !(near && cfg!(target_os = "linux")) {
        set_options(&SockRef::from(stream), near);
    }
}

/// Small frames leave at once, and large ones wait here rather than in the system, where a small one cannot go
/// between them. Not worth failing a connection for.
fn set_options(socket: &Socket, near: bool) {
    if let Err(why) = socket.set_tcp_nodelay(true) {
        tracing::debug!(%why, "socket options refused");
    }
    set_unsent(socket, if near { UNSENT_NEAR } else { UNSENT });
}

/// Lets little wait in the system that the network has not taken, or (`limited` is false) as much as the system likes
/// (`tcp_notsent_lowat`). Not worth failing a connection for.
pub(crate) fn limit_unsent(stream: &TcpStream, limited: bool) {
    let unsent = match limited {
        false => SYSTEMS,
        true if is_near(stream) => UNSENT_NEAR,
        true => UNSENT,
    };
    set_unsent(&SockRef::from(stream), unsent);
}

fn set_unsent(socket: &Socket, unsent: u32) {
    if let Err(why) = socket.set_tcp_notsent_lowat(unsent) {
        tracing::debug!(%why, "socket options refused");
    }
}

/// So many bytes that the network does not take yet may wait in the system: what it sends while whoever writes is woken.
/// That is a tenth of a millisecond at 10 Gbit/s.
const UNSENT: u32 = 128 << 10;

/// The same within one host, where nothing else is on the way.
pub(crate) const UNSENT_NEAR: u32 = 16 << 10;

/// What the system takes for its own limit.
pub(crate) const SYSTEMS: u32 = 0;

/// Whether both ends are on this host.
pub(crate) fn is_near(stream: &TcpStream) -> bool {
    let there = stream.peer_addr();
    there.is_ok_and(|there| is_own(there.ip(), || stream.local_addr()))
}

/// Whether an address that is `there` is one of this host; `here` is that of the own end.
fn is_own(there: IpAddr, here: impl FnOnce() -> io::Result<SocketAddr>) -> bool {
    there.is_loopback() || here().is_ok_and(|here| here.ip() == there)
}

/// A vanished peer is noticed in the end. Distribution has ticks for that, and handshakes their
/// limits.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let socket = SockRef::from(stream);
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
    // What it accepts has these as well: see `set_up_accepted`.
    set_options(&socket, true);
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
    use std::io::Read as _;

    use futures_util::FutureExt as _;

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

    /// What is accepted has its options from the socket that listens.
    #[tokio::test]
    async fn both_ends_write_at_once_and_leave_little_in_the_system() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let (dialled, accepted) = tokio::join!(
            dial_saying(addr, b"hello", Duration::from_secs(5)),
            listener.accept()
        );
        let (dialled, (accepted, from)) = (dialled.unwrap(), accepted.unwrap());
        set_up_accepted(&accepted, from);
        for stream in [&dialled, &accepted] {
            let socket = SockRef::from(stream);
            assert!(socket.tcp_nodelay().unwrap());
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_NEAR);
        }
    }

    /// A connection within a host is there at once, and what is to be said is said before anything is waited for.
    #[tokio::test]
    async fn what_is_said_first_needs_no_turn() {
        // On a busy machine the system may take a moment for it.
        for _ in 0..50 {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let dialled = dial_saying(addr, b"hello", Duration::from_secs(5));
            let Some(dialled) = dialled.now_or_never() else {
                continue;
            };
            let (mut accepted, _) = listener.accept().unwrap();
            let mut heard = [0; 5];
            accepted.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"hello");
            return drop(dialled.unwrap());
        }
        panic!("it waits");
    }

    #[tokio::test]
    async fn a_closed_port_refuses_who_speaks_first() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = closed.local_addr().unwrap();
        drop(closed);
        for use_ in [Use::Question, Use::Distribution] {
            let refused = connect(addr, b"hello", use_).await.err();
            assert_eq!(refused, Some(DialError::Refused));
        }
    }
}
