//! The engine: who should be connected, and what to do about it now.
//!
//! Pure: no socket, clock, task or randomness. Sources report [`evidence`], the engine answers with
//! actions, and whoever drives it reports how they went.
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

pub mod evidence;
