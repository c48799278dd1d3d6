//! Taking the admin address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use thiserror::Error;
use tokio::net::TcpListener;

/// Where the agent answers when nothing is configured.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4370);

/// How many ports after the default one are tried: one per agent on a host, and a host with more
/// than this many has its agents configured.
const TRIES: u16 = 100;

/// The admin address cannot be had. `Display` says what happened, [`cure`](Self::cure) what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Something else listens on the configured address.
    #[error("the admin address {0} is taken")]
    Taken(SocketAddr),
    /// The system refuses it for another reason.
    #[error("cannot listen on the admin address {0}: {1}")]
    Refused(SocketAddr, io::Error),
}

impl AdminError {
    /// One clause in the imperative.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::Taken(_) => "stop what listens there, choose another port, or leave listen out",
            Self::Refused(..) => "use an address of this host and a port above 1023",
        }
    }
}

/// Listens on `configured`, which must be free; else on the default address or, when that is taken,
/// on the next free port after it, which is logged.
///
/// # Errors
/// See [`AdminError`].
pub async fn bind(configured: Option<SocketAddr>) -> Result<TcpListener, AdminError> {
    if let Some(addr) = configured {
        return TcpListener::bind(addr).await.map_err(|e| refused(addr, e));
    }
    let mut last = None;
    for port in DEFAULT_LISTEN.port()..=DEFAULT_LISTEN.port() + TRIES {
        let addr = SocketAddr::new(DEFAULT_LISTEN.ip(), port);
        match TcpListener::bind(addr).await {
            Ok(listener) => {
                if addr != DEFAULT_LISTEN {
                    tracing::info!(
                        "admin on {addr} · {DEFAULT_LISTEN} is taken · set [admin] listen to fix the port"
                    );
                }
                return Ok(listener);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some((addr, error)),
            Err(error) => return Err(AdminError::Refused(addr, error)),
        }
    }
    let (addr, error) = last.expect("the range of ports is not empty");
    Err(refused(addr, error))
}

fn refused(addr: SocketAddr, error: io::Error) -> AdminError {
    if error.kind() == io::ErrorKind::AddrInUse {
        AdminError::Taken(addr)
    } else {
        AdminError::Refused(addr, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_configured_address_that_is_taken_is_an_error() {
        let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = holder.local_addr().unwrap();
        let error = bind(Some(addr)).await.unwrap_err();
        assert!(matches!(error, AdminError::Taken(taken) if taken == addr));
    }

    #[tokio::test]
    async fn the_default_gives_way() {
        // Whether or not the default is free on this machine, the second listener gets another.
        let first = bind(None).await.unwrap().local_addr().unwrap();
        let holder = TcpListener::bind(first).await;
        let second = bind(None).await.unwrap();
        assert!(second.local_addr().unwrap().ip().is_loopback());
        drop(holder);
    }
}
