//! What records say, in our own words.

use std::net::IpAddr;

use hickory_proto::rr::{Name, RData};

/// One SRV record: a service is at `port` of the host `target`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Srv {
    /// The lowest is to be used first.
    pub priority: u16,
    /// The share among those of equal priority.
    pub weight: u16,
    /// Where the service listens; 0 when the zone does not know.
    pub port: u16,
    /// A host name in lower case, without the final dot.
    pub target: String,
}

pub(super) fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    }
}

pub(super) fn txt(data: &RData) -> Option<String> {
    let RData::TXT(txt) = data else { return None };
    Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned())
}

pub(super) fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(srv) = data else { return None };
    (!srv.target.is_root()).then(|| Srv {
        priority: srv.priority,
        weight: srv.weight,
        port: srv.port,
        target: host(&srv.target),
    })
}

/// A host's name in lower case without the final dot. What is no letter, digit, `-` or `_` is
/// escaped, so that no label can pretend to be two.
pub(super) fn host(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}
