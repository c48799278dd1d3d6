//! Stand-ins for what a Droplet talks to: the API ([`Api`]) and its own metadata service ([`metadata`]).

mod api;
mod droplet;
pub mod metadata;
pub mod schema;
mod server;
mod tls;

pub use api::{Api, Fault, Request, Trouble};
pub use droplet::{Droplet, Status};
pub use tls::Authority;
