//! Name servers: the system's, or those of the configuration.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::system_conf::parse_resolv_conf;
use thiserror::Error;

use crate::error::DnsFailure;

/// Where DNS servers listen.
const PORT: u16 = 53;
/// The default of resolv.conf(5).
pub(super) const NDOTS: usize = 1;

/// A text that is no name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a name server is an address, with a port when it is not 53: \"10.0.0.2\", \"127.0.0.1:5353\", \"[fdaa::3]:53\""
)]
pub struct NameserverError;

/// Reads `"10.0.0.2"`, `"127.0.0.1:5353"`, `"fdaa::3"` or `"[fdaa::3]:53"`.
pub fn parse_nameserver(text: &str) -> Result<SocketAddr, NameserverError> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address)
            .filter(|a| a.port() != 0)
            .ok_or(NameserverError);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<IpAddr>()
        .map(|ip| (ip, PORT).into())
        .map_err(|_| NameserverError)
}

pub(super) fn config(servers: &[SocketAddr]) -> ResolverConfig {
    ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect())
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut transports = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for transport in &mut transports {
        transport.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, transports.into())
}

/// The system's servers and search list, and how many dots a name needs to be tried as it is first
/// (`ndots`). One that has neither file nor server has its resolver at home, as resolv.conf(5) says.
pub(super) fn system() -> Result<(ResolverConfig, usize), DnsFailure> {
    match std::fs::read("/etc/resolv.conf") {
        Ok(text) => read(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => read(b""),
        Err(error) => Err(DnsFailure::Other(format!("/etc/resolv.conf: {error}"))),
    }
}

fn read(text: &[u8]) -> Result<(ResolverConfig, usize), DnsFailure> {
    let lists_server = String::from_utf8_lossy(text)
        .lines()
        .any(|line| line.trim_start().starts_with("nameserver"));
    if !lists_server {
        return Ok((config(&[(Ipv4Addr::LOCALHOST, PORT).into()]), NDOTS));
    }
    parse_resolv_conf(text)
        .map(|(config, options)| (config, options.ndots))
        .map_err(|error| DnsFailure::Other(format!("/etc/resolv.conf: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf() {
        let kubernetes = b"search web.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
        let (config, ndots) = read(kubernetes).unwrap();
        assert_eq!(
            (config.name_servers()[0].ip.to_string().as_str(), ndots),
            ("10.96.0.10", 5)
        );
        assert_eq!(config.search().len(), 2);
        for text in ["", "search example.com\n"] {
            let (config, ndots) = read(text.as_bytes()).unwrap();
            assert_eq!(
                (config.name_servers()[0].ip.to_string().as_str(), ndots),
                ("127.0.0.1", 1)
            );
        }
    }

    #[test]
    fn nameservers() {
        for (text, address) in [
            ("10.0.0.2", "10.0.0.2:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("fdaa::3", "[fdaa::3]:53"),
            ("[fdaa::3]", "[fdaa::3]:53"),
            ("[fdaa::3]:54", "[fdaa::3]:54"),
        ] {
            assert_eq!(
                parse_nameserver(text),
                Ok(address.parse().unwrap()),
                "{text}"
            );
        }
        for text in ["", "dns.example", "10.0.0.2:0", "10.0.0.2:x", "[::1"] {
            assert_eq!(parse_nameserver(text), Err(NameserverError), "{text}");
        }
    }
}
