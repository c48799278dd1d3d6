//! The demo's nodes as processes: started with their orders, heard, killed, ended.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;
use trunkline_node::epmd;

use super::authority::{Authority, QUERY};
use super::mesh::Index;
use super::orders::{Orders, Report};
use crate::failure::Failure;

/// How long a node may take to end by itself.
const END_LIMIT: Duration = Duration::from_secs(2);

/// How often a common port for all port mappers is looked for.
const PORT_TRIES: u32 = 10;

/// Everything that runs for the demo. Dropped, all of it ends.
pub(super) struct Fleet {
    members: Vec<Member>,
    secret_cookie: String,
    authority: Authority,
    /// One for each "host": all nodes have the same name before the `@`.
    port_mappers: Vec<epmd::server::Server>,
    log_level: String,
    said: mpsc::UnboundedSender<(Index, u32, Option<Report>)>,
    reports: mpsc::UnboundedReceiver<(Index, u32, Option<Report>)>,
}

struct Member {
    ip: Ipv4Addr,
    running: Option<Running>,
}

struct Running {
    child: Child,
    pid: u32,
    /// Open as long as the node is to live.
    _stdin: ChildStdin,
}

impl Fleet {
    /// Port mappers and name server; no node yet.
    pub(super) async fn new(nodes: u8, log_level: String) -> Result<Self, Failure> {
        let ips: Vec<_> = (1..=nodes).map(|n| Ipv4Addr::new(127, 0, 0, n)).collect();
        let port_mappers = port_mappers(&ips)?;
        let authority = Authority::start(ips.clone()).await.map_err(|why| {
            let cure = "free a UDP port on 127.0.0.1";
            Failure::operation(
                format!("cannot start the name server: {why}"),
                "127.0.0.1",
                cure,
            )
        })?;
        let (said, reports) = mpsc::unbounded_channel();
        let member = |ip| Member { ip, running: None };
        Ok(Self {
            members: ips.into_iter().map(member).collect(),
            secret_cookie: random_cookie()?,
            authority,
            port_mappers,
            log_level,
            said,
            reports,
        })
    }

    pub(super) fn epmd_port(&self) -> u16 {
        self.port_mappers
            .first()
            .map_or(0, epmd::server::Server::port)
    }

    pub(super) fn nameserver(&self) -> SocketAddr {
        self.authority.addr()
    }

    /// The names of all nodes, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.members.iter().map(Member::name).collect()
    }

    /// The process id of a node that runs.
    pub(super) fn pid(&self, index: Index) -> Option<u32> {
        Some(self.members.get(index)?.running.as_ref()?.pid)
    }

    /// Starts a node.
    pub(super) async fn start(&mut self, index: Index) -> Result<(), Failure> {
        let (epmd_port, nameserver) = (self.epmd_port(), self.nameserver());
        let Some(member) = self.members.get_mut(index) else {
            return Ok(());
        };
        let orders = Orders {
            name: member.name(),
            ip: member.ip,
            epmd_port,
            nameserver,
            query: QUERY.to_owned(),
            secret_cookie: self.secret_cookie.clone(),
        };
        let failed = |what: String| {
            Failure::operation(
                what,
                member.name(),
                "raise the limit on processes (ulimit -u)",
            )
        };
        let mut child = command(&self.log_level)
            .spawn()
            .map_err(|why| failed(format!("cannot start a node: {why}")))?;
        let (Some(pid), Some(mut stdin), Some(stdout)) =
            (child.id(), child.stdin.take(), child.stdout.take())
        else {
            return Err(failed("a node ended at once".to_owned()));
        };
        let mut line = serde_json::to_vec(&orders).unwrap_or_default();
        line.push(b'\n');
        let written = stdin.write_all(&line).await;
        written.map_err(|why| failed(format!("a node ended at once: {why}")))?;
        tokio::spawn(listen(index, pid, stdout, self.said.clone()));
        member.running = Some(Running {
            child,
            pid,
            _stdin: stdin,
        });
        Ok(())
    }

    /// What a node says next; `None` in place of a report when it has ended.
    pub(super) async fn next(&mut self) -> (Index, Option<Report>) {
        loop {
            match self.reports.recv().await {
                // What a process said that has a successor already is of no interest.
                Some((index, pid, report)) if self.pid(index) == Some(pid) => {
                    return (index, report);
                }
                Some(_) => {}
                // `said` lives as long as this.
                None => std::future::pending().await,
            }
        }
    }

    /// SIGKILL. Returns when the process is gone.
    pub(super) async fn kill(&mut self, index: Index) {
        let running = self.members.get_mut(index).and_then(|m| m.running.take());
        if let Some(Running { mut child, .. }) = running {
            // Fails only when it has ended by itself.
            child.kill().await.ok();
        }
    }

    /// Lets every node end.
    pub(super) async fn end(mut self) {
        let running = self.members.iter_mut().filter_map(|m| m.running.take());
        // All pipes first, so that they end side by side.
        let children: Vec<Child> = running.map(|running| running.child).collect();
        for mut child in children {
            if timeout(END_LIMIT, child.wait()).await.is_err() {
                child.kill().await.ok();
            }
        }
    }
}

impl Member {
    fn name(&self) -> String {
        format!("demo@{}", self.ip)
    }
}

/// Port mappers on one free port of every address. That OTP's own runs on 4369 does not matter.
fn port_mappers(ips: &[Ipv4Addr]) -> Result<Vec<epmd::server::Server>, Failure> {
    let mut last = None;
    for _ in 0..PORT_TRIES {
        match on_one_port(ips) {
            Ok(servers) => return Ok(servers),
            Err(failed) => last = Some(failed),
        }
    }
    let (ip, why) =
        last.unwrap_or_else(|| (IpAddr::from(Ipv4Addr::LOCALHOST), "no address".into()));
    Err(Failure::operation(
        format!("cannot listen on {ip}: {why}"),
        "loopback",
        "give the loopback interface that address (macOS: sudo ifconfig lo0 alias 127.0.0.2), or lower --nodes",
    ))
}

fn on_one_port(ips: &[Ipv4Addr]) -> Result<Vec<epmd::server::Server>, (IpAddr, String)> {
    let mut servers: Vec<epmd::server::Server> = Vec::with_capacity(ips.len());
    for ip in ips {
        let ip = IpAddr::from(*ip);
        let port = servers.first().map_or(0, epmd::server::Server::port);
        let server = epmd::server::Server::bind(&[SocketAddr::new(ip, port)]);
        servers.push(server.map_err(|why| (ip, why.to_string()))?);
    }
    Ok(servers)
}

/// 128 bits, as text.
fn random_cookie() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|why| {
        let cure = "look at the operating system's random source";
        Failure::operation(format!("no random numbers: {why}"), "getrandom", cure)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn command(log_level: &str) -> Command {
    let mut command = Command::new(own_binary());
    command
        .args(["--log-level", log_level, "demo-node"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        // Ctrl-C in a terminal reaches the demo alone, which ends its nodes in order.
        .process_group(0);
    command
}

/// Where `/proc` is missing, in an empty chroot, the way that we were called is the way to call us.
fn own_binary() -> PathBuf {
    std::env::current_exe()
        .ok()
        .or_else(|| std::env::args_os().next().map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("trunkline"))
}

async fn listen(
    index: Index,
    pid: u32,
    stdout: ChildStdout,
    said: mpsc::UnboundedSender<(Index, u32, Option<Report>)>,
) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(report) => drop(said.send((index, pid, Some(report)))),
            Err(why) => tracing::warn!("a node says what is no report: {why} · demo · report this"),
        }
    }
    drop(said.send((index, pid, None)));
}
