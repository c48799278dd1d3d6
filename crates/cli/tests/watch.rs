//! `trunkline discover --watch` through the real binary.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use util::{sh, trunkline};

/// A Droplet listing that says what the test wants.
#[derive(Clone)]
struct Api {
    port: u16,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Api {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let this = Self {
            port,
            answer: Arc::new(Mutex::new((200, droplets(&[])))),
        };
        let answer = Arc::clone(&this.answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let read = stream.read(&mut head).unwrap();
                let (status, body) = match head[..read].starts_with(b"GET /v2/") {
                    true => answer.lock().unwrap().clone(),
                    false => (404, String::new()),
                };
                write!(
                    stream,
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        this
    }

    fn say(&self, status: u16, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }
}

fn droplets(last_bytes: &[u8]) -> String {
    let droplet = |n: &u8| {
        json!({"id": n, "name": format!("web-{n}"), "status": "active", "tags": [], "region": {"slug": "fra1"},
            "networks": {"v4": [{"ip_address": format!("127.0.0.{n}"), "type": "private"}], "v6": []}})
    };
    let droplets: Vec<_> = last_bytes.iter().map(droplet).collect();
    json!({"droplets": droplets, "links": {}, "meta": {"total": droplets.len()}}).to_string()
}

/// The command, running, in a folder with its configuration.
struct Watching {
    child: Child,
    lines: BufReader<ChildStdout>,
    _dir: TempDir,
}

impl Watching {
    fn start(api: &Api, more: &str, args: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = api.port;
        let text = format!(
            "[topologies.web]\nstrategy = 'digitalocean'\ntoken = {{ env = 'TOKEN' }}\nnode_basename = 'app'\n\
             polling_interval = 100\napi_url = 'http://127.0.0.1:{port}'\n\
             metadata_url = 'http://127.0.0.1:{port}/metadata/v1'\n{more}"
        );
        fs::write(dir.path().join("trunkline.toml"), text).unwrap();
        let mut command = trunkline(&format!("discover --watch {args}"));
        let command = command
            .current_dir(dir.path())
            .env("TOKEN", "dop_v1_hush")
            .env("RELEASE_NODE", "app@127.0.0.9")
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            lines,
            _dir: dir,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// The exit code, after this signal.
    fn end(mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(ended) = self.child.try_wait().unwrap() {
                return ended.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().unwrap();
        panic!("it still runs");
    }
}

#[test]
fn a_line_for_each_change_and_none_without() {
    let api = Api::start();
    api.say(200, droplets(&[2, 9]));
    let mut watching = Watching::start(
        &api,
        "[topologies.off]\nstrategy = 'epmd'\nhosts = []\n",
        "",
    );
    assert_eq!(watching.line(), "off: off, hosts is empty\n");
    assert_eq!(
        watching.line(),
        "web: found app@127.0.0.2  id=2 name=web-2 region=fra1\n"
    );
    assert_eq!(
        watching.line(),
        "web: found app@127.0.0.9  (this node)  id=9 name=web-9 region=fra1\n"
    );
    api.say(500, "{}".into());
    let line = watching.line();
    assert!(line.starts_with("web/droplets: error: "), "{line}");
    api.say(200, droplets(&[3, 9]));
    assert_eq!(watching.line(), "web/droplets: answers again\n");
    assert_eq!(
        watching.line(),
        "web: found app@127.0.0.3  id=3 name=web-3 region=fra1\n"
    );
    assert_eq!(watching.line(), "web: gone app@127.0.0.2\n");
    assert_eq!(watching.end("-TERM"), Some(0));
}

#[test]
fn json_and_health() {
    let api = Api::start();
    let open = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = open.local_addr().unwrap().port();
    api.say(200, droplets(&[2]));
    let check = format!("health_check = {{ type = 'tcp', port = {port} }}\n");
    let mut watching = Watching::start(&api, &check, "--json");
    let found = watching.json();
    assert_eq!(found["event"], "found");
    assert_eq!(found["peer"]["node"], "app@127.0.0.2");
    assert_eq!(found["peer"]["labels"]["region"], "fra1");
    let passing = json!({"event": "health", "topology": "web", "node": "app@127.0.0.2", "health": "passing", "reason": null});
    assert_eq!(watching.json(), passing);
    drop(open);
    let failing = watching.json();
    assert_eq!(failing["health"], "failing");
    assert_eq!(failing["reason"]["code"], "port_unreachable");
    api.say(200, droplets(&[]));
    assert_eq!(
        watching.json(),
        json!({"event": "gone", "topology": "web", "node": "app@127.0.0.2"})
    );
    assert_eq!(watching.end("-INT"), Some(0));
}

#[test]
fn names_as_elixir_terms() {
    let api = Api::start();
    api.say(200, droplets(&[2]));
    let mut watching = Watching::start(&api, "", "--elixir");
    assert_eq!(
        watching.line(),
        "web: found :\"app@127.0.0.2\"  id=2 name=web-2 region=fra1\n"
    );
    assert_eq!(watching.end("-TERM"), Some(0));
    let both = trunkline("discover --elixir --json").output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}

/// Nothing changes any more, and still it ends when its reader does.
#[test]
fn a_reader_that_has_seen_enough() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[topologies.list]\nstrategy = 'epmd'\nhosts = ['a@10.0.0.1']\n";
    fs::write(dir.path().join("trunkline.toml"), text).unwrap();
    let mut command =
        sh("{ timeout 20 trunkline discover --watch; echo \"exit $?\" >&2; } | head -1");
    let output = command.current_dir(dir.path()).output().unwrap();
    assert_eq!(output.stdout, b"list: found a@10.0.0.1\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "exit 0\n");
}
