//! The words of the Erlang distribution protocol, as OTP 25 to 29 speak it.
//!
//! This crate knows no socket, no clock, no task and no randomness: bytes, time and challenges are
//! arguments. `trunkline-node` drives it over real connections.
//!
//! - [`NodeName`], [`Cookie`], [`Flags`], [`Reason`]: the words. Start here.
//! - [`epmd`]: who listens where: questions, answers, and the table of names.
//! - [`handshake`]: from an open connection to two nodes that have proved the cookie to each other.
//! - [`control`]: what nodes say to each other afterwards.
//! - [`conn`]: the two halves of a connection: bytes in, signals out, and the other way round.
//!
//! Two nodes that meet in memory, and a message from one to the other:
//!
//! ```
//! use trunkline_etf::{Limits, Pid, Term, atom};
//! use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Limits as ConnLimits, Outbound, Payload};
//! use trunkline_proto::control::Control;
//! use trunkline_proto::handshake::acceptor::{AfterName, AwaitName};
//! use trunkline_proto::handshake::initiator::{AfterStatus, Start};
//! use trunkline_proto::handshake::Local;
//! use trunkline_proto::{Cookie, Creation, Flags, Instant};
//!
//! let (flags, cookie) = (Flags::hidden_default(), Cookie::new("secret")?);
//! let me = Local::new("one@10.0.0.1".parse()?, flags, Creation(5));
//! // Each frame would cross the network; challenges would be random.
//! let (send_name, one) = Start::new(me, Some("two@10.0.0.2".parse()?)).send_name();
//! let two = AwaitName::new("two@10.0.0.2".parse()?, flags, Creation(7));
//! let AfterName::Caller(caller) = two.name(&send_name)? else { panic!("it has a name") };
//! let (status, two) = caller.accept();
//! let AfterStatus::Go(one) = one.status(&status)? else { panic!("it may go on") };
//! let (challenge, two) = two.challenge(4711);
//! let (reply, one) = one.challenge(&challenge)?.reply(&cookie, 815);
//! let (ack, _) = two.reply(&reply, &cookie)?;
//! let connected = one.ack(&ack)?;
//! assert_eq!(connected.peer.as_str(), "two@10.0.0.2");
//!
//! let now = Instant::ZERO;
//! let (ours, theirs) = (connected.flags, connected.peer_flags);
//! let mut outbound = Outbound::new(now, ours, theirs, DEFAULT_TICK_TIME);
//! let from = Pid { node: atom!("one@10.0.0.1"), id: 70, serial: 0, creation: 5 };
//! let control = Control::RegSend { from, to: atom!("server"), token: None };
//! outbound.push(now, &control, Payload::Term(&Term::atom("hello")))?;
//!
//! let mut inbound = Inbound::new(now, ours, DEFAULT_TICK_TIME, ConnLimits::default());
//! for segment in outbound.segments() {
//!     inbound.read_buf().extend_from_slice(segment);
//! }
//! let signal = inbound.next().expect("it is whole")?;
//! assert!(matches!(signal.control, Control::RegSend { to, .. } if to == "server"));
//! let message = signal.payload.expect("a message").decode(&Limits::default())?;
//! assert_eq!(message, Term::atom("hello"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
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

pub mod conn;
pub mod control;
mod cookie;
mod creation;
pub mod epmd;
mod flags;
pub mod handshake;
mod name;
mod reason;
mod time;
mod tls;
mod wire;

pub use cookie::{Cookie, CookieError, Digest};
pub use creation::Creation;
pub use flags::Flags;
pub use name::{Basename, NameError, NameForm, NodeName};
pub use reason::{Reason, Step};
pub use time::Instant;
pub use tls::TlsFault;
