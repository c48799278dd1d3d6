//! The DNS of a lab: Knot as a real authoritative server, unbound as the resolver that many sites have in between, and their troubles.
//!
//! Start with [`NameServer`]; [`Recursor`] stands between it and the hosts where a story wants one. A host asks whom
//! [`Host::resolve_with`](crate::netns::Host::resolve_with) says.
//!
//! | trouble | how |
//! |---|---|
//! | SERVFAIL | [`NameServer::fail`]; a [`Recursor`] gives it when its server does not answer |
//! | REFUSED | [`NameServer::refuse`] |
//! | time-out | [`NameServer::silence`], [`Recursor::silence`]: the firewall drops questions |
//! | "connection refused" | [`NameServer::stop`], [`Recursor::stop`] |
//! | an empty answer | the name with other records only; without the name it is NXDOMAIN |
//! | a record missing from every other answer | [`NameServer::alternate`] |

mod knot;
mod record;
mod server;
mod unbound;

pub use record::{Data, Record};
pub use server::{Kind, NameServer};
pub use unbound::Recursor;

/// Where DNS servers listen.
const PORT: u16 = 53;
