//! What each fuzz target does with its input. The targets in `fuzz/` call these, and so does
//! `fuzz_seeds.rs`, with the inputs that are kept.

pub(crate) mod epmd;
pub(crate) mod handshake;
pub(crate) mod inbound;
pub(crate) mod term;

/// The name of a target and what it runs.
pub(crate) type Target = (&'static str, fn(&[u8]));

pub(crate) const TARGETS: [Target; 4] = [
    ("term", term::run),
    ("epmd", epmd::run),
    ("handshake", handshake::run),
    ("inbound", inbound::run),
];
