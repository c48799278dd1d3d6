//! `trunkline run` through the real binary, as far as no node is needed: it starts before its node.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use tempfile::TempDir;
use util::{free_port, seen, trunkline};

const COOKIE: &str = "QWERTZUIOPASDFGHJKLYX";
const TOKEN: &str = "hush-0123456789";

/// A folder with a `trunkline.toml`: one topology, and these lines before it.
fn home(lines: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let text = format!("{lines}\n[topologies.list]\nstrategy = 'epmd'\nhosts = ['b@127.0.0.2']\n");
    fs::write(home.path().join("trunkline.toml"), text).unwrap();
    home
}

/// `run` in that folder. Nothing listens at the port mapper's port, which tells agents of tests
/// that run side by side apart.
fn run_in(home: &TempDir, epmd_port: u16) -> Command {
    let mut command = trunkline("run");
    command
        .current_dir(home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("ERL_EPMD_PORT", epmd_port.to_string())
        .env("RELEASE_NODE", "a@127.0.0.1")
        .env("RELEASE_COOKIE", COOKIE)
        .env("ADMIN_TOKEN", TOKEN);
    command
}

/// Exit code and last line of what is refused at once; the log before it is that of any start.
fn refused(command: &mut Command) -> String {
    let text = seen(command);
    let code = text.lines().next().unwrap();
    format!("{code}\n{}\n", text.lines().last().unwrap())
}

/// An agent that runs until it is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Status line and body; `None` while nobody listens.
fn get(port: u16, path: &str, headers: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Some(format!(
        "{}: {}",
        head.lines().next().unwrap(),
        body.trim_end()
    ))
}

fn until_healthy(port: u16, headers: &str) {
    let begun = Instant::now();
    while get(port, "/healthz", headers).is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not answer"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn who_may_ask() {
    let port = free_port();
    let home = home(&format!(
        "[admin]\nlisten = '127.0.0.1:{port}'\nmin_nodes = 2"
    ));
    let _agent = Running::start(&mut run_in(&home, free_port()));
    let local = "Host: localhost\r\n";
    until_healthy(port, local);
    let said = |path, headers| get(port, path, headers).unwrap();
    assert_eq!(said("/healthz", local), "HTTP/1.0 200 OK: ok");
    assert_eq!(
        said("/readyz", local),
        "HTTP/1.0 503 Service Unavailable: 0 of 2 nodes"
    );
    assert!(said("/nothing", local).starts_with("HTTP/1.0 404"));
    for rebound in [
        "Host: evil.example\r\n",
        "",
        "Host: localhost\r\nOrigin: http://evil.example\r\n",
    ] {
        assert!(
            said("/api/v1/status", rebound).starts_with("HTTP/1.0 403"),
            "{rebound}"
        );
    }
    let status = said("/api/v1/status", local);
    assert!(
        status.contains("\"name\":\"a@127.0.0.1\",\"attached\":false"),
        "{status}"
    );
    assert!(
        status.contains("\"cookie_source\":\"RELEASE_COOKIE\""),
        "{status}"
    );
    assert!(!status.contains(COOKIE), "{status}");
}

#[test]
fn what_is_off_is_in_the_status_with_its_reason() {
    let port = free_port();
    let home = home(&format!(
        "[admin]\nlisten = '127.0.0.1:{port}'\n[topologies.fly]\nstrategy = 'dns'\nquery = ''\nenabled = false"
    ));
    let _agent = Running::start(&mut run_in(&home, free_port()));
    until_healthy(port, "Host: localhost\r\n");
    let status = get(port, "/api/v1/status", "Host: localhost\r\n").unwrap();
    let off =
        "\"name\":\"fly\",\"strategy\":\"dns\",\"state\":\"off\",\"off\":\"enabled is false\"";
    assert!(status.contains(off), "{status}");
    let on = "\"name\":\"list\",\"strategy\":\"epmd\",\"state\":\"active\",\"off\":null";
    assert!(status.contains(on), "{status}");
}

#[test]
fn a_token() {
    let port = free_port();
    let home = home(&format!(
        "[admin]\nlisten = '0.0.0.0:{port}'\ntoken = {{ env = 'ADMIN_TOKEN' }}"
    ));
    let _agent = Running::start(&mut run_in(&home, free_port()));
    until_healthy(port, "");
    let said = |headers: &str| get(port, "/healthz", headers).unwrap();
    assert!(said("").starts_with("HTTP/1.0 401 Unauthorized"));
    assert!(said("Authorization: Bearer other\r\n").starts_with("HTTP/1.0 401"));
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(said(&bearer), "HTTP/1.0 200 OK: ok");
}

#[test]
fn two_agents_for_one_node() {
    let (port, epmd_port) = (free_port(), free_port());
    let home = home(&format!("[admin]\nlisten = '127.0.0.1:{port}'"));
    let agent = Running::start(&mut run_in(&home, epmd_port));
    until_healthy(port, "Host: localhost\r\n");
    let second = refused(&mut run_in(&home, epmd_port));
    let second = second.replace(&agent.0.id().to_string(), "PID");
    let second = second.replace(home.path().to_str().unwrap(), "HOME");
    assert_snapshot!(second, @r"
    exit 1
    stderr: trunkline: another agent (pid PID) already serves a@127.0.0.1 · HOME/trunkline/a@127.0.0.1.lock · stop that one first, a node has one agent
    ");
}

/// A shell that inherits nothing reaches the agent's node, through the agent's port mapper.
#[test]
fn the_agent_lends_cookie_and_port() {
    let (port, epmd_port) = (free_port(), free_port());
    let home = home(&format!("[admin]\nlisten = '127.0.0.1:{port}'"));
    let _agent = Running::start(&mut run_in(&home, epmd_port));
    until_healthy(port, "Host: localhost\r\n");
    let mut ping = trunkline("ping a@127.0.0.1");
    ping.env("XDG_RUNTIME_DIR", home.path());
    let said = seen(&mut ping).replace(&epmd_port.to_string(), "PORT");
    assert_snapshot!(said, @r"
    exit 1
    stdout: pang: epmd_unreachable: epmd at 127.0.0.1:PORT refuses the connection · start the node (it starts epmd), or set ERL_EPMD_PORT on both sides alike
    ");
}

#[test]
fn the_admin_address_is_taken() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap();
    let home = home(&format!("[admin]\nlisten = '{addr}'"));
    let said = refused(&mut run_in(&home, free_port()));
    assert_snapshot!(said.replace(&addr.port().to_string(), "PORT"), @r"
    exit 1
    stderr: trunkline: the admin address 127.0.0.1:PORT is taken · [admin] listen · stop what listens there, choose another port, or leave listen out
    ");
}

#[test]
fn mistakes() {
    let said = |lines: &str, change: fn(&mut Command) -> &mut Command| {
        refused(change(&mut run_in(&home(lines), free_port())))
    };
    let mut all = String::new();
    all += &said("", |c| c.env_remove("RELEASE_COOKIE"));
    all += &said("", |c| c.env("RELEASE_NODE", "app"));
    all += &said("", |c| c.env("ERL_EPMD_PORT", "0"));
    all += &said("[node]\ncookie = { env = 'UNSET' }", |c| c);
    all += &said("[node]\ncookie = { file = '/nonexistent' }", |c| c);
    all += &said("[node]\nmode = 'member'", |c| c);
    all += &said(
        "[admin]\nlisten = '192.0.2.1:1'\ntoken = { env = 'ADMIN_TOKEN' }",
        |c| c,
    );
    all += &said("[engine]\nremoval_grce = '5s'", |c| c);
    all += &said("[engine]\nbackoff_min = '1m'", |c| c);
    all += &said("[admin]\ntoken = { file = '/dev/zero' }", |c| c);
    all += &said("", |c| c.arg("now"));
    assert_snapshot!(all, @r#"
    exit 2
    stderr: trunkline: there is no cookie · [node] cookie, RELEASE_COOKIE, $RELEASE_ROOT/releases/COOKIE, $HOME/.erlang.cookie · give this agent the node's cookie in one of these places
    exit 2
    stderr: trunkline: "app" is no node name: a node name is name@host, this has no @ · RELEASE_NODE · write it as name@host, for example app@10.0.0.5
    exit 2
    stderr: trunkline: "0" is no port · ERL_EPMD_PORT · set it to a number from 1 to 65535, the same on all hosts
    exit 2
    stderr: trunkline: cookie is to come from $UNSET, which is not set · [node] · set UNSET
    exit 2
    stderr: trunkline: cookie is to come from /nonexistent: no such file · [node] · make it a file that this user can read
    exit 2
    stderr: trunkline: mode = "member" is not built yet · trunkline.toml:2 [node] · leave it out, or set it to "attach"
    exit 1
    stderr: trunkline: cannot listen on the admin address 192.0.2.1:1: Cannot assign requested address (os error 99) · [admin] listen · use an address of this host and a port above 1023
    exit 2
    stderr: trunkline: unknown key removal_grce · trunkline.toml:2 [engine] · did you mean removal_grace?
    exit 2
    stderr: trunkline: backoff_min (60s) is longer than backoff_max (30s) · trunkline.toml:2 [engine] · lower backoff_min, or raise backoff_max
    exit 2
    stderr: trunkline: token is to come from /dev/zero: it is too large for a token · trunkline.toml:2 [admin] · make it a file that this user can read
    exit 2
    stderr: trunkline: unexpected argument 'now' found · trunkline run · see trunkline run --help
    "#);
    assert!(!all.contains(COOKIE) && !all.contains(TOKEN));
}
