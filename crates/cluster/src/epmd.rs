//! The port mappers that sources ask.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use trunkline_discovery::Env;
use trunkline_discovery::config::BuildCx;
use trunkline_discovery::port_mapper::{MapperFailure, PortMapper, Registered};
use trunkline_node::epmd::client::{QueryError, names, port_please};
use trunkline_proto::epmd::NodeType;

/// Whoever asks has a limit of its own, a shorter one.
const LIMIT: Duration = Duration::from_secs(30);

/// Speaks the protocol of EPMD.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epmd;

impl PortMapper for Epmd {
    fn names(
        &self,
        ip: IpAddr,
        port: u16,
    ) -> BoxFuture<'static, Result<Vec<Registered>, MapperFailure>> {
        async move {
            let entries = names(SocketAddr::new(ip, port), LIMIT).await;
            let entries = entries.map_err(|why| failure(why, port))?;
            let registered = entries.into_iter().map(|entry| Registered {
                alive: entry.alive,
                port: entry.port,
            });
            Ok(registered.collect())
        }
        .boxed()
    }

    fn is_hidden(
        &self,
        ip: IpAddr,
        port: u16,
        alive: &str,
    ) -> BoxFuture<'static, Result<bool, MapperFailure>> {
        let alive = alive.to_owned();
        async move {
            match port_please(SocketAddr::new(ip, port), &alive, LIMIT).await {
                Ok(found) => Ok(found.node_type != NodeType::VISIBLE),
                Err(QueryError::NotRegistered) => Ok(true),
                Err(why) => Err(failure(why, port)),
            }
        }
        .boxed()
    }
}

fn failure(why: QueryError, port: u16) -> MapperFailure {
    match why {
        QueryError::Refused => MapperFailure::Refused(port),
        QueryError::Silent => MapperFailure::Silent(port),
        other => MapperFailure::NotEpmd {
            port,
            why: other.to_string(),
        },
    }
}

/// What strategies are built with: this environment, the system's resolver, and [`Epmd`] at
/// `ERL_EPMD_PORT`.
pub fn build_cx(env: Env) -> BuildCx {
    BuildCx {
        port_mapper: Some(Arc::new(Epmd)),
        ..BuildCx::new(env)
    }
}
