//! The strategy `dns` against a scripted server.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use support::dns_server::{A, AAAA, Answer, DnsServer, Message, Rr, SRV};
use support::{first, hosts, line, start};

use trunkline_proto::NodeName;

fn ips(texts: &[&str]) -> Answer {
    Answer::Records(texts.iter().map(|ip| ip.parse().unwrap()).collect())
}

fn options(server: &DnsServer, more: &str) -> String {
    format!(
        "strategy = 'dns'\nquery = 'app.internal'\nnameservers = ['{}']\n{more}",
        server.address
    )
}

fn nodes(report: &trunkline_discovery::Report) -> Vec<String> {
    let answer = report.answer.as_ref().expect("an answer");
    answer
        .peers
        .iter()
        .map(|peer| peer.node.to_string())
        .collect()
}

#[tokio::test]
async fn each_family_is_a_source_and_names_are_canonical() {
    let server = DnsServer::start(|name, aaaa| {
        assert_eq!(name, "app.internal");
        if aaaa {
            ips(&["fdaa:0:0:0:0:0:0:2", "::ffff:10.0.0.9", "fdaa::2"])
        } else {
            ips(&["10.0.0.2", "10.0.0.1", "10.0.0.2"])
        }
    })
    .await;
    // A name without an address in it says nothing of the family that the node speaks.
    let mut running = start(&options(&server, ""), Some("app@web-1.internal"));
    let mut reports = [running.next().await, running.next().await];
    reports.sort_by_key(|report| report.source.clone());
    assert_eq!(reports[0].source.0, "web/app.internal/a");
    assert_eq!(nodes(&reports[0]), ["app@10.0.0.1", "app@10.0.0.2"]);
    assert_eq!(reports[1].source.0, "web/app.internal/aaaa");
    assert_eq!(nodes(&reports[1]), ["app@10.0.0.9", "app@fdaa::2"]);
}

#[tokio::test]
async fn a_host_with_both_families_is_one_node() {
    let server = DnsServer::start(|_, aaaa| match aaaa {
        true => ips(&["fdaa::1", "fdaa::2", "::ffff:10.0.0.3"]),
        false => ips(&[
            "10.0.0.1",
            "10.0.0.2",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
        ]),
    })
    .await;
    for (me, a, aaaa, note) in [
        (
            "app@10.0.0.2",
            &["app@10.0.0.1", "app@10.0.0.2"][..],
            &["app@10.0.0.3"][..],
            "the IPv6 addresses of app.internal are passed over: it has IPv4 ones too, and the own node is app@10.0.0.2",
        ),
        (
            "app@fdaa::2",
            &[],
            &["app@10.0.0.3", "app@fdaa::1", "app@fdaa::2"],
            "the IPv4 addresses of app.internal are passed over: it has IPv6 ones too, and the own node is app@fdaa::2",
        ),
    ] {
        let mut running = start(&options(&server, ""), Some(me));
        let mut reports = [running.next().await, running.next().await];
        reports.sort_by_key(|report| report.source.clone());
        assert_eq!(nodes(&reports[0]), a, "{me}");
        assert_eq!(nodes(&reports[1]), aaaa, "{me}");
        let answers = reports
            .iter()
            .filter_map(|report| report.answer.as_ref().ok());
        let (peers, notes): (Vec<_>, Vec<_>) = answers
            .map(|answer| (answer.peers.clone(), answer.notes.clone()))
            .unzip();
        assert!(notes.concat().contains(&note.to_owned()), "{notes:?}");
        let selves = peers.concat().into_iter().filter(|peer| peer.is_self);
        assert_eq!(
            selves.map(|peer| peer.node.to_string()).collect::<Vec<_>>(),
            [me]
        );
    }
}

#[tokio::test]
async fn addresses_that_the_own_node_cannot_dial_are_listed_when_there_are_no_others() {
    // 0: no IPv4 address; 1: one; 2: the server fails.
    let state = Arc::new(AtomicU8::new(0));
    let now = Arc::clone(&state);
    let server = DnsServer::start(move |_, aaaa| match (aaaa, now.load(Ordering::SeqCst)) {
        (true, _) => ips(&["fdaa::1"]),
        (false, 0) => ips(&[]),
        (false, 1) => Answer::Records(vec!["10.0.0.1".parse().unwrap()]),
        (false, _) => Answer::Code(2),
    })
    .await;
    let only = options(
        &server,
        "resource_types = ['aaaa']\npolling_interval = '100ms'",
    );
    let mut running = start(&only, Some("app@10.0.0.2"));
    assert_eq!(nodes(&running.next().await), ["app@fdaa::1"]);
    for (step, expected) in [(1, &[][..]), (2, &[]), (0, &["app@fdaa::1"])] {
        state.store(step, Ordering::SeqCst);
        // What is kept of the other family lives one second.
        let deadline = tokio::time::Instant::now() + support::DEADLINE;
        while nodes(&running.next().await) != expected {
            assert!(tokio::time::Instant::now() < deadline, "{step}");
        }
    }
}

#[tokio::test]
async fn the_basename_is_configured_or_the_own_node_has_it() {
    let server = DnsServer::start(|_, _| ips(&["10.0.0.1"])).await;
    let only_a = options(
        &server,
        "resource_types = ['a']\npolling_interval = '100ms'\n",
    );
    let fixed = first(&format!("{only_a}node_basename = 'fly'\n"), None).await;
    assert_eq!(nodes(&fixed), ["fly@10.0.0.1"]);

    let mut running = start(&only_a, None);
    let nameless = line(&running.next().await);
    assert!(nameless.contains("set node_basename"), "{nameless}");
    running
        .me
        .send_replace(Some("my.app@10.0.0.7".parse::<NodeName>().unwrap()));
    assert_eq!(nodes(&running.next().await), ["my.app@10.0.0.1"]);
}

#[tokio::test]
async fn names_are_learned_from_the_port_mapper_at_each_address() {
    let server = DnsServer::start(|_, _| ips(&["10.0.0.1", "10.0.0.2", "10.0.0.3"])).await;
    let learn = "resource_types = ['a']\nnode_basename = 'learn'\npolling_interval = '100ms'\n";
    let options = options(&server, learn);
    // Nobody has ever answered: that is no empty list.
    let why = line(&first(&options, None).await);
    assert!(
        why.starts_with("10.0.0.1 (and 2 more): nothing answers at its EPMD port"),
        "{why}"
    );

    let helpers = ["app-v1", "-tool", "rem-1a2b-app", "trunkline-app-v1"];
    hosts().list("10.0.0.1", &helpers);
    hosts().list("10.0.0.2", &["app-v2", "other"]);
    let mut running = start(&options, Some("app-v1@10.0.0.1"));
    let report = running.next().await;
    let all = ["app-v1@10.0.0.1", "app-v2@10.0.0.2", "other@10.0.0.2"];
    assert_eq!(nodes(&report), all);
    let answer = report.answer.unwrap();
    let own = answer.peers.iter().map(|peer| peer.is_self);
    assert_eq!(own.collect::<Vec<_>>(), [true, false, false]);

    // Who falls silent keeps its names, and a restart under another name is seen.
    hosts().set("10.0.0.1", support::epmd::Mapper::Silent);
    hosts().list("10.0.0.2", &["app-v3"]);
    let renewed = ["app-v1@10.0.0.1", "app-v3@10.0.0.2"];
    while nodes(&running.next().await) != renewed {}
}

#[tokio::test]
async fn an_answer_that_fails_is_an_error_with_its_cure() {
    let server = DnsServer::start(|_, _| Answer::Code(3)).await;
    let report = first(
        &options(&server, "resource_types = ['aaaa']"),
        Some("app@10.0.0.1"),
    )
    .await;
    assert_eq!(
        line(&report),
        format!(
            "app.internal cannot be resolved: {} knows no such name (NXDOMAIN) \
             · check the spelling of the name, and that somebody is registered under it",
            server.address
        )
    );
}

#[tokio::test]
async fn a_source_that_fails_touches_no_other() {
    let server = DnsServer::serve(|asked| match (asked.name.as_str(), asked.kind) {
        ("one.internal", A) => ips(&["10.0.0.1"]),
        ("one.internal", AAAA) => Answer::Code(2),
        ("two.internal", A) => Answer::Code(3),
        ("two.internal", AAAA) => ips(&["fdaa::2"]),
        ("one.internal", SRV) => Answer::Silence,
        ("two.internal", SRV) => ips(&[]),
        other => panic!("{other:?}"),
    })
    .await;
    let options = format!(
        "strategy = 'Elixir.DNSCluster'
         query = ['one.internal', {{ basename = 'other', query = 'two.internal' }}, 'ONE.internal', '']
         resource_types = ['a', 'aaaa', 'SRV', 'a']
         nameservers = ['{}']",
        server.address
    );
    let cx = support::hasty(support::cx());
    let mut running = support::start_with(&options, Some("app@web.internal"), &cx);
    let mut said = Vec::new();
    for _ in 0..6 {
        let report = running.next().await;
        let nodes = match &report.answer {
            Ok(_) => nodes(&report).join(" "),
            Err(_) => line(&report)
                .split(' ')
                .skip(5)
                .collect::<Vec<_>>()
                .join(" "),
        };
        said.push(format!(
            "{}: {}",
            report.source,
            nodes.split(" · ").next().unwrap()
        ));
    }
    said.sort();
    assert_eq!(
        said,
        [
            "web/one.internal/a: app@10.0.0.1",
            "web/one.internal/aaaa: failed (SERVFAIL)",
            "web/one.internal/srv: did not answer in time",
            "web/other@two.internal/a: knows no such name (NXDOMAIN)",
            "web/other@two.internal/aaaa: other@fdaa::2",
            "web/other@two.internal/srv: ",
        ]
    );
}

/// Three hosts: one with glue of both families, one without glue, one that has no address.
async fn services() -> DnsServer {
    DnsServer::serve(|asked| match (asked.name.as_str(), asked.kind) {
        ("_app._tcp.internal", SRV) => Answer::Message(Message {
            answers: vec![
                Rr::srv("_app._tcp.internal", 9100, "a.internal"),
                Rr::srv("_app._tcp.internal", 9100, "B.internal"),
                Rr::srv("_app._tcp.internal", 9200, "b.internal"),
                Rr::srv("_app._tcp.internal", 0, "c.internal"),
                Rr::srv("_app._tcp.internal", 9100, ""),
                Rr::srv("_app._tcp.internal", 9100, "no host.internal"),
                Rr::srv("_app._tcp.internal", 9100, "a:b.internal"),
                Rr::srv("_app._tcp.internal", 9100, "\u{fc}.internal"),
            ],
            additional: vec![
                Rr::address("a.internal", "10.0.0.1"),
                Rr::address("a.internal", "fdaa::1"),
                Rr::address("evil.internal", "10.6.6.6"),
            ],
            ..Message::default()
        }),
        ("b.internal", A) => ips(&["10.0.0.2"]),
        ("b.internal", AAAA) => ips(&["fdaa::2"]),
        ("c.internal", A | AAAA) => ips(&[]),
        other => panic!("{other:?}"),
    })
    .await
}

fn srv_options(server: &DnsServer, more: &str) -> String {
    format!(
        "strategy = 'dns'\nquery = '_app._tcp.internal'\nresource_types = ['srv']
         nameservers = ['{}']\n{more}",
        server.address
    )
}

#[tokio::test]
async fn services_are_named_by_address() {
    let server = services().await;
    for (me, expected) in [
        ("app@10.0.0.1", &["app@10.0.0.1", "app@10.0.0.2"][..]),
        ("app@fdaa::9", &["app@fdaa::1", "app@fdaa::2"]),
        (
            "app@web.internal",
            &["app@10.0.0.1", "app@10.0.0.2", "app@fdaa::1", "app@fdaa::2"],
        ),
    ] {
        let report = first(&srv_options(&server, ""), Some(me)).await;
        assert_eq!(report.source.0, "web/_app._tcp.internal/srv");
        assert_eq!(nodes(&report), expected, "{me}");
        let answer = report.answer.unwrap();
        assert!(answer.peers.iter().all(|peer| peer.port.is_none()));
        assert_eq!(answer.peers[0].is_self, me == "app@10.0.0.1");
        assert_eq!(
            answer.peers[1].labels["srv.target"].len(),
            "a.internal".len()
        );
        assert_eq!(
            answer.notes,
            [
                "_app._tcp.internal names a target that is no host name",
                "c.internal cannot be resolved: the name has no address",
            ]
        );
    }
}

#[tokio::test]
async fn services_are_named_by_their_records_or_by_themselves() {
    let server = services().await;
    let template = srv_options(&server, "node_basename = 'app-{srv.target}'");
    let report = first(&template, Some("x@10.0.0.9")).await;
    assert_eq!(
        nodes(&report),
        ["app-a-internal@10.0.0.1", "app-b-internal@10.0.0.2"]
    );

    hosts().list("10.0.0.1", &["one"]);
    hosts().list("10.0.0.2", &["two", "-tool"]);
    let learn = srv_options(&server, "node_basename = 'learn'");
    let report = first(&learn, Some("x@10.0.0.9")).await;
    assert_eq!(nodes(&report), ["one@10.0.0.1", "two@10.0.0.2"]);
    let peers = report.answer.unwrap().peers;
    let targets = peers.iter().map(|peer| peer.labels["srv.target"].as_str());
    assert_eq!(targets.collect::<Vec<_>>(), ["a.internal", "b.internal"]);
}

#[tokio::test]
async fn services_are_named_by_host_and_their_port_is_used() {
    let server = services().await;
    let more = "srv_names = 'host'\nsrv_port = 'distribution'";
    let report = first(&srv_options(&server, more), Some("app@b.internal")).await;
    assert_eq!(
        nodes(&report),
        ["app@a.internal", "app@b.internal", "app@c.internal"]
    );
    let answer = report.answer.unwrap();
    let ports: Vec<_> = answer.peers.iter().map(|peer| peer.port).collect();
    assert_eq!(ports, [Some(9100), Some(9100), None]);
    assert_eq!(
        answer
            .peers
            .iter()
            .map(|peer| peer.is_self)
            .collect::<Vec<_>>(),
        [false, true, false]
    );
    assert!(
        answer
            .notes
            .contains(&"b.internal has several ports, 9100 is used".to_owned())
    );
    // Only the records themselves were needed.
    assert!(server.asked().iter().all(|asked| asked.kind == SRV));
}

#[tokio::test]
async fn a_service_host_that_cannot_be_looked_up_keeps_its_addresses() {
    let broken = Arc::new(AtomicU8::new(2));
    let now = Arc::clone(&broken);
    let server =
        DnsServer::serve(
            move |asked| match (asked.name.as_str(), now.load(Ordering::SeqCst)) {
                ("_app._tcp.internal", _) => vec![
                    Rr::srv("_app._tcp.internal", 1, "a.internal"),
                    Rr::srv("_app._tcp.internal", 1, "b.internal"),
                ]
                .into(),
                (_, 2) | ("b.internal", 1) => Answer::Code(2),
                ("a.internal", _) => vec![Rr::address("a.internal", "10.0.0.1").ttl(0)].into(),
                _ => vec![Rr::address("b.internal", "10.0.0.2").ttl(0)].into(),
            },
        )
        .await;
    let options = srv_options(&server, "polling_interval = '100ms'");
    let mut running = start(&options, Some("app@10.0.0.9"));
    let all_fail = line(&running.next().await);
    assert!(all_fail.contains("failed (SERVFAIL)"), "{all_fail}");
    // A host without any known address is missing at first, and never takes another along.
    for (state, expected) in [
        (1, &["app@10.0.0.1"][..]),
        (0, &["app@10.0.0.1", "app@10.0.0.2"]),
        (1, &["app@10.0.0.1", "app@10.0.0.2"]),
        (2, &["app@10.0.0.1", "app@10.0.0.2"]),
    ] {
        broken.store(state, Ordering::SeqCst);
        running.next().await; // may have been asked before
        let report = running.next().await;
        assert_eq!(nodes(&report), expected, "{state}");
        let notes = report.answer.unwrap().notes;
        assert_eq!(notes.len(), usize::from(state), "{notes:?}");
    }
}

#[test]
fn a_query_that_is_empty_here_switches_it_off() {
    let env = [
        ("DNS_CLUSTER_QUERY", "app.internal"),
        ("EMPTY", " "),
        ("ODD", "a,b"),
    ];
    let cx = trunkline_discovery::config::BuildCx::new(env.into_iter().collect());
    let build = |query: &str| {
        let table = format!("strategy = 'dns'\nquery = {query}")
            .parse()
            .unwrap();
        trunkline_discovery::strategies::build("web", &table, &cx)
    };
    for (query, off) in [
        ("''", "query is empty"),
        ("[]", "query is empty"),
        ("['', '']", "query is empty"),
        ("':ignore'", "query is :ignore"),
        ("{ env = 'NONE' }", "$NONE is not set or empty"),
        ("{ env = 'EMPTY' }", "$EMPTY is not set or empty"),
        (
            "[{ basename = 'app', query = { env = 'NONE' } }]",
            "$NONE is not set or empty",
        ),
    ] {
        let topology = build(query).unwrap();
        assert_eq!(topology.off.as_deref(), Some(off), "{query}");
        assert!(topology.sources.is_empty());
    }
    let ids = |query: &str| {
        let sources = build(query).unwrap().sources;
        sources
            .iter()
            .map(|source| source.id.to_string())
            .collect::<Vec<_>>()
    };
    for query in [
        "{ env = 'DNS_CLUSTER_QUERY' }",
        "[{ env = 'DNS_CLUSTER_QUERY' }, '', 'APP.internal']",
    ] {
        assert_eq!(ids(query), ["web/app.internal/a", "web/app.internal/aaaa"]);
    }
    assert_eq!(ids("['app', 'two']").len(), 4);
    for (query, what) in [
        ("[['app', 'x.internal']]", "is not allowed"),
        ("[['X']]", "is not allowed"),
        ("'a..b'", "query = \"a..b\" is not allowed"),
        ("'10.0.0.1'", "query = \"10.0.0.1\" is not allowed"),
        ("'fdaa::1'", "query = \"fdaa::1\" is not allowed"),
        ("7", "query = 7 is not allowed"),
        ("{ basename = 'a b', query = 'x' }", "is not allowed"),
        ("{ basename = 'a', name = 'x' }", "is not allowed"),
        (
            "{ env = 'ODD' }",
            "query is to come from $ODD, and \"a,b\" is no domain name",
        ),
    ] {
        let error = build(query).unwrap_err();
        assert!(error.to_string().contains(what), "{query}: {error}");
        assert_eq!(error.is_elsewhere(), query.contains("ODD"), "{query}");
    }
}

#[test]
fn options_that_contradict_each_other() {
    for (more, error) in [
        (
            "srv_names = 'host'",
            "srv_names is set, and no SRV records are asked for",
        ),
        (
            "srv_port = 'distribution'",
            "srv_port is set, and no SRV records are asked for",
        ),
        ("resource_types = []", "resource_types = [] is not allowed"),
        (
            "resource_types = ['mx']",
            "resource_types = [\"mx\"] is not allowed",
        ),
        (
            "interval = 5000\npolling_interval = 5000",
            "interval and polling_interval are the same, and both are set",
        ),
        (
            "node_basename = 'learn'\nresource_types = ['srv']\nsrv_port = 'distribution'",
            "node_basename = \"learn\" asks an EPMD, and srv_port = \"distribution\" does without",
        ),
        (
            "node_basename = '{srv.target}'",
            "node_basename = \"{srv.target}\" is not allowed",
        ),
        (
            "node_basename = '{srv.targt}'\nresource_types = ['srv']",
            "node_basename = \"{srv.targt}\" is not allowed",
        ),
        ("interval = 5", "interval = \"5ms\" is not allowed"),
        (
            "connect_timeout = 5000",
            "connect_timeout has no place here: connect_timeout of [engine] holds",
        ),
        (
            "nameservers = ['dns.example']",
            "nameservers = \"dns.example\" is not allowed",
        ),
    ] {
        let options = format!("strategy = 'dns'\nquery = 'app.internal'\n{more}");
        let found = support::build(&options).unwrap_err().to_string();
        assert!(found.contains(error), "{more}: {found}");
    }
    let same = |more: &str| {
        let options = format!("strategy = 'dns'\nquery = 'app.internal'\n{more}");
        format!("{:?}", support::build(&options).unwrap().sources)
    };
    let timing = |text: &str| text.contains("interval: 7s");
    assert!(timing(&same("interval = 7000")) && timing(&same("polling_interval = '7s'")));
}
