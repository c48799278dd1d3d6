//! Turning the hosts of node names into addresses, with the resolver that sources use too.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use trunkline_discovery::dns::Resolver;
use trunkline_node::Resolve;

use crate::caller::short_host_name;

/// The hosts file, then the DNS; needs nothing of the C library, so that the static binary resolves
/// as any other. Our own host name is here, whether or not a file or server knows it.
#[derive(Clone, Debug, Default)]
pub struct HostResolver(Resolver);

impl HostResolver {
    /// Asks this resolver.
    pub const fn new(resolver: Resolver) -> Self {
        Self(resolver)
    }
}

impl Resolve for HostResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        async move {
            match self.0.addresses(host).await {
                Ok(found) => Ok(found),
                Err(_) if is_this_host(host) => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
                Err(error) => Err(io::Error::other(error.to_string())),
            }
        }
        .boxed()
    }
}

fn is_this_host(host: &str) -> bool {
    host.eq_ignore_ascii_case(&short_host_name()) || host.eq_ignore_ascii_case("localhost")
}
