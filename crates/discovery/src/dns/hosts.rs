//! The hosts file.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Names in lower case, and their addresses.
#[derive(Debug, Default)]
pub(super) struct Hosts(BTreeMap<String, Vec<IpAddr>>);

impl Hosts {
    /// `/etc/hosts`; empty when there is none.
    pub(super) fn from_system() -> Self {
        std::fs::read(PATH).map_or_else(|_| Self::default(), |text| Self::read(&text))
    }

    fn read(text: &[u8]) -> Self {
        let mut hosts = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
                continue;
            };
            for name in words {
                let known = hosts.0.entry(fold(name)).or_default();
                if !known.contains(&ip) {
                    known.push(ip);
                }
            }
        }
        // IPv4 first, else in the order of the file.
        for known in hosts.0.values_mut() {
            known.sort_by_key(IpAddr::is_ipv6);
        }
        hosts
    }

    /// The addresses of `host`, IPv4 first.
    pub(super) fn get(&self, host: &str) -> &[IpAddr] {
        self.0.get(&fold(host)).map_or(&[], Vec::as_slice)
    }
}

pub(super) const PATH: &str = "/etc/hosts";

fn fold(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_and_comments() {
        let hosts = Hosts::read(
            b"127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.0.0.5\tDB.example db # 10.0.0.6 db\n\
              fdaa::3 fly-local-6pn\n10.0.0.7 db\nfe80::1%eth0 scoped\nnonsense db\n\xff\xfe\n",
        );
        let get = |host: &str| {
            hosts
                .get(host)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(get("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(get("db"), ["10.0.0.5", "10.0.0.7"]);
        assert_eq!(get("db.Example."), ["10.0.0.5"]);
        assert_eq!(get("fly-local-6pn"), ["fdaa::3"]);
        assert!(get("scoped").is_empty() && get("nonsense").is_empty());
    }
}
