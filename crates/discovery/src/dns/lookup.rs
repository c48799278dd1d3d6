//! A name through the search list, from alias to alias, from server to server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use tokio::time::Instant;

use super::exchange;
use super::message::{Found, MAX_ALIASES, Question, Reply};
use super::servers::SystemConfig;
use super::verdict::{Flaw, Said, Verdict};
use crate::error::DnsFailure;

/// A server that answered where an earlier one did not is asked first for so long.
const PREFERENCE: Duration = Duration::from_secs(60);

/// Servers, and how names are completed.
#[derive(Debug)]
pub(super) struct Upstream {
    config: SystemConfig,
    /// Which server is asked first, and since when.
    preferred: Mutex<Option<(usize, Instant)>>,
    /// How many questions there were, where they go round.
    questions: AtomicUsize,
}

impl Upstream {
    pub(super) fn new(config: SystemConfig) -> Self {
        Self {
            config,
            preferred: Mutex::default(),
            questions: AtomicUsize::new(0),
        }
    }

    /// The records of `name`, or what each server said instead. The search list goes on only where
    /// a server says that the name before does not exist: any other failure leaves it open who was
    /// meant, and the next name might be somebody else's.
    pub(super) async fn resolve(
        &self,
        name: &Name,
        kind: RecordType,
        until: Instant,
    ) -> Result<Found, DnsFailure> {
        let names = self.config.candidates(name);
        let mut tried = Vec::new();
        let mut last = Vec::new();
        for name in names {
            let text = super::records::host(&name);
            match self.one(name, kind, until).await {
                Ok(found) => return Ok(found),
                Err(verdicts) => {
                    let goes_on = is_absent(&verdicts);
                    tried.push(text);
                    last = verdicts;
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        Err(DnsFailure::Servers {
            verdicts: last,
            tried,
        })
    }

    /// Aliases that the answer does not follow itself are asked for one by one.
    async fn one(
        &self,
        name: Name,
        kind: RecordType,
        until: Instant,
    ) -> Result<Found, Vec<Verdict>> {
        let mut question = Question { name, kind };
        let mut longest = Duration::MAX;
        let mut answered_by = None;
        for _ in 0..MAX_ALIASES {
            let (server, reply) = self.all_servers(&question, until).await?;
            answered_by = Some(server);
            match reply {
                Reply::Alias(name, ttl) => {
                    longest = longest.min(ttl);
                    question.name = name;
                }
                Reply::Records(mut found) => {
                    found.ttl = found.ttl.min(longest);
                    return Ok(found);
                }
            }
        }
        let said = Said::NoAnswer(Flaw::Aliases);
        Err(answered_by
            .map(|server| Verdict { server, said })
            .into_iter()
            .collect())
    }

    /// The first answer. Each server has its share of the time that is left, and no more than
    /// `timeout`; in further rounds those are asked that said nothing.
    async fn all_servers(
        &self,
        question: &Question,
        until: Instant,
    ) -> Result<(SocketAddr, Reply), Vec<Verdict>> {
        let servers = &self.config.servers;
        let turns = self.config.turns;
        let first = self.first();
        // In the order of the configuration, whoever was asked first: one fault is one text.
        let mut verdicts = BTreeMap::new();
        let mut left = u32::try_from(servers.len()).unwrap_or(u32::MAX) * turns.rounds();
        for index in self.round_and_round(first) {
            let spoke = |it: &Verdict| it.said != Said::Timeout;
            let asked = left;
            left -= 1;
            if verdicts.get(&index).is_some_and(spoke) {
                continue;
            }
            let server = servers[index];
            let now = Instant::now();
            let share = until.saturating_duration_since(now) / asked;
            let share = turns.timeout.map_or(share, |most| share.min(most));
            let answer = exchange::ask(server, question, now + share).await;
            match answer.and_then(|message| question.read(&message)) {
                Ok(reply) => {
                    self.prefer(first, index);
                    return Ok((server, reply));
                }
                Err(said) => {
                    let ends = said == Said::NoSuchName;
                    verdicts.insert(index, Verdict { server, said });
                    if ends {
                        break;
                    }
                }
            }
        }
        Err(verdicts.into_values().collect())
    }

    /// The servers from this one on, once for each round.
    fn round_and_round(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.config.servers.len();
        let rounds = 0..self.config.turns.rounds();
        rounds.flat_map(move |_| (0..count).map(move |turn| (first + turn) % count))
    }

    /// Which server is asked first.
    fn first(&self) -> usize {
        let next = || match self.config.turns.rotate {
            true => self.questions.fetch_add(1, Ordering::Relaxed) % self.config.servers.len(),
            false => 0,
        };
        self.preferred().unwrap_or_else(next)
    }

    fn preferred(&self) -> Option<usize> {
        let preferred = *self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let recent = preferred.filter(|(_, since)| since.elapsed() < PREFERENCE);
        recent.map(|(index, _)| index)
    }

    /// This one answered. With `rotate` that is news only where the one whose turn it was did not.
    fn prefer(&self, first: usize, index: usize) {
        if self.config.turns.rotate && index == first {
            return;
        }
        let mut preferred = self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match *preferred {
            Some((before, _)) if before == index => {}
            _ => *preferred = Some((index, Instant::now())),
        }
    }
}

fn is_absent(verdicts: &[Verdict]) -> bool {
    verdicts
        .iter()
        .any(|verdict| verdict.said == Said::NoSuchName)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hickory_proto::op::{Message, ResponseCode};
    use hickory_proto::rr::{RData, Record};
    use tokio::net::UdpSocket;

    use super::*;

    /// A server that knows `known`, fails for what begins with `bad` and denies the rest.
    async fn server(known: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut packet = [0; 512];
            loop {
                let (len, from) = socket.recv_from(&mut packet).await.unwrap();
                let mut message = Message::from_vec(&packet[..len]).unwrap().into_response();
                let name = message.queries[0].name().clone();
                let text = name.to_string();
                if text == known {
                    let data = RData::A(std::net::Ipv4Addr::new(10, 0, 0, 1).into());
                    message.add_answer(Record::from_rdata(name, 1, data));
                } else if text.starts_with("bad") {
                    message.metadata.response_code = ResponseCode::ServFail;
                } else if !text.starts_with("empty") {
                    message.metadata.response_code = ResponseCode::NXDomain;
                }
                log.lock().unwrap().push(text);
                let reply = message.to_vec().unwrap();
                socket.send_to(&reply, from).await.unwrap();
            }
        });
        (address, asked)
    }

    #[tokio::test]
    async fn the_search_list_goes_on_only_where_a_name_does_not_exist() {
        let (address, asked) = server("app.b.example.").await;
        let mut config = SystemConfig::read(b"search a.example b.example c.example\n");
        config.servers = vec![address];
        let upstream = Upstream::new(config);
        let until = Instant::now() + Duration::from_secs(20);
        let resolve = async |name: &str| {
            asked.lock().unwrap().clear();
            let name = Name::from_str_relaxed(name).unwrap();
            let found = upstream.resolve(&name, RecordType::A, until).await;
            (
                found.map(|found| found.data.len()),
                asked.lock().unwrap().join(" "),
            )
        };
        let (found, asked) = resolve("app").await;
        assert_eq!(
            (found, asked.as_str()),
            (Ok(1), "app.a.example. app.b.example.")
        );
        // It is there and has no such record; the next name would be somebody else's.
        let (found, asked) = resolve("empty").await;
        assert_eq!((found, asked.as_str()), (Ok(0), "empty.a.example."));
        let (found, asked) = resolve("bad").await;
        assert_eq!(
            (found.unwrap_err().to_string(), asked.as_str()),
            (format!("{address} failed (SERVFAIL)"), "bad.a.example.")
        );
        let (found, asked) = resolve("gone.x").await;
        assert_eq!(
            found.unwrap_err().to_string(),
            format!(
                "{address} knows no such name (NXDOMAIN) \
                 (tried gone.x, gone.x.a.example, gone.x.b.example, gone.x.c.example)"
            )
        );
        assert_eq!(asked.split(' ').count(), 4);
        let (found, asked) = resolve("gone.").await;
        assert_eq!(
            (found.unwrap_err().to_string(), asked.as_str()),
            (format!("{address} knows no such name (NXDOMAIN)"), "gone.")
        );
    }

    fn read(options: &str, servers: &[SocketAddr]) -> Upstream {
        let text = format!("options {options}\n");
        let mut config = SystemConfig::read(text.as_bytes());
        config.servers = servers.to_vec();
        Upstream::new(config)
    }

    async fn ask(upstream: &Upstream) -> Result<Found, DnsFailure> {
        let name = Name::from_str_relaxed("app.internal.").unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        upstream.resolve(&name, RecordType::A, until).await
    }

    #[tokio::test]
    async fn rotate_begins_with_another_server_each_time() {
        let mut servers = Vec::new();
        for _ in 0..3 {
            servers.push(server("app.internal.").await);
        }
        let addresses: Vec<_> = servers.iter().map(|(address, _)| *address).collect();
        let upstream = read("rotate", &addresses);
        for _ in 0..6 {
            ask(&upstream).await.unwrap();
        }
        let asked = servers.iter().map(|(_, asked)| asked.lock().unwrap().len());
        assert_eq!(asked.collect::<Vec<_>>(), [2, 2, 2]);

        // One that does not answer is passed over for a while.
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let closed = closed.local_addr().unwrap();
        let upstream = read("rotate", &[closed, addresses[0], addresses[1]]);
        for _ in 0..4 {
            ask(&upstream).await.unwrap();
        }
        let asked = servers.iter().map(|(_, asked)| asked.lock().unwrap().len());
        assert_eq!(asked.collect::<Vec<_>>(), [6, 2, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_has_its_timeout_and_its_attempts() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let servers = [silent.local_addr().unwrap()];
        for (options, seconds) in [
            ("timeout:3", 6),
            ("timeout:2 attempts:4", 8),
            ("timeout:1 attempts:1", 1),
            ("attempts:5", 60),
            ("edns0", 60),
        ] {
            let begun = Instant::now();
            let failed = ask(&read(options, &servers)).await.unwrap_err();
            assert!(
                failed.to_string().ends_with("did not answer in time"),
                "{failed}"
            );
            assert_eq!(begun.elapsed().as_secs(), seconds, "{options}");
        }
    }
}
