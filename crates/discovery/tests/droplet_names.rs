//! `node_basename` of `digitalocean`: templates that both ends fill alike, and names learned from the Droplets' EPMDs.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use support::epmd::Mapper;
use support::http_server::{HttpServer, Reply, ok, status};
use support::{fixture, hosts, start};
use trunkline_discovery::Report;
use trunkline_discovery::naming::Naming;
use trunkline_discovery::platform::Network;
use trunkline_discovery::platform::droplet::Metadata;
use trunkline_discovery::strategies::DROPLET_LABELS;
use trunkline_reconcile::evidence::Kind;

/// Two Droplets, and the metadata service of the first.
async fn server() -> HttpServer {
    HttpServer::start(|request| {
        if request.target.starts_with("/v2/") {
            return ok(fixture("digitalocean/droplets_tagged.json"));
        }
        said(&request.target)
    })
    .await
}

fn said(path: &str) -> Reply {
    match path.trim_start_matches('/') {
        "id" => ok("3164444"),
        "hostname" => ok("example.com"),
        "region" => ok("nyc3"),
        "tags" => ok("web\nenv:prod"),
        "interfaces/private/0/ipv4/address" => ok("10.128.192.124"),
        _ => status(404, "not found"),
    }
}

async fn look(naming: &str, me: &str) -> Report {
    let server = server().await;
    let url = server.url();
    let options = format!(
        "strategy = 'digitalocean'\ntoken = 'sesame-0123456789'\napi_url = '{url}'\nmetadata_url = '{url}'\n\
         node_basename = '{naming}'\n"
    );
    start(&options, Some(me)).next().await
}

fn nodes(report: &Report) -> Vec<&str> {
    let answer = report.answer.as_ref().unwrap();
    answer.peers.iter().map(|peer| peer.node.as_str()).collect()
}

#[tokio::test]
async fn the_listing_and_the_droplet_itself_fill_a_template_alike() {
    for (naming, expected) in [
        ("{name}", "example-com@10.128.192.124"),
        ("app-{tags.env}", "app-prod@10.128.192.124"),
        ("{region}_{id}", "nyc3_3164444@10.128.192.124"),
        ("w-{tags.web}", "w-true@10.128.192.124"),
    ] {
        let report = look(naming, "me@10.9.9.9").await;
        assert_eq!(nodes(&report)[0], expected, "{naming}");
        assert!(report.answer.unwrap().peers[0].is_self);
        let server = server().await;
        let metadata = Metadata::new(Some(&server.url())).unwrap();
        let naming = Naming::parse(naming, DROPLET_LABELS).unwrap();
        let own = metadata
            .node_name(Network::Private, false, Some(&naming))
            .await;
        assert_eq!(own.unwrap().as_str(), expected, "{naming:?}");
    }
}

#[tokio::test]
async fn a_droplet_without_the_label_is_passed_over_with_a_note() {
    let report = look("{tags.web}", "me@10.9.9.9").await;
    assert_eq!(nodes(&report), ["true@10.128.192.124"]);
    assert_eq!(
        report.answer.unwrap().notes,
        ["Droplet assets.example.com (3164459) has no tags.web for {tags.web} and is passed over"]
    );
    let server = server().await;
    let metadata = Metadata::new(Some(&server.url())).unwrap();
    let naming = Naming::parse("{tags.role}", DROPLET_LABELS).unwrap();
    let why = metadata
        .node_name(Network::Private, false, Some(&naming))
        .await
        .unwrap_err();
    assert!(
        why.to_string()
            .contains("knows no tags.role for {tags.role}"),
        "{why}"
    );
}

#[tokio::test]
async fn names_are_learned_from_each_droplets_epmd() {
    hosts().list("10.128.192.124", &["app", "worker", "-tool"]);
    hosts().list("10.128.192.138", &["files-2"]);
    let report = look("learn", "worker@10.128.192.124").await;
    assert_eq!(
        nodes(&report),
        [
            "app@10.128.192.124",
            "files-2@10.128.192.138",
            "worker@10.128.192.124"
        ]
    );
    let answer = report.answer.unwrap();
    assert_eq!(answer.peers[1].labels["tags.env"], "prod");
    let selves: Vec<_> = answer.peers.iter().map(|peer| peer.is_self).collect();
    assert_eq!(selves, [false, false, true]);

    hosts().set("10.128.192.138", Mapper::Refuses);
    let report = look("learn", "worker@10.128.192.124").await;
    assert!(
        report.answer.unwrap().notes[0].starts_with("10.128.192.138: nothing answers at its EPMD")
    );
    hosts().set("10.128.192.124", Mapper::Refuses);
    let report = look("learn", "worker@10.128.192.124").await;
    assert!(report.answer.is_err(), "nobody was ever heard of");
}

#[test]
fn what_is_learned_is_a_sample_and_a_listing_is_not() {
    let kind = |naming: &str| {
        let options =
            format!("strategy = 'digitalocean'\ntoken = 't'\nnode_basename = '{naming}'\n");
        support::build(&options).unwrap().sources[0].kind
    };
    assert_eq!(kind("{name}"), Kind::Authoritative);
    assert_eq!(kind("learn"), Kind::Sampling);
}

#[test]
fn mistakes_name_the_labels_that_there_are() {
    let wrong = |naming: &str| {
        let options =
            format!("strategy = 'digitalocean'\ntoken = 't'\nnode_basename = '{naming}'\n");
        let error = support::build(&options).unwrap_err();
        format!("{error} · {}", error.cure())
    };
    assert_eq!(
        wrong("{size}"),
        "topologies.web: node_basename = \"{size}\" is not allowed · allowed is a name, \"app\", a template over labels, \
         \"{tags.role}\", or \"learn\" to ask each Droplet's EPMD: there is no label {size}, there are {name}, {id}, {region}, {tags.*}"
    );
    assert!(wrong("{tag.role}").contains("there is no label {tag.role}"));
}
