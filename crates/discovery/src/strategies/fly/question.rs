//! One question to Fly's DNS, and what its answer means.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use trunkline_proto::{Basename, NodeName};
use trunkline_reconcile::evidence::{Answer, Peer};

use super::config::{self, Config};
use super::machines::{Machine, Machines};
use super::names::Wanted;
use crate::DiscoverError;
use crate::config::{BuildCx, ConfigError};
use crate::dns::{Family, Resolver, Said, Verdict};
use crate::error::DnsFailure;
use crate::naming;
use crate::platform::Env;
use crate::port_mapper::{Learned, Learner};
use crate::source::{Poll, PollCx};

/// One question: the smallest thing that can fail alone.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) wanted: Wanted,
    pub(super) naming: Naming,
    pub(super) machines: Arc<Machines>,
    pub(super) resolver: Resolver,
    pub(super) own: Own,
}

/// How the nodes on the machines are called.
#[derive(Debug)]
pub(super) enum Naming {
    /// As our own: the same image.
    Own,
    /// As the configuration says.
    Fixed(Basename),
    /// As they say themselves: every `<app>-…` and `<app>`.
    Learn(Learner, String),
}

/// What this machine knows of itself.
#[derive(Debug)]
pub(super) struct Own {
    ip: Option<IpAddr>,
    machine: Option<String>,
    /// Why no question can list it.
    outside: Option<String>,
}

impl Naming {
    /// As configured. A text is a basename: that was checked.
    pub(super) fn new(
        path: &str,
        config: &Config,
        app: Option<&str>,
        cx: &BuildCx,
    ) -> Result<Self, ConfigError> {
        let Some(text) = config.node_basename.as_deref() else {
            return Ok(Self::Own);
        };
        match config::naming(text) {
            Some(naming::Naming::Learn) => {
                let learner = Learner::new(cx, path)?;
                Ok(Self::Learn(learner, app.unwrap_or_default().to_owned()))
            }
            Some(naming::Naming::Fixed(basename)) => Ok(Self::Fixed(basename)),
            Some(naming::Naming::Template(_)) | None => {
                let (shown, allowed) = (format!("{text:?}"), config::BASENAME);
                Err(ConfigError::bad_value(
                    path,
                    "node_basename",
                    &shown,
                    allowed,
                ))
            }
        }
    }
}

impl Own {
    pub(super) fn new(env: &Env, outside: Option<String>) -> Self {
        let ip = env.text("FLY_PRIVATE_IP").and_then(|ip| ip.parse().ok());
        Self {
            ip,
            machine: env.text("FLY_MACHINE_ID").map(str::to_owned),
            outside,
        }
    }
}

impl Poll for Question {
    fn poll<'a>(&'a self, cx: &'a PollCx) -> BoxFuture<'a, Result<Answer, DiscoverError>> {
        Box::pin(self.ask(cx))
    }
}

impl Question {
    async fn ask(&self, cx: &PollCx) -> Result<Answer, DiscoverError> {
        let basename = self.basename(cx)?;
        let (addresses, mut notes) = self.addresses().await?;
        let machines = self.machines.at(&addresses);
        let (mut peers, machines) = match &self.naming {
            Naming::Learn(learner, app) => {
                let learned = self.learn(cx, learner, app, &addresses);
                let (learned, machines) = tokio::join!(learned, machines);
                notes.extend(learned.notes);
                (learned.peers, machines)
            }
            Naming::Own | Naming::Fixed(_) => {
                let machines = machines.await;
                let name = |ip: &IpAddr| format!("{basename}@{ip}").parse().ok();
                let peers = addresses.iter().filter_map(name).map(Peer::named);
                (peers.collect(), machines)
            }
        };
        for peer in &mut peers {
            self.label(peer, &machines);
            peer.is_self = self.is_self(peer, &addresses, cx.me());
        }
        self.add_self(&mut peers, &addresses, &machines, cx.me());
        notes.extend(self.own.outside.clone());
        Ok(Answer { peers, notes })
    }

    /// What every machine's node is called, empty when that is learned.
    fn basename(&self, cx: &PollCx) -> Result<String, DiscoverError> {
        match &self.naming {
            Naming::Fixed(basename) => Ok(basename.to_string()),
            Naming::Learn(..) => Ok(String::new()),
            Naming::Own => {
                let own = cx.me().map(|me| me.alive().to_owned());
                own.ok_or_else(nameless)
            }
        }
    }

    /// Who is listed by all names. Sorted.
    async fn addresses(&self) -> Result<(Vec<IpAddr>, Vec<String>), DiscoverError> {
        let names = self.wanted.names.iter();
        let asked = names.map(|name| self.resolver.lookup(name, Family::V6));
        let mut notes = Vec::new();
        let mut all: Option<Vec<IpAddr>> = None;
        for (name, found) in self.wanted.names.iter().zip(join_all(asked).await) {
            let found = match found {
                Ok(found) => found,
                Err(why) if self.wanted.part && does_not_exist(&why) => {
                    notes.push(format!("nobody is there: {name} does not exist (NXDOMAIN)"));
                    Vec::new()
                }
                Err(why) => {
                    let name = name.clone();
                    return Err(DiscoverError::Dns { name, why });
                }
            };
            let found = found.iter().map(IpAddr::to_canonical);
            all = Some(match all {
                None => found.collect(),
                Some(all) => found.filter(|ip| all.contains(ip)).collect(),
            });
        }
        let mut addresses = all.unwrap_or_default();
        addresses.sort_unstable();
        addresses.dedup();
        Ok((addresses, notes))
    }

    /// What runs on the machines, as far as it is this app: whichever image it is of.
    async fn learn(
        &self,
        cx: &PollCx,
        learner: &Learner,
        app: &str,
        addresses: &[IpAddr],
    ) -> Learned {
        let own = cx.me().map(NodeName::alive);
        let of_app = |alive: &str| {
            let rest = alive.strip_prefix(app);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) || own == Some(alive)
        };
        learner.learn(cx, addresses, of_app).await
    }

    fn label(&self, peer: &mut Peer, machines: &BTreeMap<IpAddr, Machine>) {
        if let Some(machine) = peer.address.and_then(|ip| machines.get(&ip)) {
            let labels = [
                ("machine_id", Some(&machine.id)),
                ("region", Some(&machine.region)),
                ("app", machine.app.as_ref()),
            ];
            let labels = labels.into_iter();
            peer.labels
                .extend(labels.filter_map(|(key, value)| Some((key.into(), value?.clone()))));
        }
        for (key, value) in &self.wanted.labels {
            peer.labels.insert((*key).into(), value.clone());
        }
    }

    /// By the machine, where each has one node; by the name, where we learned who is there.
    fn is_self(&self, peer: &Peer, addresses: &[IpAddr], me: Option<&NodeName>) -> bool {
        if me.is_some_and(|me| me.canonical() == peer.node) {
            return true;
        }
        let here = match (self.own.ip, &self.own.machine) {
            (Some(ip), _) if addresses.contains(&ip) => peer.address == Some(ip),
            // A list of machines may be older than the addresses: it counts only without ours.
            (_, Some(id)) => peer.labels.get("machine_id") == Some(id),
            _ => false,
        };
        match (&self.naming, me) {
            // Named by a host, it is at this address all the same.
            (Naming::Learn(..), Some(me)) => {
                here && me.ip().is_none() && me.alive() == peer.node.alive()
            }
            _ => here,
        }
    }

    /// Our own node counts, whether it runs already or not, and whether these names can list it.
    fn add_self(
        &self,
        peers: &mut Vec<Peer>,
        addresses: &[IpAddr],
        machines: &BTreeMap<IpAddr, Machine>,
        me: Option<&NodeName>,
    ) {
        let Some(me) = me.map(NodeName::canonical) else {
            return;
        };
        let ip = self.own.ip.or_else(|| me.ip());
        let listed = ip.is_some_and(|ip| addresses.contains(&ip));
        let wanted = listed || self.own.outside.is_some();
        if !wanted || peers.iter().any(|peer| peer.is_self) {
            return;
        }
        let mut own = Peer::named(me);
        own.address = ip;
        own.is_self = true;
        if listed {
            self.label(&mut own, machines);
        }
        peers.push(own);
        peers.sort_unstable();
    }
}

/// Whoever was asked knows the zone and has no such name. Where one server failed and another has
/// never heard of Fly's zone, nothing is known.
fn does_not_exist(why: &DnsFailure) -> bool {
    let DnsFailure::Servers { verdicts, .. } = why else {
        return false;
    };
    let no_such = |verdict: &Verdict| verdict.said == Said::NoSuchName;
    !verdicts.is_empty() && verdicts.iter().all(no_such)
}

fn nameless() -> DiscoverError {
    DiscoverError::NotReady {
        what:
            "the part of the nodes' names before the @ is not known: the own node has no name yet"
                .into(),
        cure: "set node_basename, to \"learn\" for instance, or wait until the node is up".into(),
    }
}
