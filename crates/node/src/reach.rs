//! The way to a node up to its open port: resolve, EPMD, port, TLS. Probes and dials walk it alike.
//!
//! What few ways need (several addresses, TLS, the search for a reason) is boxed where it is waited for: the future of a dial
//! is copied some times before it runs, and was 30 KB long with all of it.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use trunkline_proto::{NodeName, Reason, Step};

use crate::epmd::client::{self, QueryError};
use crate::probe::Steps;
use crate::resolve::{self, Addresses};
use crate::socket::{self, DialError};
use crate::transport::Transport;
use crate::{Family, Resolve, Target, Tls};

/// How much of a deadline the extra questions may take that only make a reason clearer (who else is
/// registered, is the port open on the other family).
const DETAIL_LIMIT: Duration = Duration::from_secs(1);

/// How long a node that ends may still be registered: some milliseconds after it closed its port, more on a busy machine.
const ENDING: Duration = Duration::from_secs(1);

/// As tokio has it.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// How many of the names that are registered a reason shows.
const LISTED: usize = 20;

/// What is the same for every target.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) me: NodeName,
    pub(crate) epmd_port: u16,
    /// Where every node listens whose target names no port; EPMD is not asked then.
    pub(crate) peer_port: Option<u16>,
    pub(crate) family: Option<Family>,
    pub(crate) resolver: Arc<dyn Resolve>,
    /// `None`: plain TCP.
    pub(crate) tls: Option<Tls>,
}

/// Addresses of a node and the port that it listens on.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    addresses: Addresses,
    pub(crate) port: u16,
    /// EPMD vouched for the port; `None` when it was not asked.
    registered: Option<Registered>,
}

/// What was asked of the hosts' EPMD.
#[derive(Clone, Debug)]
struct Registered {
    alive: String,
    epmd_port: u16,
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
        let (location, _over) = self.find(target, addresses, deadline, steps).await?;
        Ok(location)
    }

    /// The same, and the connection to EPMD, which is over.
    async fn find(
        &self,
        target: &Target,
        addresses: Addresses,
        deadline: Instant,
        steps: &mut Steps,
    ) -> Result<(Location, Option<TcpStream>), Reason> {
        if let Some(port) = target.port.or(self.peer_port) {
            let location = Location {
                addresses,
                port,
                registered: None,
            };
            return Ok((location, None));
        }
        let asked = self.ask_epmd(target.name.alive(), &addresses.usable, deadline);
        let (port, over) = steps.watch(Step::Epmd, asked).await?;
        let location = Location {
            addresses,
            port,
            registered: Some(Registered {
                alive: target.name.alive().to_owned(),
                epmd_port: self.epmd_port,
            }),
        };
        Ok((location, over))
    }

    /// A connection to the node's port, on the first address that takes it.
    pub(crate) async fn open(
        &self,
        location: &Location,
        deadline: Instant,
        steps: &mut Steps,
    ) -> Result<(TcpStream, SocketAddr), Reason> {
        let opened = steps.watch(Step::Port, location.open(&[], deadline)).await;
        opened.map(|Opened { stream, addr, .. }| (stream, addr))
    }

    /// What the node speaks over: TLS, where this side is set up for it.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        target: &Target,
        deadline: Instant,
        steps: &mut Steps,
    ) -> Result<Transport, Reason> {
        match &self.tls {
            None => Ok(stream.into()),
            Some(tls) => {
                let secured = Box::pin(tls.connect(stream, &self.me, &target.name, deadline));
                steps.watch(Step::Tls, secured).await
            }
        }
    }

    /// The whole way. `first` is what is said first there, as soon as there is a connection.
    pub(crate) async fn walk(
        &self,
        target: &Target,
        first: &[u8],
        deadline: Instant,
        steps: &mut Steps,
    ) -> Result<Way, Reason> {
        let addresses = self.resolve(target, deadline, steps).await?;
        let (location, over) = self.find(target, addresses, deadline, steps).await?;
        let first = if self.tls.is_some() { &[] } else { first };
        let open = steps.watch(Step::Port, location.open(first, deadline));
        let (opened, over) = unless_waiting(open, over).await;
        let Opened { stream, said, .. } = opened?;
        let transport = self.secure(stream, target, deadline, steps).await?;
        Ok(Way {
            transport,
            said,
            over,
        })
    }

    /// All addresses side by side: a dead family must not delay the live one. With the port comes the connection to
    /// EPMD, which is over.
    async fn ask_epmd(
        &self,
        alive: &str,
        ips: &[IpAddr],
        deadline: Instant,
    ) -> Result<(u16, Option<TcpStream>), Reason> {
        let ask = |ip: IpAddr| {
            let addr = SocketAddr::new(ip, self.epmd_port);
            async move { (addr, client::ask_port(addr, alive, left(deadline)).await) }
        };
        let mut worst: Option<(SocketAddr, QueryError)> = None;
        if let [ip] = ips {
            match ask(*ip).await {
                (_, Ok((registration, over))) => return Ok((registration.port, Some(over))),
                (addr, Err(why)) => worst = Some((addr, why)),
            }
        } else {
            let mut questions: FuturesUnordered<_> = ips.iter().copied().map(ask).collect();
            while let Some((addr, answer)) = questions.next().await {
                match answer {
                    Ok((registration, over)) => return Ok((registration.port, Some(over))),
                    Err(why) if worst.is_none_or(|(_, w)| telling(why) > telling(w)) => {
                        worst = Some((addr, why));
                    }
                    Err(_) => {}
                }
            }
        }
        match worst {
            Some((addr, QueryError::NotRegistered)) => {
                let port = Box::pin(ask_again(addr, alive)).await?;
                Ok((port, None))
            }
            Some((addr, why)) => Err(why.to_reason(addr, alive)),
            None => Err(Reason::Timeout {
                step: Step::Resolve,
            }),
        }
    }
}

/// The end of a way.
pub(crate) struct Way {
    pub(crate) transport: Transport,
    /// What was to be said first has been said.
    pub(crate) said: bool,
    /// A connection to EPMD, which is over, if it is still open: closing it takes as long as a tenth of all this, and whoever
    /// is in a hurry does it later.
    pub(crate) over: Option<TcpStream>,
}

/// An open connection.
struct Opened {
    stream: TcpStream,
    addr: SocketAddr,
    /// What was to be said first has been said.
    said: bool,
}

/// What `work` comes to, and `over`; where `work` has to wait that is not kept open so long.
async fn unless_waiting<T>(
    work: impl Future<Output = T>,
    over: Option<TcpStream>,
) -> (T, Option<TcpStream>) {
    let mut work = pin!(work);
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => (done, over),
        Poll::Pending => {
            drop(over);
            (work.await, None)
        }
    }
}

impl Location {
    /// On the first address that takes it. Where there is but one it is told `first` at once: two of one node would take
    /// that for two callers.
    async fn open(&self, first: &[u8], deadline: Instant) -> Result<Opened, Reason> {
        let limit = left(deadline);
        let opened = match self.addresses.usable.as_slice() {
            [ip] => {
                let addr = SocketAddr::new(*ip, self.port);
                let opened = socket::dial_saying(addr, first, limit).await;
                opened
                    .map(|stream| (stream, addr))
                    .map_err(|why| (addr, why))
            }
            ips => Box::pin(first_open(ips, self.port, limit)).await,
        };
        let (addr, why) = match opened {
            Ok((stream, addr)) => {
                let said = !first.is_empty() && self.addresses.usable.len() == 1;
                return Ok(Opened { stream, addr, said });
            }
            Err(failed) => failed,
        };
        let refused = why == DialError::Refused;
        match Box::pin(self.listens_elsewhere(addr.ip())).await {
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
        // EPMD keeps a name as long as the node lives, and a node listens on IPv4 alone unless it
        // is told otherwise: alive and refusing on IPv6 means that.
        let all_v6 = self
            .addresses
            .usable
            .iter()
            .all(|ip| Family::of(*ip) == Family::V6);
        (all_v6 && self.lives_on(ip).await).then(|| {
            format!(
                "the node is registered at {ip} and does not listen on {family}, \
                 as without -proto_dist inet6_tcp"
            )
        })
    }

    /// Whether the node is still registered with this port a moment later. One that ends closes its
    /// port before EPMD forgets it.
    async fn lives_on(&self, ip: IpAddr) -> bool {
        let Some(Registered { alive, epmd_port }) = &self.registered else {
            return false;
        };
        tokio::time::sleep(ENDING).await;
        let addr = SocketAddr::new(ip, *epmd_port);
        let answer = client::port_please(addr, alive, DETAIL_LIMIT).await;
        answer.is_ok_and(|registration| registration.port == self.port)
    }
}

/// The end of a limit that begins now. What is beyond all time, `Duration::MAX`, ends in 30 years.
pub(crate) fn deadline(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + NEVER)
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

/// The port of a node that has registered since EPMD said that it had not, as nodes do that start
/// together; else `not_registered` together with who is.
async fn ask_again(addr: SocketAddr, alive: &str) -> Result<u16, Reason> {
    let names = client::names(addr, DETAIL_LIMIT).await.unwrap_or_default();
    if let Some(entry) = names.iter().find(|entry| entry.alive == alive) {
        return Ok(entry.port);
    }
    let more = names.len().saturating_sub(LISTED);
    let names = names.into_iter().take(LISTED).map(|entry| entry.alive);
    let more = (more > 0).then(|| format!("{more} more"));
    let registered: Vec<String> = names.chain(more).collect();
    Err(Reason::NotRegistered {
        alive: alive.to_owned(),
        registered: registered.join(", "),
    })
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

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};
    use trunkline_proto::epmd::{NodeType, Registration};

    use super::*;
    use crate::epmd::server::Server;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A node that EPMD at `::1` knows and whose port is closed. It ends when `Held` is dropped.
    async fn closed_port() -> (Server, (client::Held, Socket), Location) {
        let epmd = Server::bind(&["[::1]:0".parse().unwrap()]).unwrap();
        // It listens to nobody, and keeps everybody else from that port.
        let closed = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        closed.bind(&any.into()).unwrap();
        let port = closed.local_addr().unwrap().as_socket().unwrap().port();
        let registration = Registration::new("app", port, NodeType::HIDDEN);
        let held = client::register(epmd.addrs()[0], registration, LIMIT).await;
        let location = Location {
            addresses: Addresses {
                usable: vec![Ipv6Addr::LOCALHOST.into()],
                other_family: Vec::new(),
            },
            port,
            registered: Some(Registered {
                alive: "app".to_owned(),
                epmd_port: epmd.port(),
            }),
        };
        (epmd, (held.unwrap(), closed), location)
    }

    #[tokio::test]
    async fn a_node_that_lives_and_refuses_on_ipv6_is_one_of_ipv4() {
        let (_epmd, _held, location) = closed_port().await;
        let why = location
            .open(&[], Instant::now() + LIMIT)
            .await
            .err()
            .unwrap();
        assert_eq!(why.code(), "family_mismatch", "{why}");
    }

    #[tokio::test]
    async fn a_node_that_ends_is_not_blamed_for_its_family() {
        let (_epmd, (held, _closed), location) = closed_port().await;
        let open = location.open(&[], Instant::now() + LIMIT);
        let end = async {
            tokio::time::sleep(ENDING / 4).await;
            drop(held);
        };
        let (result, ()) = tokio::join!(open, end);
        assert_eq!(result.err().unwrap().code(), "port_unreachable");
    }
}
