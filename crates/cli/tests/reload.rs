//! The configuration is read again: SIGHUP and `POST /api/v1/reload`, through the real binary, as far as no node is needed.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use util::{free_port, trunkline};

const LIST: &str = "[topologies.list]\nstrategy = 'epmd'\nhosts = ['b@127.0.0.2']\n";

struct Agent {
    child: Child,
    home: TempDir,
    port: u16,
}

impl Agent {
    /// `run` with this file, below an admin address of its own.
    fn start(name: Option<&str>, admin: &str, text: &str) -> Self {
        let (home, port) = (tempfile::tempdir().unwrap(), free_port());
        let log = File::create(home.path().join("log")).unwrap();
        let mut command = trunkline("run");
        command
            .current_dir(home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .env("ERL_EPMD_PORT", free_port().to_string())
            .env("RELEASE_COOKIE", "QWERTZUIOPASDFGHJKLYX")
            .env("ADMIN_TOKEN", "hush-0123456789");
        if let Some(name) = name {
            command.env("RELEASE_NODE", name);
        }
        let admin = format!("[admin]\nlisten = '127.0.0.1:{port}'\n{admin}");
        fs::write(home.path().join("trunkline.toml"), format!("{admin}{text}")).unwrap();
        let child = command.stderr(log).stdout(Stdio::null()).spawn().unwrap();
        Self { child, home, port }
    }

    fn write(&self, admin: &str, text: &str) {
        let admin = format!("[admin]\nlisten = '127.0.0.1:{}'\n{admin}", self.port);
        let file = self.home.path().join("trunkline.toml");
        fs::write(file, format!("{admin}{text}")).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap()
    }

    fn until_said(&self, part: &str) {
        let begun = Instant::now();
        while !self.log().contains(part) {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{part}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn hang_up(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-HUP", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Status and body of the order over the unix socket.
    fn order(&self) -> (u16, Value) {
        let socket = self.home.path().join("trunkline/a@127.0.0.1.sock");
        let stream = UnixStream::connect(&socket).unwrap();
        post(stream, "")
    }

    fn order_over_tcp(&self, headers: &str) -> (u16, Value) {
        post(
            TcpStream::connect(("127.0.0.1", self.port)).unwrap(),
            headers,
        )
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn post(mut stream: impl std::io::Read + std::io::Write, headers: &str) -> (u16, Value) {
    let request = format!("POST /api/v1/reload HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn an_order_over_the_unix_socket() {
    let agent = Agent::start(Some("a@127.0.0.1"), "", LIST);
    agent.until_said("status at http");
    let nothing =
        json!({"added": [], "changed": [], "removed": [], "settings": false, "restart": []});
    assert_eq!(agent.order(), (200, nothing));
    agent.write(
        "min_nodes = 3\n",
        "[topologies.other]\nstrategy = 'epmd'\nhosts = []\n",
    );
    let (code, said) = agent.order();
    assert_eq!(code, 200);
    assert_eq!(
        (&said["added"], &said["removed"], &said["settings"]),
        (&json!(["other"]), &json!(["list"]), &json!(true))
    );
    agent.until_said("configuration read again: new other; removed list; other settings · ");
    agent.write("", "[topologies.other]\nstrategie = 'epmd'\n");
    let (code, said) = agent.order();
    assert_eq!(code, 422);
    let error = said["error"].as_str().unwrap();
    assert!(error.contains("strategy is missing · "), "{error}");
    assert!(
        error.contains("trunkline.toml:3 [topologies.other] · "),
        "{error}"
    );
    // A file that is gone is a mistake as well.
    fs::remove_file(agent.home.path().join("trunkline.toml")).unwrap();
    assert_eq!(agent.order().0, 422);
}

#[test]
fn over_tcp_only_with_a_token() {
    let agent = Agent::start(Some("a@127.0.0.1"), "", LIST);
    agent.until_said("status at http");
    assert_eq!(agent.order_over_tcp("").0, 404);
    drop(agent);
    let agent = Agent::start(
        Some("a@127.0.0.1"),
        "token = { env = 'ADMIN_TOKEN' }\n",
        LIST,
    );
    agent.until_said("status at http");
    assert_eq!(agent.order_over_tcp("").0, 401);
    let token = "Authorization: Bearer hush-0123456789\r\n";
    assert_eq!(agent.order_over_tcp(token).0, 200);
    let foreign = format!("{token}Origin: https://evil.example\r\n");
    assert_eq!(agent.order_over_tcp(&foreign).0, 403);
}

#[test]
fn a_secret_that_changed_in_its_file_starts_its_topology_anew() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "dop_v1_old").unwrap();
    let text = format!(
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = {{ file = '{}' }}\ntag_name = 'web'\n\
         api_url = 'http://127.0.0.1:9'\n{LIST}",
        token.display()
    );
    let agent = Agent::start(Some("a@127.0.0.1"), "", &text);
    agent.until_said("status at http");
    assert_eq!(agent.order().1["changed"], json!([]));
    fs::write(&token, "dop_v1_new").unwrap();
    assert_eq!(agent.order().1["changed"], json!(["web"]));
    fs::remove_file(&token).unwrap();
    assert_eq!(agent.order().0, 422);
    assert!(!agent.log().contains("dop_v1"), "{}", agent.log());
}

#[test]
fn a_hangup_while_no_node_is_there() {
    let agent = Agent::start(None, "", LIST);
    agent.until_said("no node is registered yet, waiting");
    agent.write("", "[topologies.list]\nstrategy = 'dsn'\n");
    agent.hang_up();
    agent.until_said("ERROR the new configuration is not taken, the old one stays: strategy = \"dsn\" is not allowed");
    agent.write("[node]\nname = 'a@127.0.0.1'\n", LIST);
    agent.hang_up();
    agent.until_said("serving a@127.0.0.1, named by the configuration");
    // Again and again, as quickly as signals come.
    for _ in 0..50 {
        agent.hang_up();
    }
    agent.until_said("configuration read again: nothing changed · ");
    assert!(
        Path::new("/proc")
            .join(agent.child.id().to_string())
            .exists()
    );
}
