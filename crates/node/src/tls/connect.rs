//! TLS on a connection that was opened or accepted.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use trunkline_proto::{NodeName, Reason, Step, TlsFault};

use super::fault::{self, Side};
use super::{Tls, TlsError, plain};
use crate::reach::left;
use crate::transport::{HandshakeFailed, Session, Transport};

/// How long a called node may be silent before it is asked whether it speaks plain text. An OTP
/// node that has never met TLS loads its modules first.
const PATIENCE: Duration = Duration::from_millis(1500);

impl Tls {
    /// Calls `peer`, as `me`, over an open connection.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        me: &NodeName,
        peer: &NodeName,
        deadline: Instant,
    ) -> Result<Transport, Reason> {
        let config = self.client().map_err(setup)?;
        let side = Side::Caller {
            shows: config.client_auth_cert_resolver.has_certs(),
        };
        let host = self.expected(peer.host());
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Reason::TlsFailed {
            fault: TlsFault::Setup,
            detail: format!("{host} can be no name in a certificate"),
        })?;
        let closed = || Reason::Closed { step: Step::Tls };
        let addr = stream.peer_addr().map_err(|_| closed())?;
        let connection = ClientConnection::new(config, name).map_err(|why| setup_said(&why))?;
        let session = Arc::new(Session::new(stream, connection.into()));

        let heard = AtomicBool::new(false);
        let mut shake = pin!(timeout_at(
            deadline,
            session.handshake(|| heard.store(true, Ordering::Relaxed))
        ));
        let ask = || plain::speaks(addr, me, peer, deadline);
        let patience = Instant::now() + PATIENCE.min(left(deadline) / 2);
        let done = tokio::select! {
            biased;
            done = &mut shake => done,
            () = sleep_until(patience) => {
                let is_plain = async { !heard.load(Ordering::Relaxed) && ask().await };
                tokio::select! {
                    biased;
                    done = &mut shake => done,
                    is_plain = is_plain => {
                        if is_plain && !heard.load(Ordering::Relaxed) {
                            return Err(Reason::TlsNotSpoken);
                        }
                        shake.await
                    }
                }
            }
        };
        match done {
            Ok(Ok(())) => Ok(Transport::Tls(Arc::clone(&session))),
            Err(_) => Err(Reason::Timeout { step: Step::Tls }),
            // Other plain nodes close at once.
            Ok(Err(failed)) if failed.heard.is_empty() => {
                let plain = ask().await;
                Err(if plain {
                    Reason::TlsNotSpoken
                } else {
                    closed()
                })
            }
            Ok(Err(failed)) => Err(fault::explain(&failed, side)),
        }
    }

    /// Answers a caller. `allowed` are the hosts of the allow-list, empty when there is none.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        deadline: Instant,
        allowed: &[String],
    ) -> Result<Transport, Reason> {
        let config = self.server().map_err(setup)?;
        let closed = || Reason::Closed { step: Step::Tls };
        let from = stream.peer_addr().map_err(|_| closed())?;
        let connection = ServerConnection::new(config).map_err(|why| setup_said(&why))?;
        let session = Session::new(stream, connection.into());
        let done: Result<Result<(), HandshakeFailed>, _> =
            timeout_at(deadline, session.handshake(|| {})).await;
        match done {
            Ok(Ok(())) => {}
            Ok(Err(failed)) => return Err(fault::explain(&failed, Side::Called)),
            Err(_) => return Err(Reason::Timeout { step: Step::Tls }),
        }
        if self.verifies_callers() && !allowed.is_empty() {
            may_call(&session, from.ip(), allowed)?;
        }
        Ok(Transport::Tls(Arc::new(session)))
    }
}

/// `inet_tls_dist:verify_client/3`: a caller that shows a certificate must show one for a host of
/// the allow-list, or for its own address.
fn may_call(session: &Session, from: IpAddr, allowed: &[String]) -> Result<(), Reason> {
    let Some(names) = session.peer_names() else {
        return Ok(());
    };
    if names.include_address(from) || allowed.iter().any(|host| names.include(host)) {
        return Ok(());
    }
    Err(Reason::TlsFailed {
        fault: TlsFault::TheirHost,
        detail: format!(
            "the caller's certificate is for {}, neither for its address {from} nor for a host that is allowed",
            names.shown()
        ),
    })
}

fn setup(why: TlsError) -> Reason {
    Reason::TlsFailed {
        fault: TlsFault::Setup,
        detail: why.to_string(),
    }
}

fn setup_said(why: &rustls::Error) -> Reason {
    Reason::TlsFailed {
        fault: TlsFault::Setup,
        detail: why.to_string(),
    }
}
