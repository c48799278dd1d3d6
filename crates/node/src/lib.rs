//! A live node of a distributed-Erlang cluster.
//!
//! To OTP 25 and newer a [`Node`] is a hidden peer: it dials and listens over TCP, IPv4 and IPv6,
//! with EPMD or without, keeps its connections alive, calls functions ([`Node::erpc`]), and has
//! [`Mailbox`]es that send, link and monitor. [`probe`] says why a node cannot be reached.
//! [`epmd`] asks port mappers, and can be one.
//!
//! It finds nobody by itself: the crate `trunkline` puts sources and the engine on top.

pub mod epmd;
mod events;
mod handshake;
pub mod probe;
mod reach;
mod resolve;
mod socket;
mod target;

pub use events::{DownReason, Events, LinkEvent};
pub use resolve::{Family, Resolve, SystemResolver};
pub use target::Target;
