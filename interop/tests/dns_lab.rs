//! The laboratory's DNS: what it promises to the stories.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::net::IpAddr;
use std::time::Duration;

use trunkline_interop::dns::{Kind, NameServer, Record, Recursor};
use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::wait;

const NAME: &str = "demo.internal";

/// A lab with a server that serves [`NAME`] with two addresses, and a host that asks it.
fn two() -> (Lab, NameServer, Host) {
    let lab = Lab::new().unwrap();
    let mut server = NameServer::start(&lab.host(53).unwrap(), 1).unwrap();
    server.serve("internal", vec![at(1), at(2)]).unwrap();
    let host = lab.host(1).unwrap();
    host.resolve_with(&[server.host().fly6().into()], &[])
        .unwrap();
    (lab, server, host)
}

fn at(n: u16) -> Record {
    Record::address(NAME, IpAddr::from([0xfdaa, 0, 0, 0, 0, 0, 0, n]))
}

/// Status, and the answers' data in the order of the alphabet. `None`: there was no answer.
fn ask(host: &Host, name: &str, kind: &str) -> Option<(String, Vec<String>)> {
    let text = host
        .run("kdig", &["+time=1", "+retry=0", name, kind])
        .ok()?;
    let status = text.split("status: ").nth(1)?.split(';').next()?.to_owned();
    let answers = text
        .lines()
        .filter(|line| !line.starts_with(";") && line.contains("\tIN\t"));
    let answers = answers.filter(|line| !line.contains("\tSOA\t") && !line.contains("\tNS\t"));
    let mut answers: Vec<String> = answers
        .filter_map(|line| line.rsplit("\tIN\t").next())
        .map(|data| data.replace('\t', " "))
        .collect();
    answers.sort();
    Some((status, answers))
}

fn status(host: &Host) -> Option<String> {
    Some(ask(host, NAME, "AAAA")?.0)
}

#[test]
fn zones_hold_every_kind_and_change() {
    let (_lab, mut server, host) = two();
    let long = "x".repeat(300);
    server
        .edit("internal", |records| {
            records.push(Record::address("v4.internal", [10, 0, 0, 1]));
            records.push(Record::srv("_erl._tcp.internal", 9100, NAME));
            records.push(Record::txt("vms.demo.internal", "a \"quoted\" one"));
            records.push(Record::txt("long.internal", &long));
            records.push(Record::cname("www.internal", NAME));
        })
        .unwrap();
    let ok = |answers: &[&str]| {
        let answers = answers.iter().map(ToString::to_string).collect();
        Some((String::from("NOERROR"), answers))
    };
    let both = ["AAAA fdaa::1", "AAAA fdaa::2"];
    assert_eq!(ask(&host, NAME, "AAAA"), ok(&both));
    assert_eq!(ask(&host, NAME, "A"), ok(&[]));
    assert_eq!(ask(&host, "v4.internal", "A"), ok(&["A 10.0.0.1"]));
    let (_, srv) = ask(&host, "_erl._tcp.internal", "SRV").unwrap();
    assert!(srv.contains(&String::from("SRV 0 0 9100 demo.internal.")));
    assert_eq!(
        ask(&host, "vms.demo.internal", "TXT"),
        ok(&["TXT \"a \\\"quoted\\\" one\""])
    );
    let text = format!("TXT \"{}\" \"{}\"", "x".repeat(255), "x".repeat(45));
    assert_eq!(ask(&host, "long.internal", "TXT"), ok(&[&text]));
    let (_, chain) = ask(&host, "www.internal", "AAAA").unwrap();
    assert_eq!(chain.len(), 3, "{chain:?}");
    assert_eq!(
        ask(&host, "none.internal", "AAAA"),
        Some((String::from("NXDOMAIN"), Vec::new()))
    );

    server
        .edit("internal", |records| records.retain(|it| *it != at(1)))
        .unwrap();
    assert_eq!(ask(&host, NAME, "AAAA"), ok(&["AAAA fdaa::2"]));
}

#[test]
fn every_trouble_comes_and_goes() {
    let (_lab, mut server, host) = two();
    let fine = || assert_eq!(status(&host).as_deref(), Some("NOERROR"));
    fine();
    server.fail("internal").unwrap();
    assert_eq!(status(&host).as_deref(), Some("SERVFAIL"));
    server.stop();
    assert_eq!(status(&host), None);
    server.start_again().unwrap();
    assert_eq!(status(&host).as_deref(), Some("SERVFAIL"));
    server.mend("internal").unwrap();
    fine();
    server.refuse("internal").unwrap();
    assert_eq!(status(&host).as_deref(), Some("REFUSED"));
    server.mend("internal").unwrap();
    fine();
    server.silence().unwrap();
    assert_eq!(status(&host), None);
    server.hear().unwrap();
    fine();
}

#[test]
fn every_other_answer_misses_one() {
    let (lab, mut server, host) = two();
    let second = lab.host(2).unwrap();
    second
        .resolve_with(&[server.host().private().into()], &[])
        .unwrap();
    let clients = [host.fly6().into(), second.private().into()];
    server
        .alternate(
            "internal",
            (NAME, &[Kind::Aaaa, Kind::A]),
            vec![at(2)],
            &clients,
        )
        .unwrap();
    let count = |host| ask(host, NAME, "AAAA").unwrap().1.len();
    for _ in 0..5 {
        assert_eq!(count(&host), 2);
        // Others, and other questions, are counted by themselves.
        ask(&host, NAME, "A").unwrap();
        ask(&host, "other.internal", "AAAA").unwrap();
        assert_eq!(count(&second), 2);
        assert_eq!(count(&host), 1);
        assert_eq!(count(&second), 1);
    }
    server.steady().unwrap();
    for _ in 0..3 {
        assert_eq!(count(&host), 2);
    }
}

#[test]
fn unbound_stands_in_between() {
    let (lab, mut server, host) = two();
    let resolver = lab.host(54).unwrap();
    let mut recursor = Recursor::start(&resolver, &[server.host().private().into()]).unwrap();
    host.resolve_with(&[resolver.fly6().into()], &[]).unwrap();
    let count = || ask(&host, NAME, "AAAA").map(|(_, found)| found.len());
    let becomes = |what: &str, wanted: &dyn Fn() -> bool| {
        wait::until(what, Duration::from_secs(20), || wanted().then_some(()));
    };
    assert_eq!(count(), Some(2));
    server
        .edit("internal", |records| {
            records.pop();
        })
        .unwrap();
    becomes("the changed zone", &|| count() == Some(1));
    server.stop();
    becomes("SERVFAIL of a dead server", &|| {
        status(&host).as_deref() == Some("SERVFAIL")
    });
    server.start_again().unwrap();
    becomes("the answer", &|| count() == Some(1));
    recursor.silence().unwrap();
    assert_eq!(count(), None);
    recursor.hear().unwrap();
    assert_eq!(count(), Some(1));
    recursor.stop();
    assert_eq!(count(), None);
    recursor.start_again().unwrap();
    assert_eq!(count(), Some(1));
}
