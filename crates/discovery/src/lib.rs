//! Who is out there, and who am I?
//!
//! A *strategy* is one way to find peers: a cloud's API, DNS, a list of hosts. It builds one or
//! more *sources*, each the smallest thing that can fail alone, and a source reports answers or
//! errors until it is cancelled. What an answer means for the cluster is decided elsewhere, in
//! `trunkline-reconcile`: nothing here connects, compares or forgets.
//!
//! Start with [`strategies`], the table of everything that is built in; [`Poll`] is what a new
//! strategy implements.
//!
//! | module | holds |
//! |---|---|
//! | [`strategies`] | one file and one row for each strategy |
//! | [`config`] | options: secrets, durations, unknown keys, errors that say what is allowed |
//! | [`source`] | [`Source`], [`SourceCx`] and how a source is started and stopped |
//! | [`polling`] | [`Polling`]: interval, jitter, backoff, `Retry-After`, quotas |
//! | [`http`] | the one HTTP client |
//! | [`dns`] | the one resolver, used by the HTTP client too |
//! | [`health`] | the check that gates a first connect |
//! | [`platform`] | who am I here: the node's name, its cookie, the platform |
//! | [`error`] | [`DiscoverError`]: why a source does not know |

pub mod config;
pub mod dns;
pub mod error;
pub mod health;
pub mod http;
pub mod platform;
pub mod polling;
pub mod source;
pub mod strategies;

pub use config::ConfigError;
pub use error::DiscoverError;
pub use health::HealthCheck;
pub use platform::Env;
pub use polling::Polling;
pub use source::{BuiltSource, Poll, PollCx, Quota, Report, Source, SourceCx, SourceHandle};
