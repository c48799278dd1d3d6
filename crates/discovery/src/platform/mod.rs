//! Who am I here: the node's name, its cookie, and the platform that it runs on.
//!
//! Everything is read through [`Env`], so that tests and embedders decide what is seen.

mod env;

pub use env::Env;
