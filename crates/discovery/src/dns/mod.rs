//! The one resolver: every lookup goes through it, the HTTP client's too, so that a static binary
//! needs no NSS.

mod failure;
mod records;
mod servers;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::config::ResolverConfig;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver};

pub use records::Srv;
pub use servers::{NameserverError, parse_nameserver};

use crate::error::DnsFailure;

/// The whole of one lookup, all servers and attempts. Shorter than a polling timeout, so that the
/// error says "DNS" and not "timeout".
const DEADLINE: Duration = Duration::from_secs(8);
/// So many attempts fit into it, each over UDP and, where that fails, TCP.
const ATTEMPTS: u32 = 4;
/// Names looked up by one agent are a handful; the cache must not grow with what servers send.
const CACHE_ENTRIES: u64 = 64;
/// A record may live longer in its zone, but a cluster wants to see a new peer soon.
const MAX_TTL: Duration = Duration::from_secs(30);
/// A name that is missing now may be there in a moment: the first peer registers.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// Looks names up. Cheap to clone; clones share cache and sockets.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    /// Fixed servers (`nameservers`); empty: the system's.
    servers: Vec<SocketAddr>,
    deadline: Duration,
    built: Mutex<Option<Built>>,
}

#[derive(Clone)]
struct Built {
    /// When the system's configuration was last changed; `None` for fixed servers.
    stamp: Stamp,
    dns: TokioResolver,
    hosts: Arc<Hosts>,
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
    fn record(self) -> RecordType {
        match self {
            Self::V4 => RecordType::A,
            Self::V6 => RecordType::AAAA,
        }
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
    /// an answer does not fit.
    pub fn with_servers(servers: Vec<SocketAddr>) -> Self {
        Self(Arc::new(Inner {
            servers,
            deadline: DEADLINE,
            built: Mutex::new(None),
        }))
    }

    /// The same servers, asked for at most `deadline` in one lookup; by default 8 s. The new
    /// resolver has a cache of its own.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self(Arc::new(Inner {
            servers: self.0.servers.clone(),
            deadline,
            built: Mutex::new(None),
        }))
    }

    /// Asks the DNS (never the hosts file) for the addresses of `name`. A name without records of
    /// this family is `Ok` and empty. Sorted, without duplicates.
    pub async fn lookup(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, DnsFailure> {
        let of_family = |data: &RData| {
            records::address(data).filter(|ip| ip.is_ipv4() == (family == Family::V4))
        };
        self.records(name, family.record(), of_family).await
    }

    /// The TXT records of `name`, the strings of each joined. A name without any is `Ok` and empty.
    /// What is no UTF-8 holds U+FFFD in its place. Sorted, without duplicates.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, DnsFailure> {
        self.records(name, RecordType::TXT, records::txt).await
    }

    /// The SRV records of `name`; one whose target is the root says that there is no service, and
    /// is left out. A name without any is `Ok` and empty. Sorted, without duplicates.
    pub async fn srv(&self, name: &str) -> Result<Vec<Srv>, DnsFailure> {
        self.records(name, RecordType::SRV, records::srv).await
    }

    async fn records<T: Ord>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, DnsFailure> {
        let name: Name = parse(name)?;
        let built = self.built()?;
        let answer = tokio::time::timeout(self.0.deadline, built.dns.lookup(name, kind))
            .await
            .map_err(|_| DnsFailure::Timeout)?;
        match answer {
            Ok(lookup) => {
                let mut found: Vec<_> = lookup
                    .answers()
                    .iter()
                    .filter_map(|record| read(&record.data))
                    .collect();
                found.sort_unstable();
                found.dedup();
                Ok(found)
            }
            Err(error) => failure::read(&error).map_or(Ok(Vec::new()), Err),
        }
    }

    /// All addresses of a host, IPv4 first: an address as itself, then the hosts file, then A and
    /// AAAA side by side. At least one, or why not.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = literal.parse() {
            return Ok(vec![ip]);
        }
        let written = self.hosts_file(host)?;
        if !written.is_empty() {
            return Ok(written);
        }
        let (v4, v6) = tokio::join!(self.lookup(host, Family::V4), self.lookup(host, Family::V6));
        match (v4, v6) {
            (Ok(mut v4), Ok(v6)) => {
                v4.extend(v6);
                if v4.is_empty() {
                    Err(DnsFailure::Other("the name has no address".into()))
                } else {
                    Ok(v4)
                }
            }
            (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.is_empty() => Ok(one),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    fn hosts_file(&self, host: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        let name = parse(host)?;
        let hosts = self.built()?.hosts;
        let of = |family: Family| {
            let lookup = hosts.lookup_static_host(&Query::query(name.clone(), family.record()));
            lookup.map_or(Vec::new(), |lookup| {
                lookup
                    .answers()
                    .iter()
                    .filter_map(|r| records::address(&r.data))
                    .collect()
            })
        };
        Ok([of(Family::V4), of(Family::V6)].concat())
    }

    /// The resolver underneath, made anew when the system's configuration has changed.
    fn built(&self) -> Result<Built, DnsFailure> {
        let fixed = !self.0.servers.is_empty();
        let stamp = if fixed {
            Stamp::default()
        } else {
            system_stamp()
        };
        let mut slot = self.0.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = slot.as_ref().filter(|built| built.stamp == stamp) {
            return Ok(built.clone());
        }
        let (config, hosts) = if fixed {
            (
                (servers::config(&self.0.servers), servers::NDOTS),
                Hosts::default(),
            )
        } else {
            (servers::system()?, Hosts::from_system().unwrap_or_default())
        };
        let built = Built {
            stamp,
            dns: build(config, self.0.deadline / ATTEMPTS)?,
            hosts: Arc::new(hosts),
        };
        *slot = Some(built.clone());
        Ok(built)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resolver").field(&self.0.servers).finish()
    }
}

fn build(
    (config, ndots): (ResolverConfig, usize),
    attempt: Duration,
) -> Result<TokioResolver, DnsFailure> {
    let mut builder = TokioResolver::builder_with_config(config, Default::default());
    let options = builder.options_mut();
    options.ndots = ndots;
    options.timeout = attempt;
    options.attempts = 2;
    options.cache_size = CACHE_ENTRIES;
    options.positive_max_ttl = Some(MAX_TTL);
    options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
    options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
    options.try_tcp_on_error = false;
    builder
        .build()
        .map_err(|error| DnsFailure::Other(error.to_string()))
}

/// Whether `name` can be asked for at all.
pub fn is_name(name: &str) -> bool {
    parse(name).is_ok()
}

fn parse(name: &str) -> Result<Name, DnsFailure> {
    Name::from_str_relaxed(name)
        .ok()
        .filter(|name| name.num_labels() > 0)
        .ok_or(DnsFailure::BadName)
}

fn system_stamp() -> Stamp {
    ["/etc/resolv.conf", "/etc/hosts"].map(|path| {
        std::fs::metadata(path)
            .and_then(|meta| meta.modified())
            .ok()
    })
}
