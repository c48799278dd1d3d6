//! The strategy `fly` against a made-up private DNS.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::sync::Arc;

use support::dns_server::Answer;
use support::fly_dns::FlyDns;
use support::{Running, cx, hosts, line};
use trunkline_discovery::config::BuildCx;
use trunkline_discovery::strategies::{self, Topology};
use trunkline_discovery::{ConfigError, Env, Report};

const ONE: &str = "6e82@fdaa::1 sea web";
const TWO: &str = "0e28@fdaa::2 ewr web";
const WORKER: &str = "5683@fdaa::3 sea worker";
const DB: &str = "9999@fdaa::4 sea app db";

/// The environment of machine `6e82`, with `more` on top.
fn on_fly(more: &[(&str, &str)]) -> BuildCx {
    let own = [
        ("FLY_APP_NAME", "hello"),
        ("FLY_PRIVATE_IP", "FDAA:0:0:0::1"),
        ("FLY_MACHINE_ID", "6e82"),
        ("FLY_REGION", "sea"),
        ("FLY_PROCESS_GROUP", "web"),
    ];
    BuildCx {
        env: own.iter().chain(more).copied().collect::<Env>(),
        ..cx()
    }
}

fn start(options: &str, me: &str, cx: &BuildCx) -> Running {
    support::start_with(options, Some(me), cx)
}

/// The first answers of all sources: `source: node [label=value …] (self), …`, and the notes.
async fn seen(options: &str, me: &str, cx: &BuildCx) -> Vec<String> {
    let mut running = start(options, me, cx);
    let mut all = Vec::new();
    for _ in 0..running.handles.len() {
        all.push(show(&running.next().await));
    }
    all.sort();
    all
}

fn show(report: &Report) -> String {
    let Ok(answer) = &report.answer else {
        return format!("{}: {}", report.source, line(report));
    };
    let peers = answer.peers.iter().map(|peer| {
        let labels = peer.labels.iter().map(|(k, v)| format!(" {k}={v}"));
        let own = if peer.is_self { " (self)" } else { "" };
        format!("{}{}{own}", peer.node, labels.collect::<String>())
    });
    let notes = answer.notes.iter().map(|note| format!("note: {note}"));
    let all: Vec<_> = peers.chain(notes).collect();
    format!("{}: {}", report.source, all.join(", "))
}

const ME: &str = "hello-01H@fdaa::1";

#[tokio::test]
async fn the_machines_of_the_app_with_their_labels() {
    let dns = FlyDns::start(&[ONE, TWO, WORKER, DB]).await;
    assert_eq!(
        seen(&dns.options(""), ME, &on_fly(&[])).await,
        ["web/hello.internal: \
          hello-01H@fdaa::1 app=hello machine_id=6e82 region=sea (self), \
          hello-01H@fdaa::2 app=hello machine_id=0e28 region=ewr, \
          hello-01H@fdaa::3 app=hello machine_id=5683 region=sea"]
    );
    assert_eq!(dns.asked(), ["_instances.internal", "hello.internal"]);
}

#[tokio::test]
async fn self_is_this_machine_whatever_its_node_is_called() {
    let dns = FlyDns::start(&[ONE, TWO]).await;
    let own = async |me: &str, vars: &[(&str, &str)]| {
        let mut running = start(&dns.options(""), me, &on_fly(vars));
        let answer = running.next().await.answer.unwrap();
        let own = answer.peers.into_iter().filter(|peer| peer.is_self);
        own.map(|peer| peer.node.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(own(ME, &[]).await, [ME]);
    assert_eq!(
        own("app@6e82.vm.hello.internal", &[]).await,
        ["app@fdaa::1"]
    );
    // The address may be missing, or another one of the machine's.
    let elsewhere = [("FLY_PRIVATE_IP", "fdaa::1:2")];
    assert_eq!(own("app@somewhere.else", &elsewhere).await, ["app@fdaa::1"]);
    // A list that is older than the addresses has our id at somebody else's.
    let moved = [("FLY_PRIVATE_IP", "fdaa::2")];
    assert_eq!(own("app@fdaa::2", &moved).await, ["app@fdaa::2"]);
}

/// A TXT record is never needed: what it says may be missing, late, or nonsense.
#[tokio::test]
async fn labels_never_hide_a_peer() {
    let dns = FlyDns::start(&[ONE, TWO]).await;
    let options = dns.options("");
    let bare = ["web/hello.internal: hello-01H@fdaa::1 (self), hello-01H@fdaa::2"];
    for fault in [Answer::Code(2), Answer::Silence, Answer::Raw(vec![0; 7])] {
        dns.fault("_instances.internal", fault.clone());
        dns.fault("vms.hello.internal", fault);
        assert_eq!(seen(&options, ME, &support::hasty(on_fly(&[]))).await, bare);
    }
}

#[tokio::test]
async fn what_the_organizations_list_lacks_comes_from_the_apps() {
    let dns = FlyDns::start(&[ONE, TWO]).await;
    dns.fault("_instances.internal", Answer::Code(2));
    let whole = ["web/hello.internal: \
                  hello-01H@fdaa::1 app=hello machine_id=6e82 region=sea (self), \
                  hello-01H@fdaa::2 app=hello machine_id=0e28 region=ewr"];
    assert_eq!(seen(&dns.options(""), ME, &on_fly(&[])).await, whole);
    assert!(dns.asked().contains(&"0e28.vm.hello.internal".to_owned()));
}

/// An organization with many machines: the list is longer than a string of 255 bytes, and than a
/// datagram.
#[tokio::test]
async fn three_hundred_machines() {
    let texts: Vec<_> = (1..=300)
        .map(|n| format!("m{n}@fdaa::{n:x} sea web"))
        .collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let dns = FlyDns::start(&texts).await;
    let cx = BuildCx {
        timeout: support::DEADLINE,
        ..on_fly(&[])
    };
    let mut running = start(&dns.options(""), ME, &cx);
    let answer = running.next().await.answer.unwrap();
    assert_eq!(answer.peers.len(), 300);
    assert!(answer.peers.iter().all(|peer| peer.labels.len() == 3));
    assert!(dns.server.asked().iter().any(|asked| asked.tcp));
}

/// While nothing changes nobody asks for labels at every poll; a new machine is asked for at once.
#[tokio::test]
async fn labels_are_asked_for_when_somebody_is_new() {
    let dns = FlyDns::start(&[ONE]).await;
    let options = dns.options("polling_interval = '100ms'");
    let mut running = start(&options, ME, &on_fly(&[]));
    for _ in 0..4 {
        running.next().await.answer.unwrap();
    }
    assert_eq!(dns.count("_instances.internal"), 1);
    dns.set(&[ONE, TWO]);
    let two = async {
        loop {
            let answer = running.next().await.answer.unwrap();
            if let Some(peer) = answer.peers.get(1) {
                return peer.labels.get("region").cloned();
            }
        }
    };
    let region = tokio::time::timeout(support::DEADLINE, two).await.unwrap();
    assert_eq!(region.as_deref(), Some("ewr"));
    // What was learned stays when the list fails.
    dns.fault("_instances.internal", Answer::Code(2));
    let answer = running.next().await.answer.unwrap();
    assert_eq!(answer.peers[1].labels["machine_id"], "0e28");
}

#[tokio::test]
async fn each_region_fails_for_itself() {
    let dns = FlyDns::start(&[ONE, TWO]).await;
    let options = dns.options("regions = ['sea', 'EWR', 'syd', 'sea']");
    dns.fault("ewr.hello.internal", Answer::Code(2));
    let server = dns.server.address;
    assert_eq!(
        seen(&options, ME, &on_fly(&[])).await,
        [
            format!(
                "web/ewr.hello.internal: ewr.hello.internal cannot be resolved: {server} failed \
                 (SERVFAIL) · wait, it is tried again; check \
                 /etc/resolv.conf or nameservers"
            ),
            "web/sea.hello.internal: hello-01H@fdaa::1 app=hello machine_id=6e82 region=sea (self)"
                .to_owned(),
            "web/syd.hello.internal: note: nobody is there: syd.hello.internal does not exist \
             (NXDOMAIN)"
                .to_owned(),
        ]
    );
}

/// Another server that does not know Fly's zone is no reason to believe that nobody is there.
#[tokio::test]
async fn a_server_that_knows_nothing_of_fly_proves_nothing() {
    let dns = FlyDns::start(&[ONE]).await;
    dns.fault("sea.hello.internal", Answer::Code(2));
    let public = FlyDns::start(&[]).await;
    let options = format!(
        "strategy = 'fly'\nregions = ['sea']\nnameservers = ['{}', '{}']\n",
        dns.server.address, public.server.address
    );
    let seen = seen(&options, ME, &on_fly(&[])).await;
    assert!(
        seen[0].contains("sea.hello.internal cannot be resolved"),
        "{seen:?}"
    );
    assert_eq!(public.count("sea.hello.internal"), 1);
}

/// The app's own name is there as long as we are: that it does not exist is an error.
#[tokio::test]
async fn an_app_that_does_not_exist_is_an_error() {
    let dns = FlyDns::start(&[DB]).await;
    let seen = seen(&dns.options(""), ME, &on_fly(&[])).await;
    assert!(
        seen[0].contains("hello.internal cannot be resolved"),
        "{seen:?}"
    );
    assert!(seen[0].contains("NXDOMAIN"), "{seen:?}");
}

#[tokio::test]
async fn process_groups_and_regions_together() {
    let dns = FlyDns::start(&[ONE, TWO, WORKER]).await;
    let web = dns.options("process_group = 'web'");
    assert_eq!(
        seen(&web, ME, &on_fly(&[])).await,
        ["web/web.process.hello.internal: \
          hello-01H@fdaa::1 app=hello machine_id=6e82 process_group=web region=sea (self), \
          hello-01H@fdaa::2 app=hello machine_id=0e28 process_group=web region=ewr"]
    );
    let both = dns.options("process_group = 'web'\nregions = ['sea']");
    assert_eq!(
        seen(&both, ME, &on_fly(&[])).await,
        ["web/sea.hello.internal,web.process.hello.internal: \
          hello-01H@fdaa::1 app=hello machine_id=6e82 process_group=web region=sea (self)"]
    );
    dns.fault("web.process.hello.internal", Answer::Code(2));
    assert!(seen(&both, ME, &on_fly(&[])).await[0].contains("SERVFAIL"));
}

/// Whoever looks for others than its own kind is there all the same: no alarm for its absence.
#[tokio::test]
async fn a_machine_outside_of_what_it_looks_for() {
    let dns = FlyDns::start(&[ONE, TWO, WORKER]).await;
    let ewr = seen(&dns.options("regions = ['ewr', 'ams']"), ME, &on_fly(&[])).await;
    assert_eq!(
        ewr,
        [
            "web/ams.hello.internal: hello-01H@fdaa::1 (self), note: nobody is there: \
             ams.hello.internal does not exist (NXDOMAIN), note: this machine is in sea, which \
             regions does not hold: it connects to the others, they need not know it",
            "web/ewr.hello.internal: hello-01H@fdaa::2 app=hello machine_id=0e28 region=ewr",
        ]
    );
    let workers = seen(&dns.options("process_group = 'worker'"), ME, &on_fly(&[])).await;
    assert_eq!(
        workers,
        [
            "web/worker.process.hello.internal: hello-01H@fdaa::1 (self), \
          hello-01H@fdaa::3 app=hello machine_id=5683 process_group=worker region=sea, \
          note: this machine is of the process group web, not of worker: it connects to the \
          others, they need not know it"
        ]
    );
}

/// During a deploy two images run side by side, and somewhere a machine is not up yet.
#[tokio::test]
async fn learned_names_are_all_images_of_the_app() {
    let dns = FlyDns::start(&[ONE, TWO, WORKER]).await;
    hosts().list("fdaa::1", &["other"]);
    hosts().list(
        "fdaa::2",
        &[
            "hello-01J",
            "rem-1a2b-hello-01J",
            "helloween",
            "trunkline-x",
        ],
    );
    hosts().list("fdaa::3", &["hello", "hello-01H"]);
    for key in ["basename", "node_basename"] {
        let seen = seen(&dns.options(&format!("{key} = 'learn'")), ME, &on_fly(&[])).await;
        assert_eq!(
            seen,
            ["web/hello.internal: \
              hello-01H@fdaa::1 app=hello machine_id=6e82 region=sea (self), \
              hello-01H@fdaa::3 app=hello machine_id=5683 region=sea, \
              hello-01J@fdaa::2 app=hello machine_id=0e28 region=ewr, \
              hello@fdaa::3 app=hello machine_id=5683 region=sea"],
            "our own node counts before its EPMD knows it"
        );
    }
}

#[tokio::test]
async fn an_epmd_that_falls_silent_keeps_its_names() {
    let dns = FlyDns::start(&[ONE, TWO]).await;
    hosts().list("fdaa::1", &["hello-01H"]);
    hosts().list("fdaa::2", &["hello-01J"]);
    let options = dns.options("node_basename = 'learn'\npolling_interval = '100ms'");
    let mut running = start(&options, ME, &on_fly(&[]));
    let nodes = |report: Report| {
        let answer = report.answer.unwrap();
        let nodes = answer.peers.iter().map(|peer| peer.node.to_string());
        (nodes.collect::<Vec<_>>(), answer.notes)
    };
    let both = ["hello-01H@fdaa::1", "hello-01J@fdaa::2"];
    let (seen, notes) = nodes(running.next().await);
    assert_eq!((seen, notes.len()), (both.map(String::from).to_vec(), 0));
    hosts().set("fdaa::2", support::epmd::Mapper::Silent);
    let noted = async {
        loop {
            let (seen, notes) = nodes(running.next().await);
            assert_eq!(seen, both);
            if let Some(note) = notes.first() {
                return note.clone();
            }
        }
    };
    let note = tokio::time::timeout(support::DEADLINE, noted)
        .await
        .unwrap();
    assert!(note.starts_with("fdaa::2: its EPMD"), "{note}");
}

#[tokio::test]
async fn a_fixed_name() {
    let dns = FlyDns::start(&[ONE, TWO]).await;
    dns.fault("_instances.internal", Answer::Code(3));
    dns.fault("vms.hello.internal", Answer::Code(3));
    let seen = seen(
        &dns.options("node_basename = 'web'"),
        "web@fdaa::1",
        &on_fly(&[]),
    )
    .await;
    assert_eq!(
        seen,
        ["web/hello.internal: web@fdaa::1 (self), web@fdaa::2"]
    );
}

/// The variable is the default of `query`; what is written is stronger.
#[tokio::test]
async fn dns_cluster_query() {
    let dns = FlyDns::start(&[ONE, TWO, DB]).await;
    let query = |value| [("DNS_CLUSTER_QUERY", value)];
    let sources = async |more: &str, value| {
        let all = seen(&dns.options(more), ME, &on_fly(&query(value))).await;
        let ids = all
            .iter()
            .map(|text| text.split(": ").next().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let ewr = "ewr.hello.internal";
    assert_eq!(sources("", ewr).await, ["web/ewr.hello.internal"]);
    assert_eq!(
        sources("regions = ['sea']", ewr).await,
        ["web/sea.hello.internal"]
    );
    assert_eq!(sources("app = 'hello'", ewr).await, ["web/hello.internal"]);
    assert_eq!(
        sources("query = 'hello.internal'", ewr).await,
        ["web/hello.internal"]
    );
    // Another app by its query, as dns_cluster does it.
    let db = seen(
        &dns.options("node_basename = 'db'"),
        ME,
        &on_fly(&query("db.internal")),
    )
    .await;
    assert_eq!(
        db,
        [
            "web/db.internal: db@fdaa::4 app=db machine_id=9999 region=sea, hello-01H@fdaa::1 (self), \
             note: this machine is of the app hello, not of db: it connects to the others, they \
             need not know it"
        ]
    );
    let off = |more: &str, value| {
        let built = build(&format!("app = 'x'\n{more}"), &on_fly(&query(value))).unwrap();
        (built.off, built.sources.len())
    };
    let off_text = |place| Some(format!("{place} is empty"));
    assert_eq!(
        off("node_basename = 'learn'\nquery = ''", ewr),
        (off_text("query"), 0)
    );
    let emptied = build("", &on_fly(&query(""))).unwrap();
    assert_eq!(
        (emptied.off, emptied.sources.len()),
        (off_text("DNS_CLUSTER_QUERY"), 0)
    );
    assert_eq!(
        sources("regions = ['sea']", "").await,
        ["web/sea.hello.internal"]
    );
}

fn build(options: &str, cx: &BuildCx) -> Result<Topology, ConfigError> {
    let table = format!("strategy = 'fly'\n{options}").parse().unwrap();
    strategies::build("web", &table, cx)
}

#[test]
fn mistakes_are_found_before_anything_is_sent() {
    let wrong = |options: &str, cx: &BuildCx| {
        let error = build(options, cx).unwrap_err();
        format!("{error} · {}", error.cure())
    };
    let here = on_fly(&[]);
    assert_eq!(
        wrong("", &cx()),
        "topologies.web: app is missing · set it to the app's name; on Fly FLY_APP_NAME says it"
    );
    assert_eq!(
        wrong("query = 'x.example.com'\nbasename = 'learn'", &cx()),
        "topologies.web: app is missing · set it to the app's name; on Fly FLY_APP_NAME says it"
    );
    assert_eq!(
        wrong("app = 'db'", &here),
        "topologies.web: app = \"db\" is another app, whose nodes are not named as the own one · \
         set node_basename to their name, or to \"learn\""
    );
    assert_eq!(
        wrong("query = 'a.internal'\nregions = ['sea']", &here),
        "topologies.web: query and regions are both set, and each says whom to ask for · remove one \
         of them"
    );
    assert_eq!(
        wrong("basename = 'a'\nnode_basename = 'b'", &here),
        "topologies.web: basename and node_basename are both set, and mean the same · remove one of \
         them"
    );
    for (options, what) in [
        ("app = 'a.b'\nnode_basename = 'x'", "app = \"a.b\""),
        ("app = ''\nnode_basename = 'x'", "app = \"\""),
        ("regions = ['sea', 'a.b']", "regions = \"a.b\""),
        ("process_group = 'web.x'", "process_group = \"web.x\""),
        ("basename = 'a.b'", "basename = \"a.b\""),
        ("query = '..'", "query = \"..\""),
    ] {
        let line = wrong(options, &here);
        assert!(
            line.starts_with(&format!("topologies.web: {what} is not allowed · ")),
            "{line}"
        );
    }
    let bad = on_fly(&[("DNS_CLUSTER_QUERY", "a..b")]);
    let line = wrong("", &bad);
    assert!(
        line.contains("DNS_CLUSTER_QUERY = \"a..b\" is not allowed"),
        "{line}"
    );
    let mapperless = BuildCx {
        port_mapper: None,
        ..here
    };
    assert!(build("basename = 'learn'", &mapperless).is_err());
    assert!(build("", &mapperless).is_ok());
}

/// From a laptop in the private network nobody is self, and the names are another's.
#[tokio::test]
async fn off_fly() {
    let dns = FlyDns::start(&[ONE]).await;
    hosts().list("fdaa::1", &["hello-01H"]);
    let cx = BuildCx {
        port_mapper: Some(Arc::new(hosts())),
        ..cx()
    };
    let named = dns.options("app = 'hello'\nnode_basename = 'learn'");
    let mut running = support::start_with(&named, None, &cx);
    assert_eq!(
        show(&running.next().await),
        "web/hello.internal: hello-01H@fdaa::1 app=hello machine_id=6e82 region=sea"
    );
    let mut nameless = support::start_with(&dns.options("app = 'hello'"), None, &cx);
    assert!(line(&nameless.next().await).contains("the own node has no name yet"));
}
