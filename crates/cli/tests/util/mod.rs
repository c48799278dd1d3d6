//! Runs the real binary in an environment that holds only what the test puts there.

#![allow(
    dead_code,
    reason = "each test file is a crate of its own and uses some of it"
)]
#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

pub(crate) mod host;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// The binary under test.
pub(crate) const TRUNKLINE: &str = env!("CARGO_BIN_EXE_trunkline");

/// The five lines of Fly's guide, as they stand there.
pub(crate) const FLY_GUIDE: &str = r#"
# configure node for distributed erlang with IPV6 support
export ERL_AFLAGS="-proto_dist inet6_tcp"
export ECTO_IPV6="true"
export DNS_CLUSTER_QUERY="${FLY_APP_NAME}.internal"
export RELEASE_DISTRIBUTION="name"
export RELEASE_NODE="${FLY_APP_NAME}-${FLY_IMAGE_REF##*-}@${FLY_PRIVATE_IP}"
"#;

/// A command with an empty environment but for `PATH`.
pub(crate) fn trunkline(args: &str) -> Command {
    let mut command = Command::new(TRUNKLINE);
    command.args(args.split_whitespace());
    bare(&mut command);
    command
}

/// `sh -c script` with the binary as `trunkline` on the path.
pub(crate) fn sh(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    bare(&mut command);
    command
}

fn bare(command: &mut Command) {
    let dir = Path::new(TRUNKLINE).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", dir.display());
    command.env_clear().env("PATH", path).current_dir("/");
}

/// Exit code, stdout and stderr as one text, for a snapshot.
pub(crate) fn seen(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let code = output.status.code().unwrap();
    let (out, err) = texts(&output);
    let mut text = format!("exit {code}\n");
    for (name, part) in [("stdout", out), ("stderr", err)] {
        for line in part.lines() {
            text.push_str(&format!("{name}: {}\n", untimed(line)));
        }
    }
    text
}

/// A log line without its time.
fn untimed(line: &str) -> &str {
    match line.split_once(' ') {
        Some((time, rest)) if time.starts_with("20") && time.ends_with('Z') => rest.trim_start(),
        _ => line,
    }
}

/// A port of loopback on which nothing listens, and which nobody gets by chance: the kernel gives away those from 32,768 on.
/// Test programs run side by side: each has a hundred ports of its own, unless their numbers are that much alike.
pub(crate) fn free_port() -> u16 {
    const EACH: u32 = 100;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = 10_100 + std::process::id() % 19 * EACH;
    (0..EACH)
        .map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % EACH)
        .map(|port| u16::try_from(port).unwrap())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a hundred ports are not all taken")
}

/// stdout of a command that must succeed.
pub(crate) fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{out}\n{err}");
    out
}

pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A metadata service on loopback; unknown paths are 404. It lives as long as the test.
pub(crate) struct Metadata {
    pub(crate) url: String,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Metadata {
    /// Answers 200 with these texts.
    pub(crate) fn with(answers: &[(&str, &str)]) -> Self {
        let answers: BTreeMap<String, String> = answers
            .iter()
            .map(|(path, text)| (format!("/metadata/v1/{path}"), (*text).to_owned()))
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metadata/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = match answers.get(&path) {
                    Some(text) if text.starts_with('!') => (text[1..].to_owned(), String::new()),
                    Some(text) => ("200 OK".to_owned(), text.clone()),
                    None => ("404 Not Found".to_owned(), "not found".to_owned()),
                };
                log.lock().unwrap().push(path);
                let length = body.len();
                write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
            }
        });
        Self { url, asked }
    }

    /// A Droplet with a dot in its name, and IPv6 as the real service prints it.
    pub(crate) fn droplet() -> Self {
        Self::with(&[
            ("id", "2756294"),
            ("hostname", "web-1.example"),
            ("interfaces/private/0/ipv4/address", "10.132.255.113"),
            ("interfaces/public/0/ipv4/address", "104.131.20.105"),
            (
                "interfaces/public/0/ipv6/address",
                "2604:A880:0800:0010:0000:0000:017D:2001",
            ),
        ])
    }
}

/// The variables of an `env -0` style dump that a shell made after evaluating a script.
pub(crate) fn after_eval(script: &[u8], env: &[(&str, &OsStr)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script).unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", ". \"$0\"; exec env -0"])
        .arg(file.path());
    bare(&mut command);
    let output = command.envs(env.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let dump = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|line| !line.is_empty());
    dump.map(|line| {
        let at = line.iter().position(|byte| *byte == b'=').unwrap();
        (line[..at].to_vec(), line[at + 1..].to_vec())
    })
    .collect()
}
