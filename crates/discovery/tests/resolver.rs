//! The resolver against scripted servers: what counts as an answer, and what each server is blamed for.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use support::dns_server::{A, AAAA, Answer, Asked, DnsServer, Message, Rr, encode};
use trunkline_discovery::dns::{Family, Flaw, Resolver, Said, Srv, Verdict};
use trunkline_discovery::error::DnsFailure;

fn resolver(servers: &[SocketAddr]) -> Resolver {
    Resolver::with_servers(servers.to_vec()).with_deadline(support::cx().timeout)
}

async fn texts(resolver: &Resolver, name: &str, family: Family) -> Result<Vec<String>, DnsFailure> {
    let found = resolver.lookup(name, family).await;
    found.map(|ips| ips.iter().map(ToString::to_string).collect())
}

/// One that does not wait for long, where a server is silent.
fn hasty(servers: &[SocketAddr]) -> Resolver {
    resolver(servers).with_deadline(support::hasty(support::cx()).timeout)
}

/// What the only server is blamed for.
fn blame(failure: DnsFailure) -> Said {
    match failure {
        DnsFailure::Servers { mut verdicts, .. } if verdicts.len() == 1 => verdicts.remove(0).said,
        other => panic!("one server failed, not {other:?}"),
    }
}

async fn code(code: u8) -> DnsServer {
    DnsServer::start(move |_, _| Answer::Code(code)).await
}

/// A port where nobody listens.
async fn closed() -> SocketAddr {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.local_addr().unwrap()
}

#[tokio::test]
async fn each_server_is_blamed_for_its_own_failure() {
    let (broken, private, odd) = (code(2).await, code(5).await, code(9).await);
    let silent = DnsServer::start(|_, _| Answer::Silence).await;
    let closed = closed().await;
    let servers = [
        broken.address,
        private.address,
        odd.address,
        closed,
        silent.address,
    ];
    let failure = hasty(&servers)
        .lookup("app.internal", Family::V4)
        .await
        .unwrap_err();
    let [a, b, c, d, e] = servers;
    assert_eq!(
        failure.to_string(),
        format!(
            "{a} failed (SERVFAIL), {b} refused to answer (REFUSED), {c} answered NOTAUTH, \
             nothing answers at {d}, {e} did not answer in time"
        )
    );
    // One that knows that there is no such name ends it: servers are asked for the same zone.
    let (absent, unasked) = (code(3).await, code(2).await);
    let servers = [broken.address, absent.address, unasked.address];
    let failure = resolver(&servers)
        .lookup("app.internal", Family::V4)
        .await
        .unwrap_err();
    let verdict = |server: SocketAddr, said| Verdict { server, said };
    assert_eq!(
        failure,
        DnsFailure::Servers {
            verdicts: vec![
                verdict(broken.address, Said::ServerFailure),
                verdict(absent.address, Said::NoSuchName)
            ],
            tried: vec!["app.internal".into()],
        }
    );
    assert!(unasked.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_answers_makes_up_for_one_that_does_not() {
    for bad in [
        Answer::Code(2),
        Answer::Code(5),
        Answer::Silence,
        Answer::Raw(b"?".into()),
    ] {
        let bad = DnsServer::start(move |_, _| bad.clone()).await;
        let good =
            DnsServer::start(|_, _| Answer::Records(vec!["10.0.0.1".parse().unwrap()])).await;
        let resolver = hasty(&[bad.address, good.address]).fresh();
        for _ in 0..3 {
            let found = texts(&resolver, "app.internal", Family::V4).await;
            assert_eq!(found.unwrap(), ["10.0.0.1"]);
        }
        // It is asked first from then on; a dead server costs its time once.
        let names = bad.asked().len();
        assert!((1..=3).contains(&names), "{names}");
        assert_eq!(good.asked().len(), 3);
    }
}

#[tokio::test]
async fn no_record_of_a_type_is_an_answer_and_a_name_must_be_one() {
    let server = DnsServer::start(|_, _| Answer::Records(Vec::new())).await;
    let resolver = resolver(&[server.address]);
    assert_eq!(
        resolver.lookup("empty.internal", Family::V4).await,
        Ok(Vec::new())
    );
    for name in [
        "",
        ".",
        "a..b",
        "a b",
        "http://a",
        "a/b",
        "a@b",
        &"x".repeat(64),
        &"x.".repeat(128),
    ] {
        let found = resolver.lookup(name, Family::V4).await;
        assert_eq!(found, Err(DnsFailure::BadName), "{name}");
    }
    let localhost = resolver.lookup("localhost", Family::V6).await;
    assert_eq!(localhost, Ok(vec!["::1".parse().unwrap()]));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn three_hundred_addresses_come_over_tcp() {
    let all: Vec<IpAddr> = (0..300u16)
        .map(|n| [10, 0, (n >> 8) as u8, n as u8].into())
        .collect();
    let listed = all.clone();
    let server = DnsServer::start(move |_, _| Answer::Records(listed.clone())).await;
    let found = resolver(&[server.address])
        .lookup("app.internal", Family::V4)
        .await;
    assert_eq!(found, Ok(all));
    let asked = server.asked();
    assert_eq!(
        asked.iter().map(|asked| asked.tcp).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(asked[0].edns, Some(1232));
}

#[tokio::test]
async fn without_tcp_a_truncated_answer_is_no_answer() {
    let server = DnsServer::serve(|asked| match asked.tcp {
        false => vec![Rr::address(&asked.name, "10.0.0.1"); 300].into(),
        true => Answer::Silence,
    })
    .await;
    let failure = hasty(&[server.address])
        .lookup("app.internal", Family::V4)
        .await
        .unwrap_err();
    assert!(matches!(blame(failure), Said::NotOverTcp(_)));
}

#[tokio::test]
async fn servers_without_edns_are_asked_without() {
    for code in [1, 4] {
        let server = DnsServer::serve(move |asked| match asked.edns {
            Some(_) => Answer::Code(code),
            None => vec![Rr::address(&asked.name, "10.0.0.1")].into(),
        })
        .await;
        let found = texts(&resolver(&[server.address]), "app.internal", Family::V4).await;
        assert_eq!(found.unwrap(), ["10.0.0.1"]);
    }
    let deaf = DnsServer::serve(|asked| match asked.edns {
        Some(_) => Answer::Silence,
        None => vec![Rr::address(&asked.name, "10.0.0.1")].into(),
    })
    .await;
    let found = texts(&hasty(&[deaf.address]), "app.internal", Family::V4).await;
    assert_eq!(found.unwrap(), ["10.0.0.1"]);
}

#[tokio::test]
async fn aliases_are_followed_within_an_answer_and_beyond_it() {
    let server = DnsServer::serve(|asked| match asked.name.as_str() {
        // Complete, and in an order that no chain has.
        "whole.internal" => vec![
            Rr::address("c.internal", "10.0.0.1"),
            Rr::cname("b.internal", "C.internal"),
            Rr::cname("whole.internal", "b.Internal"),
        ]
        .into(),
        "part.internal" => vec![Rr::cname("part.internal", "rest.internal")].into(),
        "rest.internal" => vec![Rr::address("rest.internal", "10.0.0.2")].into(),
        "dangling.internal" => vec![Rr::cname("dangling.internal", "gone.internal")].into(),
        "empty.internal" => Answer::Message(Message {
            answers: vec![Rr::cname("empty.internal", "no-a.internal")],
            authorities: vec![Rr::soa("internal", 60)],
            ..Message::default()
        }),
        "loop.internal" => vec![
            Rr::cname("loop.internal", "pool.internal"),
            Rr::cname("pool.internal", "loop.internal"),
        ]
        .into(),
        "ping.internal" => vec![Rr::cname("ping.internal", "pong.internal")].into(),
        "pong.internal" => vec![Rr::cname("pong.internal", "ping.internal")].into(),
        _ => Answer::Code(3),
    })
    .await;
    let resolver = resolver(&[server.address]);
    let ask = async |name| texts(&resolver, name, Family::V4).await;
    assert_eq!(ask("whole.internal").await.unwrap(), ["10.0.0.1"]);
    assert_eq!(ask("part.internal").await.unwrap(), ["10.0.0.2"]);
    assert_eq!(ask("empty.internal").await.unwrap(), [""; 0]);
    assert_eq!(
        blame(ask("dangling.internal").await.unwrap_err()),
        Said::NoSuchName
    );
    for name in ["loop.internal", "ping.internal"] {
        let said = blame(ask(name).await.unwrap_err());
        assert_eq!(said, Said::NoAnswer(Flaw::Aliases), "{name}");
    }
}

#[tokio::test]
async fn records_of_other_names_classes_and_types_do_not_count() {
    let server = DnsServer::serve(|asked| {
        let mut foreign = vec![
            Rr::address("evil.internal", "10.6.6.6"),
            Rr::cname("other.internal", "evil.internal"),
            Rr {
                class: 3,
                ..Rr::address(&asked.name, "10.6.6.7")
            },
            Rr::address(&format!("x.{}", asked.name), "10.6.6.8"),
            Rr::address("internal", "10.6.6.9"),
            Rr::txt(&asked.name, &["10.6.6.10"]),
        ];
        if asked.name == "good.internal" {
            foreign.insert(2, Rr::address("GOOD.internal", "10.0.0.1"));
        }
        Answer::Message(Message {
            answers: foreign.clone(),
            authorities: vec![Rr::address(&asked.name, "10.6.6.11")],
            additional: vec![Rr::address(&asked.name, "10.6.6.12")],
            ..Message::default()
        })
    })
    .await;
    let resolver = resolver(&[server.address]);
    let good = texts(&resolver, "good.internal", Family::V4).await;
    assert_eq!(good.unwrap(), ["10.0.0.1"]);
    let none = texts(&resolver, "none.internal", Family::V4).await;
    assert_eq!(blame(none.unwrap_err()), Said::NoAnswer(Flaw::OtherNames));
}

#[tokio::test]
async fn datagrams_that_are_not_ours_are_passed_over() {
    let server = DnsServer::serve(|asked| {
        let answer = |asked: &Asked, ip: &str| {
            asked.reply(&Message {
                answers: vec![Rr::address("app.internal", ip)],
                ..Message::default()
            })
        };
        let mut other_id = answer(asked, "10.6.6.1");
        other_id[1] ^= 1;
        let mut other_name = asked.clone();
        other_name.question[13] ^= 1;
        let mut other_kind = asked.clone();
        let kind = other_kind.question.len() - 3;
        other_kind.question[kind] = AAAA as u8;
        let mut own_question = asked.question.clone();
        own_question[11] = 0;
        Answer::Several(vec![
            Vec::new(),
            b"x".into(),
            other_id,
            answer(&other_name, "10.6.6.2"),
            answer(&other_kind, "10.6.6.3"),
            own_question,
            answer(asked, "10.0.0.1"),
        ])
    })
    .await;
    let found = texts(&resolver(&[server.address]), "app.internal", Family::V4).await;
    assert_eq!(found.unwrap(), ["10.0.0.1"]);
}

#[tokio::test]
async fn a_referral_is_no_empty_answer() {
    let server = DnsServer::serve(|asked| {
        Answer::Message(Message {
            not_authoritative: true,
            authorities: vec![Rr::new(&asked.name, 2, encode("ns.internal"))],
            ..Message::default()
        })
    })
    .await;
    let found = texts(&resolver(&[server.address]), "app.internal", Family::V4).await;
    assert_eq!(blame(found.unwrap_err()), Said::NoAnswer(Flaw::Referral));
}

#[tokio::test]
async fn services_and_texts() {
    let server = DnsServer::serve(|asked| match asked.name.as_str() {
        "_app._tcp.internal" => Answer::Message(Message {
            answers: vec![
                Rr::srv("_app._tcp.internal", 9100, "B.internal"),
                Rr::srv("_app._tcp.internal", 9100, "b.internal"),
                Rr::srv("_app._tcp.internal", 0, ""),
                Rr::srv("_app._tcp.internal", 9000, "a.internal"),
            ],
            additional: vec![
                Rr::address("a.internal", "fdaa::1"),
                Rr::address("A.internal", "10.0.0.1"),
                Rr::address("evil.internal", "10.6.6.6"),
            ],
            ..Message::default()
        }),
        "alias.internal" => vec![
            Rr::cname("alias.internal", "_x.internal"),
            Rr::srv("_x.internal", 1, "c.internal"),
        ]
        .into(),
        "_instances.internal" => vec![
            Rr::txt("_instances.internal", &["instance=1,app=a,", "ip=fdaa::1"]),
            Rr::txt("_instances.internal", &["\u{fc}"]),
        ]
        .into(),
        _ => Answer::Code(3),
    })
    .await;
    let resolver = resolver(&[server.address]);
    let srv = |port, target: &str| Srv {
        priority: 0,
        weight: 5,
        port,
        target: target.into(),
    };
    let found = resolver
        .srv_with_addresses("_app._tcp.internal")
        .await
        .unwrap();
    let glue = ["10.0.0.1".parse().unwrap(), "fdaa::1".parse().unwrap()];
    assert_eq!(
        found,
        [
            (srv(9000, "a.internal"), glue.into()),
            (srv(9100, "b.internal"), Vec::new())
        ]
    );
    assert_eq!(
        resolver.srv("alias.internal").await,
        Ok(vec![srv(1, "c.internal")])
    );
    assert_eq!(
        resolver.txt("_instances.internal").await.unwrap(),
        ["instance=1,app=a,ip=fdaa::1", "\u{fc}"]
    );
}

#[tokio::test]
async fn answers_are_kept_as_long_as_their_ttl_and_polls_ask_all_the_same() {
    let server = DnsServer::serve(|asked| {
        let ttl = if asked.name == "kept.internal" { 60 } else { 0 };
        vec![Rr::address(&asked.name, "10.0.0.1").ttl(ttl)].into()
    })
    .await;
    let kept = resolver(&[server.address]);
    for (resolver, name, queries) in [
        (kept.clone(), "kept.internal", 1),
        (kept.clone(), "zero.internal", 3),
        (kept.fresh(), "kept.internal", 3),
    ] {
        let before = server.asked().len();
        for _ in 0..3 {
            assert_eq!(
                texts(&resolver, name, Family::V4).await.unwrap(),
                ["10.0.0.1"]
            );
        }
        assert_eq!(server.asked().len() - before, queries, "{name}");
    }
}

#[tokio::test]
async fn a_lookup_ends_in_time_whatever_the_servers_do() {
    // Each of them keeps us waiting in its own way.
    let drip = DnsServer::serve(|asked| {
        let mut stray = asked.question.clone();
        stray[0] ^= 1;
        Answer::Several(vec![stray; 50])
    })
    .await;
    let stalls = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = DnsServer::start(|_, _| Answer::Silence).await;
    let servers = [drip.address, stalls.local_addr().unwrap(), silent.address];
    let resolver = Resolver::with_servers(servers.into()).with_deadline(Duration::from_millis(900));
    let asked = tokio::time::timeout(
        support::DEADLINE,
        resolver.lookup("app.internal", Family::V4),
    );
    let failure = asked.await.expect("it ends").unwrap_err();
    let said: Vec<_> = failure.said().cloned().collect();
    assert_eq!(said, [Said::Timeout, Said::Closed, Said::Timeout]);
    assert!(silent.asked().iter().all(|asked| asked.kind == A));
}

#[tokio::test]
async fn hosts_have_both_families() {
    let ips =
        |texts: &[&str]| Answer::Records(texts.iter().map(|ip| ip.parse().unwrap()).collect());
    let server = DnsServer::start(move |name, aaaa| match (name, aaaa) {
        ("both.example", false) => ips(&["10.0.0.1"]),
        ("both.example" | "six.example", true) => ips(&["fdaa::1"]),
        ("half.example", false) => Answer::Code(2),
        ("half.example", true) => ips(&["fdaa::2"]),
        _ => Answer::Records(Vec::new()),
    })
    .await;
    let resolver = Resolver::with_servers(vec![server.address]);
    let texts = async |host: &str| {
        let found = resolver.addresses(host).await;
        found.map(|ips| {
            ips.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    assert_eq!(texts("both.example").await.unwrap(), "10.0.0.1 fdaa::1");
    assert_eq!(texts("six.example").await.unwrap(), "fdaa::1");
    assert_eq!(texts("half.example").await.unwrap(), "fdaa::2");
    assert_eq!(texts("[fdaa::9]").await.unwrap(), "fdaa::9");
    assert!(texts("none.example").await.is_err());
}
