//! `trunkline config example|check` through the real binary.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;
use util::{seen, sh, stdout, texts, trunkline};

/// A folder with this `trunkline.toml`, and the command in it.
fn with_config(text: &str, args: &str) -> (TempDir, Command) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("trunkline.toml"), text).unwrap();
    let mut command = trunkline(args);
    command.current_dir(dir.path());
    (dir, command)
}

fn check(text: &str) -> String {
    let (_dir, mut command) = with_config(text, "config check");
    let quoted = built_in().into_iter().map(|name| format!("{name:?}"));
    let quoted: Vec<_> = quoted.collect();
    seen(command.env("TOKEN", "dop_v1_hush")).replace(&quoted.join(", "), "…")
}

fn built_in() -> Vec<String> {
    let list = stdout(&mut trunkline("strategies --json"));
    let list: Value = serde_json::from_str(&list).unwrap();
    let rows = list["strategies"].as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_example_prints_passes() {
    let all = built_in();
    let each = all.iter().map(String::as_str);
    for strategies in each.chain(["", &all.join(" ")]) {
        let example = format!("trunkline config example {strategies}");
        for script in [
            format!("{example} | trunkline config check -"),
            format!("{example} | sed '/^#/d' | trunkline config check -"),
        ] {
            let output = sh(&script).output().unwrap();
            assert!(output.status.success(), "{script}: {:?}", texts(&output));
        }
    }
}

#[test]
fn an_example() {
    let text = stdout(&mut trunkline("config example epmd Cluster.Strategy.Epmd"));
    let topology: Vec<_> = text
        .lines()
        .skip_while(|line| *line != "[topologies.epmd]")
        .take(6)
        .collect();
    assert_snapshot!(topology.join("\n"), @r#"
    [topologies.epmd]
    strategy = "epmd"

    # the nodes, required
    #   a list of node names, ["app@10.0.0.5", …]
    hosts = ["app@10.0.0.5", "app@10.0.0.6"]
    "#);
    assert!(!text.contains("[topologies.dns]"), "{text}");
    assert_snapshot!(seen(&mut trunkline("config example edpm")), @r"
    exit 2
    stderr: trunkline: there is no strategy 'edpm' · NAME · did you mean epmd?
    ");
}

#[test]
fn what_it_understood() {
    let text = "[node]\nname = 'app@10.0.0.5'\ncookie = { env = 'TOKEN' }\n\
                [topologies.list]\nstrategy = 'epmd'\nhosts = ['b@10.0.0.2']\n\
                [topologies.later]\nstrategy = 'epmd'\nhosts = []\n";
    assert_snapshot!(check(text), @r"
    exit 0
    stdout: trunkline.toml: no mistakes
    stdout:   node: app@10.0.0.5, cookie from $TOKEN
    stdout:   admin: 127.0.0.1:4370, ready with 1
    stdout:   topology later (epmd): off, hosts is empty
    stdout:   topology list (epmd): list/hosts
    stdout:   because trunkline.toml says so
    ");
    let (_dir, mut json) = with_config(text, "config check --json");
    let json: Value = serde_json::from_str(&stdout(json.env("TOKEN", "dop_v1_hush"))).unwrap();
    assert_eq!(json["ok"], true);
    let understood = &json["understood"];
    assert_eq!(understood["node"]["name"], "app@10.0.0.5");
    assert_eq!(understood["node"]["cookie"], "$TOKEN");
    assert_eq!(understood["engine"]["removal_grace"], 30_000);
    assert_eq!(understood["topologies"][1]["sources"][0], "list/hosts");
    assert_eq!(understood["topologies"][0]["off"], "hosts is empty");
}

#[test]
fn the_file_that_run_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut none = trunkline("config check");
    none.current_dir(dir.path())
        .env("DNS_CLUSTER_QUERY", "app.internal");
    let text = seen(&mut none);
    assert!(text.contains("no file, the environment decides"), "{text}");
    assert!(text.contains("$DNS_CLUSTER_QUERY is set"), "{text}");
    fs::write(dir.path().join("other.toml"), "nodee = 1\n").unwrap();
    for args in [
        "config check other.toml",
        "config check --config other.toml",
    ] {
        let mut command = trunkline(args);
        let text = seen(command.current_dir(dir.path()));
        assert!(text.contains("other.toml:1"), "{text}");
    }
}

#[test]
fn every_mistake_at_once() {
    assert_snapshot!(check(
        r#"
nodee = 1

[node]
name = "app"
cookei = { env = "RELEASE_COOKIE" }

[engine]
removal_grace = "soon"
max_conects = 3
backoff_min = "1m"

[topologies.web]
strategy = "digitalocean"
token = { env = "TOKEN" }
tagname = "web"
network = "pubic"
ipv6 = true
polling_interval = 5

[topologies.fly]
strategy = "dsn"
queri = "app.internal"

[topologies.list]
strategy = "epmd"
hosts = ["app"]
health_check = { type = "udp", port = 1 }

[admin]
listen = "0.0.0.0:80"
min_nodes = 0
"#
    ), @r#"
    exit 2
    stderr: trunkline: unknown key nodee · trunkline.toml:2 · did you mean node?
    stderr: trunkline: name = "app" is not allowed · trunkline.toml:5 [node] · allowed is a node name, "name@host"
    stderr: trunkline: unknown key cookei · trunkline.toml:6 [node] · did you mean cookie?
    stderr: trunkline: removal_grace = "soon" is not allowed · trunkline.toml:9 [engine] · allowed is a duration such as "5s" or "500ms", or a number of milliseconds
    stderr: trunkline: unknown key max_conects · trunkline.toml:10 [engine] · did you mean max_connects?
    stderr: trunkline: backoff_min (60s) is longer than backoff_max (30s) · trunkline.toml:11 [engine] · lower backoff_min, or raise backoff_max
    stderr: trunkline: unknown key tagname · trunkline.toml:16 [topologies.web] · did you mean tag_name?
    stderr: trunkline: network = "pubic" is not allowed · trunkline.toml:17 [topologies.web] · allowed is "private" or "public"
    stderr: trunkline: polling_interval = "5ms" is not allowed · trunkline.toml:19 [topologies.web] · allowed is a duration such as "5s" or "500ms", or a number of milliseconds, at least 100 ms
    stderr: trunkline: query is missing · trunkline.toml:21 [topologies.fly] · set it to a domain name, { env = "NAME" }, { basename = "app", query = … } or a list of these; "" switches it off
    stderr: trunkline: strategy = "dsn" is not allowed · trunkline.toml:22 [topologies.fly] · allowed is one of …; did you mean "dns"?
    stderr: trunkline: unknown key queri · trunkline.toml:23 [topologies.fly] · did you mean query?
    stderr: trunkline: hosts holds "app", and a node name is name@host, this has no @ · trunkline.toml:27 [topologies.list] · allowed is a list of node names, ["app@10.0.0.5", …]
    stderr: trunkline: health_check = { port = 1, type = "udp" } is not allowed · trunkline.toml:28 [topologies.list] · allowed is { type = "tcp", port = 1…65535, timeout = "500ms", rise = 1, fall = 3 }, of which type and port are required
    stderr: trunkline: listen = "0.0.0.0:80" is open to others and has no token · trunkline.toml:31 [admin] · set token = { env = "NAME" } or { file = "/path" }, or listen on 127.0.0.1
    stderr: trunkline: min_nodes = 0 is not allowed · trunkline.toml:32 [admin] · allowed is a whole number of at least 1
    "#);
}

#[test]
fn two_keys_that_exclude_each_other() {
    assert_snapshot!(check(
        "[topologies.web]\nstrategy = 'digitalocean'\ntag_name = 'a'\nname = 'b'\nregion = ''\n"
    ), @r#"
    exit 2
    stderr: trunkline: token is missing · trunkline.toml:1 [topologies.web] · set it to a text, { env = "NAME" } or { file = "/path" }
    stderr: trunkline: tag_name and name are both set, and the API takes one of them · trunkline.toml:3 [topologies.web] · remove one of them
    stderr: trunkline: region = "" is not allowed · trunkline.toml:5 [topologies.web] · allowed is a text that is not empty, or leave the key out
    "#);
}

#[test]
fn every_slip_in_the_syntax() {
    assert_snapshot!(check("[node]\nname = app@host\n\n[engine\nremoval_grace = '5s'\n[admin]\nlisten = \n"), @r"
    exit 2
    stderr: trunkline: string values must be quoted, expected literal string · trunkline.toml:2 · correct the TOML syntax
    stderr: trunkline: unclosed table, expected `]` · trunkline.toml:4 · correct the TOML syntax
    stderr: trunkline: string values must be quoted, expected literal string · trunkline.toml:7 · correct the TOML syntax
    ");
}

#[test]
fn secrets_that_are_not_here_are_named_and_never_shown() {
    let text = "[node]\ncookie = { env = 'APP_COOKIE' }\n\
                [topologies.web]\nstrategy = 'digitalocean'\ntoken = { env = 'DO_TOKEN' }\ntag_name = 'web'\n\
                [topologies.api]\nstrategy = 'digitalocean'\ntoken = { file = '/nonexistent/token' }\ntag_name = 'api'\n\
                [admin]\nlisten = '10.0.0.5:4370'\ntoken = { env = 'ADMIN_TOKEN' }\n";
    assert_snapshot!(check(text), @r"
    exit 0
    stdout: trunkline.toml: no mistakes
    stdout:   node: named by its surroundings, cookie from $APP_COOKIE
    stdout:   admin: 10.0.0.5:4370, with a token, ready with 1
    stdout:   topology api (digitalocean): api/droplets
    stdout:   topology web (digitalocean): web/droplets
    stdout:   because trunkline.toml says so
    stderr: trunkline: warning: cookie is to come from $APP_COOKIE, which is not set · trunkline.toml:2 [node] · set APP_COOKIE
    stderr: trunkline: warning: token is to come from $DO_TOKEN, which is not set or empty · trunkline.toml:5 [topologies.web] · set DO_TOKEN
    stderr: trunkline: warning: token is to come from /nonexistent/token: No such file or directory (os error 2) · trunkline.toml:9 [topologies.api] · make it a file that this user can read
    stderr: trunkline: warning: token is to come from $ADMIN_TOKEN, which is not set or empty · trunkline.toml:13 [admin] · set ADMIN_TOKEN
    ");
    let (_dir, mut strict) = with_config(text, "config check --strict");
    assert!(seen(&mut strict).starts_with("exit 2\n"));
    let hidden = check(
        "[node]\ncookie = 'dop_v1_hush'\n[topologies.web]\nstrategy = 'digitalocean'\n\
         token = { env = 'dop_v1_hush_0123456789abcdef' }\ntoken_name = 'x'\n[admin]\ntoken = 'dop_v1_hush'\n",
    );
    assert!(!hidden.contains("hush"), "{hidden}");
}

#[test]
fn what_is_rarely_meant() {
    assert_snapshot!(check(
        "[node]\nname = 'app@10.0.0.1'\n[engine]\nconnect_timeout = 5\non_removed = 'disconnect'\nremoval_guard = 1\n\
         [topologies.web]\nstrategy = 'digitalocean'\ntoken = { env = 'TOKEN' }\n\
         health_check = { type = 'tcp', port = 1, timeout = 2 }\n\
         [topologies.fly]\nstrategy = 'dns'\nquery = 'app.internal'\nresource_types = ['a']\n\
         [topologies.list]\nstrategy = 'epmd'\nhosts = ['app@web-1']\n\
         [topologies.copy]\nstrategy = 'epmd'\nhosts = ['app@web-1']\n"
    ), @r#"
    exit 0
    stdout: trunkline.toml: no mistakes
    stdout:   node: app@10.0.0.1
    stdout:   admin: 127.0.0.1:4370, ready with 1
    stdout:   topology copy (epmd): copy/hosts
    stdout:   topology fly (dns): fly/app.internal/a
    stdout:   topology list (epmd): list/hosts
    stdout:   topology web (digitalocean): web/droplets
    stdout:   because trunkline.toml says so
    stderr: trunkline: warning: connect_timeout = 5 is 5 milliseconds · trunkline.toml:4 [engine] · did you mean "5s"?
    stderr: trunkline: warning: on_removed = "disconnect" cuts living nodes off, and with prevent_overlapping_partitions others lose their links for a moment · trunkline.toml:5 [engine] · leave it out: a node that is not listed any more leaves by itself
    stderr: trunkline: warning: removal_guard = 1.0 lets a topology lose everybody in one step · trunkline.toml:6 [engine] · use 0.5, the default
    stderr: trunkline: warning: every Droplet of the account is taken for a node · trunkline.toml:7 [topologies.web] · set tag_name, name, region or vpc_uuid
    stderr: trunkline: warning: timeout = 2 is 2 milliseconds · trunkline.toml:10 [topologies.web.health_check] · did you mean "2s"?
    stderr: trunkline: warning: resource_types has no "aaaa", and .internal on Fly has nothing else · trunkline.toml:14 [topologies.fly] · add "aaaa", or leave resource_types out
    stderr: trunkline: warning: list is the same as copy · trunkline.toml:15 [topologies.list] · remove one of them
    stderr: trunkline: warning: app@10.0.0.1 is a long name and app@web-1 a short one: such nodes never connect · trunkline.toml:17 [topologies.list] · start all nodes with the same form, -name or -sname
    stderr: trunkline: warning: app@10.0.0.1 is a long name and app@web-1 a short one: such nodes never connect · trunkline.toml:20 [topologies.copy] · start all nodes with the same form, -name or -sname
    "#);
}

#[test]
fn a_file_that_others_can_read_with_a_token_in_it() {
    let text =
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = 'dop_v1_hush'\ntag_name = 'web'\n";
    let (dir, mut command) = with_config(text, "config check");
    let file = dir.path().join("trunkline.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_snapshot!(seen(&mut command), @r#"
    exit 0
    stdout: trunkline.toml: no mistakes
    stdout:   node: named by its surroundings
    stdout:   admin: 127.0.0.1:4370, ready with 1
    stdout:   topology web (digitalocean): web/droplets
    stdout:   because trunkline.toml says so
    stderr: trunkline: warning: token stands in a file that others can read (mode 0644) · trunkline.toml:3 [topologies.web] · chmod 0600, or token = { env = "NAME" }
    "#);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!seen(&mut command).contains("warning"));
}

#[test]
fn no_file() {
    assert_snapshot!(seen(&mut trunkline("config check /nonexistent.toml")), @r"
    exit 2
    stderr: trunkline: the configuration cannot be read: No such file or directory (os error 2) · /nonexistent.toml · name a file that this user can read
    ");
    assert_snapshot!(seen(&mut trunkline("config check /")), @r"
    exit 2
    stderr: trunkline: the configuration cannot be read: Is a directory (os error 21) · / · name a file that this user can read
    ");
}
