//! The engine: who should be connected, and what to do about it now.
//!
//! Pure: no socket, clock, task or randomness. Sources report [`evidence`], the engine answers with
//! [`Action`]s and [`Event`]s, and whoever drives it reports how the actions went. Time is an
//! argument, the seed of the jitter too.
//!
//! Start with [`Engine`]: its verbs are the whole interface. The rules stand in one file each:
//!
//! | file | rules |
//! |---|---|
//! | `observe` | the last good answer stands, self and helpers are no peers |
//! | `alarm` | answers that cannot be right; which of several topologies is ours |
//! | `removal` | misses, grace, guard, what happens to who falls out |
//! | `leaving` | our own node fell out; a living peer fell out |
//! | `dial` | connects side by side, backoff by reason, full handshakes counted |
//! | `naming` | a peer is known under the name that it gives itself |
//! | `health` | the gate before the first connect |
//! | `links` | link events and the audit |
//! | `reload` | topologies that come, change and go while links exist |
//!
//! ```
//! use trunkline_proto::Instant;
//! use trunkline_reconcile::evidence::{Answer, Kind, Peer, SourceId, TopologyId};
//! use trunkline_reconcile::{Action, Config, Engine};
//!
//! let me = "app@10.0.0.1".parse().unwrap();
//! let mut engine = Engine::new(me, Config::default(), 7);
//! let web = TopologyId("web".into());
//! let source = SourceId("web/api".into());
//! engine.add_source(source.clone(), web, Kind::Authoritative);
//!
//! let now = Instant::ZERO;
//! engine.me_up(now, &Default::default());
//! let peers = vec![Peer::named("app@10.0.0.1".parse().unwrap()), Peer::named("app@10.0.0.2".parse().unwrap())];
//! engine.observe(now, &source, Ok(Answer { peers, notes: vec![] }));
//!
//! let Some(Action::Connect { target, .. }) = engine.poll_action() else { panic!() };
//! assert_eq!(target.node.as_str(), "app@10.0.0.2");
//! engine.connect_result(now, &target.node, Ok(()).into());
//! assert_eq!(engine.status(now).connected(), 1);
//! ```
#![no_std]
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::unwrap_used
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod action;
mod alarm;
pub mod backoff;
mod config;
mod dial;
mod engine;
mod event;
pub mod evidence;
mod health;
mod leaving;
mod links;
mod names;
mod naming;
mod observe;
mod peer;
mod reload;
mod removal;
mod status;
mod timer;
mod topology;

pub use action::{Action, Attempt, Dial, Links, Proof};
pub use config::{Config, Fraction, HealthRule, OnRemoved, TopologyRules};
pub use engine::Engine;
pub use event::{Alarm, Event};
pub use names::is_helper;
pub use status::{PeerState, PeerStatus, SourceStatus, Status, TopologyStatus, Verdict};
