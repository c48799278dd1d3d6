//! A stand-in for Fly.io: machines with `fdaa:` addresses in two regions, each with Fly's environment, and `internal.` in a real name
//! server, kept in step with the machines that run.
//!
//! Start with [`Fly`]. The zone is in [`zone`], what a machine is in [`machine`].

pub mod machine;
mod stop;
pub mod zone;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::{Deref, DerefMut};
use std::process::Command;

use anyhow::Result;
use rustix::process::Signal;

use crate::dns::{NameServer, Recursor};
use crate::member::Member;
use crate::members::Members;
use crate::netns::{Host, Lab};
use crate::release::{Event, Otp, Record, Release};
use crate::turn::Turn;
use machine::{App, Machine, REGIONS};
use stop::Stop;

/// What `/etc/resolv.conf` of a Fly Machine says.
const DNS: Ipv6Addr = Ipv6Addr::new(0xfdaa, 0, 0, 0, 0, 0, 0, 3);

/// How long Fly's answers may be kept, in seconds.
const TTL: u32 = 5;

/// The network prefix of an organization's machines.
const PREFIX: &str = "fdaa:0:1da8::/48";

const SERVER_HOST: u8 = 201;
const RECURSOR_HOST: u8 = 202;

/// The lines that Fly's guide on clustering has for `rel/env.sh.eex`, as they are there.
pub const GUIDE: &str = r#"#!/bin/sh

# configure node for distributed erlang with IPV6 support
export ERL_AFLAGS="-proto_dist inet6_tcp"
export ECTO_IPV6="true"
export DNS_CLUSTER_QUERY="${FLY_APP_NAME}.internal"
export RELEASE_DISTRIBUTION="name"
export RELEASE_NODE="${FLY_APP_NAME}-${FLY_IMAGE_REF##*-}@${FLY_PRIVATE_IP}"
"#;

/// The one line that takes their place.
pub const TRUNKLINE: &str = "#!/bin/sh\neval \"$(trunkline env)\"\n";

/// What a story wants of its network.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which Erlang.
    pub otp: Otp,
    /// OTP's default: nodes connect to the nodes of their nodes. Without it each edge is Trunkline's own.
    pub connect_all: bool,
    /// The release's `env.sh`.
    pub env_sh: &'static str,
    /// The machines ask unbound instead of the authoritative server.
    pub unbound: bool,
    /// Further `[env]` of `fly.toml`, on every machine.
    pub variables: &'static [(&'static str, &'static str)],
    /// `trunkline.toml` on each machine; with `None` there is no such file.
    pub config: Option<&'static str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            otp: Otp::System,
            connect_all: true,
            env_sh: GUIDE,
            unbound: false,
            variables: &[],
            config: None,
        }
    }
}

/// An organization's private network. What stories ask of all machines is in [`Members`].
#[derive(Debug)]
pub struct Fly {
    /// The authoritative server of `internal.`, for troubles. Its records are the network's own affair.
    pub server: NameServer,
    /// unbound, where the settings want it.
    pub recursor: Option<Recursor>,
    settings: Settings,
    machines: Vec<Machine>,
    stops: Vec<Stop>,
    members: Members,
    // Last: the network goes when everything on it has gone.
    lab: Lab,
}

impl Deref for Fly {
    type Target = Members;

    fn deref(&self) -> &Members {
        &self.members
    }
}

impl DerefMut for Fly {
    fn deref_mut(&mut self) -> &mut Members {
        &mut self.members
    }
}

impl Fly {
    /// A network without machines.
    pub fn new(settings: Settings) -> Result<Self> {
        let lab = Lab::new()?;
        let host = lab.host(SERVER_HOST)?;
        host.ip(&format!("route add {PREFIX} dev eth0\n"))?;
        let mut server = NameServer::start(&host, TTL)?;
        server.serve(zone::ORIGIN, Vec::new())?;
        let recursor = if settings.unbound {
            let between = lab.host(RECURSOR_HOST)?;
            between.ip(&format!("route add {PREFIX} dev eth0\n"))?;
            Some(Recursor::start(&between, &[host.private().into()])?)
        } else {
            None
        };
        let asked = recursor.as_ref().map_or(&host, Recursor::host);
        asked.ip(&format!("addr add {DNS}/128 dev eth0 nodad\n"))?;
        Ok(Self {
            server,
            recursor,
            settings,
            machines: Vec::new(),
            stops: Vec::new(),
            members: Members::default(),
            lab,
        })
    }

    /// `fly machine clone`: a machine of this app, not started yet. Odd numbers are in one region, even ones in the other.
    pub fn create(&mut self, n: u8, app: &App) -> Result<()> {
        let host = self.lab.host(n)?;
        let region = REGIONS[usize::from(n + 1) % REGIONS.len()];
        let machine = Machine::new(n, region, app);
        // A machine has this address of the private network and no other.
        host.ip(&format!(
            "addr del {}/64 dev eth0\naddr add {}/48 dev eth0 nodad\nroute add {DNS}/128 dev eth0\n",
            host.fly6(),
            machine.ip
        ))?;
        host.resolve_with(&[DNS.into()], &[])?;
        let release = Release::install(&host, self.settings.otp, self.settings.env_sh)?;
        if let Some(text) = self.settings.config {
            std::fs::write(host.dir().join("trunkline.toml"), text)?;
        }
        self.members.add(Member::new(release, machine.node()));
        self.machines.push(machine);
        Ok(())
    }

    /// Starts machines: they are in the DNS at once, and run `trunkline exec -- bin/fleet_app start`. Waits until their applications answer.
    pub fn start(&mut self, numbers: &[u8]) -> Result<()> {
        // Before they are in the DNS: a machine there whose node does not start yet is something to warn of.
        self.start_in(Turn::of(numbers.len())?, numbers)
    }

    /// The same in a turn that was waited for before, so that a machine that starts again is not out of the DNS for longer than that takes.
    pub fn start_in(&mut self, turn: Turn, numbers: &[u8]) -> Result<()> {
        for n in numbers {
            self.machine_mut(*n).runs = true;
        }
        for stop in self.stops.iter_mut().filter(|it| numbers.contains(&it.n)) {
            stop.end(&self.members);
        }
        self.publish()?;
        let mut commands = Vec::new();
        for n in numbers {
            let mut exec = self.command(*n, "trunkline")?;
            let script = self.member(*n).release.script();
            exec.args(["exec", "--"]).arg(script).arg("start");
            commands.push((*n, exec));
        }
        self.members.start(turn, commands)
    }

    /// Stops machines all at once, with the signal that `fly.toml` of a Phoenix app names. When they have ended, they leave the DNS.
    /// What their recorders saw of each other's end counts as looked at: who was first is chance.
    ///
    /// # Panics
    /// When one does not end well, or saw anything else before its end.
    pub fn stop(&mut self, numbers: &[u8]) -> Result<()> {
        let stops = numbers.iter().map(|n| Stop::begin(*n, &self.members));
        self.stops.extend(stops);
        for n in numbers {
            self.member_mut(*n).process().signal(Signal::TERM);
        }
        let stopped: Vec<_> = numbers
            .iter()
            .map(|n| self.member(*n).node.clone())
            .collect();
        for n in numbers {
            let member = self.member_mut(*n);
            let status = member.stop();
            assert!(status.success(), "{status}: {}", member.log());
            let news = member.news();
            let last =
                |record: &Record| record.event == Event::Down && stopped.contains(&record.node);
            assert!(news.iter().all(last), "{} saw {news:#?}", member.node);
            member.looked_at(news.len());
            self.machine_mut(*n).runs = false;
        }
        self.publish()
    }

    /// `fly scale count`: creates machines of an app and starts them.
    pub fn scale(&mut self, app: &App, numbers: &[u8]) -> Result<()> {
        for n in numbers {
            self.create(*n, app)?;
        }
        self.start(numbers)
    }

    /// `fly deploy` in place, as its rolling strategy does: the machine stops and starts with another image and the same address.
    /// It does not start yet.
    pub fn update(&mut self, n: u8, app: &App) {
        let machine = self.machine_mut(n);
        machine.app = app.clone();
        let node = machine.node();
        self.member_mut(n).node = node;
    }

    /// A command with what every process on this machine has in its environment, as one that `fly ssh console -C` starts.
    pub fn command(&self, n: u8, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let mut command = self.member(n).release.command(program)?;
        command.envs(self.machine(n).environment());
        command.envs(self.settings.variables.iter().copied());
        command.env(
            "ERL_FLAGS",
            format!("-kernel connect_all {}", self.settings.connect_all),
        );
        Ok(command)
    }

    /// A machine.
    ///
    /// # Panics
    /// When there is none.
    pub fn machine(&self, n: u8) -> &Machine {
        let found = self.machines.iter().find(|machine| machine.n == n);
        found.unwrap_or_else(|| panic!("there is no machine {n}"))
    }

    /// The addresses of machines.
    pub fn addresses(&self, numbers: &[u8]) -> Vec<IpAddr> {
        let ips = numbers.iter().map(|n| self.machine(*n).ip.into());
        ips.collect()
    }

    /// The zone as it would be if just these machines ran.
    pub fn zone_of(&self, numbers: &[u8]) -> Vec<crate::dns::Record> {
        let machines = numbers.iter().map(|n| self.machine(*n));
        zone::records(machines)
    }

    /// Where the machines' DNS is: the host to break.
    pub fn dns_host(&self) -> &Host {
        let recursor = self.recursor.as_ref();
        recursor.map_or_else(|| self.server.host(), Recursor::host)
    }

    /// Makes the zone that of the machines that run, which ends its troubles.
    pub fn publish(&mut self) -> Result<()> {
        let records = zone::records(self.machines.iter().filter(|machine| machine.runs));
        self.server.serve(zone::ORIGIN, records)
    }

    /// Warnings and errors of a machine's application, but for what OTP says there of a machine that the story itself stopped, at that moment.
    pub fn warnings(&self, n: u8) -> Vec<String> {
        stop::warnings(&self.member(n).log(), n, &self.stops)
    }

    /// What everybody sees and said last, and the name server, for a failed story.
    pub fn report(&self) -> String {
        let mut text = self.members.report();
        writeln!(text, "--- Knot\n{}", self.server.log()).expect("a String takes all");
        if let Some(recursor) = &self.recursor {
            writeln!(text, "--- unbound\n{}", recursor.log()).expect("a String takes all");
        }
        text
    }

    fn machine_mut(&mut self, n: u8) -> &mut Machine {
        let found = self.machines.iter_mut().find(|machine| machine.n == n);
        found.unwrap_or_else(|| panic!("there is no machine {n}"))
    }
}
