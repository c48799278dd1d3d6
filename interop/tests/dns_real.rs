//! The strategy `dns` and the system's resolver configuration against Knot, and against unbound in between, as a user has it:
//! `trunkline discover` on a host whose `/etc/resolv.conf` names the servers.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use trunkline_interop::agent::Place;
use trunkline_interop::dns::{NameServer, Record, Recursor};
use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::otp::{Otp, Release};
use trunkline_interop::verb::Said;
use trunkline_interop::{wait, workspace};

const ZONE: &str = "internal";

/// What one look through `[topologies.web]` with these options found: nodes, errors, notes.
fn discover(host: &Host, options: &str) -> (Vec<String>, String, Vec<String>) {
    let path = host.dir().join("trunkline.toml");
    let config = format!(
        "[node]\nname = \"app@{}\"\n[topologies.web]\nstrategy = \"dns\"\n{options}\n",
        host.private()
    );
    std::fs::write(&path, config).unwrap();
    let mut command = host.command(workspace::trunkline());
    command
        .arg("--config")
        .arg(&path)
        .args(["discover", "--json"]);
    let said = Said::of(&mut command).unwrap();
    let look: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let topology = &look["topologies"][0];
    let texts = |list: &Value, key: Option<&str>| -> Vec<String> {
        let each = list.as_array().into_iter().flatten();
        each.map(|it| key.map_or(it, |key| &it[key]).as_str().unwrap().to_owned())
            .collect()
    };
    (
        texts(&topology["peers"], Some("node")),
        topology["error"].as_str().unwrap_or_default().to_owned(),
        texts(&topology["notes"], None),
    )
}

fn nodes(host: &Host, options: &str) -> Vec<String> {
    let (nodes, error, _) = discover(host, options);
    assert_eq!(error, "", "{options}");
    nodes
}

fn error(host: &Host, options: &str) -> String {
    let (nodes, error, _) = discover(host, options);
    assert_eq!(nodes, [""; 0], "{options}");
    error
}

fn many() -> Vec<Record> {
    let v4 = (0..300u16).map(|n| Ipv4Addr::new(10, 1, (n >> 8) as u8, n as u8).into());
    let v6 = (0..300u16).map(|n| Ipv6Addr::new(0xfdaa, 0, 0, 0, 0, 0, 1, n).into());
    v4.chain(v6)
        .map(|ip: IpAddr| Record::address("many.internal", ip))
        .collect()
}

/// Everything that the stories below ask for.
fn zone() -> Vec<Record> {
    let mut records = many();
    for (name, ip) in [
        ("both.internal", "10.1.0.1"),
        ("both.internal", "fdaa::1"),
        ("both.internal", "::ffff:10.1.0.2"),
        ("six.internal", "fdaa::6"),
        ("a.host.internal", "10.1.0.3"),
        ("a.host.internal", "fdaa::3"),
        ("b.host.internal", "10.1.0.4"),
        ("app.one.internal", "10.1.0.5"),
    ] {
        records.push(Record::address(name, ip.parse::<IpAddr>().unwrap()));
    }
    for n in 0..6 {
        records.push(Record::cname(
            format!("c{n}.internal"),
            format!("c{}.internal", n + 1),
        ));
    }
    records.push(Record::cname("c6.internal", "both.internal"));
    records.push(Record::cname("dangling.internal", "gone.internal"));
    records.push(Record::cname("abroad.internal", "else.example"));
    records.push(Record::srv("_app._tcp.internal", 9100, "a.host.internal"));
    records.push(Record::srv("_app._tcp.internal", 9200, "B.host.internal"));
    records
}

/// A server for [`zone`], and a host that asks it.
fn stage() -> (Lab, NameServer, Host) {
    let lab = Lab::new().unwrap();
    let mut server = NameServer::start(&lab.host(53).unwrap(), 1).unwrap();
    server.serve(ZONE, zone()).unwrap();
    let host = lab.host(1).unwrap();
    host.resolve_with(&[server.host().private().into()], &[])
        .unwrap();
    (lab, server, host)
}

#[test]
fn answers_of_knot_and_of_unbound_are_read_whole() {
    let (lab, server, host) = stage();
    let resolver = lab.host(54).unwrap();
    let _recursor = Recursor::start(&resolver, &[server.host().private().into()]).unwrap();
    for asked in [
        IpAddr::from(server.host().private()),
        server.host().fly6().into(),
        resolver.private().into(),
        resolver.fly6().into(),
    ] {
        host.resolve_with(&[asked], &[]).unwrap();
        let all = nodes(&host, "query = 'many.internal'\nresource_types = ['a']");
        assert_eq!(all.len(), 300, "{asked}");
        let all = nodes(
            &host,
            "query = 'many.internal'\nresource_types = ['a', 'aaaa']",
        );
        assert_eq!(all.len(), 300, "one node for each host: {asked}");
        for query in [
            "both.internal",
            "c6.internal",
            "c0.internal",
            "BOTH.Internal.",
        ] {
            let (found, error, notes) = discover(&host, &format!("query = '{query}'"));
            assert_eq!(found, ["app@10.1.0.1", "app@10.1.0.2"], "{asked} {query}");
            assert_eq!((error.as_str(), notes.len()), ("", 1), "{notes:?}");
        }
        // Nothing that this node could dial: `family_mismatch` will say so of each.
        assert_eq!(nodes(&host, "query = 'six.internal'"), ["app@fdaa::6"]);
        let srv = "query = '_app._tcp.internal'\nresource_types = ['srv']";
        assert_eq!(nodes(&host, srv), ["app@10.1.0.3", "app@10.1.0.4"]);
        let by_host = nodes(
            &host,
            &format!("{srv}\nsrv_names = 'host'\nsrv_port = 'distribution'"),
        );
        assert_eq!(by_host, ["app@a.host.internal", "app@b.host.internal"]);
    }
}

#[test]
fn every_trouble_has_its_name_and_its_server() {
    let (lab, mut server, host) = stage();
    let at = server.host().private();
    let ask = |name: &str| error(&host, &format!("query = '{name}'\nresource_types = ['a']"));
    let says = |name: &str, what: &str| format!("{name} cannot be resolved: {at} {what}");
    let absent = "knows no such name (NXDOMAIN)";
    assert_eq!(ask("gone.internal"), says("gone.internal", absent));
    assert_eq!(ask("dangling.internal"), says("dangling.internal", absent));
    // The other end of this alias is in a zone that the server has not.
    let refused = "refused to answer (REFUSED)";
    assert_eq!(ask("abroad.internal"), says("abroad.internal", refused));
    server.fail(ZONE).unwrap();
    assert_eq!(
        ask("both.internal"),
        says("both.internal", "failed (SERVFAIL)")
    );
    server.refuse(ZONE).unwrap();
    assert_eq!(ask("both.internal"), says("both.internal", refused));
    server.mend(ZONE).unwrap();
    server.silence().unwrap();
    assert_eq!(
        ask("both.internal"),
        says("both.internal", "did not answer in time")
    );
    server.hear().unwrap();
    server
        .host()
        .firewall(&["iif != lo tcp dport 53 drop"])
        .unwrap();
    let no_tcp = "has an answer too long for UDP, and over TCP it did not answer in time";
    assert_eq!(ask("many.internal"), says("many.internal", no_tcp));
    server.hear().unwrap();
    server.stop();
    let closed = format!("both.internal cannot be resolved: nothing answers at {at}");
    assert_eq!(ask("both.internal"), closed);

    // Several servers: the first answer counts, whoever else fails.
    server.start_again().unwrap();
    server.fail(ZONE).unwrap();
    let second = lab.host(54).unwrap();
    let recursor = Recursor::start(&second, &[at.into()]).unwrap();
    let third = lab.host(55).unwrap();
    let mut other = NameServer::start(&third, 1).unwrap();
    let all: Vec<IpAddr> = [at, second.private(), third.private()]
        .map(Into::into)
        .into();
    host.resolve_with(&all, &[]).unwrap();
    assert_eq!(
        ask("both.internal"),
        format!(
            "both.internal cannot be resolved: {at} failed (SERVFAIL), {} failed (SERVFAIL), {} {refused}",
            second.private(),
            third.private()
        )
    );
    recursor.silence().unwrap();
    other.serve(ZONE, zone()).unwrap();
    assert_eq!(nodes(&host, "query = 'both.internal'").len(), 2);
}

#[test]
fn the_search_list_of_resolv_conf_completes_names() {
    let (_lab, server, host) = stage();
    let servers = [server.host().private().into()];
    host.resolve_with(&servers, &["two.internal", "one.internal"])
        .unwrap();
    assert_eq!(nodes(&host, "query = 'app'"), ["app@10.1.0.5"]);
    assert_eq!(nodes(&host, "query = 'app.one.internal'"), ["app@10.1.0.5"]);
    assert_eq!(
        error(&host, "query = 'none'\nresource_types = ['a']"),
        format!(
            "none cannot be resolved: {} refused to answer (REFUSED) \
             (tried none.two.internal, none.one.internal, none)",
            server.host().private()
        )
    );
    // Fixed servers know no search list.
    let fixed = format!(
        "query = 'app'\nnameservers = ['{}']",
        server.host().private()
    );
    assert!(error(&host, &fixed).contains("refused"));
}

/// Port mappers are out of reach, as where only the distribution port is opened.
#[test]
fn the_port_of_an_srv_record_needs_no_port_mapper() {
    const COOKIE: &str = "QWERTZUIOPASDFGHJKLYX";
    let lab = Lab::new().unwrap();
    let mut server = NameServer::start(&lab.host(53).unwrap(), 1).unwrap();
    let mut records = Vec::new();
    let mut nodes = Vec::new();
    for n in 1..=2 {
        let host = lab.host(n).unwrap();
        let name = format!("app@{}", host.private());
        let args = ["-erl_epmd_port", "9100", "-connect_all", "false"];
        nodes.push((
            Otp::on(&host, Release::Otp25, &name, COOKIE, &args).unwrap(),
            host,
        ));
        let host = &nodes.last().unwrap().1;
        host.firewall(&["iif != lo tcp dport 4369 drop"]).unwrap();
        host.resolve_with(&[server.host().private().into()], &[])
            .unwrap();
        let target = format!("n{n}.internal");
        records.push(Record::address(&target, host.private()));
        records.push(Record::srv("_app._tcp.internal", 9100, target));
    }
    server.serve(ZONE, records).unwrap();
    let (me, host) = &nodes[0];
    let topology = "[topologies.web]\nstrategy = \"dns\"\nquery = \"_app._tcp.internal\"\n\
                    resource_types = [\"srv\"]\nsrv_port = \"distribution\"\n";
    std::fs::write(host.dir().join("trunkline.toml"), topology).unwrap();
    let place = Place::new(host, me.name(), COOKIE);
    let agent = place.run("agent.log").unwrap();
    let expected = format!("['{}']", nodes[1].0.name());
    let connected = || me.eval("nodes()").ok().filter(|seen| *seen == expected);
    let within = std::time::Duration::from_secs(30);
    if wait::within(within, connected).is_none() {
        panic!("{:?}\n{}", me.eval("nodes()"), agent.output());
    }
    assert_eq!(
        agent.codes(nodes[1].0.name()),
        [""; 0],
        "{}",
        agent.output()
    );
}
