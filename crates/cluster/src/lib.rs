//! Members of a distributed-Erlang cluster that find each other and stay connected.
//!
//! A [`Member`] is a node of the cluster: a BEAM node that we are attached to, or a Rust node of
//! our own. [`Cluster::start`] gives it sources (who is out there?) and the engine of
//! `trunkline-reconcile` (who should be connected, and what to do about it now?), and keeps it
//! connected until it is told to stop.
//!
//! | module | holds |
//! |---|---|
//! | [`cluster`] | [`Cluster`]: start, status, events, shutdown |
//! | [`member`] | [`Member`]: what the engine steers |

pub mod cluster;
mod driver;
pub mod member;
mod work;

pub use cluster::{Cluster, ClusterConfig, ClusterEvent, ClusterStatus};
pub use member::{Member, MemberError, MemberEvent, MemberEvents};
