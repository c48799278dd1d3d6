//! The one resolver: every lookup goes through it, the HTTP client's too, so that a static binary
//! needs no NSS. Messages are hickory's; which server is asked, what counts as an answer and what
//! becomes of a failure is ours (`docs/adr/0008-the-resolver.md`).

mod cache;
mod exchange;
mod hosts;
mod lookup;
mod message;
mod records;
mod servers;
mod verdict;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::Instant;

pub use records::Srv;
pub use servers::{NameserverError, parse_nameserver};
pub use verdict::{Flaw, Said, Verdict};

use crate::error::DnsFailure;
use cache::Cache;
use hosts::Hosts;
use lookup::Upstream;
use message::Found;
use servers::SystemConfig;

/// The whole of one lookup, all servers and names together. Shorter than a polling timeout, so that
/// the error says "DNS" and not "timeout".
const DEADLINE: Duration = Duration::from_secs(8);

/// Looks names up. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
    fresh: bool,
}

struct Inner {
    /// Fixed servers (`nameservers`); empty: the system's.
    servers: Vec<SocketAddr>,
    deadline: Duration,
    built: Mutex<Option<Arc<Built>>>,
}

struct Built {
    /// When the system's configuration was last changed; `None` for fixed servers.
    stamp: Stamp,
    upstream: Upstream,
    hosts: Hosts,
    cache: Cache,
}

/// The ages of `/etc/resolv.conf` and `/etc/hosts`.
type Stamp = [Option<SystemTime>; 2];

/// Which addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
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

    fn record(self) -> RecordType {
        match self {
            Self::V4 => RecordType::A,
            Self::V6 => RecordType::AAAA,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Default for Resolver {
    /// The system's.
    fn default() -> Self {
        Self::system()
    }
}

impl Resolver {
    /// What `/etc/resolv.conf` and `/etc/hosts` say, read at the first lookup and again when they
    /// change. Where there is no `resolv.conf`, the server is at 127.0.0.1, as for every libc.
    pub fn system() -> Self {
        Self::with_servers(Vec::new())
    }

    /// These name servers and nothing else: no hosts file, no search list. Over UDP, and TCP where
    /// an answer does not fit. Asked in this order; the next where one fails, none after one that
    /// says that the name does not exist.
    pub fn with_servers(servers: Vec<SocketAddr>) -> Self {
        Self::new(servers, DEADLINE)
    }

    /// The same servers, asked for at most `deadline` in one lookup; by default 8 s. The new
    /// resolver has a cache of its own.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            fresh: self.fresh,
            ..Self::new(self.inner.servers.clone(), deadline)
        }
    }

    /// The same, and every lookup asks a server: for what polls. An answer out of a cache would
    /// count as another one, and be evidence that is older than it looks.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self {
            fresh: true,
            ..self.clone()
        }
    }

    fn new(servers: Vec<SocketAddr>, deadline: Duration) -> Self {
        Self {
            inner: Arc::new(Inner {
                servers,
                deadline,
                built: Mutex::default(),
            }),
            fresh: false,
        }
    }

    /// Asks the DNS (never the hosts file) for the addresses of `name`. A name without records of
    /// this family is `Ok` and empty. Sorted, without duplicates.
    pub async fn lookup(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, DnsFailure> {
        let found = self.records(name, family.record()).await?;
        Ok(distinct(&found.data, records::address))
    }

    /// The TXT records of `name`, the strings of each joined. A name without any is `Ok` and empty.
    /// What is no UTF-8 holds U+FFFD in its place. Sorted, without duplicates.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, DnsFailure> {
        let found = self.records(name, RecordType::TXT).await?;
        Ok(distinct(&found.data, records::txt))
    }

    /// The SRV records of `name`; one whose target is the root says that there is no service, and
    /// is left out. A name without any is `Ok` and empty. Sorted, without duplicates.
    pub async fn srv(&self, name: &str) -> Result<Vec<Srv>, DnsFailure> {
        let found = self.records(name, RecordType::SRV).await?;
        Ok(distinct(&found.data, records::srv))
    }

    /// The same, each with those addresses of its target that the server sent along. Sorted; none
    /// where it sent none.
    pub async fn srv_with_addresses(
        &self,
        name: &str,
    ) -> Result<Vec<(Srv, Vec<IpAddr>)>, DnsFailure> {
        let found = self.records(name, RecordType::SRV).await?;
        let with_glue = |srv: Srv| {
            let mut glue = found.glue.get(&srv.target).cloned().unwrap_or_default();
            glue.sort_unstable();
            glue.dedup();
            (srv, glue)
        };
        let services = distinct(&found.data, records::srv);
        Ok(services.into_iter().map(with_glue).collect())
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Arc<Found>, DnsFailure> {
        let parsed = parse(name)?;
        if is_localhost(&parsed) {
            return Ok(Arc::new(localhost(kind)));
        }
        let built = self.built()?;
        if let Some(known) = built.cache.get(name, kind).filter(|_| !self.fresh) {
            return Ok(known);
        }
        let until = Instant::now() + self.inner.deadline;
        let found = Arc::new(built.upstream.resolve(&parsed, kind, until).await?);
        built.cache.put(name, kind, Arc::clone(&found));
        Ok(found)
    }

    /// All addresses of a host, IPv4 first: an address as itself, then the hosts file, then A and
    /// AAAA side by side. At least one, or why not.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = literal.parse() {
            return Ok(vec![ip]);
        }
        parse(host)?;
        let built = self.built()?;
        let written = built.hosts.get(host);
        if !written.is_empty() {
            return Ok(written.to_vec());
        }
        let (v4, v6) = tokio::join!(self.lookup(host, Family::V4), self.lookup(host, Family::V6));
        match (v4, v6) {
            (Ok(mut v4), Ok(v6)) => {
                v4.extend(v6);
                if v4.is_empty() {
                    Err(DnsFailure::NoAddress)
                } else {
                    Ok(v4)
                }
            }
            (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.is_empty() => Ok(one),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Servers, hosts and cache, made anew when the system's configuration has changed.
    fn built(&self) -> Result<Arc<Built>, DnsFailure> {
        let fixed = &self.inner.servers;
        let stamp = if fixed.is_empty() {
            system_stamp()
        } else {
            Stamp::default()
        };
        let mut slot = self
            .inner
            .built
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = slot.as_ref().filter(|built| built.stamp == stamp) {
            return Ok(Arc::clone(built));
        }
        let (config, hosts) = if fixed.is_empty() {
            (SystemConfig::from_system()?, Hosts::from_system())
        } else {
            (SystemConfig::fixed(fixed), Hosts::default())
        };
        let built = Arc::new(Built {
            stamp,
            upstream: Upstream::new(config),
            hosts,
            cache: Cache::default(),
        });
        *slot = Some(Arc::clone(&built));
        Ok(built)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resolver")
            .field(&self.inner.servers)
            .finish()
    }
}

/// Whether `name` can be asked for at all: labels of letters, digits, `-` and `_`, in any script.
pub fn is_name(name: &str) -> bool {
    parse(name).is_ok()
}

fn parse(name: &str) -> Result<Name, DnsFailure> {
    let is_host_char = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    Some(name)
        .filter(|name| name.chars().all(is_host_char))
        .and_then(|name| Name::from_str_relaxed(name).ok())
        .filter(|name| name.num_labels() > 0)
        .ok_or(DnsFailure::BadName)
}

fn distinct<T: Ord>(data: &[RData], read: impl Fn(&RData) -> Option<T>) -> Vec<T> {
    let mut found: Vec<_> = data.iter().filter_map(read).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// RFC 6761 section 6.3: no server is asked for these.
fn is_localhost(name: &Name) -> bool {
    name.iter()
        .next_back()
        .is_some_and(|label| label.eq_ignore_ascii_case(b"localhost"))
}

fn localhost(kind: RecordType) -> Found {
    let data = match kind {
        RecordType::A => vec![RData::A(Ipv4Addr::LOCALHOST.into())],
        RecordType::AAAA => vec![RData::AAAA(Ipv6Addr::LOCALHOST.into())],
        _ => Vec::new(),
    };
    Found {
        data,
        ..Found::default()
    }
}

fn system_stamp() -> Stamp {
    [servers::PATH, hosts::PATH].map(|path| {
        std::fs::metadata(path)
            .and_then(|meta| meta.modified())
            .ok()
    })
}
