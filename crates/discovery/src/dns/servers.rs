//! Name servers and how names are completed: the system's, or those of the configuration.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use hickory_proto::rr::Name;
use thiserror::Error;

use crate::error::DnsFailure;

/// Where DNS servers listen.
pub(super) const PORT: u16 = 53;
pub(super) const PATH: &str = "/etc/resolv.conf";
/// The defaults of resolv.conf(5), and the most that it allows.
const NDOTS: usize = 1;
const MAX_NDOTS: usize = 15;
const MAX_TIMEOUT: u32 = 30;
const ATTEMPTS: u32 = 2;
const MAX_ATTEMPTS: u32 = 5;
/// More than anybody has; a lookup must end.
const MAX_SERVERS: usize = 8;
const MAX_SEARCH: usize = 16;

/// A text that is no name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a name server is an address, with a port when it is not 53: \"10.0.0.2\", \"127.0.0.1:5353\", \"[fdaa::3]:53\""
)]
pub struct NameserverError;

/// Reads `"10.0.0.2"`, `"127.0.0.1:5353"`, `"fdaa::3"` or `"[fdaa::3]:53"`.
pub fn parse_nameserver(text: &str) -> Result<SocketAddr, NameserverError> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address)
            .filter(|a| a.port() != 0)
            .ok_or(NameserverError);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<IpAddr>()
        .map(|ip| (ip, PORT).into())
        .map_err(|_| NameserverError)
}

/// What resolv.conf(5) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SystemConfig {
    /// In the order in which they are asked; never empty.
    pub(super) servers: Vec<SocketAddr>,
    /// What a name may be completed with, in order.
    search: Vec<Name>,
    /// A name with so many dots is tried as it is first.
    ndots: usize,
    /// How servers are asked.
    pub(super) turns: Turns,
}

/// How often each server is asked, how long it may take, and which comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    /// `timeout`: the longest that one is waited for, where the next would have to wait longer.
    pub(super) timeout: Option<Duration>,
    /// `attempts`: how often a silent one is asked in turn.
    attempts: Option<u32>,
    /// `rotate`: each question begins with another one.
    pub(super) rotate: bool,
}

impl Turns {
    /// How often all servers are gone through. Without a time-out the first round takes all the
    /// time there is.
    pub(super) fn rounds(self) -> u32 {
        let default = if self.timeout.is_some() { ATTEMPTS } else { 1 };
        self.attempts.unwrap_or(default)
    }

    /// One word after `options`. What it does not know it passes over.
    fn read(&mut self, word: &str) {
        let number = |name: &str| word.strip_prefix(name)?.parse::<u32>().ok();
        if let Some(secs) = number("timeout:") {
            self.timeout = Some(Duration::from_secs(secs.clamp(1, MAX_TIMEOUT).into()));
        } else if let Some(attempts) = number("attempts:") {
            self.attempts = Some(attempts.clamp(1, MAX_ATTEMPTS));
        } else if word == "rotate" {
            self.rotate = true;
        }
    }
}

impl SystemConfig {
    /// These servers alone: names are complete as they are.
    pub(super) fn fixed(servers: &[SocketAddr]) -> Self {
        Self {
            servers: servers.to_vec(),
            search: Vec::new(),
            ndots: NDOTS,
            turns: Turns::default(),
        }
    }

    /// The system's servers and search list. One that has neither file nor server has its resolver
    /// at home, as resolv.conf(5) says.
    pub(super) fn from_system() -> Result<Self, DnsFailure> {
        match std::fs::read(PATH) {
            Ok(text) => Ok(Self::read(&text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::read(b"")),
            Err(error) => Err(DnsFailure::Other(format!("{PATH}: {error}"))),
        }
    }

    /// What it does not know it passes over, as every libc does. Of several `search` and `domain`
    /// lines the last counts.
    pub(super) fn read(text: &[u8]) -> Self {
        let mut config = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: NDOTS,
            turns: Turns::default(),
        };
        for line in String::from_utf8_lossy(text).lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => config.servers.extend(words.next().and_then(server)),
                Some("search") => config.search = words.filter_map(complete).collect(),
                Some("domain") => config.search = words.take(1).filter_map(complete).collect(),
                Some("options") => words.for_each(|word| {
                    let ndots = word.strip_prefix("ndots:").map(str::parse);
                    if let Some(Ok(ndots)) = ndots {
                        config.ndots = MAX_NDOTS.min(ndots);
                    }
                    config.turns.read(word);
                }),
                _ => {}
            }
        }
        config.servers.truncate(MAX_SERVERS);
        config.search.truncate(MAX_SEARCH);
        if config.servers.is_empty() {
            config.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        config
    }

    /// What `name` may stand for, in the order in which it is tried.
    pub(super) fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut itself = name.clone();
        itself.set_fqdn(true);
        if name.is_fqdn() {
            return vec![itself];
        }
        let completed = self
            .search
            .iter()
            .filter_map(|domain| name.clone().append_domain(domain).ok());
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let mut all: Vec<Name> = if dots >= self.ndots {
            std::iter::once(itself).chain(completed).collect()
        } else {
            completed.chain([itself]).collect()
        };
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|name| seen.insert(name.to_lowercase()));
        all
    }
}

/// A scope is the index of an interface (`fe80::1%2`), or its name.
fn server(word: &str) -> Option<SocketAddr> {
    let Some((ip, scope)) = word.split_once('%') else {
        return word.parse::<IpAddr>().ok().map(|ip| (ip, PORT).into());
    };
    let index = scope.parse().ok().or_else(|| {
        let path = std::path::Path::new("/sys/class/net")
            .join(scope)
            .join("ifindex");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    })?;
    Some(SocketAddrV6::new(ip.parse().ok()?, PORT, 0, index).into())
}

fn complete(domain: &str) -> Option<Name> {
    let mut name = Name::from_str_relaxed(domain).ok()?;
    name.set_fqdn(true);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[Name]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn resolv_conf() {
        let kubernetes = SystemConfig::read(
            b"search web.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions edns0 ndots:5\n",
        );
        assert_eq!(kubernetes.servers, ["10.96.0.10:53".parse().unwrap()]);
        assert_eq!(kubernetes.ndots, 5);
        let name = |text: &str| Name::from_str_relaxed(text).unwrap();
        assert_eq!(
            texts(&kubernetes.candidates(&name("app.other"))),
            [
                "app.other.web.svc.cluster.local.",
                "app.other.svc.cluster.local.",
                "app.other."
            ]
        );
        assert_eq!(
            texts(&kubernetes.candidates(&name("app.other."))),
            ["app.other."]
        );

        let several = SystemConfig::read(
            b"# comment\nnameserver 10.0.0.2 ; first\nnameserver fdaa::3\nnameserver nonsense\nnameserver fe80::1%2\n\
              domain old.example\nsearch a.example . a..b A.example\noptions ndots:999 rotate\nfrobnicate\n",
        );
        let servers = ["10.0.0.2:53", "[fdaa::3]:53", "[fe80::1%2]:53"];
        assert_eq!(several.servers, servers.map(|text| text.parse().unwrap()));
        assert_eq!(several.ndots, 15);
        assert_eq!(
            texts(&several.candidates(&name("app"))),
            ["app.a.example.", "app."]
        );

        for text in ["", "search example.com\n"] {
            let config = SystemConfig::read(text.as_bytes());
            assert_eq!(config.servers, ["127.0.0.1:53".parse().unwrap()], "{text}");
        }
        let plain = SystemConfig::read(b"search example.com\nnameserver 10.0.0.2\n");
        assert_eq!(
            texts(&plain.candidates(&name("app.internal"))),
            ["app.internal.", "app.internal.example.com."]
        );
    }

    #[test]
    fn turns() {
        for (options, timeout, rounds, rotate) in [
            ("edns0 trust-ad", None, 1, false),
            ("timeout:3 rotate", Some(3), 2, true),
            ("timeout:1 attempts:4", Some(1), 4, false),
            ("attempts:3", None, 3, false),
            ("timeout:0 attempts:0", Some(1), 1, false),
            ("timeout:99 attempts:99", Some(30), 5, false),
            ("timeout: timeout:x attempts:-1 rotated", None, 1, false),
            ("timeout:9\noptions timeout:2", Some(2), 2, false),
        ] {
            let text = format!("nameserver 10.0.0.2\noptions {options}\n");
            let turns = SystemConfig::read(text.as_bytes()).turns;
            let seconds = turns.timeout.map(|it| it.as_secs());
            let read = (seconds, turns.rounds(), turns.rotate);
            assert_eq!(read, (timeout, rounds, rotate), "{options}");
        }
    }

    #[test]
    fn nameservers() {
        for (text, address) in [
            ("10.0.0.2", "10.0.0.2:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("fdaa::3", "[fdaa::3]:53"),
            ("[fdaa::3]", "[fdaa::3]:53"),
            ("[fdaa::3]:54", "[fdaa::3]:54"),
        ] {
            assert_eq!(
                parse_nameserver(text),
                Ok(address.parse().unwrap()),
                "{text}"
            );
        }
        for text in ["", "dns.example", "10.0.0.2:0", "10.0.0.2:x", "[::1"] {
            assert_eq!(parse_nameserver(text), Err(NameserverError), "{text}");
        }
    }
}
