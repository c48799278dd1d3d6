use std::fs;

use insta::assert_snapshot;
use trunkline_discovery::Env;

use super::*;

const TOKEN: (&str, &str) = ("TOKEN", "dop_v1_hush");

fn load(text: &str, vars: &[(&str, &str)]) -> Result<AgentConfig, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trunkline.toml");
    fs::write(&file, text).unwrap();
    let env: Env = vars.iter().copied().collect();
    let loaded = AgentConfig::load(Some(&file), &env).and_then(|config| {
        config.build(&trunkline::build_cx(env))?;
        Ok(config)
    });
    loaded.map_err(|mut error| {
        let dir = format!("{}/", dir.path().display());
        error.place = error.place.replace(&dir, "");
        error
    })
}

/// The one line of each mistake.
fn mistakes(texts: &[&str]) -> String {
    let line = |text: &&str| match load(text, &[TOKEN]) {
        Ok(_) => format!("no mistake in {text:?}\n"),
        Err(error) => format!("{error}\n"),
    };
    texts.iter().map(line).collect()
}

#[test]
fn everything_in_the_documentation() {
    let config = load(
        r#"
        [node]
        name = "app@10.0.0.5"
        mode = "attach"
        cookie = { env = "RELEASE_COOKIE" }

        [engine]
        connect_timeout = "7s"
        removal_grace = 1500
        removal_guard = 1

        [topologies.web]
        strategy = "Cluster.Strategy.Droplet"
        token = { env = "TOKEN" }
        tag_name = "web"
        network = "private"
        ipv6 = false
        node_basename = "app"
        polling_interval = "5s"
        health_check = { type = "tcp", port = 80, timeout = "500ms" }

        [topologies.fly]
        strategy = "dns"
        query = "hello-elixir.internal"
        nameservers = ["127.0.0.1:5353"]
        resource_types = ["a", "aaaa"]

        [admin]
        listen = "127.0.0.1:4371"
        min_nodes = 3
        "#,
        &[TOKEN],
    )
    .unwrap();
    assert_eq!(config.node.name.unwrap().as_str(), "app@10.0.0.5");
    assert_eq!(config.engine.connect_timeout.as_secs(), 7);
    assert_eq!(config.engine.removal_grace.as_millis(), 1500);
    let names: Vec<_> = config.topologies.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["fly", "web"]);
    assert_eq!(config.admin.listen.unwrap().port(), 4371);
    assert_eq!(config.admin.min_nodes, 3);
}

#[test]
fn unknown_keys() {
    assert_snapshot!(mistakes(&[
        "[nodes]\nname = 'a@b'",
        "[node]\nnane = 'a@b'",
        "\n\n[engine]\nremoval-grace = '5s'",
        "[admin]\nlissten = '127.0.0.1:1'",
        "[topologies.web]\nstrategy = 'dns'\nquery = 'x'\n\nnameserver = []",
        "[topologies.web]\nstrategy = 'epmd'\nhosts = ['a@b']\ncolour = 'red'",
        "[topologies.web]\nstrategy = 'epmd'\nhosts = ['a@b']\nhealth_check = { type = 'tcp', prot = 80 }",
        "[node.tls]\noptfil = '/x'",
    ]), @r"
    unknown key nodes · trunkline.toml:1 · did you mean node?
    unknown key nane · trunkline.toml:2 [node] · did you mean name?
    unknown key removal-grace · trunkline.toml:4 [engine] · did you mean removal_grace?
    unknown key lissten · trunkline.toml:2 [admin] · did you mean listen?
    unknown key nameserver · trunkline.toml:5 [topologies.web] · did you mean nameservers?
    unknown key colour · trunkline.toml:4 [topologies.web] · known are hosts, enabled, health_check, strategy
    unknown key prot · trunkline.toml:4 [topologies.web.health_check] · did you mean port?
    unknown key optfil · trunkline.toml:2 [node.tls] · did you mean optfile?
    ");
}

#[test]
fn bad_values() {
    assert_snapshot!(mistakes(&[
        "[node]\nname = 'app'",
        "[node]\nname = 5",
        "[node]\nmode = 'both'",
        "[node]\nmode = 'member'",
        "[node]\ncookie = 'dop_v1_hush'",
        "[node]\ncookie = { evn = 'RELEASE_COOKIE' }",
        "[node]\ncookie = { env = '' }",
        "[node.tls]\noptfile = '/etc/app/ssl_dist.conf'\ncertfile = '/etc/app/cert.pem'",
        "[node.tls]\ncacertfile = '/etc/app/ca.pem'\nkeyfile = '/etc/app/key.pem'",
        "[node.tls]\ncertfile = '/etc/app/cert.pem'",
        "[node.tls]\noptfile = 5",
        "[node]\ntls = true",
        "[engine]\nconnect_timeout = '5 parsecs'",
        "[engine]\nconnect_timeout = 0",
        "[engine]\nmax_connects = 0",
        "[engine]\nremoval_guard = 1.5",
        "[engine]\nremoval_misses = -1",
        "[engine]\non_removed = 'kill'",
        "[engine]\nexpected_size = 'three'",
        "engine = 5",
        "[admin]\nlisten = '4370'",
        "[admin]\nlisten = '0.0.0.0:4370'",
        "[admin]\nlisten = '127.0.0.1:4370'\ntoken = 'dop_v1_hush'",
        "[admin]\ntoken = { env = 'NOT_SET' }",
        "[admin]\nmin_nodes = 0",
    ]), @r#"
    name = "app" is not allowed · trunkline.toml:2 [node] · allowed is a node name, "name@host"
    name = 5 is not allowed · trunkline.toml:2 [node] · allowed is a node name, "name@host"
    mode = "both" is not allowed · trunkline.toml:2 [node] · allowed is "attach"
    mode = "member" is not built yet · trunkline.toml:2 [node] · leave it out, or set it to "attach"
    cookie = (hidden) is not allowed · trunkline.toml:2 [node] · allowed is { env = "NAME" } or { file = "/path" }
    cookie = (hidden) is not allowed · trunkline.toml:2 [node] · allowed is { env = "NAME" } or { file = "/path" }
    cookie = (hidden) is not allowed · trunkline.toml:2 [node] · allowed is { env = "NAME" } or { file = "/path" }
    optfile stands beside other keys · trunkline.toml:2 [node.tls] · keep it alone, or leave it out
    keyfile stands without certfile · trunkline.toml:3 [node.tls] · name the certificate too
    [node.tls] says neither optfile nor cacertfile · trunkline.toml:1 [node.tls] · name the node's own -ssl_dist_optfile, or the CA
    optfile = 5 is not allowed · trunkline.toml:2 [node.tls] · allowed is a path
    tls = true is not allowed · trunkline.toml:2 [node] · allowed is { optfile = "/path" }, or { cacertfile = "/path" } with certfile and keyfile
    connect_timeout = "5 parsecs" is not allowed · trunkline.toml:2 [engine] · allowed is a duration above zero such as "5s" or "500ms", or a number of milliseconds
    connect_timeout = 0 is not allowed · trunkline.toml:2 [engine] · allowed is a duration above zero such as "5s" or "500ms", or a number of milliseconds
    max_connects = 0 is not allowed · trunkline.toml:2 [engine] · allowed is a whole number of at least 1
    removal_guard = 1.5 is not allowed · trunkline.toml:2 [engine] · allowed is a share from 0.0 to 1.0
    removal_misses = -1 is not allowed · trunkline.toml:2 [engine] · allowed is a whole number of at least 1
    on_removed = "kill" is not allowed · trunkline.toml:2 [engine] · allowed is "keep" or "disconnect"
    expected_size = "three" is not allowed · trunkline.toml:2 [engine] · allowed is a whole number of at least 1
    engine = 5 is not allowed · trunkline.toml:1 · allowed is a table
    listen = "4370" is not allowed · trunkline.toml:2 [admin] · allowed is an address and a port, such as "127.0.0.1:4370"
    listen = "0.0.0.0:4370" is open to others and has no token · trunkline.toml:2 [admin] · set token = { env = "NAME" } or { file = "/path" }, or listen on 127.0.0.1
    token = (hidden) is not allowed · trunkline.toml:3 [admin] · allowed is { env = "NAME" } or { file = "/path" }
    token is to come from $NOT_SET, which is not set or empty · trunkline.toml:2 [admin] · set NOT_SET
    min_nodes = 0 is not allowed · trunkline.toml:2 [admin] · allowed is a whole number of at least 1
    "#);
}

#[test]
fn bad_topologies() {
    assert_snapshot!(mistakes(&[
        "topologies = 5",
        "[topologies]\nweb = 5",
        "[topologies.'']\nstrategy = 'local_epmd'",
        "[topologies.web]\nquery = 'x'",
        "[topologies.web]\nstrategy = 'dsn'",
        "[topologies.web]\nstrategy = 'dns'",
        "[topologies.web]\nstrategy = 'epmd'\nhosts = ['app']",
        "[topologies.web]\nstrategy = 'digitalocean'",
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = { env = 'NOT_SET' }",
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = { env = 'TOKEN' }\ntag_name = 'a'\nname = 'b'",
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = { env = 'TOKEN' }\nipv6 = true",
        "[topologies.web]\nstrategy = 'dns'\nquery = 'x'\nhealth_check = { type = 'udp', port = 80 }",
        "[topologies.web]\nstrategy = 'dns'\nquery = 'x'\npolling_interval = 'often'",
    ]), @r#"
    topologies = 5 is not allowed · trunkline.toml:1 · allowed is a table of tables, [topologies.NAME]
    web is no topology · trunkline.toml:2 [topologies] · write a section [topologies.web]
    "" is no name for a topology · trunkline.toml:1 [topologies] · give it one, like [topologies.web]
    strategy is missing · trunkline.toml:1 [topologies.web] · set it to one of "digitalocean", "dns", "epmd", "erlang_hosts", "fly", "local_epmd"
    strategy = "dsn" is not allowed · trunkline.toml:2 [topologies.web] · allowed is one of "digitalocean", "dns", "epmd", "erlang_hosts", "fly", "local_epmd"; did you mean "dns"?
    query is missing · trunkline.toml:1 [topologies.web] · set it to a domain name, { env = "NAME" }, { basename = "app", query = … } or a list of these; "" switches it off
    hosts holds "app", and a node name is name@host, this has no @ · trunkline.toml:3 [topologies.web] · allowed is a list of node names, ["app@10.0.0.5", …]
    token is missing · trunkline.toml:1 [topologies.web] · set it to a text, { env = "NAME" } or { file = "/path" }
    token is to come from $NOT_SET, which is not set or empty · trunkline.toml:3 [topologies.web] · set NOT_SET
    tag_name and name are both set, and the API takes one of them · trunkline.toml:4 [topologies.web] · remove one of them
    ipv6 = true with network = "private": Droplets have no private IPv6 addresses · trunkline.toml:4 [topologies.web] · set network = "public", or ipv6 = false
    health_check = { port = 80, type = "udp" } is not allowed · trunkline.toml:4 [topologies.web] · allowed is { type = "tcp", port = 1…65535, timeout = "500ms", rise = 1, fall = 3 }, of which type and port are required
    polling_interval = "often" is not allowed · trunkline.toml:4 [topologies.web] · allowed is a duration such as "5s" or "500ms", or a number of milliseconds, at least 100 ms
    "#);
}

#[test]
fn no_toml() {
    assert_snapshot!(mistakes(&["[node", "[node]\nname = dop_v1_hush", "a = 1\na = 2"]), @r"
    unclosed table, expected `]` · trunkline.toml:1 · correct the TOML syntax
    string values must be quoted, expected literal string · trunkline.toml:2 · correct the TOML syntax
    duplicate key · trunkline.toml:2 · correct the TOML syntax
    ");
}

#[test]
fn no_secret_in_debug() {
    let config = load(
        "[topologies.web]\nstrategy = 'digitalocean'\ntoken = 'dop_v1_hush'\n\
         [admin]\ntoken = { env = 'TOKEN' }",
        &[TOKEN],
    )
    .unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn the_environment_chooses() {
    let chosen = |vars: &[(&str, &str)]| match load("", vars) {
        Ok(config) => format!("{}: {}\n", config.topologies[0].name, config.chosen),
        Err(error) => format!("{error}\n"),
    };
    let all = [
        chosen(&[("FLY_APP_NAME", "hello")]),
        chosen(&[
            ("FLY_APP_NAME", "hello"),
            ("DNS_CLUSTER_QUERY", "hello.internal"),
        ]),
        chosen(&[("DNS_CLUSTER_QUERY", "")]),
        chosen(&[
            ("DNS_CLUSTER_QUERY", "hello.internal"),
            ("DIGITALOCEAN_TOKEN", "t"),
        ]),
        chosen(&[
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("DIGITALOCEAN_TOKEN", "t"),
        ]),
        chosen(&[("DIGITALOCEAN_TOKEN", "t")]),
        chosen(&[]),
    ];
    assert_snapshot!(all.concat(), @r"
    fly: $FLY_APP_NAME is set
    fly: $FLY_APP_NAME is set
    dns: $DNS_CLUSTER_QUERY is set
    dns: $DNS_CLUSTER_QUERY is set
    no topology is configured, $KUBERNETES_SERVICE_HOST is set, and the strategy kubernetes is not built yet · environment · write a [topologies.NAME] into trunkline.toml (strategy: digitalocean, dns, epmd, erlang_hosts, fly, local_epmd), or set DNS_CLUSTER_QUERY
    digitalocean: $DIGITALOCEAN_TOKEN is set
    local_epmd: nothing else is configured
    ");
}
