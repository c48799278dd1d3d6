//! Many hosts, each asked in its own time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use trunkline_proto::NodeName;

use super::MapperFailure;
use super::asker::{Asker, Known, Question, Wanted};
use crate::dns::Resolver;
use crate::error::DnsFailure;

/// How many hosts are asked at the same time: sockets, of which a process has 1024.
const SIDE_BY_SIDE: usize = 512;
/// How long one host may take, its name included. A lost SYN is repeated after a second.
const LIMIT: Duration = Duration::from_secs(2);
/// How long an answer waits for hosts that were never silent; the rest counts in the next one.
const WAIT: Duration = Duration::from_millis(1500);
/// Between two questions to a host that is silent, doubled up to the second number.
const SILENT: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];
/// How long a host that is new may be without an answer before that is said: it is booting.
const BOOTING: Duration = Duration::from_secs(15);
/// A host that is not asked for is remembered for so many rounds: a sample of addresses comes and goes.
const KEPT: u64 = 12;

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Asks hosts and remembers what each last said.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) asker: Asker,
    /// Others are not even greeted.
    pub(super) wanted: Wanted,
    /// For hosts that are no addresses.
    resolver: Resolver,
    seen: Arc<Mutex<Seen>>,
    turns: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Seen {
    round: u64,
    hosts: BTreeMap<String, Host>,
}

#[derive(Debug)]
struct Host {
    /// The last good answer.
    names: Vec<Known>,
    answered: bool,
    /// Why there is none since.
    failed: Option<HostFailure>,
    failures: u32,
    /// A question is on its way.
    asking: bool,
    /// Not before.
    next: Instant,
    /// Failures are said from then on.
    patience: Instant,
    /// When it was last wanted.
    round: u64,
}

/// What is known of a host.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) names: Vec<Known>,
    /// It has answered, some time.
    pub(super) answered: bool,
    /// Why it does not answer now.
    pub(super) failed: Option<HostFailure>,
    /// That is worth a note.
    pub(super) noted: bool,
}

/// Why a host gave no names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostFailure {
    Unresolved(DnsFailure),
    Mapper(MapperFailure),
}

impl Roster {
    pub(super) fn new(asker: Asker, resolver: Resolver) -> Self {
        Self {
            asker,
            wanted: Wanted::new(|_| true),
            resolver,
            seen: Arc::default(),
            turns: Arc::new(Semaphore::new(SIDE_BY_SIDE)),
        }
    }

    /// What is known of each host after asking those that are due. Hosts that were silent last time are
    /// asked too, and not waited for.
    pub(super) async fn hear(&self, me: Option<&NodeName>, hosts: &[String]) -> Vec<Heard> {
        let mut due = lock(&self.seen).begin(hosts);
        // Turns are taken in this order.
        due.sort_by_key(|(_, _, was_silent)| *was_silent);
        let mut waited = Vec::new();
        for (host, before, was_silent) in due {
            let asked = tokio::spawn(self.ask(Question {
                me: me.cloned(),
                host,
                before,
                wanted: self.wanted.clone(),
            }));
            if !was_silent {
                waited.push(asked);
            }
        }
        // Those that take longer go on by themselves.
        let in_time = timeout(WAIT, join_all(waited)).await;
        drop(in_time);
        lock(&self.seen).heard(hosts)
    }

    /// Ends by itself, whether or not somebody waits for it.
    fn ask(&self, question: Question) -> impl Future<Output = ()> + Send + 'static {
        let (asker, resolver) = (self.asker.clone(), self.resolver.clone());
        let (seen, turns) = (Arc::clone(&self.seen), Arc::clone(&self.turns));
        async move {
            let Ok(_turn) = turns.acquire().await else {
                return;
            };
            let answer = timeout(LIMIT, ask(&asker, &resolver, &question)).await;
            let silent = HostFailure::Mapper(MapperFailure::Silent(asker.port));
            let answer = answer.unwrap_or(Err(silent));
            lock(&seen).learned(&question.host, answer);
        }
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        // Questions that have not begun never do.
        self.turns.close();
    }
}

async fn ask(
    asker: &Asker,
    resolver: &Resolver,
    question: &Question,
) -> Result<Vec<Known>, HostFailure> {
    let addresses = match question.host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) => match resolver.addresses(&question.host).await {
            Ok(found) => found,
            // Ours needs to be known to nobody else.
            Err(_) if is_here(question) => LOOPBACK.to_vec(),
            Err(why) => return Err(HostFailure::Unresolved(why)),
        },
    };
    let names = asker.ask(&addresses, question).await;
    names.map_err(HostFailure::Mapper)
}

fn is_here(question: &Question) -> bool {
    let me = question.me.as_ref();
    question.host == "localhost" || me.is_some_and(|me| me.host() == question.host)
}

impl Seen {
    /// Marks the due ones as asked: host, last good answer, whether it was silent.
    fn begin(&mut self, hosts: &[String]) -> Vec<(String, Vec<Known>, bool)> {
        let now = Instant::now();
        self.round += 1;
        let (round, first) = (self.round, self.round == 1);
        let mut due = Vec::new();
        for name in hosts {
            let host = self.hosts.entry(name.clone()).or_insert_with(|| Host {
                names: Vec::new(),
                answered: false,
                failed: None,
                failures: 0,
                asking: false,
                next: now,
                // Who looks once wants to know.
                patience: if first { now } else { now + BOOTING },
                round,
            });
            host.round = round;
            if !host.asking && host.next <= now {
                host.asking = true;
                due.push((name.clone(), host.names.clone(), host.is_silent()));
            }
        }
        self.hosts
            .retain(|_, host| host.asking || host.round + KEPT > round);
        due
    }

    fn learned(&mut self, host: &str, answer: Result<Vec<Known>, HostFailure>) {
        let Some(host) = self.hosts.get_mut(host) else {
            return;
        };
        let now = Instant::now();
        host.asking = false;
        host.next = now;
        match answer {
            Ok(names) => {
                host.names = names;
                host.answered = true;
                host.failed = None;
                host.failures = 0;
                host.patience = now;
            }
            Err(why) => {
                host.failed = Some(why);
                host.failures = host.failures.saturating_add(1);
                if host.is_silent() {
                    let doubled = SILENT[0] * (1 << (host.failures - 1).min(8));
                    host.next = now + doubled.min(SILENT[1]);
                }
            }
        }
    }

    fn heard(&self, hosts: &[String]) -> Vec<Heard> {
        let now = Instant::now();
        let each = hosts.iter().map(|name| {
            let host = self.hosts.get(name);
            Heard {
                names: host.map_or_else(Vec::new, |host| host.names.clone()),
                answered: host.is_some_and(|host| host.answered),
                failed: host.and_then(|host| host.failed.clone()),
                noted: host.is_some_and(|host| host.patience <= now),
            }
        });
        each.collect()
    }
}

impl Host {
    /// It takes the whole limit to know that there is no answer.
    fn is_silent(&self) -> bool {
        let silent = |why: &HostFailure| {
            matches!(
                why,
                HostFailure::Mapper(MapperFailure::Silent(_)) | HostFailure::Unresolved(_)
            )
        };
        self.failed.as_ref().is_some_and(silent)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
