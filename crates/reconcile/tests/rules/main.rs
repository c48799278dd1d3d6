//! The engine's rules on a virtual clock: one test per rule, its name states the rule.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dialling;
mod freeze;
mod health;
mod leaving;
mod links;
mod naming;
mod properties;
mod reload;
mod removal;
mod sources;
mod time;
mod two_sites;
mod world;
