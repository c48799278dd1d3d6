//! The interop laboratory: what the tests against real OTP releases stand on.
//!
//! Start with [`netns::Lab`]: hosts with their own network namespaces and addresses. On them run the stand-in for
//! DigitalOcean's API and metadata service ([`digitalocean`]), real name servers ([`dns`]), real `mix release`s ([`release`]) under OTP 25 of this system or
//! OTP 27 from the next Debian ([`otp27`]), and the `trunkline` binary; [`fleet`] puts them together into the
//! stories of Droplets, [`fly`] into those of Fly Machines.
//!
//! Everything here needs Linux, root, and Debian's `iproute2`, `nftables`, `erlang`, `elixir`, `mmdebstrap`, `openssl`, `knot`, `unbound`; a test says which one
//! is missing. Nothing outlives a test: namespaces, their processes and files go when the [`netns::Lab`] is dropped, and
//! those of a test process that was killed go when the next one starts.

pub mod agent;
pub mod certificates;
pub mod digitalocean;
pub mod dns;
pub mod fleet;
pub mod fly;
pub mod member;
pub mod members;
pub mod netns;
pub mod otp;
pub mod otp27;
pub mod process;
pub mod release;
pub mod scripted;
pub mod terminal;
pub mod terms;
pub mod turn;
pub mod verb;
pub mod wait;
pub mod workspace;
pub mod worlds;
