//! `trunkline exec` through the real binary, with shell scripts as CMD.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod util;

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use util::host::{Host, SECRET};
use util::{seen, sh, texts, trunkline};

#[test]
fn the_exit_code_is_the_childs() {
    let host = Host::new();
    for code in [0, 1, 3, 255] {
        let exit = format!("exit {code}");
        let status = host.exec("", &["/bin/sh", "-c", &exit]).status().unwrap();
        assert_eq!(status.code(), Some(code));
    }
    let killed = host
        .exec("", &["/bin/sh", "-c", "kill -KILL $$"])
        .status()
        .unwrap();
    assert_eq!(killed.code(), Some(128 + 9));
}

#[test]
fn the_child_has_what_env_prints_and_the_cookie_by_environment_only() {
    let host = Host::new();
    let script = "env | grep -E '^(RELEASE|ERL_|ELIXIR_)' | sort; tr '\\0' ' ' </proc/$$/cmdline; tr '\\0' ' ' </proc/$PPID/cmdline";
    let mut command = host.exec(
        "--dist-port 9000 --name app@fdaa::1",
        &["/bin/sh", "-c", script],
    );
    let (out, err) = texts(&command.output().unwrap());
    for line in [
        "RELEASE_DISTRIBUTION=name",
        "RELEASE_NODE=app@fdaa::1",
        "RELEASE_COOKIE=hush-hush-QWERTZUIOP",
        "ERL_AFLAGS=-proto_dist inet6_tcp",
        "ELIXIR_ERL_OPTIONS=-kernel inet_dist_listen_min 9000 inet_dist_listen_max 9000",
    ] {
        assert!(out.lines().any(|seen| seen == line), "{line} not in {out}");
    }
    assert_eq!(out.matches(SECRET).count(), 1, "{out}");
    assert!(!err.contains("hush"), "{err}");
}

#[test]
fn exports_are_left_for_other_shells_without_the_cookie() {
    let host = Host::new();
    assert!(
        host.exec("--dist-port 9000", &["/bin/true"])
            .status()
            .unwrap()
            .success()
    );
    let path = host.path("trunkline.env");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hush"));
    let mut shell = sh(". \"$FILE\"; echo $RELEASE_NODE $RELEASE_DISTRIBUTION $ELIXIR_ERL_OPTIONS");
    shell.env("FILE", &path).env("RELEASE_COMMAND", "rpc");
    assert_eq!(host.seen(&mut shell), "exit 0\nstdout: NODE name\n");
    let left: Vec<_> = fs::read_dir(host.dir.path())
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().ends_with(".new")),
        "{left:?}"
    );
}

/// Two nodes of one user on one host: the file that other shells look at first is not taken away from
/// the one that has it.
#[test]
fn a_second_nodes_exports_are_beside_the_first_ones() {
    let (first, second) = (Host::new(), Host::new());
    let running = first.started(
        "",
        "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done",
    );
    let mut command = second.exec("", &["/bin/true"]);
    command.env("RELEASE_TMP", first.dir.path());
    let seen = second
        .seen(&mut command)
        .replace(&first.node, "FIRST")
        .replace(first.dir.path().to_str().unwrap(), "TMP");
    assert_snapshot!(seen, @r"
    exit 0
    stderr: WARN the exports of FIRST stay where other shells look first, those of NODE are beside them · TMP/trunkline.env.NODE · source that file, or give each node a RELEASE_TMP of its own
    ");
    let text = |file: &str| fs::read_to_string(first.path(file)).unwrap();
    assert!(text("trunkline.env").contains(&format!("RELEASE_NODE='{}'", first.node)));
    let own = format!("trunkline.env.{}", second.node);
    assert!(text(&own).contains(&format!("RELEASE_NODE='{}'", second.node)));

    running.signal("TERM");
    assert_eq!(running.end().0.code(), Some(0));
    assert_eq!(second.seen(&mut command), "exit 0\n");
    assert!(text("trunkline.env").contains(&second.node), "it has ended");
}

#[test]
fn exports_that_cannot_be_written_stop_nobody() {
    let host = Host::new();
    let mut command = host.exec("", &["/bin/true"]);
    command.env("RELEASE_TMP", "/proc/nowhere");
    let seen = seen(&mut command);
    assert!(seen.starts_with("exit 0\n"), "{seen}");
    assert!(
        seen.contains("WARN the exports are not written: "),
        "{seen}"
    );
}

#[test]
fn both_stop_signals_become_sigterm_at_once_and_a_second_one_stays() {
    let host = Host::new();
    let script = "trap 'echo term' TERM; trap 'echo int' INT; echo ready; \
                  n=0; while [ $n -lt 2 ]; do sleep 0.05; read n <count 2>/dev/null || n=0; done";
    for first in ["TERM", "INT"] {
        fs::write(host.path("count"), "0\n").unwrap();
        let running = host.started("", script);
        running.signal(first);
        assert_eq!(running.next_line(), "term", "after SIG{first}");
        running.signal("INT");
        assert_eq!(running.next_line(), "int");
        running.signal("TERM");
        assert_eq!(running.next_line(), "term");
        fs::write(host.path("count"), "2\n").unwrap();
        let (status, rest) = running.end();
        assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
    }
}

#[test]
fn stop_signal_changes_it() {
    let host = Host::new();
    let script = "trap 'echo quit; exit 7' QUIT; echo ready; while :; do sleep 0.05; done";
    let running = host.started("--stop-signal QUIT", script);
    running.signal("TERM");
    let (status, rest) = running.end();
    assert_eq!((status.code(), rest.as_str()), (Some(7), "quit\n"));
}

#[test]
fn other_signals_are_passed_on() {
    let host = Host::new();
    let script = "for s in HUP USR1 USR2 WINCH QUIT; do trap \"echo $s\" $s; done; \
                  trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let running = host.started("", script);
    for name in ["HUP", "USR1", "USR2", "WINCH", "QUIT"] {
        running.signal(name);
        assert_eq!(running.next_line(), name);
    }
    running.signal("TERM");
    assert_eq!(running.end().0.code(), Some(0));
}

/// As PID 1 the kernel hands it every orphan, and delivers only the signals that it handles.
#[test]
fn as_pid_1_it_reaps_and_is_stopped() {
    let host = Host::new();
    // The inner shell ends at once, so that its background job becomes PID 1's child and dies there.
    let script = "sh -c 'sleep 0.1 & :'; echo ready; trap 'exit 4' TERM; i=0; \
                  while [ $i -lt 60 ]; do sleep 0.05; i=$((i+1)); \
                  z=$(cat /proc/[0-9]*/stat | cut -d' ' -f3 | grep -c Z); [ $i -gt 20 ] && [ $z -eq 0 ] && break; done; \
                  echo zombies $z; while :; do sleep 0.05; done";
    let mut command = Command::new("/usr/bin/unshare");
    if !rustix::process::getuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args([
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        util::TRUNKLINE,
    ]);
    command.args(["--log-level", "warn", "exec", "--", "/bin/sh", "-c", script]);
    command
        .env_clear()
        .current_dir(host.dir.path())
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::piped());
    host.surroundings(&mut command);
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    out.read_line(&mut lines).unwrap();
    out.read_line(&mut lines).unwrap();
    assert_eq!(lines, "ready\nzombies 0\n");
    let inner = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let sent = Command::new("/bin/kill")
        .args(["-s", "INT", inner.trim()])
        .status()
        .unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

/// A mix release as far as `exec` looks: its script, its version and its `env.sh`.
fn release(host: &Host, env_sh: &str) -> PathBuf {
    host.script("app/releases/start_erl.data", "13.1.5 0.1.0\n");
    host.script("app/releases/0.1.0/env.sh", env_sh);
    let cookie = host.script("app/releases/COOKIE", SECRET);
    fs::set_permissions(cookie, Permissions::from_mode(0o600)).unwrap();
    let script = "#!/bin/sh\necho \"$0\" \"$RELEASE_ROOT\" \"$RELEASE_COOKIE\" \"$@\"\n";
    host.script("app/bin/my_app", script)
}

#[test]
fn a_release_whose_env_sh_does_not_call_us_is_warned_of_once() {
    let host = Host::new();
    let app = release(&host, "# eval \"$(trunkline env)\"\n");
    let seen = |host: &Host, app: &Path| {
        let mut command = host.exec("", &[app.to_str().unwrap(), "start"]);
        command.env_remove("RELEASE_COOKIE");
        host.seen(&mut command)
    };
    assert_snapshot!(seen(&host, &app), @r#"
    exit 0
    stdout: DIR/app/bin/my_app DIR/app hush-hush-QWERTZUIOP start
    stderr: WARN remote and rpc of this release will not find the node from another shell · DIR/app/releases/0.1.0/env.sh · add this line: eval "$(trunkline env)"
    "#);
    release(&host, "export RELEASE_NODE=b@127.0.0.1\n");
    assert_snapshot!(seen(&host, &app), @r#"
    exit 0
    stdout: DIR/app/bin/my_app DIR/app hush-hush-QWERTZUIOP start
    stderr: WARN the release sets RELEASE_NODE itself, the agent serves only the name that it gave · DIR/app/releases/0.1.0/env.sh · replace that line: eval "$(trunkline env)"
    "#);
    release(&host, "eval \"$(trunkline env)\"\n");
    assert_snapshot!(seen(&host, &app), @r"
    exit 0
    stdout: DIR/app/bin/my_app DIR/app hush-hush-QWERTZUIOP start
    ");
    release(
        &host,
        "eval \"$(trunkline env)\"\nexport RELEASE_COOKIE=hush\n",
    );
    assert_snapshot!(seen(&host, &app), @r"
    exit 0
    stdout: DIR/app/bin/my_app DIR/app hush-hush-QWERTZUIOP start
    stderr: WARN the release sets RELEASE_COOKIE itself, the agent may use another one · DIR/app/releases/0.1.0/env.sh · set it in the environment of trunkline exec instead
    ");
}

#[test]
fn a_release_with_another_name_in_vm_args_is_warned_of() {
    let host = Host::new();
    let app = release(&host, "eval \"$(trunkline env)\"\n");
    let seen = |vm_args: &str| {
        host.script("app/releases/0.1.0/vm.args", vm_args);
        host.seen(&mut host.exec("", &[app.to_str().unwrap(), "start"]))
    };
    assert_snapshot!(seen("## Name of the node\n-name b@127.0.0.1\n+P 5000\n"), @r"
    exit 0
    stdout: DIR/app/bin/my_app DIR/app hush-hush-QWERTZUIOP start
    stderr: WARN the release names its node b@127.0.0.1, the agent waits for NODE · -name in DIR/app/releases/0.1.0/vm.args · leave it out there, or add --name to trunkline exec
    ");
    for fine in [
        "# -name b@h",
        "-name ${RELEASE_NODE}",
        "-kernel a b",
        &format!("-name {}", host.node),
    ] {
        assert!(!seen(fine).contains("WARN"), "{fine}");
    }
}

#[test]
fn what_cannot_be_started() {
    let host = Host::new();
    fs::write(host.path("plain"), "").unwrap();
    host.script("lost", "#!/nowhere/sh\n");
    let seen = |flags: &str, cmd: &[&str]| host.seen(&mut host.exec(flags, cmd));
    assert_snapshot!(seen("", &["bin/my_app", "start"]), @r"
    exit 127
    stderr: trunkline: bin/my_app does not exist · trunkline exec · name the release's script, like /app/bin/my_app
    ");
    assert_snapshot!(seen("", &["", "start"]), @r"
    exit 2
    stderr: trunkline: the name of the program is empty · trunkline exec · name the release's script, like /app/bin/my_app (is a variable not set?)
    ");
    assert_snapshot!(seen("", &["no-such-program"]), @r"
    exit 127
    stderr: trunkline: there is no program no-such-program on PATH · trunkline exec · write its path, like /app/bin/my_app
    ");
    assert_snapshot!(seen("", &["./plain"]), @r"
    exit 126
    stderr: trunkline: ./plain is not executable · trunkline exec · name a program, or chmod +x it
    ");
    assert_snapshot!(seen("", &["/tmp"]), @r"
    exit 126
    stderr: trunkline: /tmp is not executable · trunkline exec · name a program, or chmod +x it
    ");
    assert_snapshot!(seen("", &["./lost"]), @r"
    exit 127
    stderr: trunkline: cannot start it: No such file or directory (os error 2) · ./lost · check the file, and the interpreter in its first line
    ");
    assert_snapshot!(seen("", &["/bin/true", "daemon"]), @r"
    exit 2
    stderr: trunkline: daemon leaves for the background, and the agent would end with it · trunkline exec · use start, and let systemd or the container keep it running
    ");
    assert_snapshot!(seen("--stop-signal STOP", &["/bin/true"]), @r"
    exit 2
    stderr: trunkline: invalid value 'STOP' for '--stop-signal <SIGNAL>': the signals are TERM, INT, QUIT, HUP, USR1, USR2, KILL · trunkline exec · see trunkline exec --help
    ");
    assert_snapshot!(seen("--cookie-file /nowhere", &["/bin/true"]), @r"
    exit 2
    stderr: trunkline: there is no such file · /nowhere · put the cookie there, or name another place
    ");
    assert_snapshot!(seen("", &[]), @r"
    exit 2
    stderr: trunkline: the following required arguments were not provided: <CMD>... · trunkline exec · see trunkline exec --help
    ");
    assert_snapshot!(util::seen(&mut trunkline("exec bin/app start")), @r"
    exit 2
    stderr: trunkline: unexpected argument 'bin/app' found · trunkline exec · put -- before the program: trunkline exec -- CMD
    ");
    assert_snapshot!(util::seen(&mut trunkline("exec -- /bin/true")), @r"
    exit 1
    stderr: trunkline: cannot name this node: RELEASE_NODE is not set and no platform was recognised · environment · set RELEASE_NODE=name@host, or give --platform fly or droplet
    ");
}

/// What the agent serves and what CMD calls its node is one name, or CMD is not started.
#[test]
fn agent_and_child_have_one_name() {
    let host = Host::new();
    let file = host.path("trunkline.toml");
    let topology = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        format!("[node]\nname = \"cfg@127.0.0.1\"\n{topology}"),
    )
    .unwrap();
    let cmd = ["/bin/sh", "-c", "echo $RELEASE_NODE"];
    assert_snapshot!(host.seen(&mut host.exec("", &cmd)), @r"
    exit 0
    stdout: NODE
    stderr: WARN RELEASE_NODE is already NODE and stays so, cfg@127.0.0.1 is not used · [node] name · make them alike, or add --force
    ");
    let erl = ["/bin/sh", "-c", "echo started", "-name", "b@127.0.0.1"];
    assert_snapshot!(host.seen(&mut host.exec("--name a@127.0.0.1", &erl)), @r"
    exit 2
    stderr: trunkline: CMD names its node b@127.0.0.1, the agent would wait for a@127.0.0.1 · -name in CMD · leave the name out there, or add --name b@127.0.0.1
    ");
    let mut flags = host.exec("--for erl --name a@127.0.0.1", &cmd);
    flags.env("ERL_AFLAGS", "+S 1 -name b@127.0.0.1");
    assert_snapshot!(host.seen(&mut flags), @r"
    exit 2
    stderr: trunkline: CMD names its node b@127.0.0.1, the agent would wait for a@127.0.0.1 · ERL_AFLAGS · leave the name out there, or add --name b@127.0.0.1
    ");
}

#[test]
fn bare_erl_has_its_name_in_flags_and_its_cookie_in_a_file() {
    let host = Host::new();
    let cmd = ["/bin/sh", "-c", "echo $ERL_AFLAGS"];
    let mut command = host.exec("--for erl", &cmd);
    command.env("HOME", host.dir.path());
    assert_snapshot!(host.seen(&mut command), @r"
    exit 0
    stdout: -name NODE
    stderr: WARN erl will not use the cookie of RELEASE_COOKIE, it reads its own file · $HOME/.erlang.cookie · write the same one there, with mode 0400
    ");
    fs::write(host.path(".erlang.cookie"), SECRET).unwrap();
    let seen = host.seen(&mut command);
    assert_eq!(seen, "exit 0\nstdout: -name NODE\n");
}

/// The disk behind the log is full, or its reader gone: the release goes on.
#[test]
fn a_log_that_nobody_takes_ends_nothing() {
    let host = Host::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for stderr in [Stdio::from(full), Stdio::from(writer)] {
        let mut command = host.exec("", &["/bin/sh", "-c", "exit 3"]);
        command.env("RELEASE_COOKIE", "weak");
        let status = command.stderr(stderr).status().unwrap();
        assert_eq!(status.code(), Some(3));
    }
}

/// A folder stands where Docker found no file to mount.
#[test]
fn a_configuration_that_is_no_file() {
    let host = Host::new();
    fs::remove_file(host.path("trunkline.toml")).unwrap();
    fs::create_dir(host.path("trunkline.toml")).unwrap();
    assert_snapshot!(host.seen(&mut host.exec("", &["/bin/true"])), @r"
    exit 2
    stderr: trunkline: the configuration trunkline.toml is a directory · working directory · put the file there, or name another with --config
    ");
    let huge = fs::File::create(host.path("huge.toml")).unwrap();
    huge.set_len(1 << 32).unwrap();
    let mut command = trunkline("exec --config huge.toml -- /bin/true");
    command.current_dir(host.dir.path());
    host.surroundings(&mut command);
    assert_snapshot!(host.seen(&mut command), @r"
    exit 2
    stderr: trunkline: the configuration is larger than 1024 KiB · huge.toml · name the right file
    ");
}

/// `nohup trunkline exec …` outlives the terminal, and so does CMD.
#[test]
fn nohup_stays_nohup() {
    let host = Host::new();
    let mut command = Command::new("/bin/sh");
    let own = host.exec(
        "",
        &[
            "/bin/sh",
            "-c",
            "kill -HUP $PPID; kill -HUP $$; sleep 0.2; echo on",
        ],
    );
    let line: Vec<_> = std::iter::once(own.get_program())
        .chain(own.get_args())
        .collect();
    command
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .args(line);
    command.env_clear().current_dir(host.dir.path());
    host.surroundings(&mut command);
    assert_eq!(host.seen(&mut command), "exit 0\nstdout: on\n");
}

/// Whether an agent that starts CMD without a name would let it boot alone.
#[test]
fn without_a_name_nothing_is_started() {
    let host = Host::new();
    let mut command = host.exec("", &["/bin/sh", "-c", "echo booted alone"]);
    command
        .env_remove("RELEASE_NODE")
        .env("FLY_APP_NAME", "app");
    assert_snapshot!(seen(&mut command), @r"
    exit 1
    stderr: trunkline: cannot name this node: FLY_PRIVATE_IP is not set · fly · set it, or set RELEASE_NODE=name@host
    ");
}

/// `ctrl-C` belongs to the program at the terminal: `iex` and the BEAM have their own use for it.
#[test]
fn a_terminals_interrupt_reaches_the_child_once_and_as_it_is() {
    let host = Host::new();
    host.script(
        "cmd",
        "#!/bin/sh\ntrap 'echo int' INT; trap 'echo term; exit 5' TERM\ntty; echo ready\nuntil read line; do :; done; echo \"got $line\"; read line; exit 6\n",
    );
    let inner = format!("exec {} --log-level warn exec -- ./cmd", util::TRUNKLINE);
    let mut command = Command::new("/usr/bin/script");
    command.args([
        "--quiet",
        "--flush",
        "--return",
        "--echo",
        "never",
        "--command",
        &inner,
        "/dev/null",
    ]);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("SHELL", "/bin/sh");
    command
        .current_dir(host.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    host.surroundings(&mut command);
    let mut child = command.spawn().unwrap();
    let mut keys = child.stdin.take().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |wanted: &str| {
        let mut seen = String::new();
        while !seen.contains(wanted) {
            seen = out.next().unwrap().unwrap();
            assert!(!seen.contains("term"), "{seen}");
        }
    };
    until("/dev/pts/");
    until("ready");
    keys.write_all(b"\x03").unwrap();
    until("int");
    keys.write_all(b"hello\n").unwrap();
    until("got hello");
    keys.write_all(b"\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[test]
fn a_node_has_one_agent() {
    let host = Host::new();
    let running = host.started(
        "",
        "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done",
    );
    let mut second = host.exec("", &["/bin/sh", "-c", "echo started twice"]);
    let refused = host
        .seen(&mut second)
        .replace(&running.child.id().to_string(), "PID");
    running.signal("TERM");
    assert_eq!(running.end().0.code(), Some(0));
    assert_snapshot!(refused, @r"
    exit 1
    stderr: trunkline: another agent (pid PID) already serves NODE · DIR/trunkline/NODE.lock · stop that one first, a node has one agent
    ");
}
