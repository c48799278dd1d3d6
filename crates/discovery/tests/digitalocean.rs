//! `digitalocean` against a scripted API and metadata service.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::http_server::{HttpServer, Reply, Request, ok, status};
use support::{fixture, line, start};
use trunkline_discovery::config::BuildCx;
use trunkline_discovery::{DiscoverError, Report};
use trunkline_reconcile::evidence::{Answer, Peer};

const TOKEN: &str = "sesame-0123456789";

fn options(api: &HttpServer, more: &str) -> String {
    let (url, metadata) = (api.url(), api.url() + "/metadata/v1");
    format!(
        "strategy = 'digitalocean'\ntoken = {{ env = 'TOKEN' }}\napi_url = '{url}'\nmetadata_url = '{metadata}'\n{more}"
    )
}

/// The API as `script` says, beside a metadata service that knows no id.
async fn api(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> HttpServer {
    HttpServer::start(move |request| {
        if request.target.starts_with("/metadata/") {
            status(404, "")
        } else {
            script(request)
        }
    })
    .await
}

/// One look, with the server's answer.
async fn look(script: impl Fn(&Request) -> Reply + Send + Sync + 'static, more: &str) -> Report {
    look_with(&support::cx(), script, more).await
}

async fn look_with(
    cx: &BuildCx,
    script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    more: &str,
) -> Report {
    let api = api(script).await;
    let me = Some("app@10.128.192.138");
    support::start_with(&options(&api, more), me, cx)
        .next()
        .await
}

fn answer(report: Report) -> Answer {
    report.answer.expect("an answer")
}

fn nodes(answer: &Answer) -> Vec<&str> {
    answer.peers.iter().map(|peer| peer.node.as_str()).collect()
}

fn droplet(id: u64, name: &str, v4: &[(&str, &str)], v6: &[&str]) -> Value {
    let v4 = v4
        .iter()
        .map(|(kind, ip)| json!({"ip_address": ip, "type": kind, "netmask": "255.255.0.0"}));
    let v6 = v6
        .iter()
        .map(|ip| json!({"ip_address": ip, "type": "public", "netmask": 64}));
    json!({
        "id": id, "name": name, "status": "active", "tags": ["web", "env:prod"],
        "networks": {"v4": v4.collect::<Vec<_>>(), "v6": v6.collect::<Vec<_>>()},
        "region": {"slug": "nyc3", "name": "New York 3"}, "size_slug": "s-1vcpu-1gb",
        "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
    })
}

fn page(droplets: &[Value], next: Option<String>) -> String {
    let pages = next.map_or_else(|| json!({}), |next| json!({"next": next, "last": next}));
    json!({"droplets": droplets, "links": {"pages": pages}, "meta": {"total": droplets.len()}})
        .to_string()
}

#[tokio::test]
async fn the_published_example_becomes_peers() {
    let report = look(|_| ok(fixture("digitalocean/droplets_all.json")), "").await;
    assert_eq!(report.source.0, "web/droplets");
    let answer = answer(report);
    assert_eq!(
        nodes(&answer),
        [
            "stage-example-com@10.128.192.125",
            "example-com@10.128.192.124",
            "assets-example-com@10.128.192.138",
        ]
    );
    let selves: Vec<_> = answer.peers.iter().map(|peer| peer.is_self).collect();
    assert_eq!(selves, [false, false, true], "without metadata, by address");
    let Peer {
        address,
        port,
        labels,
        ..
    } = &answer.peers[1];
    assert_eq!(
        (*address, *port),
        (Some("10.128.192.124".parse().unwrap()), None)
    );
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        labels.join(" "),
        "id=3164444 name=example.com region=nyc3 size=s-1vcpu-1gb tags.env=prod tags.web=true \
         vpc_uuid=760e09ef-dc84-11e8-981e-3cfdfeaae000"
    );
}

#[tokio::test]
async fn addresses_and_names_are_as_asked_for() {
    let all = || ok(fixture("digitalocean/droplets_all.json"));
    let public = answer(
        look(
            move |_| all(),
            "network = 'public'\nnode_basename = 'app'\n",
        )
        .await,
    );
    assert_eq!(
        nodes(&public),
        [
            "app@192.241.247.248",
            "app@192.241.165.154",
            "app@162.243.0.4"
        ]
    );

    let six = answer(
        look(
            move |_| all(),
            "network = 'public'\nipv6 = true\nnode_basename = 'app'\n",
        )
        .await,
    );
    assert_eq!(nodes(&six), ["app@2604:a880:0:1010::18a:a001"]);
    assert_eq!(
        six.notes,
        [
            "Droplet stage.example.com (3164412) has no public IPv6 address and is passed over",
            "Droplet assets.example.com (3164459) has no public IPv6 address and is passed over",
        ]
    );

    let here = answer(
        look(
            move |_| all(),
            "vpc_uuid = '760E09EF-dc84-11e8-981e-3cfdfeaae000'\n",
        )
        .await,
    );
    assert_eq!(here.peers.len(), 2);
    let nowhere = answer(look(move |_| all(), "region = 'ams3'\n").await);
    assert_eq!(nowhere, Answer::default());
}

#[tokio::test]
async fn ipv6_is_canonical_however_it_is_written() {
    let body = page(
        &[droplet(
            1,
            "web.1",
            &[],
            &["2604:A880:0000:1010:0000:0000:018A:A001"],
        )],
        None,
    );
    let found = answer(
        look(
            move |_| ok(body.clone()),
            "network = 'public'\nipv6 = true\n",
        )
        .await,
    );
    assert_eq!(nodes(&found), ["web-1@2604:a880:0:1010::18a:a001"]);
}

#[tokio::test]
async fn only_active_droplets_count() {
    let mut droplets: Vec<_> = (1..5)
        .map(|i| droplet(i, "web", &[("private", &format!("10.0.0.{i}"))], &[]))
        .collect();
    for (droplet, state) in droplets.iter_mut().zip(["new", "active", "off", "archive"]) {
        droplet["status"] = state.into();
    }
    let body = page(&droplets, None);
    let found = answer(look(move |_| ok(body.clone()), "").await);
    assert_eq!(
        (nodes(&found), found.notes.len()),
        (vec!["web@10.0.0.2"], 0)
    );
}

#[tokio::test]
async fn self_is_known_by_id_which_is_asked_for_once() {
    let body = page(
        &[
            droplet(7, "web", &[("private", "10.0.0.7")], &[]),
            droplet(8, "web", &[("private", "10.0.0.8")], &[]),
        ],
        None,
    );
    let server = HttpServer::start(move |request| match request.target.as_str() {
        "/metadata/v1/id" => ok("8\n"),
        _ => ok(body.clone()),
    })
    .await;
    let more = "node_basename = 'app'\npolling_interval = '100ms'\n";
    // By its address the node would be Droplet 7: the id is what counts.
    let mut running = start(&options(&server, more), Some("app@10.0.0.7"));
    for _ in 0..3 {
        let answer = answer(running.next().await);
        let selves: Vec<_> = answer
            .peers
            .iter()
            .map(|peer| (peer.node.as_str(), peer.is_self))
            .collect();
        assert_eq!(selves, [("app@10.0.0.7", false), ("app@10.0.0.8", true)]);
    }
    let requests = server.requests();
    let ids: Vec<_> = requests
        .iter()
        .filter(|request| request.target.ends_with("/id"))
        .collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(
        ids[0].header("authorization"),
        None,
        "the metadata service gets no token"
    );
}

#[tokio::test]
async fn the_request_is_what_the_api_documents() {
    let server = api(|_| ok(page(&[], None))).await;
    for (more, target) in [
        ("", "/v2/droplets?per_page=200"),
        (
            "tag_name = 'env:prod & more'\n",
            "/v2/droplets?per_page=200&tag_name=env%3Aprod+%26+more",
        ),
        ("name = 'web-1'\n", "/v2/droplets?per_page=200&name=web-1"),
    ] {
        let before = server.requests().len();
        let found = answer(start(&options(&server, more), None).next().await);
        assert_eq!(found, Answer::default(), "an empty list is an answer");
        let requests = server.requests();
        let mut listings = requests[before..]
            .iter()
            .filter(|request| request.target.starts_with("/v2"));
        let listing = listings.next().unwrap();
        assert_eq!(listing.target, target);
        assert_eq!(
            listing.header("authorization"),
            Some(&*format!("Bearer {TOKEN}"))
        );
        let agent = listing.header("user-agent").unwrap();
        assert!(agent.starts_with("trunkline/0."), "{agent}");
    }
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let server = api(|request| {
        let port = request
            .header("host")
            .unwrap()
            .rsplit_once(':')
            .unwrap()
            .1
            .to_owned();
        let next = |page| {
            Some(format!(
                "http://127.0.0.1:{port}/v2/droplets?page={page}&per_page=200"
            ))
        };
        let one = |id: u64| droplet(id, "web", &[("private", &format!("10.0.0.{id}"))], &[]);
        match request.target.as_str() {
            "/v2/droplets?per_page=200" => ok(page(&[one(1), one(2)], next(2))),
            "/v2/droplets?page=2&per_page=200" => ok(page(&[one(2), one(3)], next(3))),
            "/v2/droplets?page=3&per_page=200" => ok(page(&[one(4)], None)),
            other => status(404, other),
        }
    })
    .await;
    let found = answer(
        start(&options(&server, "node_basename = 'w'\n"), None)
            .next()
            .await,
    );
    assert_eq!(
        nodes(&found),
        ["w@10.0.0.1", "w@10.0.0.2", "w@10.0.0.3", "w@10.0.0.4"]
    );
}

#[tokio::test]
async fn a_page_that_fails_fails_the_answer() {
    let broken = |request: &Request| match request.target.contains("page=2") {
        false => ok(page(&[], Some("?per_page=200&page=2".into()))),
        true => status(
            500,
            r#"{"id":"server_error","message":"Unexpected server-side error"}"#,
        ),
    };
    let report = look(broken, "").await;
    assert!(
        line(&report).contains("has a fault (500: Unexpected server-side error)"),
        "{}",
        line(&report)
    );

    let circle = look(|_| ok(page(&[], Some("?per_page=200".into()))), "").await;
    assert!(
        line(&circle).contains("names itself as the next one"),
        "{}",
        line(&circle)
    );

    let away = look(
        |_| {
            ok(page(
                &[],
                Some("http://localhost:1/v2/droplets?page=2".into()),
            ))
        },
        "",
    )
    .await;
    assert!(
        matches!(away.answer, Err(DiscoverError::OtherOrigin { .. })),
        "{away:?}"
    );
}

#[tokio::test]
async fn each_status_has_its_own_message_and_cure() {
    let said = |id: &str, message: &str| json!({"id": id, "message": message}).to_string();
    for (reply, what, cure) in [
        (
            status(401, &said("unauthorized", "Unable to authenticate you")),
            "does not accept the token (401: Unable to authenticate you)",
            "make a token",
        ),
        (
            status(403, &said("forbidden", "You are not authorized")),
            "does not let this token list Droplets (403: You are not authorized)",
            "scope droplet:read",
        ),
        (
            status(404, ""),
            "has no /v2/droplets (404)",
            "check api_url",
        ),
        (
            status(422, &said("unprocessable_entity", "bad tag")),
            "cannot use the filter (tag_name = \"web\") (422: bad tag)",
            "check tag_name",
        ),
        (
            status(500, "<html>"),
            "has a fault (500)",
            "status.digitalocean.com",
        ),
        (status(503, ""), "has a fault (503)", "wait"),
        (
            Reply::Say(
                302,
                vec![("location", "https://login.example/".into())],
                String::new(),
            ),
            "redirects to https://login.example/ (302)",
            "set api_url",
        ),
        (status(418, ""), "gives no list (418)", "check api_url"),
        (
            ok("{\"droplets\": [{\"id\": 1}]}"),
            "cannot be read: missing field `name` at line 1",
            "proxy or portal",
        ),
        (
            ok("<html>Welcome</html>"),
            "cannot be read: expected value at line 1 column 1",
            "proxy or portal",
        ),
        (
            Reply::Close,
            "cannot be read: connection closed before message completed",
            "proxy",
        ),
        (
            Reply::Hang,
            "no answer from http://127.0.0.1:",
            "tried again",
        ),
        (
            Reply::Endless,
            "is larger than 8388608 bytes",
            "proxy or portal",
        ),
    ] {
        let cx = match reply {
            Reply::Hang => support::hasty(support::cx()),
            _ => support::cx(),
        };
        let report = look_with(&cx, move |_| reply.clone(), "tag_name = 'web'\n").await;
        let line = line(&report);
        assert!(
            line.contains(what) && line.contains(cure),
            "{line}\nwanted: {what} … {cure}"
        );
        assert!(line.contains("http://127.0.0.1:"), "it says where: {line}");
    }
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_waited_for() {
    let limits = || {
        vec![
            ("retry-after", "37".into()),
            ("ratelimit-limit", "5000".into()),
            ("ratelimit-remaining", "0".into()),
            ("ratelimit-reset", "0".into()),
        ]
    };
    let body = r#"{"id":"too_many_requests","message":"API Rate limit exceeded."}"#;
    let server = api(move |_| Reply::Say(429, limits(), body.into())).await;
    let mut running = start(&options(&server, "polling_interval = '100ms'\n"), None);
    let report = running.next().await;
    let error = report.answer.as_ref().unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(37)));
    let line = line(&report);
    assert!(line.contains("quota at http://127.0.0.1:"), "{line}");
    assert!(
        line.contains(
            "(429: API Rate limit exceeded.) · wait, it is tried again when the API allows"
        ),
        "{line}"
    );
    running.handles[0].poke();
    let early = tokio::time::timeout(Duration::from_millis(700), running.reports.recv()).await;
    assert!(
        early.is_err(),
        "asked again before it was allowed: {early:?}"
    );
}

#[tokio::test]
async fn a_quota_that_nears_its_end_slows_polling_down() {
    let limits = || {
        vec![
            ("ratelimit-limit", "5000".into()),
            ("ratelimit-remaining", "5".into()),
            ("ratelimit-reset", "4102444800".into()),
        ]
    };
    let body = page(&[], None);
    let server = api(move |_| Reply::Say(200, limits(), body.clone())).await;
    let mut running = start(&options(&server, "polling_interval = '100ms'\n"), None);
    assert!(running.next().await.answer.is_ok());
    let early = tokio::time::timeout(Duration::from_millis(700), running.reports.recv()).await;
    assert!(early.is_err(), "250 times slower than asked for: {early:?}");
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let one =
        json!({"id": 1, "name": "w", "status": "off", "networks": {}, "region": {"slug": "x"}});
    let many = vec![one; 25_000];
    let body = page(&many, Some("?page=NEXT".into()));
    let server = api(move |request| {
        let page = request.target.len();
        ok(body.replace("NEXT", &"9".repeat(page)))
    })
    .await;
    let patient = BuildCx {
        timeout: support::DEADLINE,
        ..support::cx()
    };
    let report = support::start_with(&options(&server, ""), None, &patient)
        .next()
        .await;
    let error = report.answer.expect_err("no list is that long");
    assert!(error.to_string().contains("the list has no end"), "{error}");
    let listings = server
        .requests()
        .into_iter()
        .filter(|r| r.target.starts_with("/v2"));
    assert!(listings.count() < 10);
}

#[tokio::test]
async fn an_api_that_is_down_says_so() {
    let server = api(|_| ok("")).await;
    let options = options(&server, "");
    drop(server);
    let line = line(&support::first(&options, None).await);
    assert!(
        line.contains("cannot connect to http://127.0.0.1:") && line.contains("connection refused"),
        "{line}"
    );
}

#[tokio::test]
async fn an_api_that_repeats_the_token_is_not_repeated() {
    let message = json!({"message": format!("bad token {TOKEN}\nforged line")}).to_string();
    let report = look(move |_| status(401, &message), "").await;
    let text = format!("{} {report:?}", line(&report));
    assert!(!text.contains(TOKEN) && !text.contains('\n'), "{text}");
    assert!(text.contains("bad token (hidden) forged line"), "{text}");
}

#[test]
fn mistakes_are_found_before_anything_is_sent() {
    let refused = |more: &str| {
        let options = format!("strategy = 'Cluster.Strategy.Droplet'\n{more}");
        let error = support::build(&options).expect_err(more);
        format!("{error} · {}", error.cure())
    };
    let token = "token = 'sesame-0123456789'\n";
    for (more, expected) in [
        (
            "tag_name = 'a'\nname = 'b'\n",
            "topologies.web: tag_name and name are both set, and the API takes one of them · remove one of them",
        ),
        (
            "ipv6 = true\n",
            "topologies.web: ipv6 = true with network = \"private\": Droplets have no private IPv6 addresses · set network = \"public\", or ipv6 = false",
        ),
        (
            "network = 'vpc'\n",
            "topologies.web: network = \"vpc\" is not allowed · allowed is \"private\" or \"public\"",
        ),
        (
            "ipv6 = 'yes'\n",
            "topologies.web: ipv6 = \"yes\" is not allowed · allowed is true or false",
        ),
        (
            "tag_name = ''\n",
            "topologies.web: tag_name = \"\" is not allowed · allowed is a text that is not empty, or leave the key out",
        ),
        (
            "node_basename = 'a@b'\n",
            "topologies.web: node_basename = \"a@b\" is not allowed · allowed is a name, \"app\", a template over labels, \"{tags.role}\", or \"learn\" to ask each Droplet's EPMD: '@' cannot be in the part before the @",
        ),
        (
            "polling_interval = 5\n",
            "topologies.web: polling_interval = \"5ms\" is not allowed · allowed is a duration such as \"5s\" or \"500ms\", or a number of milliseconds, at least 100 ms",
        ),
        (
            "polling_interval = '5 parsecs'\n",
            "topologies.web: polling_interval = \"5 parsecs\" is not allowed · allowed is a duration such as \"5s\" or \"500ms\", or a number of milliseconds, at least 100 ms",
        ),
        (
            "api_url = 'http://api.example'\n",
            "topologies.web: api_url = \"http://api.example\" is not allowed · allowed is https, or http to a loopback address: the token would be readable on its way",
        ),
        (
            "api_url = 'api.example'\n",
            "topologies.web: api_url = \"api.example\" is not allowed · allowed is an address with http or https: relative URL without a base",
        ),
        (
            "api_ca_file = '/nonexistent.pem'\n",
            "topologies.web: api_ca_file: /nonexistent.pem: No such file or directory (os error 2) · name a file with the CA's certificate in PEM form",
        ),
        (
            "health_check = { type = 'tcp' }\n",
            "topologies.web: health_check = { type = \"tcp\" } is not allowed · allowed is { type = \"tcp\", port = 1…65535, timeout = \"500ms\", rise = 1, fall = 3 }, of which type and port are required",
        ),
        (
            "tagname = 'web'\n",
            "topologies.web: unknown key tagname · did you mean tag_name?",
        ),
    ] {
        assert_eq!(refused(&format!("{token}{more}")), expected);
    }
    for (more, expected) in [
        (
            "",
            "topologies.web: token is missing · set it to a text, { env = \"NAME\" } or { file = \"/path\" }",
        ),
        (
            "token = { env = 'NONE' }\n",
            "topologies.web: token is to come from $NONE, which is not set or empty · set NONE",
        ),
        (
            "token = 12345\n",
            "topologies.web: token = (hidden) is not allowed · allowed is a text, { env = \"NAME\" } or { file = \"/path\" }",
        ),
    ] {
        assert_eq!(refused(more), expected);
    }
}

#[test]
fn the_seeds_options_and_defaults() {
    let topology = support::build(
        "strategy = 'Elixir.Cluster.Strategy.Droplet'\ntoken = 'x'\ntag_name = 'foobar'\npolling_interval = 5_000\n\
         health_check = { type = 'tcp', port = 80 }\n",
    )
    .unwrap();
    assert_eq!(
        (topology.strategy, topology.sources.len()),
        ("digitalocean", 1)
    );
    let check = topology.health_check.unwrap();
    assert_eq!(
        (check.port.get(), check.timeout.get()),
        (80, Duration::from_millis(500))
    );
}
