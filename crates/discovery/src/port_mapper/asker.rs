//! One question to the port mapper of one host.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::select_ok;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use trunkline_proto::NodeName;

use super::{MapperFailure, PortMapper, Registered};
use crate::config::{BuildCx, ConfigError};

/// A host runs a handful of nodes. Something that lists more is no port mapper, and what it lists would
/// all be dialled.
const MAX_NAMES: usize = 1024;
/// How many nodes of one host are asked for at the same time.
const SIDE_BY_SIDE: usize = 16;

/// Asks, and passes over what is never a peer.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    mapper: Arc<dyn PortMapper>,
    pub(crate) port: u16,
    /// Hidden nodes count too.
    pub(crate) hidden: bool,
}

/// A registration, and whether the node is hidden. Remembered, so that this is asked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: Registered,
    hidden: bool,
}

impl Asker {
    /// With the port mapper of `cx`. `place` is for the error when it has none.
    pub(crate) fn new(cx: &BuildCx, place: &str) -> Result<Self, ConfigError> {
        let mapper = cx.port_mapper.clone().ok_or_else(|| {
            let what = "this program has no port mapper to ask";
            let cure = "give BuildCx a port_mapper: trunkline::build_cx does";
            ConfigError::new(place, None, what, cure)
        })?;
        let port = cx.epmd_port;
        Ok(Self {
            mapper,
            port,
            hidden: false,
        })
    }

    /// Who is registered with the mapper of a host that has these addresses: the first that answers
    /// counts. Helpers (`rem-…`, `trunkline-…`), hidden nodes and names that no node can have are left
    /// out. `before` is the last answer.
    pub(crate) async fn ask(
        &self,
        addresses: &[IpAddr],
        before: &[Known],
    ) -> Result<Vec<Known>, MapperFailure> {
        if addresses.is_empty() {
            return Err(MapperFailure::Silent(self.port));
        }
        let each = addresses.iter().map(|ip| Box::pin(self.names(*ip)));
        let ((ip, names), _others) = select_ok(each).await?;
        let names = names.into_iter().filter(|name| is_peer(&name.alive));
        if self.hidden {
            let known = names.map(|name| Known {
                name,
                hidden: false,
            });
            return Ok(known.collect());
        }
        let known = stream::iter(names).map(|name| self.look_at(ip, name, before));
        let known = known.buffer_unordered(SIDE_BY_SIDE);
        known
            .try_filter(|known| std::future::ready(!known.hidden))
            .try_collect()
            .await
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

    async fn look_at(
        &self,
        ip: IpAddr,
        name: Registered,
        before: &[Known],
    ) -> Result<Known, MapperFailure> {
        // A node that restarts listens on another port.
        let known = before.iter().find(|known| known.name == name);
        let hidden = match known {
            Some(known) => known.hidden,
            None => {
                let asked = self.mapper.is_hidden(ip, self.port, &name.alive);
                asked.await?
            }
        };
        Ok(Known { name, hidden })
    }
}

fn is_peer(alive: &str) -> bool {
    let name = format!("{alive}@h").parse::<NodeName>();
    name.is_ok_and(|name| name.alive() == alive && !trunkline_reconcile::is_helper(&name))
}
