//! Port mappers that a test makes up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, FutureExt as _};
use trunkline_discovery::port_mapper::{MapperFailure, PortMapper, Registered};
use trunkline_proto::NodeName;

/// What the mapper at an address does. Hosts that are not here refuse.
#[derive(Clone, Debug)]
pub enum Mapper {
    /// These names, each with its port; those that begin with `-` are hidden, without it.
    Lists(Vec<(String, u16)>),
    Refuses,
    Silent,
    /// Never answers, so that whoever asks must give up.
    Hangs,
    Babbles,
}

/// All hosts. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    mappers: Arc<Mutex<BTreeMap<IpAddr, Mapper>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hosts {
    pub fn set(&self, ip: &str, mapper: Mapper) {
        self.mappers
            .lock()
            .unwrap()
            .insert(ip.parse().unwrap(), mapper);
    }

    pub fn list(&self, ip: &str, names: &[&str]) {
        let ports = (9000..).zip(names);
        let names = ports.map(|(port, name)| ((*name).to_owned(), port));
        self.set(ip, Mapper::Lists(names.collect()));
    }

    /// What was asked since the last time: `IP` for the names, `IP/NAME` for a greeting.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn at(&self, ip: IpAddr) -> Mapper {
        let mappers = self.mappers.lock().unwrap();
        mappers.get(&ip).cloned().unwrap_or(Mapper::Refuses)
    }
}

impl PortMapper for Hosts {
    fn names(
        &self,
        ip: IpAddr,
        port: u16,
    ) -> BoxFuture<'static, Result<Vec<Registered>, MapperFailure>> {
        self.asked.lock().unwrap().push(ip.to_string());
        let mapper = self.at(ip);
        async move {
            match mapper {
                Mapper::Lists(names) => Ok(names
                    .into_iter()
                    .map(|(alive, port)| Registered {
                        alive: alive.trim_start_matches('-').into(),
                        port,
                    })
                    .collect()),
                Mapper::Refuses => Err(MapperFailure::Refused(port)),
                Mapper::Silent => Err(MapperFailure::Silent(port)),
                Mapper::Hangs => std::future::pending().await,
                Mapper::Babbles => Err(MapperFailure::NotEpmd {
                    port,
                    why: "a line makes no sense".into(),
                }),
            }
        }
        .boxed()
    }

    fn is_hidden(
        &self,
        _: &NodeName,
        node: &NodeName,
        ip: IpAddr,
        _: u16,
    ) -> BoxFuture<'static, Option<bool>> {
        let alive = node.alive();
        self.asked.lock().unwrap().push(format!("{ip}/{alive}"));
        let hidden = match self.at(ip) {
            Mapper::Lists(names) => Some(!names.iter().any(|(name, _)| name == alive)),
            _ => None,
        };
        async move { hidden }.boxed()
    }
}
