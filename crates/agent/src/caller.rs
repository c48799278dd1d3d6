//! The name that a command bears when it talks to a node: `trunkline-cli-<n>@<host>`.
//!
//! A name shown to a node becomes an atom there that is never freed, so `n` is the lowest number
//! that no other command on this host holds, and the host is chosen by one rule.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use trunkline_node::Resolve;
use trunkline_proto::{Basename, NameForm, NodeName};

/// Far more commands than run at once on one host.
const MAX_NUMBER: u32 = 1000;

/// A number `n`, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct CallerNumber {
    number: u32,
    /// An abstract socket: the kernel gives its name back whatever becomes of the process.
    _held: Option<OwnedFd>,
}

impl CallerNumber {
    /// The lowest number above `after` that no other command in this network namespace holds.
    pub fn above(after: u32) -> Self {
        for number in after.saturating_add(1)..=MAX_NUMBER {
            match hold(number) {
                Ok(socket) => {
                    return Self {
                        number,
                        _held: Some(socket),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    tracing::debug!("no number can be held: {error}");
                    break;
                }
            }
        }
        // Without numbers the process's own is as good as any, at the price of an atom.
        let number = MAX_NUMBER + std::process::id();
        Self {
            number,
            _held: None,
        }
    }

    /// `n`.
    pub fn get(&self) -> u32 {
        self.number
    }

    /// `trunkline-cli-<n>@<host>`.
    ///
    /// # Errors
    /// When `host` cannot be in a node's name.
    pub fn name(&self, host: &str) -> io::Result<NodeName> {
        let base = Basename::sanitize(&format!("trunkline-cli-{}", self.number));
        let named = base.and_then(|base| NodeName::from_host(&base, host));
        named.map_err(io::Error::other)
    }
}

fn hold(number: u32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    let name = format!("trunkline-cli-{number}");
    bind(
        &socket,
        &SocketAddrUnix::new_abstract_name(name.as_bytes())?,
    )?;
    Ok(socket)
}

/// The host part of our own name when we talk to `node`: for a long-named node the address of this
/// host from which it is reached, for a short-named one the short host name. So the name has the
/// form that the node demands, and a reader of its log sees where we came from.
pub async fn host_towards(node: &NodeName, resolver: &dyn Resolve) -> String {
    if node.form() == NameForm::Short {
        return short_host_name();
    }
    let there = match node.ip() {
        Some(ip) => Some(ip),
        None => {
            let found = resolver.resolve(node.host()).await;
            found.ok().and_then(|ips| ips.first().copied())
        }
    };
    // A host that has no address fails in the connection attempt, which says so; any address will
    // do for our name then.
    let there = there.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    local_address(there)
        .unwrap_or_else(|_| loopback_like(there))
        .to_canonical()
        .to_string()
}

/// The address of this host from which `there` is reached. Sends nothing: connecting a UDP socket
/// only asks the routing table.
fn local_address(there: IpAddr) -> io::Result<IpAddr> {
    let any = if there.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((there, 9))?;
    Ok(socket.local_addr()?.ip())
}

fn loopback_like(there: IpAddr) -> IpAddr {
    if there.is_ipv4() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        Ipv6Addr::LOCALHOST.into()
    }
}

/// As `-sname` takes it: up to the first dot.
pub(crate) fn short_host_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    let short = name.split('.').next().unwrap_or_default();
    match Basename::sanitize(short) {
        Ok(host) => host.to_string(),
        Err(_) => "localhost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::hosts::HostResolver;

    use super::*;

    #[test]
    fn two_at_once_have_different_numbers() {
        let first = CallerNumber::above(0);
        let second = CallerNumber::above(0);
        assert!(second.get() > first.get());
        let name = first.name("10.0.0.1").unwrap();
        assert_eq!(name.alive(), format!("trunkline-cli-{}", first.get()));
    }

    #[tokio::test]
    async fn the_host_suits_the_node() {
        let host =
            async |node: &str| host_towards(&node.parse().unwrap(), &HostResolver::default()).await;
        assert_eq!(host("app@127.0.0.1").await, "127.0.0.1");
        assert_eq!(host("app@127.0.0.9").await, "127.0.0.1");
        assert_eq!(host("app@::1").await, "::1");
        let short: NodeName = format!("x@{}", host("app@box").await).parse().unwrap();
        assert_eq!(short.form(), NameForm::Short);
    }
}
