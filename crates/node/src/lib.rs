//! A live node of a distributed-Erlang cluster.
//!
//! To OTP 25 and newer a [`Node`] is a hidden peer: it dials and listens over TCP or TLS ([`Tls`]), IPv4 and IPv6,
//! with EPMD or without, keeps its connections alive, calls functions ([`Node::erpc`]), and has
//! processes ([`Mailbox`]) that send, link and monitor. [`probe`] says why a node cannot be
//! reached. [`epmd`] asks port mappers, and can be one.
//!
//! It finds nobody by itself: the crate `trunkline` puts sources and the engine on top. It starts
//! nothing for others: requests to spawn are answered with `notsup`.
//!
//! The map: [`probe`] and `shared` walk the way to a node that `reach` knows; `handshake` and
//! `accept` make a connection of it; `link` runs that; `dispatch` decides what a message does, and
//! `process` keeps who links to and monitors whom.

mod accept;
mod budget;
mod builder;
mod call;
mod dispatch;
pub mod epmd;
mod events;
mod gate;
mod handshake;
mod link;
mod mailbox;
mod neighbours;
mod node;
pub mod probe;
mod process;
mod reach;
mod registration;
mod resolve;
mod rpc;
mod sending;
mod shared;
mod shutdown;
mod slot;
mod socket;
mod start;
mod strangers;
mod target;
mod tls;
mod transport;

pub use builder::{Nameless, NodeBuilder, WantsCookie};
pub use call::CallError;
pub use events::{DownReason, NodeEvent, NodeEvents, NodeType};
pub use mailbox::{MaxMailbox, WhenFull};
pub use neighbours::NodeKind;
pub use node::{ConnectError, Connected, Node};
pub use process::{
    AliasMode, Dest, ExitReason, Mark, Message, Process, RecvError, SendError, SpawnError,
};
pub use resolve::{Family, Resolve, SystemResolver};
pub use rpc::RpcError;
pub use shutdown::{Cut, Shutdown};
pub use start::StartError;
pub use target::Target;
pub use tls::{Tls, TlsBuilder, TlsError};
