//! An authoritative name server whose zones change and fail on command.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::knot::{Knot, State, Zone};
use super::{PORT, Record};
use crate::netns::Host;

/// The daemon whose answers [`NameServer::alternate`] mixes in.
const OTHER_PORT: u16 = 5353;

/// Knot on a host, on port 53 of all its addresses, UDP and TCP. Every change is answered when the call returns.
#[derive(Debug)]
pub struct NameServer {
    host: Host,
    ttl: u32,
    zones: Vec<Zone>,
    knot: Knot,
    other: Option<Knot>,
}

impl NameServer {
    /// Starts one without zones. All its records live for `ttl` seconds in a [`Recursor`](super::Recursor), and so does a "no".
    pub fn start(host: &Host, ttl: u32) -> Result<Self> {
        let mut knot = Knot::new(host, PORT, ttl)?;
        knot.start(&[])?;
        Ok(Self {
            host: host.clone(),
            ttl,
            zones: Vec::new(),
            knot,
            other: None,
        })
    }

    /// The host that it is on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Makes these the records of the zone `origin` (without the final dot), which ends every trouble that the zone has.
    pub fn serve(&mut self, origin: &str, records: Vec<Record>) -> Result<()> {
        self.set(origin, Some(records), State::Served)
    }

    /// Changes the records of a zone; a new zone begins without any.
    pub fn edit(&mut self, origin: &str, change: impl FnOnce(&mut Vec<Record>)) -> Result<()> {
        let mut records = self.records(origin).to_vec();
        change(&mut records);
        self.serve(origin, records)
    }

    /// The records of a zone, also while it is failing.
    pub fn records(&self, origin: &str) -> &[Record] {
        let zone = self.zones.iter().find(|zone| zone.origin == origin);
        zone.map_or(&[], |zone| &zone.records)
    }

    /// From now on questions about the zone end in SERVFAIL, as when a secondary server has lost its primary for too long.
    pub fn fail(&mut self, origin: &str) -> Result<()> {
        self.set(origin, None, State::Expired)
    }

    /// From now on questions about the zone are refused, as by a server that never heard of it.
    pub fn refuse(&mut self, origin: &str) -> Result<()> {
        self.set(origin, None, State::Refused)
    }

    /// The zone is served again, with the records that it had.
    pub fn mend(&mut self, origin: &str) -> Result<()> {
        self.set(origin, None, State::Served)
    }

    /// Ends the daemon. The kernel then refuses questions, which a client sees as "connection refused".
    pub fn stop(&mut self) {
        self.knot.stop();
    }

    /// Starts the daemon again, with the zones in the state they were in or have been given since.
    pub fn start_again(&mut self) -> Result<()> {
        self.knot.start(&self.zones)
    }

    /// From now on no question gets an answer of any kind.
    pub fn silence(&self) -> Result<()> {
        silence(&self.host)
    }

    /// Ends [`NameServer::silence`], and every other rule of the host's firewall.
    pub fn hear(&self) -> Result<()> {
        self.host.open_firewall()
    }

    /// From now on every second UDP question by one of `clients` for `name` and `kind` (`AAAA`) is answered as if the zone held
    /// `records` alone: the first by the zone, the second by these, and so on, counted for each client and kind by itself.
    pub fn alternate(
        &mut self,
        origin: &str,
        (name, kinds): (&str, &[Kind]),
        records: Vec<Record>,
        clients: &[IpAddr],
    ) -> Result<()> {
        let zone = Zone {
            origin: origin.to_owned(),
            records,
            state: State::Served,
        };
        if self.other.is_none() {
            self.other = Some(Knot::new(&self.host, OTHER_PORT, self.ttl)?);
        }
        let other = self.other.as_mut().context("made above")?;
        if other.is_running() {
            other.publish(&[zone])?;
        } else {
            other.start(&[zone])?;
        }
        self.steady()?;
        let mut script = String::from(
            "add table inet alternate\n\
             add chain inet alternate input { type nat hook prerouting priority -100; }\n",
        );
        for client in clients {
            for kind in kinds {
                script.push_str(&rule(*client, name, *kind));
            }
        }
        self.host.nft(&script)
    }

    /// Ends [`NameServer::alternate`].
    pub fn steady(&mut self) -> Result<()> {
        self.host
            .nft("add table inet alternate\ndelete table inet alternate\n")
    }

    /// What the daemon wrote, for a failed test.
    pub fn log(&self) -> String {
        self.knot.log()
    }

    fn set(&mut self, origin: &str, records: Option<Vec<Record>>, state: State) -> Result<()> {
        let index = self.zones.iter().position(|zone| zone.origin == origin);
        let index = index.unwrap_or_else(|| {
            self.zones.push(Zone {
                origin: origin.to_owned(),
                records: Vec::new(),
                state,
            });
            self.zones.len() - 1
        });
        let zone = &mut self.zones[index];
        zone.state = state;
        if let Some(records) = records {
            zone.records = records;
        }
        if self.knot.is_running() {
            self.knot.publish(&self.zones)?;
        }
        Ok(())
    }
}

/// A question's type, where [`NameServer::alternate`] tells questions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the DNS's own")]
pub enum Kind {
    A,
    Aaaa,
    Srv,
    Txt,
}

impl Kind {
    /// RFC 1035, 3596, 2782.
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Srv => 33,
            Self::Txt => 16,
        }
    }
}

/// Every second packet of this client with this question goes to the other daemon. A question follows a UDP header of 8 bytes and a
/// DNS header of 12; its name ends in a zero byte, and then comes its type. A name in the wire's form is two bytes longer than here.
fn rule(client: IpAddr, name: &str, kind: Kind) -> String {
    let family = if client.is_ipv4() { "ip" } else { "ip6" };
    let end = (8 + 12 + name.len() + 1) * 8;
    let kind = kind.number();
    format!(
        "add rule inet alternate input {family} saddr {client} udp dport {PORT} @th,{end},24 {kind} \
         redirect to :numgen inc mod 2 map {{ 0 : {PORT}, 1 : {OTHER_PORT} }}\n"
    )
}

/// Drops what comes for the DNS, over UDP and TCP, except from the host itself.
pub(super) fn silence(host: &Host) -> Result<()> {
    let rules = ["udp", "tcp"].map(|it| format!("iif != lo {it} dport {PORT} drop"));
    host.firewall(&rules.each_ref().map(String::as_str))
}
