//! The stand-ins for DigitalOcean's API and metadata service are what the published specification says.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use trunkline_interop::digitalocean::metadata::{Ipv6Form, Metadata};
use trunkline_interop::digitalocean::{Api, Authority, Droplet, Trouble, schema};
use trunkline_interop::netns::{API_HOST, Host, Lab};

/// An account behind HTTPS, and a host to ask from.
struct World {
    api: Api,
    client: Host,
    lab: Lab,
}

impl World {
    fn new() -> Self {
        let lab = Lab::new().unwrap();
        let authority = Authority::new().unwrap();
        authority.write(&lab.dir().join("ca.pem")).unwrap();
        let api = Api::start(&lab.host(API_HOST).unwrap(), &authority).unwrap();
        let client = lab.host(1).unwrap();
        Self { api, client, lab }
    }

    /// Status, headers and body that curl sees.
    fn ask(&self, path: &str, token: &str) -> (u16, String, String) {
        let mut curl: Command = self.client.command("curl");
        curl.args(["--silent", "--include", "--max-time", "2", "--cacert"])
            .arg(self.lab.dir().join("ca.pem"))
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .arg(format!("https://api.digitalocean.com{path}"));
        let text = trunkline_interop::process::run(&mut curl).unwrap_or_default();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or(0), head.to_lowercase(), body.to_owned())
    }

    fn list(&self, path: &str) -> Value {
        let (status, head, body) = self.ask(path, self.api.token());
        assert_eq!(status, 200, "{head}");
        let body = serde_json::from_str(&body).unwrap();
        assert_eq!(schema::violations(&body), [""; 0]);
        body
    }
}

fn names(list: &Value) -> Vec<&str> {
    let droplets = list["droplets"].as_array().unwrap();
    droplets
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect()
}

#[test]
fn the_published_examples_are_what_the_schema_allows() {
    for text in [
        include_str!("../data/digitalocean/droplets_all.json"),
        include_str!("../data/digitalocean/droplets_tagged.json"),
        r#"{"id": "unauthorized", "message": "Unable to authenticate you."}"#,
    ] {
        let body: Value = serde_json::from_str(text).unwrap();
        assert_eq!(schema::violations(&body), [""; 0]);
    }
}

#[test]
fn the_schema_refuses_what_the_api_never_says() {
    let text = include_str!("../data/digitalocean/droplets_all.json");
    let good: Value = serde_json::from_str(text).unwrap();
    let broken: [fn(&mut Value); 6] = [
        |body| body["droplets"][0]["id"] = "3164444".into(),
        |body| body["droplets"][0]["status"] = "running".into(),
        |body| body["droplets"][0]["networks"]["v6"][0]["type"] = "private".into(),
        |body| body["droplets"][0]["networks"]["v4"][0]["ip_address"] = "10.0.0".into(),
        |body| body["meta"] = Value::Null,
        |body| body["droplets"][0]["hostname"] = "x".into(),
    ];
    for (n, break_it) in broken.iter().enumerate() {
        let mut body = good.clone();
        break_it(&mut body);
        assert!(!schema::violations(&body).is_empty(), "case {n}");
    }
}

#[test]
fn paging_filters_and_auth_are_the_apis() {
    let world = World::new();
    let droplets = (1..=5).map(|n| {
        let tags = if n == 5 { ["db"] } else { ["web"] };
        Droplet::at(n, &format!("web-{n}.example.com"), [10, 20, 0, 1].into()).tagged(&tags)
    });
    world.api.set(droplets.collect());

    let first = world.list("/v2/droplets?per_page=2&tag_name=web");
    assert_eq!(names(&first), ["web-1.example.com", "web-2.example.com"]);
    assert_eq!(first["meta"]["total"], 4);
    let next = first["links"]["pages"]["next"].as_str().unwrap();
    let path = next.strip_prefix("https://api.digitalocean.com").unwrap();
    let second = world.list(path);
    assert_eq!(names(&second), ["web-3.example.com", "web-4.example.com"]);
    assert_eq!(second["links"]["pages"].get("next"), None);
    assert_eq!(names(&world.list("/v2/droplets")).len(), 5);
    let one = world.list("/v2/droplets?name=WEB-5.example.com");
    assert_eq!(names(&one), ["web-5.example.com"]);
    assert_eq!(names(&world.list("/v2/droplets?tag_name=none")).len(), 0);

    let token = world.api.token();
    assert_eq!(world.ask("/v2/droplets", "wrong").0, 401);
    assert_eq!(world.ask("/v2/droplets?per_page=201", token).0, 422);
    assert_eq!(world.ask("/v2/droplets?tag_name=a&name=b", token).0, 422);
    assert_eq!(world.ask("/v2/droplets?tagname=a", token).0, 422);
    assert_eq!(world.ask("/v2/dropletz", token).0, 404);
    let requests = world.api.requests();
    assert_eq!(requests.len(), 9);
    assert_eq!(requests[0].uri, "/v2/droplets?per_page=2&tag_name=web");
    assert_eq!(requests[5].status, Some(401));
    assert_eq!(requests[0].from, world.client.private());
    assert_eq!(world.api.violations(), [""; 0]);
}

#[test]
fn troubles_come_and_go() {
    let world = World::new();
    let droplets = (1..=3).map(|n| Droplet::at(n, &format!("web-{n}"), [10, 20, 0, 1].into()));
    world.api.set(droplets.collect());
    let ask = |path| world.ask(path, world.api.token());

    world
        .api
        .fault(Trouble::RateLimited(Duration::from_secs(7)));
    let (status, head, _) = ask("/v2/droplets");
    assert_eq!(status, 429);
    assert!(head.contains("retry-after: 7"), "{head}");
    world.api.fault_on_page(2, Trouble::Status(500));
    assert_eq!(ask("/v2/droplets?per_page=2").0, 200);
    assert_eq!(ask("/v2/droplets?per_page=2&page=2").0, 500);
    world.api.fault(Trouble::InvalidJson);
    assert!(serde_json::from_str::<Value>(&ask("/v2/droplets").2).is_err());
    world.api.fault(Trouble::Empty);
    assert_eq!(names(&world.list("/v2/droplets")).len(), 0);
    world.api.fault(Trouble::Hang);
    assert_eq!(ask("/v2/droplets").0, 0);
    assert_eq!(world.api.requests().last().unwrap().status, None);
    world.api.heal();
    let (status, head, _) = ask("/v2/droplets");
    assert_eq!(status, 200);
    assert!(head.contains("ratelimit-limit: 5000"), "{head}");
    assert!(head.contains("ratelimit-remaining: 4993"), "{head}");
    world.api.use_quota(5_000);
    assert_eq!(ask("/v2/droplets").0, 429);
    world.api.reachable(false).unwrap();
    assert_eq!(ask("/v2/droplets").0, 0);
}

#[test]
fn the_metadata_service_is_each_hosts_own() {
    let lab = Lab::new().unwrap();
    let (a, b) = (lab.host(1).unwrap(), lab.host(26).unwrap());
    let (first, second) = (
        Droplet::of(&a, "web-1.example.com"),
        Droplet::of(&b, "web-26"),
    );
    let _a = Metadata::start(&a, &first, Ipv6Form::Canonical).unwrap();
    let _b = Metadata::start(&b, &second, Ipv6Form::LongUpper).unwrap();
    let read = |host: &Host, path: &str| {
        let url = format!("http://169.254.169.254/metadata/{path}");
        host.run("curl", &["--silent", "--fail", &url])
    };
    assert_eq!(read(&a, "v1/id").unwrap(), "3164001");
    assert_eq!(read(&a, "v1/hostname").unwrap(), "web-1.example.com");
    let private = "v1/interfaces/private/0/ipv4/address";
    assert_eq!(read(&b, private).unwrap(), "10.20.0.26");
    let public6 = "v1/interfaces/public/0/ipv6/address";
    assert_eq!(
        read(&b, public6).unwrap(),
        "2001:0DB8:0000:1010:0000:0000:018A:A01A"
    );
    assert_eq!(read(&a, public6).unwrap(), "2001:db8:0:1010::18a:a001");
    assert!(read(&a, "v1/interfaces/private/0/ipv6/address").is_err());
    let whole: Value = serde_json::from_str(&read(&b, "v1.json").unwrap()).unwrap();
    assert_eq!(whole["droplet_id"], 3_164_026);
}
