//! Names learned from the port mappers of many hosts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;
use trunkline_proto::NodeName;
use trunkline_reconcile::evidence::Peer;

use super::{MapperFailure, PortMapper, Registered};
use crate::config::{BuildCx, ConfigError};
use crate::source::PollCx;

/// How many hosts are asked at the same time.
const SIDE_BY_SIDE: usize = 128;
/// A dead host must not hold up the answer for the live ones.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the port mapper of each address who is registered there, and remembers it: an address whose
/// mapper does not answer keeps the names that it last had. One for each source.
#[derive(Debug)]
pub struct Learner {
    mapper: Arc<dyn PortMapper>,
    port: u16,
    known: Mutex<BTreeMap<IpAddr, Vec<Registered>>>,
}

/// What was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// A peer `alive@ip` for each wanted name, sorted, with its address; [`Peer::is_self`] is set for
    /// the name that we serve. Without a port: who dials asks the mapper again, nodes restart.
    pub peers: Vec<Peer>,
    /// Which addresses did not answer, one line each with the cure.
    pub notes: Vec<String>,
}

impl Learner {
    /// With the port mapper of `cx`. `place` (`topologies.web`) and `key` are for the error when it
    /// has none.
    pub fn new(cx: &BuildCx, place: &str, key: &str) -> Result<Self, ConfigError> {
        let mapper = cx.port_mapper.clone().ok_or_else(|| {
            ConfigError::new(
                place,
                Some(key),
                "this program brings no port mapper to ask",
                "give BuildCx one: trunkline::build_cx does",
            )
        })?;
        Ok(Self {
            mapper,
            port: cx.epmd_port,
            known: Mutex::default(),
        })
    }

    /// Every name registered at `addresses` for which `wanted` holds. Helpers (`rem-…`, `trunkline-…`)
    /// and what cannot be in a node name never are. `cx` says who we are.
    pub async fn learn(
        &self,
        cx: &PollCx,
        addresses: &[IpAddr],
        wanted: impl Fn(&str) -> bool,
    ) -> Learned {
        let mut addresses: Vec<_> = addresses.iter().map(IpAddr::to_canonical).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let asked = stream::iter(addresses).map(|ip| async move { (ip, self.ask(ip).await) });
        let mut answers: Vec<_> = asked.buffer_unordered(SIDE_BY_SIDE).collect().await;
        answers.sort_unstable_by_key(|(ip, _)| *ip);
        let me = cx.me().map(NodeName::canonical);
        let mut learned = Learned::default();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (ip, answer) in answers {
            let names = match answer {
                Ok(names) => {
                    known.insert(ip, names);
                    known.get(&ip)
                }
                Err(why) => {
                    learned.notes.push(format!("{ip}: {why} · {}", why.cure()));
                    known.get(&ip)
                }
            };
            let names = names.into_iter().flatten();
            let names = names.filter(|name| wanted(&name.alive));
            learned
                .peers
                .extend(names.filter_map(|name| peer(&name.alive, ip, me.as_ref())));
        }
        learned.peers.sort_unstable();
        learned.peers.dedup();
        learned
    }

    async fn ask(&self, ip: IpAddr) -> Result<Vec<Registered>, MapperFailure> {
        let asked = timeout(PATIENCE, self.mapper.names(ip, self.port)).await;
        asked.unwrap_or(Err(MapperFailure::Silent(self.port)))
    }
}

fn peer(alive: &str, ip: IpAddr, me: Option<&NodeName>) -> Option<Peer> {
    let node: NodeName = format!("{alive}@{ip}").parse().ok()?;
    let mut peer = Peer::named(node);
    peer.is_self = me == Some(&peer.node);
    (!trunkline_reconcile::is_helper(&peer.node)).then_some(peer)
}
