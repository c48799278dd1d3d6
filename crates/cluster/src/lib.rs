//! Members of a distributed-Erlang cluster that find each other and stay connected.
//!
//! A [`Member`] is a node of the cluster: a BEAM node that we are attached to, or a Rust node of
//! our own. [`Cluster::start`] gives it sources (who is out there?) and the engine of
//! `trunkline-reconcile` (who should be connected, and what to do about it now?), and keeps it
//! connected until it is told to stop.
//!
//! Two Rust nodes that are told each other's names and keep each other connected:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::net::Ipv4Addr;
//! use std::time::Duration;
//!
//! use trunkline::{Cluster, ClusterConfig, RustNode, build_cx};
//! use trunkline_discovery::{Env, strategies};
//! use trunkline_node::{Node, epmd::server::Server, probe::ProbeConfig};
//! use trunkline_proto::{Cookie, NodeName};
//!
//! // A port mapper of our own; without `epmd_port` the nodes use that of the host.
//! let epmd = Server::bind(&["127.0.0.1:0".parse()?])?;
//! let start = async |name: &str| -> Result<_, Box<dyn std::error::Error>> {
//!     let (me, cookie): (NodeName, _) = (name.parse()?, Cookie::new("secret")?);
//!     let node = Node::builder(me.clone()).cookie(cookie.clone()).epmd_port(epmd.port());
//!     let node = node.listen([Ipv4Addr::LOCALHOST.into()], 0).start().await?;
//!     // How peers are looked at before they are dialled, and under which name.
//!     let probing = ProbeConfig {
//!         cookie: Some(cookie),
//!         epmd_port: epmd.port(),
//!         ..ProbeConfig::new(format!("probe-{name}").parse()?)
//!     };
//!     let options = "strategy = 'epmd'\nhosts = ['one@127.0.0.1', 'two@127.0.0.1']";
//!     let topology = strategies::build("ours", &options.parse()?, &build_cx(Env::from_process()))?;
//!     let (member, events) = RustNode::new(node.clone(), probing);
//!     let cluster = Cluster::start(me, member, events, ClusterConfig::new(vec![topology]));
//!     Ok((node, cluster))
//! };
//! let (node, one) = start("one@127.0.0.1").await?;
//! let (_, two) = start("two@127.0.0.1").await?;
//! while one.status().engine.connected() < 1 {
//!     tokio::time::sleep(Duration::from_millis(10)).await;
//! }
//! assert_eq!(node.connected(), ["two@127.0.0.1".parse()?]);
//! one.shutdown().await;
//! two.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! What such a node does beside, sending, calling, running processes, is in `trunkline_node`; how
//! peers are found in `trunkline_discovery`.
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
