//! A host for `exec`: a folder, a name of its own, and CMDs that are shell scripts.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

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
        let mut command = self.exec(flags, &["/bin/sh", "-c", script]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Running { child, out }
    }
}

/// A running `exec`.
pub(crate) struct Running {
    pub(crate) child: Child,
    out: BufReader<ChildStdout>,
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

    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}
