//! How the nodes behind records are called: the part before the `@`.

use trunkline_proto::NodeName;
use trunkline_reconcile::evidence::{Labels, Peer};

use crate::DiscoverError;
use crate::config::{BuildCx, ConfigError};
use crate::naming::{Naming, Template};
use crate::port_mapper::Learner;
use crate::source::PollCx;

/// What `node_basename` takes here.
pub(super) const NAMING: &str = "a name, \"app\", a template over the labels of SRV records, \
     \"{srv.target}\", or \"learn\" to ask each host's EPMD";

/// What is known of a node that an SRV record lists. Of an address nothing is known but itself.
pub(super) const SRV_LABELS: &[&str] = &["srv.target", "srv.port"];

/// The names of the nodes of one source.
#[derive(Debug)]
pub(super) enum Names {
    /// As the node that we serve: nodes of one application share it.
    Own,
    /// All alike.
    Fixed(String),
    /// By what the record says.
    Template(Template),
    /// As they say themselves, whoever is visible.
    Learn(Learner),
}

/// What comes before the `@` where a record decides it.
#[derive(Debug)]
pub(super) enum Rule<'a> {
    Same(String),
    Each(&'a Template),
}

impl Names {
    /// As configured in `path`; `labels` are those that the records have.
    pub(super) fn new(
        path: &str,
        text: Option<&str>,
        labels: &[&str],
        cx: &BuildCx,
    ) -> Result<Self, ConfigError> {
        let Some(text) = text else {
            return Ok(Self::Own);
        };
        let naming = Naming::parse(text, labels).map_err(|why| {
            let allowed = format!("{NAMING}: {why}");
            ConfigError::bad_value(path, "node_basename", &format!("{text:?}"), &allowed)
        })?;
        Ok(match naming {
            Naming::Fixed(basename) => Self::Fixed(basename.to_string()),
            Naming::Template(template) => Self::Template(template),
            Naming::Learn => Self::Learn(Learner::new(cx, path)?.visible_only(|_| true)),
        })
    }

    /// Who tells, where it is not the hosts themselves.
    pub(super) fn rule(&self, cx: &PollCx) -> Result<Result<Rule<'_>, &Learner>, DiscoverError> {
        Ok(Ok(match self {
            Self::Learn(learner) => return Ok(Err(learner)),
            Self::Fixed(basename) => Rule::Same(basename.clone()),
            Self::Template(template) => Rule::Each(template),
            Self::Own => {
                let own = cx.me().map(|me| me.alive().to_owned());
                Rule::Same(own.ok_or_else(nameless)?)
            }
        }))
    }
}

impl Rule<'_> {
    /// The node at `host`. `Err` says why there is none, one clause.
    pub(super) fn peer(&self, host: &str, labels: Labels, cx: &PollCx) -> Result<Peer, String> {
        let basename = match self {
            Self::Same(basename) => basename.clone(),
            Self::Each(template) => {
                let filled = template.fill(|label| labels.get(label).cloned());
                let missing = |label| format!("{host} has no {label} for {template}");
                filled.map_err(missing)?.to_string()
            }
        };
        let node: Result<NodeName, _> = format!("{basename}@{host}").parse();
        let node = node.map_err(|_| format!("{basename}@{host} is no node name"))?;
        let mut peer = Peer::named(node.canonical());
        peer.is_self = cx.me().is_some_and(|me| me.canonical() == peer.node);
        peer.labels = labels;
        Ok(peer)
    }
}

/// Who runs on these hosts, and what is to be said of them; an error while none was ever heard.
pub(super) async fn learned(
    learner: &Learner,
    hosts: Vec<String>,
    cx: &PollCx,
) -> Result<(Vec<Peer>, Vec<String>), DiscoverError> {
    let learned = learner.learn_hosts(cx, hosts, |_| true).await;
    match learned.unheard {
        Some(error) => Err(error),
        None => Ok((learned.peers, learned.notes)),
    }
}

fn nameless() -> DiscoverError {
    DiscoverError::NotReady {
        what:
            "the part of the nodes' names before the @ is not known: the own node has no name yet"
                .into(),
        cure: "set node_basename, or wait until the node is up".into(),
    }
}
