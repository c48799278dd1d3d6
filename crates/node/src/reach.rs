//! The way to a node up to its open port: resolve, EPMD, port. Probes and dials walk it alike.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use trunkline_proto::{NodeName, Reason, Step};

use crate::epmd::client::{self, QueryError};
use crate::probe::Steps;
use crate::resolve::{self, Addresses};
use crate::socket::{self, DialError};
use crate::{Family, Resolve, Target};

/// How much of a deadline the extra questions may take that only make a reason clearer (who else is
/// registered, is the port open on the other family).
const DETAIL_LIMIT: Duration = Duration::from_secs(1);

/// How many of the names that are registered a reason shows.
const LISTED: usize = 20;

/// What is the same for every target.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) me: NodeName,
    pub(crate) epmd_port: u16,
    pub(crate) family: Option<Family>,
    pub(crate) resolver: Arc<dyn Resolve>,
}

/// Addresses of a node and the port that it listens on.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    addresses: Addresses,
    pub(crate) port: u16,
    /// EPMD vouched for the port.
    registered: bool,
}

impl Route {
    /// The forms of the names agree, and the host has addresses that can be dialled.
    pub(crate) async fn resolve(
        &self,
        target: &Target,
        deadline: Instant,
        steps: &mut Steps,
    ) -> Result<Addresses, Reason> {
        let (ours, theirs) = (self.me.form(), target.name.form());
        if ours != theirs {
            return Err(Reason::NameForm { ours, theirs });
        }
        let found = resolve::addresses(&*self.resolver, target, self.family, left(deadline));
        steps.watch(Step::Resolve, found).await
    }

    /// The node's port: the one that is known, else what EPMD says on the first address that
    /// answers.
    pub(crate) async fn locate(
        &self,
        target: &Target,
        addresses: Addresses,
        deadline: Instant,
        steps: &mut Steps,
    ) -> Result<Location, Reason> {
        if let Some(port) = target.port {
            return Ok(Location {
                addresses,
                port,
                registered: false,
            });
        }
        let asked = self.ask_epmd(target.name.alive(), &addresses.usable, deadline);
        let port = steps.watch(Step::Epmd, asked).await?;
        Ok(Location {
            addresses,
            port,
            registered: true,
        })
    }

    /// A connection to the node's port, on the first address that takes it.
    pub(crate) async fn open(
        &self,
        location: &Location,
        deadline: Instant,
        steps: &mut Steps,
    ) -> Result<(TcpStream, SocketAddr), Reason> {
        steps.watch(Step::Port, location.open(deadline)).await
    }

    /// All addresses side by side: a dead family must not delay the live one.
    async fn ask_epmd(
        &self,
        alive: &str,
        ips: &[IpAddr],
        deadline: Instant,
    ) -> Result<u16, Reason> {
        let mut questions: FuturesUnordered<_> = ips
            .iter()
            .map(|ip| {
                let addr = SocketAddr::new(*ip, self.epmd_port);
                async move { (addr, client::port_please(addr, alive, left(deadline)).await) }
            })
            .collect();
        let mut worst: Option<(SocketAddr, QueryError)> = None;
        while let Some((addr, answer)) = questions.next().await {
            match answer {
                Ok(registration) => return Ok(registration.port),
                Err(why) if worst.is_none_or(|(_, w)| telling(why) > telling(w)) => {
                    worst = Some((addr, why));
                }
                Err(_) => {}
            }
        }
        Err(match worst {
            Some((addr, QueryError::NotRegistered)) => not_registered(addr, alive).await,
            Some((addr, why)) => why.to_reason(addr, alive),
            None => Reason::Timeout {
                step: Step::Resolve,
            },
        })
    }
}

impl Location {
    async fn open(&self, deadline: Instant) -> Result<(TcpStream, SocketAddr), Reason> {
        let (addr, why) = match first_open(&self.addresses.usable, self.port, left(deadline)).await
        {
            Ok(open) => return Ok(open),
            Err(failed) => failed,
        };
        let refused = why == DialError::Refused;
        match self.listens_elsewhere(addr.ip()).await {
            Some(detail) if refused => Err(Reason::FamilyMismatch { detail }),
            _ => Err(Reason::PortUnreachable { addr, refused }),
        }
    }

    /// The port refuses on `ip`. Does the node listen on the other family of the same host?
    async fn listens_elsewhere(&self, ip: IpAddr) -> Option<String> {
        let family = Family::of(ip);
        let mut others = self.addresses.other_family.clone();
        others.extend(loopback_of_other_family(ip));
        if let Ok((_, open)) = first_open(&others, self.port, DETAIL_LIMIT).await {
            let other = Family::of(open.ip());
            return Some(format!("the node's port {open} is open on {other} only"));
        }
        // EPMD keeps a name exactly as long as the node lives, and a node listens on IPv4 alone
        // unless it is told otherwise: alive and refusing on IPv6 means that.
        let all_v6 = self
            .addresses
            .usable
            .iter()
            .all(|ip| Family::of(*ip) == Family::V6);
        (self.registered && all_v6).then(|| {
            format!(
                "the node is registered at {ip} and does not listen on {family}, \
                 as without -proto_dist inet6_tcp"
            )
        })
    }
}

/// What is left until `deadline`.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Dials every address at once; the first that is open, or the most telling failure.
async fn first_open(
    ips: &[IpAddr],
    port: u16,
    limit: Duration,
) -> Result<(TcpStream, SocketAddr), (SocketAddr, DialError)> {
    let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    let mut worst = (nowhere, DialError::Silent);
    let mut dials: FuturesUnordered<_> = ips
        .iter()
        .map(|ip| {
            let addr = SocketAddr::new(*ip, port);
            async move { (addr, socket::dial(addr, limit).await) }
        })
        .collect();
    while let Some((addr, result)) = dials.next().await {
        match result {
            Ok(stream) => return Ok((stream, addr)),
            Err(why) if worst.0 == nowhere || why == DialError::Refused => worst = (addr, why),
            Err(_) => {}
        }
    }
    Err(worst)
}

/// `not_registered` together with who is.
async fn not_registered(addr: SocketAddr, alive: &str) -> Reason {
    let names = client::names(addr, DETAIL_LIMIT).await.unwrap_or_default();
    let more = names.len().saturating_sub(LISTED);
    let names = names.into_iter().take(LISTED).map(|entry| entry.alive);
    let more = (more > 0).then(|| format!("{more} more"));
    let registered: Vec<String> = names.chain(more).collect();
    Reason::NotRegistered {
        alive: alive.to_owned(),
        registered: registered.join(", "),
    }
}

/// When several addresses fail, the failure that says most is shown.
const fn telling(why: QueryError) -> u8 {
    match why {
        QueryError::NotRegistered | QueryError::NameTaken => 4,
        QueryError::NotEpmd(_) => 3,
        QueryError::Closed => 2,
        QueryError::Refused => 1,
        _ => 0,
    }
}

fn loopback_of_other_family(ip: IpAddr) -> Option<IpAddr> {
    ip.is_loopback().then(|| match ip {
        IpAddr::V4(_) => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv4Addr::LOCALHOST.into(),
    })
}
