//! Which nodes the port mapper of this host knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use trunkline_node::Target;
use trunkline_node::epmd::client::{QueryError, names, port_please};
use trunkline_node::probe::{Depth, ProbeConfig, probe};
use trunkline_proto::epmd::NodeType;
use trunkline_proto::{Basename, NodeName, Reason};

/// The port mapper is on this host: it answers in microseconds or is busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// The full names of the visible nodes that are registered on this host, sorted. The port mapper
/// knows only the part before the `@`; the rest each node says itself, in its greeting. A node that
/// does not greet is left out; helpers (`trunkline-…`, `rem-…`) are hidden or passed over.
///
/// # Errors
/// Why the port mapper does not answer.
pub async fn visible_nodes(epmd_port: u16) -> Result<Vec<NodeName>, QueryError> {
    let (mapper, entries) = ask(epmd_port).await?;
    let mut found = Vec::new();
    for entry in entries {
        let Ok(registration) = port_please(mapper, &entry.alive, PATIENCE).await else {
            continue;
        };
        if registration.node_type != NodeType::VISIBLE {
            continue;
        }
        match greeted_name(mapper.ip(), &entry.alive, registration.port).await {
            Ok(name) if trunkline_reconcile::is_helper(&name) => {}
            Ok(name) => found.push(name),
            Err(why) => tracing::debug!("{} is registered and does not greet: {why}", entry.alive),
        }
    }
    found.sort();
    Ok(found)
}

async fn ask(port: u16) -> Result<(SocketAddr, Vec<trunkline_proto::epmd::NameEntry>), QueryError> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match names(v4, PATIENCE).await {
        Ok(entries) => Ok((v4, entries)),
        Err(first) => {
            // A mapper that was bound to IPv6 alone (ERL_EPMD_ADDRESS).
            let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
            let entries = names(v6, PATIENCE).await.map_err(|_| first)?;
            Ok((v6, entries))
        }
    }
}

/// What the node at this port calls itself. Asked for under a wrong host name it answers with the
/// right one.
async fn greeted_name(ip: IpAddr, alive: &str, port: u16) -> Result<NodeName, Reason> {
    let bad = |detail: trunkline_proto::NameError| Reason::BadName {
        detail: detail.to_string(),
    };
    let asked: NodeName = format!("{alive}@{ip}").parse().map_err(bad)?;
    let me = Basename::sanitize(&format!("trunkline-probe-{alive}")).map_err(bad)?;
    let mut config = ProbeConfig::new(NodeName::from_ip(&me, ip));
    config.depth = Depth::Greeting;
    config.timeout = PATIENCE;
    let target = Target::new(asked.clone()).at(ip).on_port(port);
    match probe(&config, &target).await.result {
        Ok(_) => Ok(asked),
        Err(Reason::NameMismatch { actual }) => Ok(actual),
        Err(why) => Err(why),
    }
}
