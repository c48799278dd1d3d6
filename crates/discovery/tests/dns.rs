//! The resolver and the strategy `dns` against a scripted server.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::net::IpAddr;

use support::dns_server::{Answer, DnsServer};
use support::{first, line, start};

use trunkline_discovery::dns::Resolver;
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
    let mut running = start(&options(&server, ""), Some("app@10.0.0.2"));
    let mut reports = [running.next().await, running.next().await];
    reports.sort_by_key(|report| report.source.clone());
    assert_eq!(reports[0].source.0, "web/app.internal/a");
    assert_eq!(nodes(&reports[0]), ["app@10.0.0.1", "app@10.0.0.2"]);
    assert_eq!(reports[1].source.0, "web/app.internal/aaaa");
    assert_eq!(nodes(&reports[1]), ["app@10.0.0.9", "app@fdaa::2"]);
    let selves = |report: &trunkline_discovery::Report| {
        let peers = report.answer.as_ref().unwrap().peers.iter();
        peers
            .filter(|peer| peer.is_self)
            .map(|peer| peer.address)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        selves(&reports[0]),
        [Some("10.0.0.2".parse::<IpAddr>().unwrap())]
    );
    assert!(selves(&reports[1]).is_empty());
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
async fn hosts_have_both_families() {
    let server = DnsServer::start(|name, aaaa| match (name, aaaa) {
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
