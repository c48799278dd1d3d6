//! The port mapper: questions to any ([`client`]), and one of our own ([`server`]) that nodes of
//! every kind can register with.

pub mod client;
pub mod server;

pub use trunkline_proto::epmd::DEFAULT_PORT;
