//! `trunkline env` through the real binary, and what a real shell makes of it.

mod util;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use insta::assert_snapshot;
use proptest::prelude::*;
use util::{Metadata, after_eval, seen, sh, stdout, trunkline};

const NODE: &str = "app@10.0.0.5";

/// `env` with these variables set.
fn env(args: &str, vars: &[(&str, &str)]) -> String {
    seen(trunkline(&format!("env {args}")).envs(vars.iter().copied()))
}

#[test]
fn a_name_needs_no_platform() {
    assert_snapshot!(env("", &[("RELEASE_NODE", NODE)]), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='app@10.0.0.5'
    ");
    assert_snapshot!(env("", &[("RELEASE_NODE", "app@FDAA:0:0::2")]), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='app@FDAA:0:0::2'
    stdout: export ERL_AFLAGS='-proto_dist inet6_tcp'
    ");
    assert_snapshot!(env("", &[("RELEASE_NODE", "app@web1")]), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='sname'
    stdout: export RELEASE_NODE='app@web1'
    ");
    assert_snapshot!(env("--name app@10.0.0.9", &[("RELEASE_NODE", NODE)]), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='app@10.0.0.9'
    ");
}

#[test]
fn a_droplet() {
    let metadata = Metadata::droplet();
    let env = |args: &str| {
        env(
            &format!("--platform droplet --metadata-url {} {args}", metadata.url),
            &[],
        )
    };
    assert_snapshot!(env(""), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='web-1-example@10.132.255.113'
    ");
    assert_snapshot!(env("--network public"), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='web-1-example@104.131.20.105'
    ");
    assert_snapshot!(env("--network public --ipv6 --node-basename app"), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='app@2604:a880:800:10::17d:2001'
    stdout: export ERL_AFLAGS='-proto_dist inet6_tcp'
    ");
    assert_snapshot!(env("--format json"), @r#"
    exit 0
    stdout: {"RELEASE_DISTRIBUTION":"name","RELEASE_NODE":"web-1-example@10.132.255.113"}
    "#);
}

#[test]
fn a_droplet_is_asked_for_no_more_than_is_needed() {
    let metadata = Metadata::droplet();
    let args = format!(
        "env --platform droplet --node-basename app --metadata-url {}/",
        metadata.url
    );
    stdout(&mut trunkline(&args));
    let asked = metadata.asked.lock().unwrap().clone();
    assert_eq!(asked, ["/metadata/v1/interfaces/private/0/ipv4/address"]);
}

#[test]
fn a_metadata_service_that_cannot_say() {
    let nothing = Metadata::with(&[
        ("hostname", "web"),
        ("interfaces/public/0/ipv4/address", "<html>"),
    ]);
    let env = |url: &str, args: &str| {
        env(
            &format!("--platform droplet --metadata-url {url} {args}"),
            &[],
        )
        .replace(url, "URL")
    };
    assert_snapshot!(env(&nothing.url, ""), @r"
    exit 1
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: this Droplet has no private IPv4 address · metadata service · put the Droplet into a VPC, or use --network public
    ");
    assert_snapshot!(env(&nothing.url, "--network public"), @r#"
    exit 1
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: the metadata service answers "<html>" · URL/interfaces/public/0/ipv4/address · run this on a Droplet, or set RELEASE_NODE=name@host
    "#);
    let broken = Metadata::with(&[
        ("hostname", "!503 Unavailable"),
        ("interfaces/private/0/ipv4/address", "10.0.0.1"),
    ]);
    assert_snapshot!(env(&broken.url, ""), @r"
    exit 1
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: the metadata service answers 503 · URL/hostname · run this on a Droplet, or set RELEASE_NODE=name@host
    ");
    assert_eq!(
        broken
            .asked
            .lock()
            .unwrap()
            .iter()
            .filter(|path| path.ends_with("hostname"))
            .count(),
        3
    );
    assert_snapshot!(env("http://127.0.0.1:1/metadata/v1", "--node-basename app"), @r"
    exit 1
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: the metadata service cannot be asked: cannot connect to http://127.0.0.1:1: connection refused · URL/interfaces/private/0/ipv4/address · run this on a Droplet, or set RELEASE_NODE=name@host
    ");
}

#[test]
fn private_ipv6_is_refused_before_anything_is_asked() {
    let metadata = Metadata::droplet();
    let args = format!("--platform droplet --ipv6 --metadata-url {}", metadata.url);
    assert_snapshot!(env(&args, &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: a Droplet has no private IPv6 address · --ipv6 · add --network public, or leave --ipv6 out
    ");
    assert!(metadata.asked.lock().unwrap().is_empty());
}

#[test]
fn wrong_values() {
    for (args, vars) in [
        ("", [("RELEASE_NODE", "app")]),
        ("", [("RELEASE_NODE", "a b@h")]),
        ("", [("KUBERNETES_SERVICE_HOST", "10.0.0.1")]),
    ] {
        let seen = env(args, &vars);
        assert!(
            seen.starts_with("exit 1\nstdout: echo 'trunkline: nothing is started"),
            "{seen}"
        );
    }
    assert_snapshot!(env("", &[("RELEASE_NODE", "app")]), @r#"
    exit 1
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: "app" is no node name: a node name is name@host, this has no @ · RELEASE_NODE · write it as name@host, for example app@10.0.0.5
    "#);
    assert_snapshot!(env("--format json", &[("RELEASE_NODE", "app")]), @r#"
    exit 1
    stderr: trunkline: "app" is no node name: a node name is name@host, this has no @ · RELEASE_NODE · write it as name@host, for example app@10.0.0.5
    "#);
    assert_snapshot!(env("--name app", &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: invalid value 'app' for '--name <NODE>': a node name is name@host, this has no @ · trunkline env · see trunkline env --help
    ");
    assert_snapshot!(env("--platform heroku", &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: invalid value 'heroku' for '--platform <PLATFORM>': the platforms are fly, droplet · trunkline env · see trunkline env --help
    ");
    assert_snapshot!(env("--network inside", &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: invalid value 'inside' for '--network <NETWORK>': the networks are private, public · trunkline env · see trunkline env --help
    ");
    assert_snapshot!(env("--node-basename a.b", &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: invalid value 'a.b' for '--node-basename <NAME>': '.' cannot be in the part before the @ · trunkline env · see trunkline env --help
    ");
    assert_snapshot!(env("--platform droplet --metadata-url ftp://x", &[]), @r#"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: "ftp://x" is no URL: the scheme is neither http nor https · --metadata-url · write it like http://169.254.169.254/metadata/v1
    "#);
    assert_snapshot!(env("--for make", &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: invalid value 'make' for '--for <TOOL>' · trunkline env · use one of: mix, erl, relx
    ");
    assert_snapshot!(env("--format yaml", &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: invalid value 'yaml' for '--format <FORMAT>' · trunkline env · use one of: sh, dotenv, dockerfile, json
    ");
    assert_snapshot!(env("--epmd-port 0", &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: invalid value '0' for '--epmd-port <PORT>': 0 is not in 1..=65535 · trunkline env · see trunkline env --help
    ");
    assert_snapshot!(env("--dist-port 70000", &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: invalid value '70000' for '--dist-port <PORT>': 70000 is not in 1..=65535 · trunkline env · see trunkline env --help
    ");
    assert_snapshot!(env("--dist-port 9000 --format dotenv", &[("RELEASE_NODE", NODE)]), @r"
    exit 2
    stderr: trunkline: a fixed port is for commands that start a node only, which this format cannot say · --dist-port · use --format sh in env.sh, or leave the flag out
    ");
    assert_snapshot!(env("--cookie-file /x", &[]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: the following required arguments were not provided: --with-cookie · trunkline env · see trunkline env --help
    ");
    assert_snapshot!(env("--with-cookie", &[("RELEASE_NODE", NODE)]), @r"
    exit 1
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: there is no cookie · RELEASE_COOKIE, $RELEASE_ROOT/releases/COOKIE, $HOME/.erlang.cookie · make one (trunkline cookie generate) and give every node the same
    ");
    assert_snapshot!(env("--config /nowhere.toml", &[("RELEASE_NODE", NODE)]), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: cannot read the configuration file /nowhere.toml · --config · name an existing file, or leave the flag out
    ");
    let cookie = [("RELEASE_NODE", NODE), ("RELEASE_COOKIE", "hush-hush")];
    assert_snapshot!(env("--for erl --with-cookie", &cookie), @r"
    exit 2
    stdout: echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    stderr: trunkline: erl takes a cookie from its arguments or a file, and arguments show in ps · --with-cookie · write it to $HOME/.erlang.cookie with mode 0400
    ");
}

#[test]
fn a_failure_stops_the_shell_that_evaluates_it() {
    for args in [
        "",
        "--name app",
        "--formt sh",
        "--platform heroku",
        "--log-level loud",
    ] {
        let script = format!("eval \"$(trunkline env {args})\"; echo booted alone");
        let seen = seen(&mut sh(&script));
        let lines: Vec<_> = seen.lines().collect();
        // The reason once, then what it means for the script.
        let [code, reason, end] = lines[..] else {
            panic!("{seen}");
        };
        assert_eq!(code, "exit 1");
        assert!(reason.starts_with("stderr: trunkline: "), "{seen}");
        let stopped = "stderr: trunkline: nothing is started, because trunkline env failed";
        assert_eq!(end, stopped);
    }
}

#[test]
fn what_is_there_wins_unless_forced() {
    let fly = [
        ("RELEASE_NODE", NODE),
        ("RELEASE_DISTRIBUTION", "sname"),
        ("ERL_EPMD_PORT", "1"),
        ("FLY_APP_NAME", "f"),
        ("FLY_PRIVATE_IP", "fdaa::1"),
        ("ERL_AFLAGS", "+S 1"),
    ];
    assert_snapshot!(env("--epmd-port 4370", &fly), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='sname'
    stdout: export RELEASE_NODE='app@10.0.0.5'
    stdout: export ECTO_IPV6='true'
    stdout: export DNS_CLUSTER_QUERY='f.internal'
    stdout: export ERL_EPMD_PORT='1'
    stderr: WARN RELEASE_DISTRIBUTION is already sname and stays so, name is not used · environment · unset it, or add --force
    stderr: WARN ERL_EPMD_PORT is already 1 and stays so, 4370 is not used · environment · unset it, or add --force
    ");
    assert_snapshot!(env("--epmd-port 4370 --force", &fly), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='f@fdaa::1'
    stdout: export ERL_AFLAGS='+S 1 -proto_dist inet6_tcp'
    stdout: export ECTO_IPV6='true'
    stdout: export DNS_CLUSTER_QUERY='f.internal'
    stdout: export ERL_EPMD_PORT='4370'
    ");
}

#[test]
fn the_cookie_only_when_asked_for_and_byte_for_byte() {
    let vars = [
        ("RELEASE_NODE", NODE),
        ("RELEASE_COOKIE", "it's hush-hush\n"),
    ];
    assert!(!env("", &vars).contains("hush"));
    assert_snapshot!(env("--with-cookie", &vars), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='app@10.0.0.5'
    stdout: export RELEASE_COOKIE='it'\''s hush-hush
    stdout: '
    stderr: WARN the cookie: it ends with a newline, which the BEAM takes as part of it · RELEASE_COOKIE · set it without one: printf %s, not echo
    ");
    assert_snapshot!(env("--with-cookie --format dotenv", &vars), @r"
    exit 1
    stderr: WARN the cookie: it ends with a newline, which the BEAM takes as part of it · RELEASE_COOKIE · set it without one: printf %s, not echo
    stderr: trunkline: RELEASE_COOKIE holds a newline, which this format cannot hold · --format · set the variable without it, or use --format sh
    ");
    assert_snapshot!(env("--with-cookie --format dotenv", &[vars[0], ("RELEASE_COOKIE", "a'b")]), @r"
    exit 0
    stdout: RELEASE_DISTRIBUTION=name
    stdout: RELEASE_NODE=app@10.0.0.5
    stdout: RELEASE_COOKIE=a'b
    ");
}

#[test]
fn proto_dist_is_added_only_where_absent() {
    let node = ("RELEASE_NODE", "app@fdaa::1");
    let flags = |variable: &'static str, value: &'static str| {
        let json = stdout(trunkline("env --format json").envs([node, (variable, value)]));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["ERL_AFLAGS"].as_str().map(str::to_owned)
    };
    let added = |text: &str| Some(text.to_owned());
    assert_eq!(flags("X", ""), added("-proto_dist inet6_tcp"));
    assert_eq!(
        flags("ERL_AFLAGS", "+S 1 "),
        added("+S 1 -proto_dist inet6_tcp")
    );
    assert_eq!(
        flags("ERL_AFLAGS", "-proto_dist inet6_tcp +S 1"),
        added("-proto_dist inet6_tcp +S 1")
    );
    assert_eq!(
        flags("ERL_AFLAGS", "-proto_dist inet6_tls"),
        added("-proto_dist inet6_tls")
    );
    for variable in ["ERL_FLAGS", "ERL_ZFLAGS", "ELIXIR_ERL_OPTIONS"] {
        assert_eq!(flags(variable, "-proto_dist inet6_tcp"), None, "{variable}");
    }
    let wrong = env("", &[node, ("ERL_AFLAGS", "-proto_dist inet_tcp")]);
    assert_snapshot!(wrong, @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='app@fdaa::1'
    stdout: export ERL_AFLAGS='-proto_dist inet_tcp'
    stderr: WARN app@fdaa::1 needs IPv6, but -proto_dist is inet_tcp and stays so · ERL_AFLAGS · use inet6_tcp, or a name with an IPv4 address
    ");
}

#[test]
fn proto_dist_in_vm_args_counts() {
    let root = tempfile::tempdir().unwrap();
    let version = root.path().join("releases/0.1.0");
    fs::create_dir_all(&version).unwrap();
    fs::write(
        version.join("vm.args"),
        "## comment -proto_dist x\n-proto_dist inet6_tcp\n",
    )
    .unwrap();
    fs::write(version.join("remote.vm.args"), "# -proto_dist inet6_tcp\n").unwrap();
    let env = |command: &str| {
        let mut trunkline = trunkline("env");
        trunkline.env("RELEASE_ROOT", root.path()).envs([
            ("RELEASE_VSN", "0.1.0"),
            ("RELEASE_NODE", "app@fdaa::1"),
            ("RELEASE_COMMAND", command),
        ]);
        stdout(&mut trunkline).contains("-proto_dist")
    };
    assert!(!env("start"));
    assert!(env("rpc"), "another vm.args, which has no such flag");
}

#[test]
fn fixed_ports_are_for_commands_that_start_a_node() {
    let vars = [("RELEASE_NODE", NODE), ("ELIXIR_ERL_OPTIONS", "-heart")];
    assert_snapshot!(env("--dist-port 9000 --epmd-port 4370", &vars), @r#"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='app@10.0.0.5'
    stdout: export ERL_EPMD_PORT='4370'
    stdout: case "${RELEASE_COMMAND:-start}" in start|start_iex|daemon|daemon_iex)
    stdout:   export ELIXIR_ERL_OPTIONS='-heart -kernel inet_dist_listen_min 9000 inet_dist_listen_max 9000' ;;
    stdout: esac
    "#);
    let script = stdout(trunkline("env --dist-port 9000").envs(vars));
    let options = |script: &str, command: Option<&str>, inherited: &str| {
        let mut vars = vec![("ELIXIR_ERL_OPTIONS", OsStr::new(inherited))];
        vars.extend(command.map(|command| ("RELEASE_COMMAND", OsStr::new(command))));
        let after = after_eval(script.as_bytes(), &vars);
        String::from_utf8(after[b"ELIXIR_ERL_OPTIONS".as_slice()].clone()).unwrap()
    };
    let fixed = "-heart -kernel inet_dist_listen_min 9000 inet_dist_listen_max 9000";
    for command in [
        None,
        Some("start"),
        Some("start_iex"),
        Some("daemon"),
        Some("daemon_iex"),
    ] {
        assert_eq!(options(&script, command, "-heart"), fixed, "{command:?}");
    }
    for command in ["rpc", "remote", "stop", "pid", "eval"] {
        assert_eq!(
            options(&script, Some(command), "-heart"),
            "-heart",
            "{command}"
        );
    }
    // A tool that the node itself starts inherits the flag, and must not keep it.
    let vars = [("RELEASE_NODE", NODE), ("ELIXIR_ERL_OPTIONS", fixed)];
    let again = stdout(trunkline("env --dist-port 9000").envs(vars));
    assert_eq!(options(&again, Some("rpc"), fixed), "-heart");
    assert_eq!(options(&again, Some("start"), fixed), fixed);
    let other = [
        ("RELEASE_NODE", NODE),
        ("ERL_FLAGS", "-kernel inet_dist_listen_min 1"),
    ];
    assert_snapshot!(env("--dist-port 9000", &other), @r#"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='app@10.0.0.5'
    stdout: case "${RELEASE_COMMAND:-start}" in start|start_iex|daemon|daemon_iex)
    stdout:   export ELIXIR_ERL_OPTIONS='' ;;
    stdout: esac
    stderr: WARN the distribution port is already 1 and stays so, 9000 is not used · environment or vm.args · remove inet_dist_listen_min there
    "#);
}

#[test]
fn other_tools() {
    let vars = [
        ("RELEASE_NODE", "app@fdaa::1"),
        ("RELEASE_COOKIE", "hush-hush"),
    ];
    assert_snapshot!(env("--for erl --dist-port 9000", &vars), @r#"
    exit 0
    stdout: export ERL_AFLAGS='-name app@fdaa::1 -proto_dist inet6_tcp'
    stdout: case "${RELEASE_COMMAND:-start}" in start|start_iex|daemon|daemon_iex)
    stdout:   export ERL_AFLAGS='-name app@fdaa::1 -proto_dist inet6_tcp -kernel inet_dist_listen_min 9000 inet_dist_listen_max 9000' ;;
    stdout: esac
    "#);
    assert_snapshot!(env("--for relx --with-cookie --dist-port 9000", &vars), @r#"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='app@fdaa::1'
    stdout: export RELEASE_COOKIE='hush-hush'
    stdout: export RELX_REPLACE_OS_VARS='true'
    stdout: export ERL_AFLAGS='-proto_dist inet6_tcp'
    stdout: case "${RELEASE_COMMAND:-start}" in start|start_iex|daemon|daemon_iex)
    stdout:   export ERL_AFLAGS='-proto_dist inet6_tcp -kernel inet_dist_listen_min 9000 inet_dist_listen_max 9000' ;;
    stdout: esac
    "#);
    let named = [vars[0], ("ERL_AFLAGS", "-name app@fdaa::1")];
    assert_snapshot!(env("--for erl", &named), @r"
    exit 0
    stdout: export ERL_AFLAGS='-name app@fdaa::1 -proto_dist inet6_tcp'
    ");
}

/// The variables that two rounds of `eval "$(trunkline env …)"` leave.
fn two_rounds(args: &str, vars: &[(&str, &OsStr)]) -> [BTreeMap<Vec<u8>, Vec<u8>>; 2] {
    let script = format!("eval \"$(trunkline env {args})\"\n");
    [1, 2].map(|rounds| {
        let mut after = after_eval(script.repeat(rounds).as_bytes(), vars);
        // The shell's own.
        after.retain(|name, _| name != b"_" && name != b"PWD" && name != b"OLDPWD");
        after
    })
}

#[test]
fn twice_changes_nothing() {
    for tool in ["mix", "erl", "relx"] {
        for flags in [
            "",
            "-proto_dist inet6_tcp +S 1",
            "+P 9 -kernel shell_history enabled",
        ] {
            for command in ["start", "rpc"] {
                let args = format!("--for {tool} --epmd-port 4370 --dist-port 9000");
                let vars = [
                    ("RELEASE_NODE", OsStr::new("app@fdaa::1")),
                    ("ERL_AFLAGS", OsStr::new(flags)),
                    ("RELEASE_COMMAND", OsStr::new(command)),
                ];
                let [once, twice] = two_rounds(&args, &vars);
                assert_eq!(once, twice, "{args} {flags} {command}");
                assert_eq!(once[b"ERL_EPMD_PORT".as_slice()], b"4370");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever bytes a value holds, the shell gets exactly them, in any place.
    #[test]
    fn any_value_survives_the_shell(bytes in prop::collection::vec(1..=255u8, 1..60)) {
        let value = OsString::from(OsStr::from_bytes(&bytes));
        let vars = [("RELEASE_NODE", NODE.as_ref()), ("RELEASE_COOKIE", value.as_os_str())];
        let script = trunkline("env --with-cookie").envs(vars).output().unwrap().stdout;
        let after = after_eval(&script, &[]);
        prop_assert_eq!(&after[b"RELEASE_COOKIE".as_slice()], &bytes);
        let flags = [("RELEASE_NODE", "app@fdaa::1".as_ref()), ("ERL_AFLAGS", value.as_os_str())];
        let [once, twice] = two_rounds("", &flags);
        prop_assert_eq!(once, twice);
    }
}
