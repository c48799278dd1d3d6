//! A fleet of Droplets: hosts with metadata services, the account's API, and a release under `trunkline exec` on each host.

use std::fmt::Write as _;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::digitalocean::metadata::{Ipv6Form, Metadata};
use crate::digitalocean::{Api, Authority, Droplet};
use crate::netns::{API_HOST, Host, Lab};
use crate::process::Process;
use crate::release::{Otp, Release};
use crate::turn::Turn;

pub use crate::member::{Member, PATIENCE};
pub use crate::members::Members;

/// The one cookie of the fleet, as an operator would hand it to every host.
pub const COOKIE: &str = "interop-0123456789-abcdefghij";

/// What a story wants of its fleet. [`Settings::default`] is five minutes' reading of the README.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which Erlang.
    pub otp: Otp,
    /// OTP's default: nodes connect to the nodes of their nodes. Without it each edge is Trunkline's own.
    pub connect_all: bool,
    /// Public IPv6 addresses instead of private IPv4, and a metadata service that writes them in capitals.
    pub ipv6: bool,
    /// `net_ticktime` of each node in seconds; OTP's default when `None`.
    pub tick: Option<u32>,
    /// `polling_interval`; the default when `None`.
    pub polling: Option<&'static str>,
    /// Lines of `[engine]`.
    pub engine: &'static str,
    /// The nodes' fixed port.
    pub dist_port: Option<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            otp: Otp::System,
            connect_all: true,
            ipv6: false,
            tick: None,
            polling: None,
            engine: "",
            dist_port: None,
        }
    }
}

/// How a host's node gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `env.sh` calls `trunkline env`.
    Trunkline,
    /// `env.sh` is the script of libcluster-droplet's README.
    Seed,
}

/// The lab, the account and its Droplets. What stories ask of all members is in [`Members`].
#[derive(Debug)]
pub struct Fleet {
    /// The account.
    pub api: Api,
    settings: Settings,
    members: Members,
    droplets: Vec<(Droplet, Metadata)>,
    started: Instant,
    // Last: the network goes when everything on it has gone.
    lab: Lab,
}

impl Deref for Fleet {
    type Target = Members;

    fn deref(&self) -> &Members {
        &self.members
    }
}

impl DerefMut for Fleet {
    fn deref_mut(&mut self) -> &mut Members {
        &mut self.members
    }
}

impl Fleet {
    /// An account without Droplets.
    pub fn new(settings: Settings) -> Result<Self> {
        let lab = Lab::new()?;
        let authority = Authority::new()?;
        authority.write(&lab.dir().join("ca.pem"))?;
        let api = Api::start(&lab.host(API_HOST)?, &authority)?;
        Ok(Self {
            api,
            settings,
            members: Members::default(),
            droplets: Vec::new(),
            started: Instant::now(),
            lab,
        })
    }

    /// The network.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// A member's entry in the account, as it was created.
    ///
    /// # Panics
    /// When there is none.
    pub fn droplet(&self, n: u8) -> &Droplet {
        let index = self.members().iter().position(|it| it.host.n() == n);
        let droplet = index.and_then(|index| self.droplets.get(index));
        droplet.map_or_else(|| panic!("there is no member {n}"), |(droplet, _)| droplet)
    }

    /// Creates the Droplet `web-N.example.com` with the tag `web`; its release is installed and not started.
    pub fn create(&mut self, n: u8, naming: Naming) -> Result<()> {
        let host = self.lab.host(n)?;
        let name = match naming {
            Naming::Trunkline => format!("web-{n}.example.com"),
            // Its script puts the Droplet's name into the node's as it is.
            Naming::Seed => format!("web-{n}"),
        };
        let droplet = Droplet::of(&host, &name);
        let form = if self.settings.ipv6 {
            Ipv6Form::LongUpper
        } else {
            Ipv6Form::Canonical
        };
        let release = Release::install(&host, self.settings.otp, &self.env_sh(naming))?;
        fs::write(host.dir().join("trunkline.toml"), self.config())?;
        let node = self.node_name(&host, naming);
        self.api.put(droplet.clone());
        let metadata = Metadata::start(&host, &droplet, form)?;
        self.droplets.push((droplet, metadata));
        self.members.add(Member::new(release, node));
        Ok(())
    }

    /// Starts `trunkline exec -- bin/fleet_app start` on a member, and waits until its application answers.
    pub fn boot(&mut self, n: u8) -> Result<()> {
        self.boot_all(&[n])
    }

    /// The same on several members at once.
    pub fn boot_all(&mut self, numbers: &[u8]) -> Result<()> {
        let turn = Turn::of(numbers.len())?;
        let mut commands = Vec::new();
        for n in numbers {
            let mut exec = self.trunkline(*n, &["exec"])?;
            exec.args(self.env_flags())
                .arg("--")
                .arg(self.member(*n).release.script())
                .arg("start")
                .env("ERL_FLAGS", self.erl_flags());
            commands.push((*n, exec));
        }
        self.members.start(turn, commands)
    }

    /// Starts `bin/fleet_app start` on a member, without an agent, and waits until it answers.
    pub fn boot_alone(&mut self, n: u8) -> Result<()> {
        let release = &self.member(n).release;
        let mut start = release.command(release.script())?;
        start.arg("start").env("ERL_FLAGS", self.erl_flags());
        self.members.start(Turn::of(1)?, vec![(n, start)])
    }

    /// Starts `trunkline run` beside a member's node, with its log in `agent.log`.
    pub fn agent(&self, n: u8) -> Result<Process> {
        let mut run = self.trunkline(n, &["run"])?;
        let member = self.member(n);
        run.env("RELEASE_NODE", &member.node);
        member.host.start(run, "agent.log")
    }

    /// A `trunkline` command on a member, in its folder, with the account's token and the fleet's cookie.
    pub fn trunkline(&self, n: u8, args: &[&str]) -> Result<Command> {
        let mut command = self.member(n).release.command("trunkline")?;
        command
            .args(args)
            .env("DIGITALOCEAN_TOKEN", self.api.token())
            .env("RELEASE_COOKIE", COOKIE);
        Ok(command)
    }

    /// Creates and boots members 1 to `count`, and waits until everybody sees everybody.
    pub fn up(&mut self, count: u8) -> Result<()> {
        for n in 1..=count {
            self.create(n, Naming::Trunkline)?;
        }
        let all: Vec<u8> = (1..=count).collect();
        self.boot_all(&all)?;
        self.until_whole(&all);
        Ok(())
    }

    /// Time since the fleet was made.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    fn node_name(&self, host: &Host, naming: Naming) -> String {
        let n = host.n();
        match (naming, self.settings.ipv6) {
            (Naming::Trunkline, false) => format!("web-{n}-example-com@{}", host.private()),
            (Naming::Trunkline, true) => format!("web-{n}-example-com@{}", host.public6()),
            (Naming::Seed, false) => format!("web-{n}@{}", host.private()),
            (Naming::Seed, true) => {
                let groups = host
                    .public6()
                    .segments()
                    .map(|group| format!("{group:04X}"));
                format!("web-{n}@{}", groups.join(":"))
            }
        }
    }

    /// What `trunkline env` and `exec` are told in their arguments.
    fn env_flags(&self) -> Vec<String> {
        let mut flags = vec![String::from("--platform"), String::from("droplet")];
        if self.settings.ipv6 {
            flags.extend(["--network", "public", "--ipv6"].map(String::from));
        }
        if let Some(port) = self.settings.dist_port {
            flags.extend([String::from("--dist-port"), port.to_string()]);
        }
        flags
    }

    fn env_sh(&self, naming: Naming) -> String {
        match naming {
            Naming::Trunkline => format!(
                "#!/bin/sh\nexport RELEASE_COOKIE=\"${{RELEASE_COOKIE:-{COOKIE}}}\"\neval \"$(trunkline env {})\"\n",
                self.env_flags().join(" ")
            ),
            Naming::Seed => seed_script(self.settings.ipv6),
        }
    }

    fn erl_flags(&self) -> String {
        let mut flags = format!("-kernel connect_all {}", self.settings.connect_all);
        if let Some(tick) = self.settings.tick {
            write!(flags, " -kernel net_ticktime {tick}").expect("a String takes all");
        }
        flags
    }

    fn config(&self) -> String {
        let Settings {
            ipv6,
            polling,
            engine,
            ..
        } = self.settings;
        let ca = self.lab.dir().join("ca.pem");
        let ca = ca.display();
        let network = if ipv6 { "public" } else { "private" };
        let mut text = format!(
            "[engine]\n{engine}\n\
             [topologies.web]\nstrategy = \"digitalocean\"\ntoken = {{ env = \"DIGITALOCEAN_TOKEN\" }}\n\
             tag_name = \"web\"\nnetwork = \"{network}\"\nipv6 = {ipv6}\napi_ca_file = \"{ca}\"\n"
        );
        if let Some(polling) = polling {
            writeln!(text, "polling_interval = \"{polling}\"").expect("a String takes all");
        }
        text
    }
}

/// The script of libcluster-droplet's README, with a cookie of ours. For IPv6 the node has to be told to speak it.
fn seed_script(ipv6: bool) -> String {
    let (network, family) = if ipv6 {
        ("public", "ipv6")
    } else {
        ("private", "ipv4")
    };
    let mut script = format!(
        "#!/bin/sh\n\
         NETWORK={network}\n\
         IPV={family}\n\
         HOSTNAME=$(curl -s http://169.254.169.254/metadata/v1/hostname)\n\
         IP_ADDRESS=$(curl -s http://169.254.169.254/metadata/v1/interfaces/$NETWORK/0/$IPV/address)\n\
         export RELEASE_DISTRIBUTION=name\n\
         export RELEASE_NODE=$HOSTNAME@$IP_ADDRESS\n\
         export RELEASE_COOKIE={COOKIE}\n"
    );
    if ipv6 {
        script.push_str("export ERL_AFLAGS=\"-proto_dist inet6_tcp\"\n");
    }
    script
}
