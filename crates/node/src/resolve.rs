//! Turning the host part of a node name into addresses.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::timeout;
use trunkline_proto::{NodeName, Reason, Step};

use crate::Target;

/// How hosts become addresses. The default asks the operating system; a program that brings its
/// own resolver (a static binary, a test, the demo's DNS authority) implements this.
pub trait Resolve: Send + Sync + std::fmt::Debug {
    /// Every address of `host`, in order of preference. An empty list means that the name exists
    /// and has no address.
    ///
    /// # Errors
    /// What the resolver says when it does not know. The text is shown to the operator.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver: `/etc/hosts`, DNS, whatever it is configured for.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let mut ips: Vec<IpAddr> = Vec::new();
            for addr in tokio::net::lookup_host((host, 0)).await? {
                let ip = addr.ip().to_canonical();
                if !ips.contains(&ip) {
                    ips.push(ip);
                }
            }
            Ok(ips)
        })
    }
}

/// One of the two address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4: what OTP uses unless told otherwise.
    V4,
    /// IPv6: what `-proto_dist inet6_tcp` uses.
    V6,
}

impl Family {
    /// The family of an address; an IPv4-mapped one is IPv4.
    pub fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The addresses of a target: those to dial, and those of the family that was ruled out.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) usable: Vec<IpAddr>,
    pub(crate) other_family: Vec<IpAddr>,
}

/// The addresses of `target`: its own, else those in its name, else what `resolver` says.
///
/// # Errors
/// `unresolved`, `family_mismatch` when all addresses are of the other family than `only`,
/// `timeout`.
pub(crate) async fn addresses(
    resolver: &dyn Resolve,
    target: &Target,
    only: Option<Family>,
    limit: Duration,
) -> Result<Addresses, Reason> {
    let all = match target.address.or_else(|| target.name.ip()) {
        Some(ip) => vec![ip.to_canonical()],
        None => look_up(resolver, &target.name, limit).await?,
    };
    let (usable, other_family): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|ip| only.is_none_or(|family| Family::of(*ip) == family));
    match (only, other_family.first()) {
        (Some(family), Some(ip)) if usable.is_empty() => Err(Reason::FamilyMismatch {
            detail: format!(
                "this side uses {family}, {} has only {ip}",
                target.name.host()
            ),
        }),
        _ => Ok(Addresses {
            usable,
            other_family,
        }),
    }
}

async fn look_up(
    resolver: &dyn Resolve,
    name: &NodeName,
    limit: Duration,
) -> Result<Vec<IpAddr>, Reason> {
    let host = name.host();
    let unresolved = |detail: String| Reason::Unresolved {
        host: host.to_owned(),
        detail,
    };
    match timeout(limit, resolver.resolve(host)).await {
        Err(_) => Err(Reason::Timeout {
            step: Step::Resolve,
        }),
        Ok(Err(why)) => Err(unresolved(why.to_string())),
        Ok(Ok(ips)) if ips.is_empty() => Err(unresolved("no A or AAAA record".to_owned())),
        Ok(Ok(ips)) => Ok(ips),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(Vec<IpAddr>);

    impl Resolve for Fixed {
        fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    async fn ask(ips: &[&str], name: &str, only: Option<Family>) -> Result<Addresses, Reason> {
        let resolver = Fixed(ips.iter().map(|ip| ip.parse().unwrap()).collect());
        let target = Target::new(name.parse().unwrap());
        addresses(&resolver, &target, only, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_literal_needs_no_resolver() {
        let found = ask(&[], "app@::1", None).await.unwrap();
        assert_eq!(found.usable, ["::1".parse::<IpAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn families_are_told_apart() {
        let found = ask(&["10.0.0.1", "fd00::1"], "app@h.x", Some(Family::V6)).await;
        let found = found.unwrap();
        assert_eq!((found.usable.len(), found.other_family.len()), (1, 1));
        let none = ask(&["10.0.0.1"], "app@h.x", Some(Family::V6)).await;
        assert_eq!(none.unwrap_err().code(), "family_mismatch");
    }

    #[tokio::test]
    async fn a_host_without_address_is_unresolved() {
        let none = ask(&[], "app@h.x", None).await;
        assert_eq!(none.unwrap_err().code(), "unresolved");
    }
}
