//! Agents whose unix socket cannot be made or does not answer, each in a mount and network namespace of
//! its own: other agents on this machine are none of its business.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod util;

use std::process::Command;

use insta::assert_snapshot;
use util::TRUNKLINE;
use util::host::Host;

/// Runs `script` with `trunkline` on the path, the host's folder as `/mnt` and working directory, and
/// `/run` and `/tmp` empty and mounted with `options`.
fn alone(host: &Host, options: &str, script: &str) -> String {
    let mut command = Command::new("/usr/bin/unshare");
    if !rustix::process::getuid().is_root() {
        command.arg("--map-root-user");
    }
    let binary = std::path::Path::new(TRUNKLINE).parent().unwrap();
    let mounts = format!(
        "set -e; mount --bind {} /opt; mount --bind {} /mnt; mount -t tmpfs -o {options} none /run; \
         mount -t tmpfs -o {options} none /tmp; ip link set lo up; cd /mnt; export PATH=/opt:$PATH; set +e\n",
        binary.display(),
        host.dir.path().display()
    );
    command.args(["--mount", "--net", "/bin/sh", "-c", &(mounts + script)]);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("RELEASE_NODE", &host.node)
        .env("RELEASE_COOKIE", util::host::SECRET)
        .env("ERL_EPMD_PORT", "1");
    host.seen(&mut command)
}

/// The whole root file system is read-only, as containers are told to be: the release runs.
#[test]
fn a_read_only_root_stops_no_release() {
    let host = Host::new();
    let script = "trunkline --log-level warn exec -- /bin/sh -c '\
                  echo runs; trunkline nodes; trunkline ping; \
                  trunkline exec -- /bin/true; exit 3'";
    assert_snapshot!(alone(&host, "ro", script), @r"
    exit 3
    stdout: runs
    stderr: WARN nodes and ping on this host will not find this agent, it has no unix socket: Read-only file system (os error 30) · /run/trunkline, /tmp/trunkline-0 · make one of them writable for this user (systemd: RuntimeDirectory=trunkline), or set XDG_RUNTIME_DIR
    stderr: WARN the exports are not written: Read-only file system (os error 30) · /run/trunkline/env · set RELEASE_TMP to a folder of this user (systemd: RuntimeDirectory=trunkline)
    stderr: trunkline: no NODE given, and the agent of NODE on this host has no socket that this user can open · no socket in /run/trunkline, /tmp/trunkline-0 · ask as its user or as root, or name the node; where it found no folder that it can write, set XDG_RUNTIME_DIR for it
    stderr: trunkline: no NODE given, and the agent of NODE on this host has no socket that this user can open · no socket in /run/trunkline, /tmp/trunkline-0 · ask as its user or as root, or name the node; where it found no folder that it can write, set XDG_RUNTIME_DIR for it
    stderr: trunkline: another agent already serves NODE · trunkline-agent/1/NODE · stop that one first, a node has one agent
    ");
}

#[test]
fn an_agent_that_hangs_is_named() {
    let host = Host::new();
    // One of its threads takes the signal when it has its turn; until then the others answer.
    let script = "trunkline --log-level warn exec -- /bin/sh -c \
                  'kill -STOP $PPID; while grep -sL \"^State:.T\" /proc/$PPID/task/*/status | grep -q .; do sleep 0.02; done; \
                  trunkline nodes; trunkline ping; kill -CONT $PPID; exit 3'";
    assert_snapshot!(alone(&host, "rw", script), @r"
    exit 3
    stderr: trunkline: no NODE given, and the agent of NODE on this host does not answer within 2 s · /run/trunkline/NODE.sock · look at its process (stopped, or short of CPU), restart it, or name the node
    stderr: trunkline: no NODE given, and the agent of NODE on this host does not answer within 2 s · /run/trunkline/NODE.sock · look at its process (stopped, or short of CPU), restart it, or name the node
    ");
}
