//! SRV records: each names a host and a port.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, timeout_at};
use trunkline_reconcile::evidence::{Answer, Labels, Peer};

use super::names::{Names, Rule, learned};
use super::{SrvNames, SrvPort, is_host, other, own_family};
use crate::DiscoverError;
use crate::dns::{self, Family, Resolver, Srv};
use crate::error::DnsFailure;
use crate::source::{Poll, PollCx};

/// So many hosts are looked up at the same time.
const SIDE_BY_SIDE: usize = 16;
/// An answer of 64 KiB could name more hosts than any cluster has.
const MAX_HOSTS: usize = 1024;
/// And each host could have as many addresses.
const MAX_ADDRESSES: usize = 4096;

/// Every host that the SRV records of `query` name.
#[derive(Debug)]
pub(super) struct Services {
    query: String,
    srv_names: SrvNames,
    srv_port: SrvPort,
    names: Names,
    resolver: Resolver,
    /// For all hosts together.
    patience: Duration,
    /// What each host last had. One that cannot be looked up keeps it.
    known: Mutex<BTreeMap<String, Vec<IpAddr>>>,
}

/// The records of one host.
struct Host {
    srv: Srv,
    /// Records that name the same host with other ports.
    other_ports: bool,
    glue: Vec<IpAddr>,
}

impl Services {
    pub(super) fn new(
        query: String,
        (srv_names, srv_port): (SrvNames, SrvPort),
        names: Names,
        resolver: Resolver,
        patience: Duration,
    ) -> Self {
        Self {
            query,
            srv_names,
            srv_port,
            names,
            resolver,
            patience,
            known: Mutex::default(),
        }
    }

    async fn ask(&self, cx: &PollCx) -> Result<Answer, DiscoverError> {
        let rule = self.names.rule(cx)?;
        let found = self.resolver.fresh().srv_with_addresses(&self.query).await;
        let found = found.map_err(|why| failure(&self.query, why))?;
        let mut notes = Vec::new();
        let hosts = self.hosts(found, &mut notes);
        let named = match self.srv_names {
            SrvNames::Host => hosts
                .into_iter()
                .map(|host| (host.srv.target.clone(), host))
                .collect(),
            SrvNames::Address => self.with_addresses(hosts, cx, &mut notes).await?,
        };
        let mut peers = match rule {
            Ok(rule) => self.peers(&rule, &named, cx, &mut notes),
            Err(learner) => {
                let hosts = named.iter().map(|(after_at, _)| after_at.clone());
                let (mut peers, more) = learned(learner, hosts.collect(), cx).await?;
                notes.extend(more);
                for peer in &mut peers {
                    let of = named.iter().find(|(at, _)| at == peer.node.host());
                    peer.labels = of.map(|(_, host)| host.labels()).unwrap_or_default();
                }
                peers
            }
        };
        peers.sort_by(|a, b| a.node.cmp(&b.node));
        // Two names for one address: the first counts.
        peers.dedup_by(|a, b| a.node == b.node);
        notes.sort();
        notes.dedup();
        Ok(Answer { peers, notes })
    }

    /// Each host once, with its most preferred record.
    fn hosts(&self, mut found: Vec<(Srv, Vec<IpAddr>)>, notes: &mut Vec<String>) -> Vec<Host> {
        found.sort_by(|(a, _), (b, _)| {
            let rank = |srv: &Srv| (srv.priority, u16::MAX - srv.weight);
            a.target.cmp(&b.target).then(rank(a).cmp(&rank(b)))
        });
        let mut hosts: Vec<Host> = Vec::new();
        for (srv, glue) in found {
            if !is_host_name(&srv.target) {
                // One note, whatever the server makes up next.
                notes.push(format!(
                    "{} names a target that is no host name",
                    self.query
                ));
                continue;
            }
            match hosts
                .last_mut()
                .filter(|host| host.srv.target == srv.target)
            {
                Some(host) => host.other_ports |= host.srv.port != srv.port,
                None => hosts.push(Host {
                    srv,
                    other_ports: false,
                    glue,
                }),
            }
        }
        if hosts.len() > MAX_HOSTS {
            hosts.truncate(MAX_HOSTS);
            notes.push(format!("{} names more than {MAX_HOSTS} hosts", self.query));
        }
        hosts
    }

    /// Hosts with their addresses in canonical text. One that fails never hides another: it keeps
    /// what it last had. An error only when nothing at all is known.
    async fn with_addresses(
        &self,
        hosts: Vec<Host>,
        cx: &PollCx,
        notes: &mut Vec<String>,
    ) -> Result<Vec<(String, Host)>, DiscoverError> {
        let until = Instant::now() + self.patience;
        let own = own_family(cx);
        let looked_up: Vec<_> = stream::iter(hosts)
            .map(|host| async move {
                let found = timeout_at(until, self.addresses(&host, own)).await;
                (found.unwrap_or(Err(None)), host)
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MAX_HOSTS {
            known.retain(|name, _| looked_up.iter().any(|(_, host)| host.srv.target == *name));
        }
        let mut named = Vec::new();
        let mut failed = Vec::new();
        for (found, host) in looked_up {
            let target = &host.srv.target;
            let addresses = match found {
                Ok(found) => {
                    known.insert(target.clone(), found.clone());
                    found
                }
                Err(why) => {
                    failed.push((target.clone(), why.unwrap_or_else(late)));
                    known.get(target).cloned().unwrap_or_default()
                }
            };
            let usable = addresses.iter().map(IpAddr::to_canonical).filter(is_host);
            let before = named.len();
            named.extend(usable.map(|ip| (ip.to_string(), host.copy())));
            if named.len() == before && failed.last().is_none_or(|(name, _)| name != target) {
                failed.push((target.clone(), DnsFailure::NoAddress));
            }
        }
        if named.len() > MAX_ADDRESSES {
            named.sort_by(|(a, _), (b, _)| a.cmp(b));
            named.truncate(MAX_ADDRESSES);
            notes.push(format!(
                "{} names more than {MAX_ADDRESSES} addresses",
                self.query
            ));
        }
        failed.sort_by(|(a, _), (b, _)| a.cmp(b));
        notes.extend(self.failures(&failed));
        match failed
            .into_iter()
            .find(|(_, why)| *why != DnsFailure::NoAddress)
        {
            Some((target, why)) if named.is_empty() => Err(failure(&target, why)),
            _ => Ok(named),
        }
    }

    /// One fault may have many victims; the log needs a few of them.
    fn failures(&self, failed: &[(String, DnsFailure)]) -> Vec<String> {
        let one = |(name, why): &(String, DnsFailure)| format!("{name} cannot be resolved: {why}");
        match failed {
            [first, _, _, _, ..] => vec![format!(
                "more than three hosts of {} cannot be resolved; {}",
                self.query,
                one(first)
            )],
            few => few.iter().map(one).collect(),
        }
    }

    /// The addresses that the own node can dial; where there are none, the others, so that
    /// `family_mismatch` says what is wrong. Both, while the own node is not known.
    async fn addresses(
        &self,
        host: &Host,
        own: Option<Family>,
    ) -> Result<Vec<IpAddr>, Option<DnsFailure>> {
        if let Ok(literal) = host.srv.target.parse() {
            return Ok(vec![literal]);
        }
        let Some(own) = own else {
            let (v4, v6) = tokio::join!(self.of(host, Family::V4), self.of(host, Family::V6));
            return Ok([v4?, v6?].concat());
        };
        let found = self.of(host, own).await?;
        if found.is_empty() {
            return Ok(self.of(host, other(own)).await?);
        }
        Ok(found)
    }

    /// What the server sent along, else what it says when asked.
    async fn of(&self, host: &Host, family: Family) -> Result<Vec<IpAddr>, DnsFailure> {
        let glue = host.glue.iter().copied();
        let glue: Vec<_> = glue.filter(|ip| Family::of(*ip) == family).collect();
        if !glue.is_empty() {
            return Ok(glue);
        }
        // Complete as it is: the search list is for what people write.
        self.resolver
            .lookup(&format!("{}.", host.srv.target), family)
            .await
    }

    fn peers(
        &self,
        rule: &Rule<'_>,
        named: &[(String, Host)],
        cx: &PollCx,
        notes: &mut Vec<String>,
    ) -> Vec<Peer> {
        let mut peers = Vec::new();
        for (after_at, host) in named {
            match rule.peer(after_at, host.labels(), cx) {
                Ok(peer) => peers.push(self.with_port(peer, host, notes)),
                Err(why) => notes.push(why),
            }
        }
        peers
    }

    fn with_port(&self, mut peer: Peer, host: &Host, notes: &mut Vec<String>) -> Peer {
        let Srv { port, target, .. } = &host.srv;
        if self.srv_port == SrvPort::Distribution && *port != 0 {
            peer.port = Some(*port);
            if host.other_ports {
                notes.push(format!("{target} has several ports, {port} is used"));
            }
        }
        peer
    }
}

fn failure(name: &str, why: DnsFailure) -> DiscoverError {
    DiscoverError::Dns {
        name: name.into(),
        why,
    }
}

impl Host {
    fn labels(&self) -> Labels {
        let Srv { port, target, .. } = &self.srv;
        let labels = [
            ("srv.target", target.clone()),
            ("srv.port", port.to_string()),
        ];
        labels.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn copy(&self) -> Self {
        Self {
            srv: self.srv.clone(),
            other_ports: self.other_ports,
            glue: Vec::new(),
        }
    }
}

fn late() -> DnsFailure {
    DnsFailure::Other("there was no time left for it".into())
}

/// Letters, digits, `-` and, as it happens, `_`; of nothing else a node's name is made.
fn is_host_name(target: &str) -> bool {
    target.is_ascii() && dns::is_name(target)
}

impl Poll for Services {
    fn poll<'a>(&'a self, cx: &'a PollCx) -> BoxFuture<'a, Result<Answer, DiscoverError>> {
        Box::pin(self.ask(cx))
    }
}
