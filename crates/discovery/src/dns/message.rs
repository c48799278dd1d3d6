//! One question, and what a message says in reply to it. Nothing in a message counts that is not
//! of the name that was asked for, or of a name that its aliases lead to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::records;
use super::verdict::{Flaw, Said};

/// What we say that we take in one datagram: it passes every path unfragmented (RFC 9715).
const UDP_PAYLOAD: u16 = 1232;
/// Aliases that are followed, in one message or over several.
pub(super) const MAX_ALIASES: usize = 16;

/// RFC 2181 section 8.
const LONGEST_TTL: u32 = u32::MAX >> 1;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Complete, with the root.
    pub(super) name: Name,
    pub(super) kind: RecordType,
}

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Records of the asked kind; none when the name has others only.
    Records(Found),
    /// The name is an alias of this one, about which the message says nothing.
    Alias(Name, Duration),
}

/// Records, and how long they may be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) data: Vec<RData>,
    /// Addresses of hosts that SRV records name, when the server sent them along. By host name in
    /// lower case without the final dot.
    pub(super) glue: BTreeMap<String, Vec<IpAddr>>,
    pub(super) ttl: Duration,
}

impl Question {
    /// The packet. `None`: the name cannot be sent.
    pub(super) fn packet(&self, id: u16, edns: bool) -> Option<Vec<u8>> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.kind));
        if edns {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_PAYLOAD).set_version(0);
            message.set_edns(edns);
        }
        message.to_vec().ok()
    }

    /// Whether `message` answers this question. A server that cannot read a question may leave it
    /// out of its answer.
    pub(super) fn is_answered_by(&self, message: &Message) -> bool {
        let ours = |query: &Query| {
            query.name == self.name
                && query.query_type == self.kind
                && query.query_class == DNSClass::IN
        };
        message.metadata.message_type == MessageType::Response
            && message.metadata.op_code == OpCode::Query
            && match message.queries.as_slice() {
                [query] => ours(query),
                [] => message.metadata.response_code != ResponseCode::NoError,
                _ => false,
            }
    }

    /// What `message`, which answers this question, says.
    pub(super) fn read(&self, message: &Message) -> Result<Reply, Said> {
        match message.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => self.follow(message),
            ResponseCode::ServFail => Err(Said::ServerFailure),
            ResponseCode::Refused => Err(Said::Refused),
            other => Err(Said::Code(code(other))),
        }
    }

    /// From alias to alias to the records.
    fn follow(&self, message: &Message) -> Result<Reply, Said> {
        let mut name = &self.name;
        let mut ttl = LONGEST_TTL;
        for _ in 0..MAX_ALIASES {
            let own = |kind| records_of(&message.answers, name, kind);
            let found: Vec<&Record> = own(self.kind).collect();
            let exists = message.metadata.response_code == ResponseCode::NoError;
            if exists && !found.is_empty() {
                ttl = found.iter().map(|record| record.ttl).fold(ttl, u32::min);
                let data: Vec<_> = found.iter().map(|record| record.data.clone()).collect();
                return Ok(Reply::Records(Found {
                    glue: glue(&data, &message.additionals),
                    data,
                    ttl: seconds(ttl),
                }));
            }
            let alias = own(RecordType::CNAME).find_map(|record| match &record.data {
                RData::CNAME(target) => Some((&target.0, record.ttl)),
                _ => None,
            });
            let Some((target, its_ttl)) = alias else {
                return self.end(message, name, ttl);
            };
            name = target;
            ttl = ttl.min(its_ttl);
        }
        Err(Said::NoAnswer(Flaw::Aliases))
    }

    /// There is neither a record nor an alias of `name`.
    fn end(&self, message: &Message, name: &Name, ttl: u32) -> Result<Reply, Said> {
        let is_alias = *name != self.name;
        let authority = |kind| message.authorities.iter().any(|r| r.record_type() == kind);
        if message.metadata.response_code == ResponseCode::NXDomain {
            return Err(Said::NoSuchName);
        }
        if !is_alias && !message.answers.is_empty() {
            return Err(Said::NoAnswer(Flaw::OtherNames));
        }
        let vouched = authority(RecordType::SOA);
        if is_alias && !vouched {
            return Ok(Reply::Alias(name.clone(), seconds(ttl)));
        }
        let knows = message.metadata.authoritative || message.metadata.recursion_available;
        if !vouched && !knows && authority(RecordType::NS) {
            return Err(Said::NoAnswer(Flaw::Referral));
        }
        Ok(Reply::Records(Found {
            ttl: negative_ttl(message).min(seconds(ttl)),
            ..Found::default()
        }))
    }
}

/// How long an absence may be kept (RFC 2308 section 5): not at all, when no SOA says so.
pub(super) fn negative_ttl(message: &Message) -> Duration {
    let soa = message
        .authorities
        .iter()
        .find_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        });
    seconds(soa.unwrap_or(0))
}

fn records_of<'a>(
    records: &'a [Record],
    name: &'a Name,
    kind: RecordType,
) -> impl Iterator<Item = &'a Record> {
    records.iter().filter(move |record| {
        record.record_type() == kind && record.dns_class == DNSClass::IN && record.name == *name
    })
}

/// Addresses in the additional section count only for a host that one of `data` names.
fn glue(data: &[RData], additional: &[Record]) -> BTreeMap<String, Vec<IpAddr>> {
    let mut glue: BTreeMap<String, Vec<IpAddr>> = data
        .iter()
        .filter_map(records::srv)
        .map(|srv| (srv.target, Vec::new()))
        .collect();
    if glue.is_empty() {
        return glue;
    }
    for record in additional.iter().filter(|r| r.dns_class == DNSClass::IN) {
        let Some(ip) = records::address(&record.data) else {
            continue;
        };
        if let Some(known) = glue.get_mut(&records::host(&record.name)) {
            known.push(ip);
        }
    }
    glue.retain(|_, known| !known.is_empty());
    glue
}

/// What has the highest bit set counts as zero.
fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(if ttl > LONGEST_TTL { 0 } else { ttl.into() })
}

fn code(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        ResponseCode::BADVERS => "BADVERS".into(),
        other => format!("with the code {}", u16::from(other)),
    }
}
