//! The port mappers that sources ask.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use trunkline_discovery::Env;
use trunkline_discovery::config::BuildCx;
use trunkline_discovery::port_mapper::{MapperFailure, PortMapper, Registered};
use trunkline_node::Target;
use trunkline_node::epmd::client::{QueryError, names};
use trunkline_node::probe::{Depth, ProbeConfig, probe};
use trunkline_proto::{Flags, NodeName, Reason};

/// Whoever asks has a limit of its own, a shorter one.
const LIMIT: Duration = Duration::from_secs(30);

/// A node that is up greets at once; one behind TLS never does.
const GREETING: Duration = Duration::from_millis(500);

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
        me: &NodeName,
        node: &NodeName,
        ip: IpAddr,
        port: u16,
    ) -> BoxFuture<'static, Option<bool>> {
        let probe_name = format!("trunkline-probe-{}@{}", me.alive(), me.host());
        let target = Target::new(node.clone()).at(ip).on_port(port);
        async move {
            let config = ProbeConfig {
                depth: Depth::Greeting,
                timeout: GREETING,
                ..ProbeConfig::new(probe_name.parse().ok()?)
            };
            let result = match probe(&config, &target).await.result {
                // It lives under the name of another host.
                Err(Reason::NameMismatch { actual }) => {
                    let target = Target::new(actual).at(ip).on_port(port);
                    probe(&config, &target).await.result
                }
                other => other,
            };
            let greeting = result.ok()?.greeting?;
            Some(!greeting.flags.contains(Flags::PUBLISHED))
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
