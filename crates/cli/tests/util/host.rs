//! A host for `exec`: a folder, a name of its own, and CMDs that are shell scripts.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{seen, trunkline};

/// How many hosts this program has made.
static HOSTS: AtomicU32 = AtomicU32::new(0);

/// The cookie in its environment.
pub(crate) const SECRET: &str = "hush-hush-QWERTZUIOP";

/// A folder for configuration, exports and scripts, and a name so that no platform is asked.
pub(crate) struct Host {
    pub(crate) dir: TempDir,
    /// A name of its own: on one machine a node has one agent.
    pub(crate) node: String,
}

impl Host {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let node = format!("app-{}-{number}@127.0.0.1", std::process::id());
        let topology = format!("[topologies.alone]\nstrategy = \"epmd\"\nhosts = [\"{node}\"]\n");
        fs::write(dir.path().join("trunkline.toml"), topology).unwrap();
        Self { dir, node }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// An executable file, its folders included.
    pub(crate) fn script(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// `trunkline exec FLAGS -- CMD…`
    pub(crate) fn exec(&self, flags: &str, cmd: &[&str]) -> Command {
        let mut command = trunkline(&format!("--log-level warn exec {flags} --"));
        command.args(cmd).current_dir(self.dir.path());
        self.surroundings(&mut command);
        command
    }

    pub(crate) fn surroundings(&self, command: &mut Command) {
        // An epmd port of nobody: the agent finds no node and waits.
        command
            .env("RELEASE_TMP", self.dir.path())
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .env("RELEASE_NODE", &self.node)
            .env("RELEASE_COOKIE", SECRET)
            .env("ERL_EPMD_PORT", "1");
    }

    /// [`seen`], the same for every host, without what the agent says of its node.
    pub(crate) fn seen(&self, command: &mut Command) -> String {
        let seen = seen(command)
            .replace(self.dir.path().to_str().unwrap(), "DIR")
            .replace(&self.node, "NODE");
        let lines = seen.lines().filter(|line| !line.contains("not attached"));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// `exec` of a shell script that says `ready` on stdout once it may be disturbed.
    pub(crate) fn started(&self, flags: &str, script: &str) -> Running {
        let mut command = with_hangups(&self.exec(flags, &["/bin/sh", "-c", script]));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let running = Running { child, out };
        assert_eq!(running.next_line(), "ready");
        running
    }
}

/// The same command as it is without `nohup`, under which these tests may run themselves: `exec`
/// leaves an ignored SIGHUP ignored.
fn with_hangups(command: &Command) -> Command {
    let mut outer = Command::new("/usr/bin/env");
    outer
        .arg("--default-signal=HUP")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    outer
}

/// Its lines as they come, for those who wait for one with a deadline.
fn lines(out: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// How long a program may keep a test waiting: far more than it needs on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running `exec`.
pub(crate) struct Running {
    pub(crate) child: Child,
    out: Receiver<String>,
}

impl Running {
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id();
        let sent = Command::new("/bin/kill")
            .args(["-s", name, &pid.to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// The next line of its stdout.
    pub(crate) fn next_line(&self) -> String {
        self.out.recv_timeout(DEADLINE).expect("a line in time")
    }

    /// How it ended, and the lines that nobody has read.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        loop {
            match self.out.recv_timeout(DEADLINE) {
                Ok(line) => rest.push_str(&format!("{line}\n")),
                Err(RecvTimeoutError::Disconnected) => return (self.child.wait().unwrap(), rest),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; it said {rest:?}"),
            }
        }
    }
}

impl Drop for Running {
    /// A test that failed leaves neither `exec` nor its CMD behind.
    fn drop(&mut self) {
        let begun = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if begun.elapsed() < Duration::from_secs(5) {
                self.signal("TERM");
            } else if self.child.kill().is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}
