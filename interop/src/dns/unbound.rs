//! A resolver between the hosts and the authoritative servers, with a cache of its own.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::PORT;
use super::server::silence;
use crate::netns::Host;
use crate::process::{Process, installed};
use crate::wait;

const SOON: Duration = Duration::from_secs(60);

/// unbound on a host, on port 53 of all its addresses. While its server does not answer it gives SERVFAIL.
#[derive(Debug)]
pub struct Recursor {
    host: Host,
    process: Option<Process>,
}

impl Recursor {
    /// Starts one that asks `servers` about everything.
    pub fn start(host: &Host, servers: &[IpAddr]) -> Result<Self> {
        installed("unbound", "unbound")?;
        std::fs::write(host.dir().join("unbound.conf"), config(host, servers)?)?;
        let mut recursor = Self {
            host: host.clone(),
            process: None,
        };
        recursor.start_again()?;
        Ok(recursor)
    }

    /// The host that it is on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Starts it again after [`Recursor::stop`], with an empty cache.
    pub fn start_again(&mut self) -> Result<()> {
        let mut daemon = self.host.command("unbound");
        daemon.args(["-d", "-p", "-c"]);
        daemon.arg(self.host.dir().join("unbound.conf"));
        self.process = Some(self.host.start(daemon, "unbound.log")?);
        let address = SocketAddr::from(([127, 0, 0, 1], PORT));
        let listens = || {
            let stream = self.host.inside(|| std::net::TcpStream::connect(address));
            matches!(stream, Ok(Ok(_))).then_some(())
        };
        ensure!(
            wait::within(SOON, listens).is_some(),
            "unbound does not listen:\n{}",
            self.log()
        );
        Ok(())
    }

    /// Ends it as systemd does.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait(SOON);
        }
    }

    /// From now on no question gets an answer of any kind.
    pub fn silence(&self) -> Result<()> {
        silence(&self.host)
    }

    /// Ends [`Recursor::silence`], and every other rule of the host's firewall.
    pub fn hear(&self) -> Result<()> {
        self.host.open_firewall()
    }

    /// What the daemon wrote, for a failed test.
    pub fn log(&self) -> String {
        let log = self.process.as_ref().map(Process::output);
        log.unwrap_or_else(|| String::from("not running"))
    }
}

fn config(host: &Host, servers: &[IpAddr]) -> Result<String> {
    let mut text = format!(
        "server:\n\
         directory: \"{0}\"\npidfile: \"{0}/unbound.pid\"\nusername: \"\"\nchroot: \"\"\n\
         use-syslog: no\nlogfile: \"\"\ndo-daemonize: no\nnum-threads: 1\n\
         interface: 0.0.0.0\ninterface: ::0\ninterface-automatic: yes\n\
         access-control: 0.0.0.0/0 allow\naccess-control: ::0/0 allow\n\
         module-config: \"iterator\"\nlocal-zone: \"internal.\" nodefault\n\
         # A server that was away is asked again at once when it is back: stories are short.\n\
         infra-host-ttl: 1\ninfra-keep-probing: yes\n\
         remote-control:\ncontrol-enable: no\n\
         forward-zone:\nname: \".\"\n",
        host.dir().display()
    );
    for server in servers {
        writeln!(text, "forward-addr: {server}")?;
    }
    Ok(text)
}
