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
//! | [`port_mapper`] | who is registered on a host: the EPMD there is asked |
//! | [`naming`] | `node_basename`: fixed, a template, or learned |
//! | [`platform`] | who am I here: the node's name, its cookie, the platform |
//! | [`error`] | [`DiscoverError`]: why a source does not know |
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tokio::sync::{mpsc, watch};
//! use trunkline_discovery::{config::BuildCx, strategies};
//!
//! let options = r#"
//!     strategy = "epmd"
//!     hosts = ["app@10.0.0.5", "app@10.0.0.6"]
//! "#;
//! let topology = strategies::build("fixed", &options.parse()?, &BuildCx::from_process())?;
//! let (sender, mut reports) = mpsc::channel(8);
//! // Who we are, so that the answers can say which peer is ourselves.
//! let (_me, me) = watch::channel(Some("app@10.0.0.5".parse()?));
//! for source in topology.sources {
//!     let _running = source.start(sender.clone(), me.clone());
//!     let answer = reports.recv().await.expect("it runs").answer?;
//!     assert_eq!(answer.peers.len(), 2);
//! }
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```

pub mod config;
pub mod dns;
pub mod error;
pub mod health;
pub mod http;
pub mod naming;
pub mod platform;
pub mod polling;
pub mod port_mapper;
mod short_file;
pub mod source;
pub mod strategies;

pub use config::ConfigError;
pub use error::DiscoverError;
pub use health::HealthCheck;
pub use platform::Env;
pub use polling::Polling;
pub use source::{BuiltSource, Poll, PollCx, Quota, Report, Source, SourceCx, SourceHandle};
