//! One question to the port mapper of one host.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_ok;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};
use trunkline_proto::NodeName;

use super::{MapperFailure, PortMapper, Registered};
use crate::config::{BuildCx, ConfigError};

/// A host runs a handful of nodes. Something that lists more is no port mapper, and what it lists would
/// all be dialled.
const MAX_NAMES: usize = 1024;
/// How many nodes of one host are greeted at the same time.
const SIDE_BY_SIDE: usize = 16;

/// All greetings of one host together; who does not greet by then counts as visible.
const GREETINGS: Duration = Duration::from_secs(1);

/// Which of the names before the `@` are meant.
#[derive(Clone)]
pub(crate) struct Wanted(Arc<dyn Fn(&str) -> bool + Send + Sync>);

/// Asks, and passes over what is never a peer.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    mapper: Arc<dyn PortMapper>,
    pub(crate) port: u16,
    /// Hidden nodes are passed over too: each new one is greeted for that.
    pub(crate) visible_only: bool,
}

/// Whom to ask for whom.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The node that we serve.
    pub(crate) me: Option<NodeName>,
    /// What nodes there are called after the `@`.
    pub(crate) host: String,
    /// The last answer.
    pub(crate) before: Vec<Known>,
    pub(crate) wanted: Wanted,
}

/// A registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: Registered,
    /// Remembered, so that no node is greeted twice. `None`: it does not say.
    hidden: Option<bool>,
}

impl Known {
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden == Some(true)
    }
}

impl Asker {
    /// With the port mapper of `cx`. `place` is for the error when it has none.
    pub(crate) fn new(cx: &BuildCx, place: &str) -> Result<Self, ConfigError> {
        let mapper = cx.port_mapper.clone().ok_or_else(|| {
            let what = "this program has no port mapper to ask";
            let cure = "give BuildCx a port_mapper: trunkline::build_cx does";
            ConfigError::new(place, None, what, cure)
        })?;
        Ok(Self {
            mapper,
            port: cx.epmd_port,
            visible_only: false,
        })
    }

    /// Who is registered with the mapper of a host that has these addresses: the first that answers
    /// counts. Helpers (`rem-…`, `trunkline-…`), what is not wanted and what no node can be called are
    /// left out. Hidden nodes are in it, so that they are remembered.
    pub(crate) async fn ask(
        &self,
        addresses: &[IpAddr],
        question: &Question,
    ) -> Result<Vec<Known>, MapperFailure> {
        if addresses.is_empty() {
            return Err(MapperFailure::Silent(self.port));
        }
        let each = addresses.iter().map(|ip| Box::pin(self.names(*ip)));
        let ((ip, names), _others) = select_ok(each).await?;
        let peers = names.into_iter().filter_map(|name| {
            let node = node(&name.alive, &question.host)?;
            (question.wanted.0)(&name.alive).then_some((name, node))
        });
        let deadline = Instant::now() + GREETINGS;
        let known = stream::iter(peers).map(|(name, node)| async move {
            let asked = self.is_hidden(ip, &name, &node, question);
            let hidden = timeout_at(deadline, asked).await.unwrap_or_default();
            Known { name, hidden }
        });
        Ok(known.buffered(SIDE_BY_SIDE).collect().await)
    }

    async fn names(&self, ip: IpAddr) -> Result<(IpAddr, Vec<Registered>), MapperFailure> {
        let names = self.mapper.names(ip, self.port).await?;
        if names.len() > MAX_NAMES {
            return Err(MapperFailure::NotEpmd {
                port: self.port,
                why: format!("it lists {} nodes", names.len()),
            });
        }
        Ok((ip, names))
    }

    async fn is_hidden(
        &self,
        ip: IpAddr,
        name: &Registered,
        node: &NodeName,
        question: &Question,
    ) -> Option<bool> {
        let me = question.me.as_ref().filter(|_| self.visible_only)?;
        if me.alive() == node.alive() && me.canonical() == node.canonical() {
            return Some(false);
        }
        // A node that restarts listens on another port.
        let known = question.before.iter().find(|known| known.name == *name);
        match known.and_then(|known| known.hidden) {
            Some(hidden) => Some(hidden),
            None => self.mapper.is_hidden(me, node, ip, name.port).await,
        }
    }
}

/// `None` for shells and helpers, and for what no node can be called.
pub(crate) fn node(alive: &str, host: &str) -> Option<NodeName> {
    let node: NodeName = format!("{alive}@{host}").parse().ok()?;
    (!trunkline_reconcile::is_helper(&node)).then_some(node)
}

impl Wanted {
    pub(crate) fn new(wanted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(wanted))
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wanted")
    }
}
