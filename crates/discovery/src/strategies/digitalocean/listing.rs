//! From Droplets to peers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::future::BoxFuture;
use trunkline_proto::{Basename, NodeName};
use trunkline_reconcile::evidence::{Answer, Labels, Peer};

use super::api::{Api, Droplet, Network};
use super::own::Own;
use crate::DiscoverError;
use crate::naming::Naming;
use crate::port_mapper::Learner;
use crate::source::{Poll, PollCx};

/// The Droplets of one topology.
#[derive(Debug)]
pub(super) struct Droplets {
    pub(super) api: Api,
    pub(super) own: Own,
    pub(super) wanted: Wanted,
    /// Where names are learned.
    pub(super) learner: Option<Learner>,
}

/// Which Droplets, and what of them.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) public: bool,
    pub(super) ipv6: bool,
    pub(super) region: Option<String>,
    pub(super) vpc_uuid: Option<String>,
    /// By default the Droplet's name.
    pub(super) naming: Option<Naming>,
}

/// Whom we serve: the Droplet by id, which is certain, else by address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Me {
    pub(super) id: Option<u64>,
    pub(super) ip: Option<IpAddr>,
}

impl Poll for Droplets {
    fn poll<'a>(&'a self, cx: &'a PollCx) -> BoxFuture<'a, Result<Answer, DiscoverError>> {
        Box::pin(async move {
            // Side by side: where there is no metadata service, that takes a second to know.
            let (droplets, id) = tokio::join!(self.api.list(cx), self.own.id());
            let ip = cx.me().and_then(NodeName::ip).map(|ip| ip.to_canonical());
            let answer = self.wanted.answer(&droplets?, Me { id, ip });
            match &self.learner {
                Some(learner) => learned(learner, cx, answer).await,
                None => Ok(answer),
            }
        })
    }
}

/// The nodes that run on the listed Droplets. Whether one is ours its name says.
async fn learned(learner: &Learner, cx: &PollCx, listed: Answer) -> Result<Answer, DiscoverError> {
    let by_address: BTreeMap<_, _> = listed
        .peers
        .into_iter()
        .filter_map(|peer| Some((peer.address?, peer.labels)))
        .collect();
    let addresses: Vec<_> = by_address.keys().copied().collect();
    let learned = learner.learn(cx, &addresses, |_| true).await;
    if let Some(error) = learned.unheard {
        return Err(error);
    }
    let mut answer = Answer {
        peers: learned.peers,
        notes: listed.notes,
    };
    answer.notes.extend(learned.notes);
    for peer in &mut answer.peers {
        let labels = peer.address.and_then(|ip| by_address.get(&ip));
        peer.labels = labels.cloned().unwrap_or_default();
    }
    Ok(answer)
}

impl Wanted {
    /// Only running Droplets count. One without the wanted address is noted, not silently missing.
    pub(super) fn answer(&self, droplets: &[Droplet], me: Me) -> Answer {
        let mut answer = Answer::default();
        for droplet in droplets.iter().filter(|droplet| self.is_meant(droplet)) {
            match self.peer(droplet, me) {
                Ok(peer) => answer.peers.push(peer),
                Err(note) => answer.notes.push(note),
            }
        }
        answer
    }

    fn is_meant(&self, droplet: &Droplet) -> bool {
        let region = self.region.as_ref();
        let vpc = self.vpc_uuid.as_ref();
        droplet.status == "active"
            && region.is_none_or(|slug| slug.eq_ignore_ascii_case(&droplet.region.slug))
            && vpc.is_none_or(|uuid| {
                droplet
                    .vpc_uuid
                    .as_ref()
                    .is_some_and(|own| uuid.eq_ignore_ascii_case(own))
            })
    }

    fn peer(&self, droplet: &Droplet, me: Me) -> Result<Peer, String> {
        let named = || format!("Droplet {} ({})", droplet.name, droplet.id);
        let address = self.address(droplet).ok_or_else(|| {
            format!(
                "{} has no {} address and is passed over",
                named(),
                self.address_kind()
            )
        })?;
        let labels = labels(droplet);
        let basename = match &self.naming {
            Some(Naming::Fixed(basename)) => basename.clone(),
            Some(Naming::Template(template)) => {
                let filled = template.fill(|label| labels.get(label).cloned());
                filled.map_err(|label| {
                    format!(
                        "{} has no {label} for {template} and is passed over",
                        named()
                    )
                })?
            }
            // Where names are learned, only the address counts.
            Some(Naming::Learn) | None => Basename::sanitize(&droplet.name).map_err(|error| {
                format!("{} has no usable name and is passed over: {error}", named())
            })?,
        };
        // A Droplet's name may have 255 characters, and so may the whole node name.
        let node = NodeName::from_ip(&basename, address).as_str().parse();
        let node = node.map_err(|error| format!("{} is passed over: {error}", named()))?;
        Ok(Peer {
            node,
            address: Some(address),
            port: None,
            is_self: is_self(droplet, me),
            labels,
        })
    }

    fn address(&self, droplet: &Droplet) -> Option<IpAddr> {
        let (list, kind) = match (self.ipv6, self.public) {
            (false, false) => (&droplet.networks.v4, "private"),
            (false, true) => (&droplet.networks.v4, "public"),
            (true, _) => (&droplet.networks.v6, "public"),
        };
        let of_kind = list.iter().filter(|network| network.kind == kind);
        of_kind
            .filter_map(parse)
            .find(|ip| ip.is_ipv6() == self.ipv6)
    }

    fn address_kind(&self) -> &'static str {
        match (self.ipv6, self.public) {
            (false, false) => "private IPv4",
            (false, true) => "public IPv4",
            (true, _) => "public IPv6",
        }
    }
}

fn parse(network: &Network) -> Option<IpAddr> {
    network.ip_address.trim().parse().ok()
}

fn is_self(droplet: &Droplet, me: Me) -> bool {
    if let Some(id) = me.id {
        return droplet.id == id;
    }
    let mut all = droplet
        .networks
        .v4
        .iter()
        .chain(&droplet.networks.v6)
        .filter_map(parse);
    me.ip.is_some_and(|ip| all.any(|own| own == ip))
}

/// `id`, `name`, `region`, `size`, `vpc_uuid`, and each tag: `env:prod` as `tags.env` = `prod`,
/// `web` as `tags.web` = `true`.
fn labels(droplet: &Droplet) -> Labels {
    let mut labels: Labels = [
        ("id", Some(droplet.id.to_string())),
        ("name", Some(droplet.name.clone())),
        ("region", Some(droplet.region.slug.clone())),
        ("size", droplet.size_slug.clone()),
        ("vpc_uuid", droplet.vpc_uuid.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect();
    for tag in &droplet.tags {
        let (key, value) = tag.split_once(':').unwrap_or((tag, "true"));
        labels.insert(format!("tags.{key}"), value.to_owned());
    }
    labels
}
