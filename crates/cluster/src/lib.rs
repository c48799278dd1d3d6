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
//! | [`epmd`] | [`build_cx`]: what strategies are built with |
//! | [`attached`] | [`Attached`]: a BEAM node that we did not start, steered by erpc |
//! | [`rust_node`] | [`RustNode`]: a node of this program |

pub mod attached;
mod change;
pub mod cluster;
mod driver;
pub mod epmd;
pub mod member;
pub mod rust_node;
mod sources;
mod work;

pub use attached::{AttachConfig, AttachError, Attached, Neighbours};
pub use change::Change;
pub use cluster::{Cluster, ClusterConfig, ClusterEvent, ClusterStatus};
pub use epmd::{Epmd, build_cx};
pub use member::{Member, MemberError, MemberEvent, MemberEvents};
pub use rust_node::RustNode;
