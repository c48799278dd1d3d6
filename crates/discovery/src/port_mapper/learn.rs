//! Names learned from the port mappers of many hosts.

use std::net::IpAddr;

use trunkline_proto::NodeName;
use trunkline_reconcile::evidence::Peer;

use super::MapperFailure;
use super::asker::{Asker, Known, Wanted, node};
use super::roster::{HostFailure, Roster};
use crate::DiscoverError;
use crate::config::{BuildCx, ConfigError};
use crate::source::PollCx;

/// Asks the port mapper of each host who is registered there, side by side and each in its own time: a
/// dead host holds nobody up, and one that does not answer keeps the names that it last had. One for each
/// source.
#[derive(Debug)]
pub struct Learner(Roster);

/// What was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// A peer `alive@host` for each wanted name, sorted, with the address when the host is one;
    /// [`Peer::is_self`] is set for the name that we serve. Without a port: nodes restart, and who dials
    /// asks the mapper again.
    pub peers: Vec<Peer>,
    /// Which hosts do not answer, one sentence each.
    pub notes: Vec<String>,
    /// Why nobody is known, when no host has ever answered: then this is no answer, but an error.
    pub unheard: Option<DiscoverError>,
}

impl Learner {
    /// With the port mapper and the resolver of `cx`. `place` (`topologies.web`) is for the error when
    /// there is no port mapper.
    pub fn new(cx: &BuildCx, place: &str) -> Result<Self, ConfigError> {
        let asker = Asker::new(cx, place)?;
        let resolver = cx.resolver.clone().unwrap_or_default();
        Ok(Self(Roster::new(asker, resolver)))
    }

    /// Passes hidden nodes over, as they are tools. Each node is greeted once for that, and a greeting
    /// leaves a name there: only where `greeted` holds, everybody else is passed over too.
    #[must_use]
    pub fn visible_only(mut self, greeted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.0.asker.visible_only = true;
        self.0.wanted = Wanted::new(greeted);
        self
    }

    /// Every name registered at `addresses` for which `wanted` holds. Helpers (`rem-…`, `trunkline-…`)
    /// and what cannot be in a node name never are. `cx` says who we are.
    pub async fn learn(
        &self,
        cx: &PollCx,
        addresses: &[IpAddr],
        wanted: impl Fn(&str) -> bool,
    ) -> Learned {
        let hosts = addresses.iter().map(|ip| ip.to_canonical().to_string());
        self.learn_hosts(cx, hosts.collect(), wanted).await
    }

    /// The same for hosts with names or addresses; what they are called here is what nodes there are
    /// called after the `@`.
    pub async fn learn_hosts(
        &self,
        cx: &PollCx,
        mut hosts: Vec<String>,
        wanted: impl Fn(&str) -> bool,
    ) -> Learned {
        hosts.sort_unstable();
        hosts.dedup();
        let heard = self.0.hear(cx.me(), &hosts).await;
        let me = cx.me().map(NodeName::canonical);
        let mut learned = Learned::default();
        if !heard.iter().any(|heard| heard.answered) {
            let failed = heard.iter().map(|heard| heard.failed.clone());
            learned.unheard = hosts.iter().zip(failed).next().map(|(host, why)| {
                let silent = HostFailure::Mapper(MapperFailure::Silent(self.0.asker.port));
                why.unwrap_or(silent).of(host, hosts.len() - 1)
            });
        }
        for (host, heard) in hosts.iter().zip(heard) {
            let failed = heard.failed.filter(|_| heard.noted);
            let note = failed.map(|why| note(host, &why, heard.names.len()));
            learned.notes.extend(note);
            let names = heard.names.iter().filter(|known| wanted(&known.name.alive));
            let peers = names.filter_map(|known| peer(known, host, me.as_ref()));
            learned.peers.extend(peers);
        }
        learned.peers.sort_unstable();
        learned.peers.dedup();
        learned
    }
}

/// `None` when it is hidden, or no node can be called like that.
pub(crate) fn peer(known: &Known, host: &str, me: Option<&NodeName>) -> Option<Peer> {
    let node = node(&known.name.alive, host).filter(|_| !known.is_hidden())?;
    let mut peer = Peer::named(node);
    peer.is_self = me == Some(&peer.node);
    Some(peer)
}

fn note(host: &str, why: &HostFailure, names: usize) -> String {
    let stands = if names == 0 {
        ""
    } else {
        ", the names that it last had stand"
    };
    match why {
        HostFailure::Unresolved(why) => format!("{host} cannot be resolved: {why}{stands}"),
        HostFailure::Mapper(why) => format!("{host}: {why}{stands}; {}", why.cure()),
    }
}

impl HostFailure {
    /// As the error of a source, of which `more` hosts do not answer either.
    fn of(self, host: &str, more: usize) -> DiscoverError {
        let host = match more {
            0 => host.to_owned(),
            _ => format!("{host} (and {more} more)"),
        };
        match self {
            Self::Unresolved(why) => DiscoverError::Dns { name: host, why },
            Self::Mapper(why) => DiscoverError::PortMapper { host, why },
        }
    }
}
