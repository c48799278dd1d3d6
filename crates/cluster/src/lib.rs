//! Members of a distributed-Erlang cluster that find each other and stay connected.
//!
//! `member.rs` (the trait that the engine's driver steers), `attached/` (a BEAM node, by erpc) and
//! `rust_node.rs` are mounted here once the crates below them have what they use.
