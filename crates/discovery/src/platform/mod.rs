//! Who am I here: the node's name, its cookie, and the platform that it runs on.
//!
//! Everything is read through [`Env`], so that tests and embedders decide what is seen. Start with
//! [`name`] and [`cookie`]; [`detect`] says where we are, [`default_strategy`] what a
//! configuration without topologies means there.

mod choice;
mod cookie;
pub mod droplet;
mod env;
mod error;
pub mod fly;
mod name;

pub use choice::{
    DefaultStrategy, Detected, Network, Platform, StrategyChoice, default_strategy, detect,
};
pub use cookie::{
    CookieFileError, CookieSource, FoundCookie, Weakness, cookie, env_cookie, file_cookie,
};
pub use env::Env;
pub use error::PlatformError;
pub use name::{NameOptions, NameSource, Named, name};
