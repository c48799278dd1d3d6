//! One Knot daemon: its folder, its configuration, its zone files.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::Record;
use crate::netns::Host;
use crate::process::{Process, installed, run};
use crate::wait;

/// How long the daemon may take for anything while the machine does other things too.
const SOON: Duration = Duration::from_secs(60);

/// A zone, and what becomes of questions about it.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) origin: String,
    pub(super) records: Vec<Record>,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Answered.
    Served,
    /// SERVFAIL: configured, with nothing loaded.
    Expired,
    /// REFUSED: not configured.
    Refused,
}

/// A daemon on `port` of all addresses of its host.
#[derive(Debug)]
pub(super) struct Knot {
    host: Host,
    dir: PathBuf,
    port: u16,
    ttl: u32,
    serial: u32,
    process: Option<Process>,
}

impl Knot {
    pub(super) fn new(host: &Host, port: u16, ttl: u32) -> Result<Self> {
        for (program, package) in [("knotd", "knot"), ("kdig", "knot-dnsutils")] {
            installed(program, package)?;
        }
        let dir = host.dir().join(format!("knot-{port}"));
        fs::create_dir_all(dir.join("zones"))?;
        Ok(Self {
            host: host.clone(),
            dir,
            port,
            ttl,
            serial: 0,
            process: None,
        })
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it with these zones, and waits until it answers.
    pub(super) fn start(&mut self, zones: &[Zone]) -> Result<()> {
        self.write(zones)?;
        let mut daemon = self.host.command("knotd");
        daemon.arg("-c").arg(self.dir.join("knot.conf"));
        let log = format!("knot-{}.log", self.port);
        self.process = Some(self.host.start(daemon, &log)?);
        let listens = || self.control(&["status"]).ok();
        ensure!(
            wait::within(SOON, listens).is_some(),
            "it does not start:\n{}",
            self.log()
        );
        self.until_answered(zones)
    }

    /// Ends it as systemd does.
    pub(super) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait(SOON);
        }
    }

    /// Makes the running daemon serve these zones, each with a new serial, and waits until it answers so.
    pub(super) fn publish(&mut self, zones: &[Zone]) -> Result<()> {
        self.write(zones)?;
        for zone in zones.iter().filter(|zone| zone.state == State::Expired) {
            let origin = format!("{}.", zone.origin);
            // A zone that has expired already cannot do so again.
            self.control(&["-f", "zone-purge", &origin, "+expire"]).ok();
        }
        self.control(&["reload"])?;
        self.until_answered(zones)
    }

    /// Its log, for a failed test.
    pub(super) fn log(&self) -> String {
        let log = self.process.as_ref().map(Process::output);
        log.unwrap_or_else(|| String::from("not running"))
    }

    fn write(&mut self, zones: &[Zone]) -> Result<()> {
        self.serial += 1;
        let dir = self.dir.display();
        let mut config = format!(
            "server:\n    rundir: \"{dir}\"\n    listen: [ 0.0.0.0@{0}, ::@{0} ]\n    udp-workers: 1\n    \
             tcp-workers: 1\n    background-workers: 1\nlog:\n  - target: stderr\n    any: info\ncontrol:\n    \
             listen: \"{dir}/control\"\ndatabase:\n    storage: \"{dir}\"\ntemplate:\n  - id: default\n    \
             storage: \"{dir}/zones\"\n    journal-content: none\n    zonefile-load: whole\nzone:\n",
            self.port
        );
        for zone in zones {
            let file = self.dir.join("zones").join(format!("{}.zone", zone.origin));
            match zone.state {
                State::Served => fs::write(&file, self.zone_file(zone)?)?,
                // After a restart there is nothing to load either.
                State::Expired if file.exists() => fs::remove_file(&file)?,
                State::Expired => {}
                State::Refused => continue,
            }
            writeln!(config, "  - domain: \"{}.\"", zone.origin)?;
            writeln!(config, "    file: \"{}\"", file.display())?;
        }
        fs::write(self.dir.join("knot.conf"), config)?;
        Ok(())
    }

    fn zone_file(&self, zone: &Zone) -> Result<String> {
        let Zone { origin, .. } = zone;
        let mut text = format!(
            "$TTL {ttl}\n{origin}. SOA ns.{origin}. hostmaster.{origin}. {serial} 3600 600 86400 {ttl}\n\
             {origin}. NS ns.{origin}.\nns.{origin}. A {address}\n",
            ttl = self.ttl,
            serial = self.serial,
            address = self.host.private(),
        );
        for record in &zone.records {
            writeln!(text, "{record}")?;
        }
        Ok(text)
    }

    fn until_answered(&self, zones: &[Zone]) -> Result<()> {
        for zone in zones {
            let wanted = match zone.state {
                State::Served => format!(" {} 3600 600 ", self.serial),
                State::Expired => String::from("status: SERVFAIL"),
                State::Refused => String::from("status: REFUSED"),
            };
            let answered = || {
                let answer = self.ask_soa(&zone.origin).unwrap_or_default();
                answer.contains(&wanted).then_some(())
            };
            ensure!(
                wait::within(SOON, answered).is_some(),
                "no {wanted:?} about {}: {:?}\n{}",
                zone.origin,
                self.ask_soa(&zone.origin),
                self.log()
            );
        }
        Ok(())
    }

    fn ask_soa(&self, origin: &str) -> Result<String> {
        let port = self.port.to_string();
        let mut args = vec!["@127.0.0.1", "-p", &port, "+time=1", "+retry=0"];
        args.extend([origin, "SOA"]);
        self.host.run("kdig", &args)
    }

    fn control(&self, args: &[&str]) -> Result<()> {
        let mut control = Command::new("knotc");
        control.arg("-b").arg("-s").arg(self.dir.join("control"));
        run(control.args(args))
            .map(drop)
            .with_context(|| self.log())
    }
}
