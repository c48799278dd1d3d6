//! A Droplet's name and the fleet's names agree: `env` reads the metadata service, `discover` the API.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use serde_json::Value;
use trunkline_interop::fleet::{Fleet, Naming, Settings};
use trunkline_interop::process::run;

#[test]
fn over_private_ipv4() {
    let env = names_agree(Settings::default());
    assert!(env.contains("RELEASE_DISTRIBUTION='name'"), "{env}");
    assert!(
        env.contains("RELEASE_NODE='web-1-example-com@10.20.0.1'"),
        "{env}"
    );
    assert!(!env.contains("RELEASE_COOKIE"), "{env}");
    assert!(!env.contains("proto_dist"), "{env}");
}

#[test]
fn over_ipv6_that_the_metadata_service_writes_in_capitals() {
    let env = names_agree(Settings {
        ipv6: true,
        ..Settings::default()
    });
    let name = "RELEASE_NODE='web-1-example-com@2001:db8:0:1010::18a:a001'";
    assert!(env.contains(name), "{env}");
    assert!(env.contains("-proto_dist inet6_tcp"), "{env}");
}

/// What `env` says of member 1, after what `discover` there says of all three was checked.
fn names_agree(settings: Settings) -> String {
    let mut flags = vec!["env", "--platform", "droplet"];
    if settings.ipv6 {
        flags.extend(["--network", "public", "--ipv6"]);
    }
    let mut fleet = Fleet::new(settings).unwrap();
    for n in 1..=3 {
        fleet.create(n, Naming::Trunkline).unwrap();
    }
    let found = run(&mut fleet.trunkline(1, &["discover", "--json"]).unwrap()).unwrap();
    let found: Value = serde_json::from_str(&found).unwrap();
    let topology = &found["topologies"][0];
    assert_eq!(topology["error"], Value::Null, "{topology:#}");
    let peers = topology["peers"].as_array().unwrap();
    let (me, others): (Vec<&Value>, Vec<&Value>) =
        peers.iter().partition(|peer| peer["self"] == true);
    let nodes = |peers: Vec<&Value>| {
        let names = peers.iter().map(|peer| peer["node"].as_str().unwrap());
        names.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(nodes(me), [fleet.member(1).node.as_str()]);
    assert_eq!(nodes(others), [2, 3].map(|n| fleet.member(n).node.as_str()));
    let uris: Vec<_> = fleet
        .api
        .requests()
        .into_iter()
        .map(|request| request.uri)
        .collect();
    assert_eq!(uris, ["/v2/droplets?per_page=200&tag_name=web"]);
    assert_eq!(fleet.api.violations(), [""; 0]);
    run(fleet
        .member(1)
        .release
        .command("trunkline")
        .unwrap()
        .args(flags))
    .unwrap()
}
