//! `trunkline env` on Fly, against what the Fly guide's own `env.sh` gives, and the Dockerfile lines.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::collections::BTreeMap;
use std::ffi::OsStr;

use insta::assert_snapshot;
use util::{FLY_GUIDE as GUIDE, after_eval, seen, stdout, trunkline};

const IMAGE: &str = "registry.fly.io/hello-elixir:deployment-01H9RK9EYO9PGNBYAKGXSHV0PH";

const FLY: [(&str, &str); 5] = [
    ("FLY_APP_NAME", "hello-elixir"),
    ("FLY_PRIVATE_IP", "fdaa:0:1da8:a7b:ac4:b204:7e29:2"),
    ("FLY_IMAGE_REF", IMAGE),
    ("FLY_MACHINE_ID", "6e82dd00f75687"),
    ("FLY_REGION", "sea"),
];

/// `env` on a Fly Machine with these variables on top.
fn env(args: &str, more: &[(&str, &str)]) -> String {
    let vars = FLY.iter().chain(more).copied();
    seen(trunkline(&format!("env {args}")).envs(vars))
}

/// The five variables after a shell has evaluated `script` on a Fly Machine.
fn five(script: &[u8], more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let vars: Vec<_> = FLY.iter().chain(more).collect();
    let vars: Vec<_> = vars.iter().map(|(k, v)| (*k, OsStr::new(*v))).collect();
    let names = [
        "ERL_AFLAGS",
        "ECTO_IPV6",
        "DNS_CLUSTER_QUERY",
        "RELEASE_DISTRIBUTION",
        "RELEASE_NODE",
    ];
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let all = after_eval(script, &vars).into_iter();
    let all = all.map(|(name, value)| (text(name), text(value)));
    all.filter(|(name, _)| names.contains(&name.as_str()))
        .collect()
}

#[test]
fn the_five_exports() {
    assert_snapshot!(env("", &[]), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='hello-elixir-01H9RK9EYO9PGNBYAKGXSHV0PH@fdaa:0:1da8:a7b:ac4:b204:7e29:2'
    stdout: export ERL_AFLAGS='-proto_dist inet6_tcp'
    stdout: export ECTO_IPV6='true'
    stdout: export DNS_CLUSTER_QUERY='hello-elixir.internal'
    ");
    let missing = trunkline("env")
        .env("FLY_APP_NAME", "hello-elixir")
        .output();
    let (out, err) = util::texts(&missing.unwrap());
    assert_snapshot!(out + &err, @r"
    echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1
    trunkline: cannot name this node: FLY_PRIVATE_IP is not set · fly · set it, or set RELEASE_NODE=name@host
    ");
}

/// Node for node the same as the guide's lines, alone, before and after them: a release whose
/// `env.sh` has both starts as one that has either.
#[test]
fn the_same_as_the_guides_lines() {
    let ours = format!("eval \"$({} env)\"\n", util::TRUNKLINE);
    let guide = five(GUIDE.as_bytes(), &[]);
    assert_eq!(guide.len(), 5);
    for script in [
        ours.clone(),
        ours.repeat(2),
        format!("{GUIDE}{ours}"),
        format!("{ours}{GUIDE}"),
    ] {
        assert_eq!(five(script.as_bytes(), &[]), guide, "{script}");
    }
}

#[test]
fn what_fly_toml_says_stays() {
    let ours = format!("eval \"$({} env)\"\n", util::TRUNKLINE);
    for (name, value) in [
        ("DNS_CLUSTER_QUERY", "sea.hello-elixir.internal"),
        ("DNS_CLUSTER_QUERY", ""),
        ("ECTO_IPV6", "false"),
        ("ECTO_IPV6", ""),
        (
            "ERL_AFLAGS",
            "-kernel shell_history enabled -proto_dist inet6_tcp",
        ),
    ] {
        let once = five(ours.as_bytes(), &[(name, value)]);
        assert_eq!(once[name], value);
        assert_eq!(once.len(), 5);
        assert_eq!(five(ours.repeat(2).as_bytes(), &[(name, value)]), once);
    }
    assert_snapshot!(env("", &[("DNS_CLUSTER_QUERY", ""), ("ERL_AFLAGS", "+S 1")]), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='hello-elixir-01H9RK9EYO9PGNBYAKGXSHV0PH@fdaa:0:1da8:a7b:ac4:b204:7e29:2'
    stdout: export ERL_AFLAGS='+S 1 -proto_dist inet6_tcp'
    stdout: export ECTO_IPV6='true'
    stdout: export DNS_CLUSTER_QUERY=''
    ");
    assert_snapshot!(env("--force", &[("DNS_CLUSTER_QUERY", "x"), ("ECTO_IPV6", "false"), ("RELEASE_NODE", "a@b")]), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='hello-elixir-01H9RK9EYO9PGNBYAKGXSHV0PH@fdaa:0:1da8:a7b:ac4:b204:7e29:2'
    stdout: export ERL_AFLAGS='-proto_dist inet6_tcp'
    stdout: export ECTO_IPV6='true'
    stdout: export DNS_CLUSTER_QUERY='hello-elixir.internal'
    ");
}

#[test]
fn every_form_of_image() {
    let node = |image: &str| {
        let json = stdout(
            trunkline("env --json")
                .envs(FLY)
                .env("FLY_IMAGE_REF", image),
        );
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["RELEASE_NODE"].as_str().unwrap().to_owned()
    };
    for (image, release) in [
        (IMAGE, "-01H9RK9EYO9PGNBYAKGXSHV0PH"),
        ("registry.fly.io/hello-elixir:v12", "-v12"),
        (
            "ghcr.io/acme/hello@sha256:0123456789abcdef0123",
            "-0123456789ab",
        ),
        ("", ""),
    ] {
        assert_eq!(
            node(image),
            format!("hello-elixir{release}@fdaa:0:1da8:a7b:ac4:b204:7e29:2"),
            "{image}"
        );
    }
}

#[test]
fn other_formats() {
    assert_snapshot!(env("--format json", &[]), @r#"
    exit 0
    stdout: {"DNS_CLUSTER_QUERY":"hello-elixir.internal","ECTO_IPV6":"true","ERL_AFLAGS":"-proto_dist inet6_tcp","RELEASE_DISTRIBUTION":"name","RELEASE_NODE":"hello-elixir-01H9RK9EYO9PGNBYAKGXSHV0PH@fdaa:0:1da8:a7b:ac4:b204:7e29:2"}
    "#);
    assert_snapshot!(env("--format dotenv", &[]), @r"
    exit 0
    stdout: RELEASE_DISTRIBUTION=name
    stdout: RELEASE_NODE=hello-elixir-01H9RK9EYO9PGNBYAKGXSHV0PH@fdaa:0:1da8:a7b:ac4:b204:7e29:2
    stdout: ERL_AFLAGS=-proto_dist inet6_tcp
    stdout: ECTO_IPV6=true
    stdout: DNS_CLUSTER_QUERY=hello-elixir.internal
    ");
    assert_snapshot!(env("--for erl", &[]), @r"
    exit 0
    stdout: export ERL_AFLAGS='-name hello-elixir-01H9RK9EYO9PGNBYAKGXSHV0PH@fdaa:0:1da8:a7b:ac4:b204:7e29:2 -proto_dist inet6_tcp'
    stdout: export ECTO_IPV6='true'
    stdout: export DNS_CLUSTER_QUERY='hello-elixir.internal'
    ");
}

/// A name that all deployments share makes them one cluster.
#[test]
fn a_chosen_basename() {
    assert_snapshot!(env("--node-basename hello", &[]), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='hello@fdaa:0:1da8:a7b:ac4:b204:7e29:2'
    stdout: export ERL_AFLAGS='-proto_dist inet6_tcp'
    stdout: export ECTO_IPV6='true'
    stdout: export DNS_CLUSTER_QUERY='hello-elixir.internal'
    ");
}

/// Only IPv6 leads from one machine to another, whatever the node is called.
#[test]
fn a_host_name_needs_ipv6_too() {
    let named = (
        "RELEASE_NODE",
        "hello@6e82dd00f75687.vm.hello-elixir.internal",
    );
    assert_snapshot!(env("", &[named]), @r"
    exit 0
    stdout: export RELEASE_DISTRIBUTION='name'
    stdout: export RELEASE_NODE='hello@6e82dd00f75687.vm.hello-elixir.internal'
    stdout: export ERL_AFLAGS='-proto_dist inet6_tcp'
    stdout: export ECTO_IPV6='true'
    stdout: export DNS_CLUSTER_QUERY='hello-elixir.internal'
    ");
}

/// On the machine where the image is built nothing of Fly is set, and what is set there is nobody
/// else's.
#[test]
fn the_dockerfile_lines() {
    let laptop = [
        ("ERL_AFLAGS", "-kernel shell_history enabled"),
        ("RELEASE_NODE", "me@laptop.example"),
    ];
    let image = |args: &str, vars: &[(&str, &str)]| {
        seen(trunkline(&format!("env --format dockerfile {args}")).envs(vars.iter().copied()))
    };
    let lines = image("--platform fly", &laptop);
    assert_snapshot!(lines, @r#"
    exit 0
    stdout: ENV ECTO_IPV6="true"
    stdout: ENV ERL_AFLAGS="-proto_dist inet6_tcp"
    "#);
    assert_eq!(image("", &FLY), lines, "on Fly itself");
    assert_snapshot!(image("--platform fly --for relx --epmd-port 4370", &[]), @r#"
    exit 0
    stdout: ENV ECTO_IPV6="true"
    stdout: ENV ERL_AFLAGS="-proto_dist inet6_tcp"
    stdout: ENV RELX_REPLACE_OS_VARS="true"
    stdout: ENV ERL_EPMD_PORT="4370"
    "#);
    assert_snapshot!(image("--name web@10.0.0.5", &laptop), @r#"
    exit 0
    stdout: ENV RELEASE_DISTRIBUTION="name"
    stdout: ENV RELEASE_NODE="web@10.0.0.5"
    "#);
}

#[test]
fn what_no_image_can_hold() {
    let image = |args: &str, vars: &[(&str, &str)]| {
        seen(trunkline(&format!("env --format dockerfile {args}")).envs(vars.iter().copied()))
    };
    assert_snapshot!(image("", &[("RELEASE_NODE", "me@laptop.example")]), @r#"
    exit 2
    stderr: trunkline: which platform the image is for is not known, an image can hold none of it · --format dockerfile · add --platform fly, or let the machine say it: eval "$(trunkline env)"
    "#);
    assert_snapshot!(image("--platform droplet", &[]), @r#"
    exit 2
    stderr: trunkline: on droplet everything depends on the machine, an image can hold none of it · --format dockerfile · add --platform fly, or let the machine say it: eval "$(trunkline env)"
    "#);
    assert_snapshot!(image("--platform fly --with-cookie", &[("RELEASE_COOKIE", "hush-hush")]), @r"
    exit 2
    stderr: trunkline: an image is no place for a cookie: whoever has the image reads it · --with-cookie · set RELEASE_COOKIE where the image runs (on Fly: fly secrets set)
    ");
    assert_snapshot!(image("--platform fly --dist-port 9000", &[]), @r"
    exit 2
    stderr: trunkline: a fixed port is for commands that start a node only, which this format cannot say · --dist-port · use --format sh in env.sh, or leave the flag out
    ");
}

/// What the image says and what the machine adds fit together.
#[test]
fn the_image_first_then_the_machine() {
    let ours = format!("eval \"$({} env)\"\n", util::TRUNKLINE);
    let image = [
        ("ECTO_IPV6", "true"),
        ("ERL_AFLAGS", "-proto_dist inet6_tcp"),
    ];
    assert_eq!(five(ours.as_bytes(), &image), five(GUIDE.as_bytes(), &[]));
}
