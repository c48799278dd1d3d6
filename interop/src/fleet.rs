//! A fleet of Droplets: hosts with metadata services, the account's API, and a release under `trunkline exec` on each host.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;

use crate::digitalocean::metadata::{Ipv6Form, Metadata};
use crate::digitalocean::{Api, Authority, Droplet};
use crate::netns::{API_HOST, Host, Lab};
use crate::process::{Process, read_lossy};
use crate::release::{Event, Otp, Record, Release};
use crate::wait;

/// The one cookie of the fleet, as an operator would hand it to every host.
pub const COOKIE: &str = "interop-0123456789-abcdefghij";

/// How long a BEAM may take to start, and a cluster to form, while the machine does other things too.
pub const PATIENCE: Duration = Duration::from_secs(90);

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

/// Makes four tests of a story `fn story(otp: Otp, connect_all: bool)`: OTP 25 and 27, each with OTP's defaults and with
/// `connect_all false`, where each edge is Trunkline's own.
#[macro_export]
macro_rules! in_every_world {
    ($story:ident) => {
        #[test]
        fn otp_25() {
            let _took = $crate::wait::Took::new(concat!(stringify!($story), ", OTP 25"));
            $story($crate::release::Otp::System, true);
        }

        #[test]
        fn otp_25_every_edge_ours() {
            let _took =
                $crate::wait::Took::new(concat!(stringify!($story), ", OTP 25, connect_all false"));
            $story($crate::release::Otp::System, false);
        }

        #[test]
        fn otp_27() {
            let _took = $crate::wait::Took::new(concat!(stringify!($story), ", OTP 27"));
            $story($crate::release::Otp::Otp27, true);
        }

        #[test]
        fn otp_27_every_edge_ours() {
            let _took =
                $crate::wait::Took::new(concat!(stringify!($story), ", OTP 27, connect_all false"));
            $story($crate::release::Otp::Otp27, false);
        }
    };
}

/// How a host's node gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `env.sh` calls `trunkline env`.
    Trunkline,
    /// `env.sh` is the script of libcluster-droplet's README.
    Seed,
}

/// The lab, the account and its Droplets.
#[derive(Debug)]
pub struct Fleet {
    /// The account.
    pub api: Api,
    settings: Settings,
    members: Vec<Member>,
    started: Instant,
    // Last: the network goes when everything on it has gone.
    lab: Lab,
}

/// One Droplet with its node and agent.
#[derive(Debug)]
pub struct Member {
    /// Its host.
    pub host: Host,
    /// Its entry in the account.
    pub droplet: Droplet,
    /// Its release.
    pub release: Release,
    /// The node's name.
    pub node: String,
    process: Option<Process>,
    _metadata: Metadata,
    seen: usize,
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
            members: Vec::new(),
            started: Instant::now(),
            lab,
        })
    }

    /// The network.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Its members, in the order they were added.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with this number, counted from 1 like its host.
    ///
    /// # Panics
    /// When there is none.
    pub fn member(&self, n: u8) -> &Member {
        self.index(n).map_or_else(
            || panic!("there is no member {n}"),
            |index| &self.members[index],
        )
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// When there is none.
    pub fn member_mut(&mut self, n: u8) -> &mut Member {
        self.index(n).map_or_else(
            || panic!("there is no member {n}"),
            |index| &mut self.members[index],
        )
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
        self.members.push(Member {
            _metadata: Metadata::start(&host, &droplet, form)?,
            host,
            droplet,
            release,
            node,
            process: None,
            seen: 0,
        });
        Ok(())
    }

    /// Starts `trunkline exec -- bin/fleet_app start` on a member.
    pub fn boot(&mut self, n: u8) -> Result<()> {
        self.boot_with(n, &[])
    }

    /// The same with other variables in its environment; an empty one is taken out.
    pub fn boot_with(&mut self, n: u8, variables: &[(&str, &str)]) -> Result<()> {
        let mut exec = self.trunkline(n, &["exec"])?;
        exec.args(self.env_flags())
            .arg("--")
            .arg(self.member(n).release.script())
            .arg("start")
            .env("ERL_FLAGS", self.erl_flags());
        for (name, value) in variables {
            if value.is_empty() {
                exec.env_remove(name);
            } else {
                exec.env(name, value);
            }
        }
        let member = self.member_mut(n);
        member.process = Some(member.host.start(exec, "exec.log")?);
        Ok(())
    }

    /// Starts `bin/fleet_app start` on a member, without an agent.
    pub fn boot_alone(&mut self, n: u8) -> Result<()> {
        let mut start = self
            .member(n)
            .release
            .command(self.member(n).release.script())?;
        start.arg("start").env("ERL_FLAGS", self.erl_flags());
        let member = self.member_mut(n);
        member.process = Some(member.host.start(start, "exec.log")?);
        Ok(())
    }

    /// Starts `trunkline run` beside a member's node, with its log in `agent.log`.
    pub fn agent(&self, n: u8) -> Result<Process> {
        let mut run = self.trunkline(n, &["run"])?;
        let member = self.member(n);
        run.env("RELEASE_NODE", &member.node);
        member.host.start(run, "agent.log")
    }

    /// Waits until a member's application answers on its console.
    ///
    /// # Panics
    /// When it does not; with what it wrote.
    pub fn until_booted(&self, n: u8) {
        let member = self.member(n);
        if wait::within(PATIENCE, || member.release.eval("1").ok()).is_none() {
            panic!("{} does not start:\n{}", member.node, member.log());
        }
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
        for n in 1..=count {
            self.boot(n)?;
        }
        let all: Vec<u8> = (1..=count).collect();
        self.until_whole(&all);
        Ok(())
    }

    /// Waits until each of these members sees exactly the others.
    ///
    /// # Panics
    /// When it does not come to that; with every member's list and the last lines of its log.
    pub fn until_whole(&self, numbers: &[u8]) {
        let whole = || {
            let seen = numbers.iter().map(|n| self.member(*n).visible());
            let good = |(n, seen): (&u8, Vec<String>)| seen == self.others(*n, numbers);
            numbers.iter().zip(seen).all(good).then_some(())
        };
        if wait::within(PATIENCE, whole).is_none() {
            panic!("no whole mesh of {numbers:?}:\n{}", self.report());
        }
    }

    /// Waits until each member's agent has said of each other member that it is connected.
    pub fn until_settled(&self) {
        let settled = |member: &Member| {
            let log = member.agent_log();
            let mut others = self
                .members
                .iter()
                .filter(|other| other.node != member.node);
            others.all(|other| {
                let line = format!("connected · {}", other.node);
                log.iter().any(|said| said.contains(&line))
            })
        };
        if wait::within(PATIENCE, || self.members.iter().all(settled).then_some(())).is_none() {
            panic!("not all agents saw all links:\n{}", self.report());
        }
    }

    /// Compares what each member's recorder saw of visible nodes since the last look with `expected` (events of one look in any
    /// order), and remembers the look.
    ///
    /// # Panics
    /// When a list differs.
    pub fn recorded(&mut self, what: &str, expected: impl Fn(u8) -> Vec<(Event, u8)>) {
        let numbers: Vec<u8> = self.members.iter().map(|member| member.host.n()).collect();
        for n in numbers {
            let mut wanted: Vec<String> = expected(n)
                .into_iter()
                .map(|(event, other)| format!("{event:?} {}", self.member(other).node))
                .collect();
            wanted.sort();
            // What is still to come has a moment to come; what came too much is seen by the next look.
            wait::within(PATIENCE, || {
                (self.member(n).news().len() >= wanted.len()).then_some(())
            });
            let news = self.member(n).news();
            let mut found: Vec<String> = news
                .iter()
                .map(|record| format!("{:?} {}", record.event, record.node))
                .collect();
            found.sort();
            assert_eq!(
                found,
                wanted,
                "{what}: the recorder of member {n}\n{news:#?}\n{}",
                self.report()
            );
            self.member_mut(n).look();
        }
    }

    /// Time since the fleet was made.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// What each member sees and said last, for a failed story.
    pub fn report(&self) -> String {
        let mut text = String::new();
        for member in &self.members {
            let log = member.log();
            let skip = log.lines().count().saturating_sub(25);
            let last: Vec<&str> = log.lines().skip(skip).collect();
            writeln!(
                text,
                "--- {} sees {:?}\n{}",
                member.node,
                member.visible(),
                last.join("\n")
            )
            .expect("a String takes all");
        }
        text
    }

    fn index(&self, n: u8) -> Option<usize> {
        self.members.iter().position(|member| member.host.n() == n)
    }

    /// The sorted names of all of `numbers` but `n`.
    fn others(&self, n: u8, numbers: &[u8]) -> Vec<String> {
        let others = numbers.iter().filter(|other| **other != n);
        let mut names: Vec<_> = others.map(|n| self.member(*n).node.clone()).collect();
        names.sort();
        names
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

impl Member {
    /// The visible nodes that its node is connected to, sorted; empty while it does not answer.
    pub fn visible(&self) -> Vec<String> {
        let list = self
            .release
            .eval("Enum.join(Enum.sort(Node.list()), \" \")");
        let list = list.unwrap_or_default();
        let names = list.trim_matches('"').split(' ');
        names
            .filter(|name| !name.is_empty())
            .map(String::from)
            .collect()
    }

    /// Records of visible nodes since the last look.
    pub fn news(&self) -> Vec<Record> {
        let mut records = self.release.records();
        records.retain(|record| !record.hidden);
        records.split_off(self.seen.min(records.len()))
    }

    /// All that `exec`, the agent and the application wrote.
    pub fn log(&self) -> String {
        read_lossy(&self.log_file())
    }

    /// The agent's lines alone, without their times.
    pub fn agent_log(&self) -> Vec<String> {
        self.log().lines().filter_map(agent_line).collect()
    }

    /// The running `exec`.
    ///
    /// # Panics
    /// When it was not started.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the member was started")
    }

    /// Its machine is gone: no packet comes out any more.
    pub fn destroy(&mut self) -> Result<()> {
        self.host.pull_the_plug()?;
        self.process = None;
        Ok(())
    }

    /// Ends it as systemd does.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let process = self.process();
        process.signal(Signal::TERM);
        let status = process.wait(PATIENCE);
        self.process = None;
        status
    }

    /// From now on its application sends to these nodes all the time.
    pub fn talk_to(&self, nodes: &[&str]) -> Result<()> {
        let atoms: Vec<String> = nodes.iter().map(|node| format!(":{node:?}")).collect();
        let call = format!("FleetApp.Talker.talk_to([{}])", atoms.join(", "));
        self.release.eval(&call).map(drop)
    }

    fn log_file(&self) -> std::path::PathBuf {
        Path::new(self.host.dir()).join("exec.log")
    }

    fn look(&mut self) {
        let mut records = self.release.records();
        records.retain(|record| !record.hidden);
        self.seen = records.len();
    }
}

/// `2026-11-22T01:27:10.123456Z  WARN what · where` → `WARN what · where`; `None` for lines of the application.
fn agent_line(line: &str) -> Option<String> {
    let (time, rest) = line.split_once(' ')?;
    let ours = time.len() > 20 && time.ends_with('Z') && time.contains('T');
    ours.then(|| rest.trim_start().to_owned())
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
