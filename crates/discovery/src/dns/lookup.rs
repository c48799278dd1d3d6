//! A name through the search list, from alias to alias, from server to server.

use std::net::SocketAddr;
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
}

impl Upstream {
    pub(super) fn new(config: SystemConfig) -> Self {
        Self {
            config,
            preferred: Mutex::default(),
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

    /// The first answer. Each server has its share of the time that is left.
    async fn all_servers(
        &self,
        question: &Question,
        until: Instant,
    ) -> Result<(SocketAddr, Reply), Vec<Verdict>> {
        let servers = &self.config.servers;
        let first = self.preferred();
        let mut verdicts = Vec::new();
        for turn in 0..servers.len() {
            let index = (first + turn) % servers.len();
            let server = servers[index];
            let now = Instant::now();
            let left = u32::try_from(servers.len() - turn).unwrap_or(u32::MAX);
            let share = now + until.saturating_duration_since(now) / left;
            let answer = exchange::ask(server, question, share).await;
            match answer.and_then(|message| question.read(&message)) {
                Ok(reply) => {
                    self.prefer(index);
                    return Ok((server, reply));
                }
                Err(said) => {
                    let ends = said == Said::NoSuchName;
                    verdicts.push((index, Verdict { server, said }));
                    if ends {
                        break;
                    }
                }
            }
        }
        // In the order of the configuration, whoever was asked first: one fault is one text.
        verdicts.sort_by_key(|(index, _)| *index);
        Err(verdicts.into_iter().map(|(_, verdict)| verdict).collect())
    }

    fn preferred(&self) -> usize {
        let preferred = *self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        preferred
            .filter(|(_, since)| since.elapsed() < PREFERENCE)
            .map_or(0, |(index, _)| index)
    }

    fn prefer(&self, index: usize) {
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
}
