//! Hosts without hardware: network namespaces joined by a bridge that is itself in a namespace.
//!
//! Labs are separate worlds, so every lab uses the same addresses, and several may run side by side. Host `n` has
//!
//! | address | stands for |
//! |---|---|
//! | `10.20.0.n/24` | a Droplet's private IPv4 |
//! | `203.0.113.n/24` | its public IPv4 |
//! | `2001:db8:0:1010::18a:a0nn/64` (`nn` is `n` in hex) | its public IPv6; Droplets have no private one |
//! | `fdaa:0:1da8:a7b:ac2::nn/64` | an address in a private IPv6 network, as on Fly.io |
//! | `169.254.169.254` on loopback | where the host's metadata service answers |
//!
//! Nothing of a lab shows in the namespace of the test itself, except the names of the namespaces.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::process::{Process, run};
use crate::wait;

/// The host number of the stand-in API, which `/etc/hosts` of every host calls `api.digitalocean.com`.
pub const API_HOST: u8 = 250;

/// Begins the name of each namespace; the process id follows, so that leftovers of a killed test can be told.
const PREFIX: &str = "tl";

/// A network of hosts. Dropping it ends every process on every host and removes all that it made.
#[derive(Debug)]
pub struct Lab {
    switch: Arc<Namespace>,
    dir: Arc<TempDir>,
    id: String,
}

impl Lab {
    /// An empty network: a bridge, no hosts.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        ensure!(
            rustix::process::geteuid().is_root(),
            "network namespaces need root: run these tests as root"
        );
        sweep();
        let id = format!(
            "{PREFIX}-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let switch = Namespace::create(format!("{id}-switch"))?;
        switch.ip("link add br0 type bridge mcast_snooping 0\nlink set br0 up\n")?;
        let dir = tempfile::Builder::new().prefix(&id).tempdir()?;
        Ok(Self {
            switch: Arc::new(switch),
            dir: Arc::new(dir),
            id,
        })
    }

    /// A new host with the addresses of number `n` (1 to 250).
    pub fn host(&self, n: u8) -> Result<Host> {
        let namespace = Namespace::create(format!("{}-{n}", self.id))?;
        let (name, switch) = (&namespace.name, &self.switch);
        switch.ip(&format!(
            "link add port{n} type veth peer name eth0 netns {name}\nlink set port{n} master br0 up\n"
        ))?;
        let host = Host {
            dir: self.dir.path().join(format!("host-{n}")),
            _world: Arc::clone(&self.dir),
            namespace: Arc::new(namespace),
            n,
        };
        fs::create_dir_all(host.dir.join("run"))?;
        // No duplicate address detection: IPv6 addresses are usable at once.
        host.namespace.ip(&format!(
            "link set lo up\nlink set eth0 up\n\
             addr add 169.254.169.254/32 dev lo\n\
             addr add {}/24 dev eth0\naddr add {}/24 dev eth0\n\
             addr add {}/64 dev eth0 nodad\naddr add {}/64 dev eth0 nodad\n",
            host.private(),
            host.public(),
            host.public6(),
            host.fly6()
        ))?;
        Ok(host)
    }

    /// Where the hosts' files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// One host of a [`Lab`]; clones are the same host, which lives until the last of them is gone.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: Arc<Namespace>,
    // Keeps the folder until the last host's processes have ended.
    _world: Arc<TempDir>,
    dir: PathBuf,
    n: u8,
}

impl Host {
    /// Its number in the lab.
    pub fn n(&self) -> u8 {
        self.n
    }

    /// Private IPv4.
    pub fn private(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 20, 0, self.n)
    }

    /// Public IPv4.
    pub fn public(&self) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, self.n)
    }

    /// Public IPv6, with hexadecimal letters in it, so that upper and lower case differ.
    pub fn public6(&self) -> Ipv6Addr {
        let last = 0xa000 + u16::from(self.n);
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0x1010, 0, 0, 0x18a, last)
    }

    /// IPv6 of a private network.
    pub fn fly6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfdaa, 0, 0x1da8, 0xa7b, 0xac2, 0, 0, self.n.into())
    }

    /// Its own folder (home of what runs there), removed with the lab.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The network namespace's name, for messages.
    pub fn namespace(&self) -> &str {
        &self.namespace.name
    }

    /// A command that will run on this host, with its own `/run`, and an environment that holds nothing of the test's own but `PATH`.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace.name])
            // `ip netns exec` has made a mount namespace for it.
            .args(["sh", "-c", "mount --bind \"$0\" /run && exec \"$@\""])
            .arg(self.dir.join("run"))
            .arg(program)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.dir)
            .env("LANG", "C.UTF-8")
            .current_dir(&self.dir);
        command
    }

    /// Runs a short command on this host and gives its output.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        run(self.command(program).args(args))
    }

    /// Starts a command made by [`Host::command`], its output in the file `log` of the host's folder.
    pub fn start(&self, command: Command, log: &str) -> Result<Process> {
        Process::start(command, self.dir.join(log))
    }

    /// Adds further private addresses, for hosts that only seem to be many.
    pub fn add_addresses(&self, addresses: impl IntoIterator<Item = Ipv4Addr>) -> Result<()> {
        let mut lines = String::new();
        for address in addresses {
            writeln!(lines, "addr add {address}/24 dev eth0")?;
        }
        self.namespace.ip(&lines)
    }

    /// Adds firewall rules for incoming packets, in nft's words: `tcp dport 4369 drop`,
    /// `ip daddr 10.20.0.100-10.20.0.109 drop`, `tcp dport 9100 reject with tcp reset`.
    pub fn firewall(&self, rules: &[&str]) -> Result<()> {
        let mut script = String::from(
            "add table inet lab\nadd chain inet lab input { type filter hook input priority 0; }\n",
        );
        for rule in rules {
            writeln!(script, "add rule inet lab input {rule}")?;
        }
        self.nft(&script)
    }

    /// Removes all rules that [`Host::firewall`] added.
    pub fn open_firewall(&self) -> Result<()> {
        self.nft("add table inet lab\ndelete table inet lab\n")
    }

    /// Cuts or joins the host's cable. A cut one drops packets without a word, as a lost machine does.
    pub fn cable(&self, joined: bool) -> Result<()> {
        let state = if joined { "up" } else { "down" };
        self.namespace.ip(&format!("link set eth0 {state}\n"))
    }

    /// Listens on this host; the socket may then be used from any thread of the test.
    pub fn listen(&self, address: impl Into<SocketAddr>) -> Result<TcpListener> {
        let address = address.into();
        self.inside(move || TcpListener::bind(address))?
            .with_context(|| format!("listen on {address} of {}", self.namespace.name))
    }

    /// Runs `work` on a thread that is on this host: sockets that it opens belong there.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let file = fs::File::open(Path::new("/run/netns").join(&self.namespace.name))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&file),
                    Some(LinkNameSpaceType::Network),
                )?;
                anyhow::Ok(work())
            });
            thread.join().expect("the work does not panic")
        })
    }

    /// Ids of all processes on this host.
    pub fn pids(&self) -> Vec<i32> {
        self.namespace.pids()
    }

    /// Stops all processes on this host, as suspending the machine does, or lets them go on. The network stays: others' packets are
    /// taken, and nobody answers.
    pub fn stand_still(&self, still: bool) {
        let signal = if still { Signal::STOP } else { Signal::CONT };
        for pid in self.pids().into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself.
            kill_process(pid, signal).ok();
        }
    }

    /// Ends all processes on this host at once, as pulling the plug does, with the cable cut first so that nobody says goodbye.
    pub fn pull_the_plug(&self) -> Result<()> {
        self.cable(false)?;
        self.namespace.kill_all();
        Ok(())
    }

    /// From now on programs on this host ask these name servers (port 53), with these search domains. It starts with none that answers.
    pub fn resolve_with(&self, servers: &[IpAddr], search: &[&str]) -> Result<()> {
        let mut text = String::new();
        for server in servers {
            writeln!(text, "nameserver {server}")?;
        }
        if !search.is_empty() {
            writeln!(text, "search {}", search.join(" "))?;
        }
        // In place: programs that run already have this very file.
        let file = Path::new("/etc/netns").join(&self.namespace.name);
        fs::write(file.join("resolv.conf"), text)?;
        Ok(())
    }

    /// Runs lines of `ip` commands on this host.
    pub(crate) fn ip(&self, lines: &str) -> Result<()> {
        self.namespace.ip(lines)
    }

    pub(crate) fn nft(&self, script: &str) -> Result<()> {
        feed(self.command("nft").args(["-f", "-"]), script)
    }
}

/// A network namespace with its own `/etc/hosts` and `/etc/resolv.conf`.
#[derive(Debug)]
struct Namespace {
    name: String,
}

impl Namespace {
    fn create(name: String) -> Result<Self> {
        let etc = Path::new("/etc/netns").join(&name);
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("hosts"), hosts_file())?;
        // Nobody listens there: a question to the DNS is refused at once instead of leaving the lab.
        fs::write(etc.join("resolv.conf"), "nameserver 127.0.0.1\n")?;
        run(Command::new("ip").args(["netns", "add", &name]))?;
        Ok(Self { name })
    }

    /// Runs lines of `ip` commands inside.
    fn ip(&self, lines: &str) -> Result<()> {
        feed(
            Command::new("ip").args(["-n", &self.name, "-batch", "-"]),
            lines,
        )
    }

    fn pids(&self) -> Vec<i32> {
        let me = std::process::id().to_string();
        let pids = run(Command::new("ip").args(["netns", "pids", &self.name])).unwrap_or_default();
        pids.lines()
            .filter(|pid| *pid != me)
            .filter_map(|pid| pid.trim().parse().ok())
            .collect()
    }

    /// Kills until nobody is left: a process may be forking at the moment of looking.
    fn kill_all(&self) {
        wait::within(Duration::from_secs(60), || {
            let pids = self.pids();
            for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
                // It may have ended by itself.
                kill_process(pid, Signal::KILL).ok();
            }
            pids.iter().all(|pid| is_zombie(*pid)).then_some(())
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.kill_all();
        remove(&self.name);
    }
}

/// A zombie waits for its parent (perhaps this test) and holds nothing.
fn is_zombie(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// Removes a namespace and its files. What is gone already is not an error.
fn remove(name: &str) {
    run(Command::new("ip").args(["netns", "delete", name])).ok();
    fs::remove_dir_all(Path::new("/etc/netns").join(name)).ok();
}

/// Removes namespaces of test processes that ended without cleaning up.
fn sweep() {
    let names = run(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    for name in names
        .lines()
        .filter_map(|line| line.split_whitespace().next())
    {
        let mut parts = name.split('-');
        let ours = parts.next() == Some(PREFIX);
        let Some(pid) = parts.next().and_then(|pid| pid.parse::<u32>().ok()) else {
            continue;
        };
        if ours && !Path::new("/proc").join(pid.to_string()).exists() {
            // Dropping it ends what still runs inside.
            drop(Namespace {
                name: name.to_owned(),
            });
        }
    }
}

fn hosts_file() -> String {
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
    writeln!(text, "10.20.0.{API_HOST} api.digitalocean.com").expect("a String takes all");
    for n in 1..=60 {
        writeln!(text, "10.20.0.{n} host-{n}").expect("a String takes all");
    }
    text
}

/// Runs a command with `input` as its standard input.
fn feed(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    child
        .stdin
        .take()
        .context("stdin was asked for")?
        .write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{command:?} < {input:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
