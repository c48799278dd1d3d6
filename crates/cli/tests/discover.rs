//! `trunkline discover` through the real binary, and the mistakes of a configuration.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use tempfile::TempDir;
use util::{free_port, seen, trunkline};

/// A folder with this `trunkline.toml`, and the command in it. No port mapper of this machine is
/// asked.
fn with_config(text: &str, args: &str) -> (TempDir, Command) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("trunkline.toml"), text).unwrap();
    let mut command = trunkline(args);
    command
        .current_dir(dir.path())
        .env("ERL_EPMD_PORT", free_port().to_string());
    (dir, command)
}

fn discover(text: &str) -> String {
    let (_dir, mut command) = with_config(text, "discover");
    seen(command.env("TOKEN", "dop_v1_hush"))
}

const LIST: &str = "[topologies.list]\nstrategy = 'epmd'\nhosts = ['b@10.0.0.2', 'a@10.0.0.1']\n";

#[test]
fn what_is_off_says_why() {
    let text = "[topologies.a]\nstrategy = 'dns'\nquery = { env = 'DNS_CLUSTER_QUERY' }\n\
                [topologies.b]\nstrategy = 'digitalocean'\nenabled = false\n";
    assert_snapshot!(discover(text), @r"
    exit 0
    stdout: a (dns): off, $DNS_CLUSTER_QUERY is not set or empty
    stdout: b (digitalocean): off, enabled is false
    ");
    let (_dir, mut json) = with_config(text, "discover --json");
    assert_snapshot!(seen(&mut json), @r#"
    exit 0
    stdout: {"topologies":[{"name":"a","strategy":"dns","off":"$DNS_CLUSTER_QUERY is not set or empty","error":null,"peers":[],"notes":[]},{"name":"b","strategy":"digitalocean","off":"enabled is false","error":null,"peers":[],"notes":[]}]}
    "#);
}

#[test]
fn a_list() {
    assert_snapshot!(discover(LIST), @r"
    exit 0
    stdout: list (epmd): 2 nodes
    stdout:   a@10.0.0.1
    stdout:   b@10.0.0.2
    ");
    let (_dir, mut json) = with_config(LIST, "discover --json");
    assert_snapshot!(seen(&mut json), @r#"
    exit 0
    stdout: {"topologies":[{"name":"list","strategy":"epmd","error":null,"peers":[{"node":"a@10.0.0.1","address":"10.0.0.1","port":null,"health":"unchecked","reason":null,"labels":{},"self":false},{"node":"b@10.0.0.2","address":"10.0.0.2","port":null,"health":"unchecked","reason":null,"labels":{},"self":false}],"notes":[]}]}
    "#);
}

#[test]
fn the_own_node_is_marked() {
    let (_dir, mut command) = with_config(LIST, "discover");
    assert_snapshot!(seen(command.env("RELEASE_NODE", "a@10.0.0.1")), @r"
    exit 0
    stdout: list (epmd): 2 nodes
    stdout:   a@10.0.0.1  (this node)
    stdout:   b@10.0.0.2
    ");
}

#[test]
fn health() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let check = |port: u16| {
        let text = format!(
            "[topologies.list]\nstrategy = 'epmd'\nhosts = ['a@127.0.0.1']\n\
             health_check = {{ type = 'tcp', port = {port} }}\n"
        );
        let (_dir, mut command) = with_config(&text, "discover --json");
        seen(&mut command).replace(&port.to_string(), "PORT")
    };
    assert_snapshot!(check(open.local_addr().unwrap().port()), @r#"
    exit 0
    stdout: {"topologies":[{"name":"list","strategy":"epmd","error":null,"peers":[{"node":"a@127.0.0.1","address":"127.0.0.1","port":null,"health":"passing","reason":null,"labels":{},"self":false}],"notes":[]}]}
    "#);
    assert_snapshot!(check(free_port()), @r#"
    exit 0
    stdout: {"topologies":[{"name":"list","strategy":"epmd","error":null,"peers":[{"node":"a@127.0.0.1","address":"127.0.0.1","port":null,"health":"failing","reason":{"code":"port_unreachable","text":"tcp 127.0.0.1:PORT: Connection refused (os error 111)"},"labels":{},"self":false}],"notes":[]}]}
    "#);
}

#[test]
fn an_unreachable_api() {
    let port = free_port();
    let text = format!(
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = {{ env = 'TOKEN' }}\n\
         api_url = 'http://127.0.0.1:{port}'\nmetadata_url = 'http://127.0.0.1:{port}/metadata/v1'\n{LIST}"
    );
    let seen_in_text = discover(&text).replace(&port.to_string(), "PORT");
    assert_snapshot!(seen_in_text, @r"
    exit 1
    stdout: list (epmd): 2 nodes
    stdout:   a@10.0.0.1
    stdout:   b@10.0.0.2
    stdout: web (digitalocean): not known
    stdout:   error: cannot connect to http://127.0.0.1:PORT: connection refused · web/droplets · check that the address is right and that no firewall is between
    stderr: trunkline: cannot connect to http://127.0.0.1:PORT: connection refused · web/droplets · check that the address is right and that no firewall is between
    ");
    let (_dir, mut json) = with_config(&text, "discover --json");
    let seen_in_json = seen(json.env("TOKEN", "dop_v1_hush")).replace(&port.to_string(), "PORT");
    assert_snapshot!(seen_in_json, @r#"
    exit 1
    stdout: {"topologies":[{"name":"list","strategy":"epmd","error":null,"peers":[{"node":"a@10.0.0.1","address":"10.0.0.1","port":null,"health":"unchecked","reason":null,"labels":{},"self":false},{"node":"b@10.0.0.2","address":"10.0.0.2","port":null,"health":"unchecked","reason":null,"labels":{},"self":false}],"notes":[]},{"name":"web","strategy":"digitalocean","error":"cannot connect to http://127.0.0.1:PORT: connection refused","peers":[],"notes":[]}]}
    stderr: trunkline: cannot connect to http://127.0.0.1:PORT: connection refused · web/droplets · check that the address is right and that no firewall is between
    "#);
}

#[test]
fn an_api_that_refuses_the_token() {
    let api = refusing();
    let text = format!(
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = {{ env = 'TOKEN' }}\n\
         api_url = 'http://127.0.0.1:{api}'\nmetadata_url = 'http://127.0.0.1:{api}'\n"
    );
    assert_snapshot!(discover(&text).replace(&api.to_string(), "PORT"), @r"
    exit 1
    stdout: web (digitalocean): not known
    stdout:   error: http://127.0.0.1:PORT does not accept the token (401: Unable to authenticate you) · web/droplets · make a token at https://cloud.digitalocean.com/account/api/tokens and set it as token
    stderr: trunkline: http://127.0.0.1:PORT does not accept the token (401: Unable to authenticate you) · web/droplets · make a token at https://cloud.digitalocean.com/account/api/tokens and set it as token
    ");
}

/// The port of an API that has never heard of our token. It lives as long as the test.
fn refusing() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            assert!(stream.read(&mut head).unwrap() > 0);
            let body = r#"{"id":"Unauthorized","message":"Unable to authenticate you"}"#;
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    port
}

#[test]
fn mistakes() {
    let lines = |texts: &[&str]| texts.iter().map(|text| discover(text)).collect::<String>();
    assert_snapshot!(lines(&[
        "[topologies.web]\nstrategy = 'digitalocean'\n",
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = { env = 'UNSET_TOKEN' }\n",
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = { env = 'TOKEN' }\ntagname = 'web'\n",
        "[topologies.web]\nstrategy = 'epmd'\nhosts = ['app']\n",
        "[topologies.web]\nstrategy = 'gossip'\n",
        "[node]\nname = 'app'\n",
        "[admin]\nlisten = '0.0.0.0:4370'\n",
        "[node\n",
    ]), @r#"
    exit 2
    stderr: trunkline: token is missing · trunkline.toml:1 [topologies.web] · set it to a text, { env = "NAME" } or { file = "/path" }
    exit 2
    stderr: trunkline: token is to come from $UNSET_TOKEN, which is not set or empty · trunkline.toml:3 [topologies.web] · set UNSET_TOKEN
    exit 2
    stderr: trunkline: unknown key tagname · trunkline.toml:4 [topologies.web] · did you mean tag_name?
    exit 2
    stderr: trunkline: hosts holds "app", and a node name is name@host, this has no @ · trunkline.toml:3 [topologies.web] · allowed is a list of node names, ["app@10.0.0.5", …]
    exit 2
    stderr: trunkline: strategy = "gossip" is not allowed · trunkline.toml:2 [topologies.web] · allowed is one of "digitalocean", "dns", "epmd", "erlang_hosts", "fly", "local_epmd"
    exit 2
    stderr: trunkline: name = "app" is not allowed · trunkline.toml:2 [node] · allowed is a node name, "name@host"
    exit 2
    stderr: trunkline: listen = "0.0.0.0:4370" is open to others and has no token · trunkline.toml:2 [admin] · set token = { env = "NAME" } or { file = "/path" }, or listen on 127.0.0.1
    exit 2
    stderr: trunkline: unclosed table, expected `]` · trunkline.toml:1 · correct the TOML syntax
    "#);
}

#[test]
fn nothing_configured_asks_the_epmd_of_this_host() {
    let mut discover = trunkline("discover");
    // Nobody listens at the ports that only root may take.
    discover
        .env("ERL_EPMD_PORT", "1")
        .env("RELEASE_NODE", "app@127.0.0.1");
    assert_snapshot!(seen(&mut discover), @r"
    exit 1
    stdout: local_epmd (local_epmd): not known
    stdout:   error: this host: nothing answers at its EPMD port 1 · local_epmd/names · start a node there; with ERL_EPMD_PORT, set the same on all hosts
    stderr: trunkline: this host: nothing answers at its EPMD port 1 · local_epmd/names · start a node there; with ERL_EPMD_PORT, set the same on all hosts
    ");
    discover.env("ERL_EPMD_PORT", "epmd");
    assert_snapshot!(seen(&mut discover), @r#"
    exit 2
    stderr: trunkline: "epmd" is no port · ERL_EPMD_PORT · set it to a number from 1 to 65535, the same on all hosts
    "#);
}

#[test]
fn no_such_file() {
    assert_snapshot!(seen(&mut trunkline("discover --config /nonexistent.toml")), @r"
    exit 2
    stderr: trunkline: cannot read the configuration file /nonexistent.toml · --config · name an existing file, or leave the flag out
    ");
    assert_snapshot!(seen(&mut trunkline("discover --timeout soon")), @r#"
    exit 2
    stderr: trunkline: invalid value 'soon' for '--timeout <DURATION>': a duration such as "5s" or "500ms", or a number of milliseconds · trunkline discover · see trunkline discover --help
    "#);
    assert!(!Path::new("/nonexistent.toml").exists());
}
