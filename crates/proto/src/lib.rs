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
