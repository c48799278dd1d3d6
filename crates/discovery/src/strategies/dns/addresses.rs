//! A and AAAA records: one query and family, the smallest thing that can fail alone.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use trunkline_reconcile::evidence::{Answer, Labels};

use super::names::{Names, learned};
use super::{is_host, other, own_family};
use crate::DiscoverError;
use crate::dns::{Family, Resolver};
use crate::source::{Poll, PollCx};

/// Every address of `query` that is of one family.
#[derive(Debug)]
pub(super) struct Addresses {
    query: String,
    family: Family,
    names: Names,
    resolver: Resolver,
    /// Whether the name had addresses of the own node's family when that was last known.
    has_own: AtomicBool,
}

impl Addresses {
    pub(super) fn new(query: String, family: Family, names: Names, resolver: Resolver) -> Self {
        Self {
            query,
            family,
            names,
            resolver,
            has_own: AtomicBool::new(false),
        }
    }

    async fn ask(&self, cx: &PollCx) -> Result<Answer, DiscoverError> {
        let rule = self.names.rule(cx)?;
        let found = self.resolver.fresh().lookup(&self.query, self.family).await;
        let found = found.map_err(|why| DiscoverError::Dns {
            name: self.query.clone(),
            why,
        })?;
        let found = found.into_iter().map(|ip| ip.to_canonical());
        let (mut hosts, others): (Vec<_>, Vec<_>) = found.partition(is_host);
        let others = others.last();
        let odd = |ip: &IpAddr| format!("{} has {ip}, which is no host's address", self.query);
        let mut notes: Vec<_> = others.map(odd).into_iter().collect();
        if let Some(note) = self.passed_over(hosts.iter().copied(), cx).await {
            // Whoever is IPv4 in IPv6's clothes stays.
            hosts.retain(|ip| Some(Family::of(*ip)) == own_family(cx));
            notes.push(note);
        }
        let hosts = hosts.iter().map(IpAddr::to_string);
        let mut peers = match rule {
            Ok(rule) => {
                let peers = hosts.map(|host| rule.peer(&host, Labels::new(), cx));
                let (peers, odd): (Vec<_>, Vec<_>) = peers.partition(Result::is_ok);
                notes.extend(odd.into_iter().filter_map(Result::err).take(1));
                peers.into_iter().flatten().collect()
            }
            Err(learner) => {
                let (peers, more) = learned(learner, hosts.collect(), cx).await?;
                notes.extend(more);
                peers
            }
        };
        peers.sort();
        peers.dedup_by(|a, b| a.node == b.node);
        Ok(Answer { peers, notes })
    }

    /// A host with both families is one node, and has the name that the own node can dial. Where
    /// the name has addresses of the own family, those of the other one are taken to be the same
    /// hosts. Where it has none, they are listed: `family_mismatch` says then what is wrong.
    async fn passed_over(
        &self,
        mut found: impl Iterator<Item = IpAddr>,
        cx: &PollCx,
    ) -> Option<String> {
        let own = own_family(cx).filter(|own| *own != self.family)?;
        found.find(|ip| Family::of(*ip) == other(own))?;
        // The source of that family has just asked, so that this comes out of the cache.
        if let Ok(addresses) = self.resolver.lookup(&self.query, own).await {
            self.has_own.store(!addresses.is_empty(), Ordering::Relaxed);
        }
        let me = cx.me().filter(|_| self.has_own.load(Ordering::Relaxed))?;
        Some(format!(
            "the {} addresses of {} are passed over: it has {own} ones too, and the own node is {me}",
            other(own),
            self.query
        ))
    }
}

impl Poll for Addresses {
    fn poll<'a>(&'a self, cx: &'a PollCx) -> BoxFuture<'a, Result<Answer, DiscoverError>> {
        Box::pin(self.ask(cx))
    }
}
