//! Which nodes run on a host: its port mapper (EPMD) knows. Strategies ask through a trait, so that
//! this crate speaks no distribution protocol; `trunkline::Epmd` is the one that does.

mod asker;
mod learn;
mod roster;

use std::fmt;
use std::net::IpAddr;

use futures_util::future::BoxFuture;
use thiserror::Error;
use trunkline_proto::NodeName;

pub(crate) use asker::{Asker, Known, Question, Wanted};
pub(crate) use learn::peer;
pub use learn::{Learned, Learner};

/// What listens on 4369 unless `ERL_EPMD_PORT` says otherwise.
pub const DEFAULT_PORT: u16 = 4369;

/// Asks port mappers.
pub trait PortMapper: fmt::Debug + Send + Sync {
    /// Who is registered with the mapper at this address, in its order. Dropping the future abandons
    /// the question; who asks limits the time.
    fn names(
        &self,
        ip: IpAddr,
        port: u16,
    ) -> BoxFuture<'static, Result<Vec<Registered>, MapperFailure>>;

    /// Whether the node that listens at `port` of `ip` is a hidden one: a tool, not a member. It says so
    /// itself when it is greeted, as `me`; `None` when it does not, or is called otherwise.
    fn is_hidden(
        &self,
        me: &NodeName,
        node: &NodeName,
        ip: IpAddr,
        port: u16,
    ) -> BoxFuture<'static, Option<bool>>;
}

/// One name that a port mapper holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Registered {
    /// The part of the node's name before the `@`, as the mapper spells it: any text.
    pub alive: String,
    /// Where the node listens.
    pub port: u16,
}

/// Why a port mapper gave no list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MapperFailure {
    /// The host is up, and nobody listens there.
    #[error("nothing answers at its EPMD port {0}")]
    Refused(u16),
    /// No answer in time, or no way there.
    #[error("its EPMD (port {0}) does not answer")]
    Silent(u16),
    /// It answered, and not as a port mapper does.
    #[error("what answers at its port {port} is no EPMD: {why}")]
    NotEpmd {
        /// Where.
        port: u16,
        /// What is wrong with the answer, one clause.
        why: String,
    },
}

impl MapperFailure {
    /// What to do about it, one clause.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Refused(_) => "start a node there; with ERL_EPMD_PORT, set the same on all hosts",
            Self::Silent(_) => "check that the host is up and that no firewall drops the packets",
            Self::NotEpmd { .. } => "check ERL_EPMD_PORT",
        }
    }
}
