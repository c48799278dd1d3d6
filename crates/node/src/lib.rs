//! A live node of a distributed-Erlang cluster.
//!
//! To OTP 25 and newer a [`Node`] is a hidden peer: it dials and listens over TCP or TLS ([`Tls`]),
//! IPv4 and IPv6, with EPMD or without, keeps its connections alive, calls servers ([`Node::call`]) and
//! functions ([`Node::erpc`]), and runs processes ([`Node::spawn`]) that send, receive, link, monitor
//! and end as Erlang's do. [`probe`] says why a node cannot be reached. [`epmd`] asks port mappers,
//! and can be one.
//!
//! Two nodes that talk, in one program:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::net::Ipv4Addr;
//! use std::time::Duration;
//!
//! use trunkline_etf::{atom, term};
//! use trunkline_node::{Message, Node, Target};
//! use trunkline_proto::Cookie;
//!
//! let start = async |name: &str| {
//!     let node = Node::builder(name.parse().expect("a node name"));
//!     let node = node.cookie(Cookie::new("secret").expect("a cookie"));
//!     node.listen([Ipv4Addr::LOCALHOST.into()], 0).epmd(None).start().await
//! };
//! let (one, two) = (start("one@127.0.0.1").await?, start("two@127.0.0.1").await?);
//!
//! let doubles = two.spawn(async |mut process| {
//!     while let Some(Message::Term(call)) = process.recv().await {
//!         let Some([_, from, number]) = call.as_tuple() else { continue };
//!         let double = number.as_i64().unwrap_or(0) * 2;
//!         process.reply(from, double).await.ok();
//!     }
//! });
//! two.register(&atom!("doubles"), &doubles);
//!
//! let there = Target::new(two.name().clone()).on_port(two.port().ok_or("it listens")?);
//! one.connect(&there).await?;
//! let limit = Duration::from_secs(5);
//! let double = one.call((atom!("doubles"), two.name()), term!(21), limit).await?;
//! assert_eq!(double, term!(42));
//! # Ok(())
//! # }
//! ```
//!
//! | Erlang | here |
//! |---|---|
//! | `spawn(fun() -> … end)` | [`Node::spawn`], [`Process::spawn_link`], [`Process::spawn_monitor`] |
//! | `receive … end`, `after` | [`Process::recv`], [`recv_matching`](Process::recv_matching), [`recv_timeout`](Process::recv_timeout) |
//! | `Pid ! {hello, 42}`, `{name, Node} ! …` | [`Process::send`], [`Node::send`] with `&pid`, `(atom!("name"), &node)`, … and [`term!`](trunkline_etf::term) |
//! | `link`, `unlink`, `exit/2`, `process_flag(trap_exit, true)` | [`Process::link`], [`unlink`](Process::unlink), [`exit`](Process::exit), [`trap_exit`](Process::trap_exit) |
//! | `monitor`, `demonitor(R, [flush])`, `monitor_node` | [`Process::monitor`], [`demonitor`](Process::demonitor), [`monitor_node`](Process::monitor_node) |
//! | `alias`, `unalias` | [`Process::alias`], [`unalias`](Process::unalias), [`monitor_with_alias`](Process::monitor_with_alias) |
//! | `register`, `whereis` | [`Process::register`], [`Node::whereis`] |
//! | `gen_server:call`, `reply`, `erpc:call` | [`Node::call`], [`Process::call`], [`Process::reply`], [`Node::erpc`] |
//! | `nodes()`, `net_kernel:monitor_nodes` | [`Node::list`], [`Node::monitor_nodes`] |
//!
//! A message has a sender, which a pid alone cannot name: hence `process.send(&pid, …)`, not `pid.send(…)`. Whoever is no
//! process sends by the node.
//!
//! It finds nobody by itself: the crate `trunkline` puts sources and the engine on top. It starts
//! nothing for others: requests to spawn are answered with `notsup`.
//!
//! The map: [`probe`] and `dialling` walk the way to a node that `reach` knows; `handshake` and
//! `accept` make a connection of it; `link` runs that; `dispatch` decides what a message does;
//! `process` is what processes are, `mailbox` what waits for them, `slot` where answers to calls are
//! waited for, and `sending` how signals leave.

mod accept;
mod budget;
mod builder;
mod call;
mod dialling;
mod dispatch;
pub mod epmd;
mod events;
mod gate;
mod handshake;
mod lifetime;
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
pub use shutdown::{Cut, Shutdown, Unreached};
pub use start::StartError;
pub use target::Target;
pub use tls::{Tls, TlsBuilder, TlsError};
