//! Whatever Fly's DNS does, nobody loses anybody, and each change is one line.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::time::Duration;

use trunkline_interop::dns::{Kind, Record};
use trunkline_interop::fly::machine::App;
use trunkline_interop::fly::{Fly, Settings};
use trunkline_interop::in_fly_worlds;
use trunkline_interop::member::PATIENCE;
use trunkline_interop::wait;

mod failing {
    use super::*;

    in_fly_worlds!(failing_answers:
        otp_25_guide: System, true, GUIDE, false;
        otp_27_every_edge_ours_unbound: Otp27, false, TRUNKLINE, true;
    );
}

mod missing {
    use super::*;

    in_fly_worlds!(missing_records:
        otp_25_every_edge_ours_unbound: System, false, GUIDE, true;
        otp_27: Otp27, true, TRUNKLINE, false;
    );
}

const ALL: [u8; 3] = [1, 2, 3];

/// Two polls at least, and what a silent server takes of each.
const POLLS: Duration = Duration::from_secs(12);

/// Longer than `removal_misses` polls and `removal_grace`, by default.
const LONG: Duration = Duration::from_secs(50);

/// One trouble after the other, without a good answer in between: longer than removal takes.
fn failing_answers(settings: Settings) {
    let mut fly = three(settings);
    trouble(&mut fly, "(SERVFAIL)", |fly| {
        fly.server.fail("internal").unwrap()
    });
    trouble(&mut fly, "did not answer in time", |fly| {
        match &fly.recursor {
            Some(recursor) => recursor.silence().unwrap(),
            None => fly.server.silence().unwrap(),
        }
    });
    trouble(&mut fly, "nothing answers", |fly| {
        fly.dns_host().open_firewall().unwrap();
        fly.server.stop();
        if let Some(recursor) = &mut fly.recursor {
            recursor.stop();
        }
    });
    let before = lengths(&fly);
    fly.publish().unwrap();
    fly.server.start_again().unwrap();
    if let Some(recursor) = &mut fly.recursor {
        recursor.start_again().unwrap();
    }
    said_by_all(&fly, "the servers are back", &before, "again");
    fly.recorded("all troubles", |_| Vec::new());
    fly.until_whole(&ALL);
    for (n, new) in news(&fly, &before) {
        assert_eq!(new.len(), 1, "at the end member {n} said {new:#?}");
    }
}

fn missing_records(settings: Settings) {
    let mut fly = three(settings);
    every_other_answer(&mut fly);
    nothing_for_long(&mut fly);
    fly.recorded("all troubles", |_| Vec::new());
    fly.until_whole(&ALL);
}

fn three(settings: Settings) -> Fly {
    let mut fly = Fly::new(settings).unwrap();
    fly.scale(&App::hello(), &ALL).unwrap();
    fly.met("three machines", &ALL);
    fly.until_settled(&ALL);
    fly
}

/// During the trouble each agent says what it is, once, and loses nobody.
fn trouble(fly: &mut Fly, what: &str, begin: impl FnOnce(&mut Fly)) {
    let before = lengths(fly);
    begin(fly);
    said_by_all(fly, what, &before, what);
    fly.quiet(what, POLLS);
    for (n, new) in news(fly, &before) {
        assert_eq!(new.len(), 1, "{what}: member {n} said {new:#?}");
        assert!(new[0].contains("the last good answer stands"), "{new:#?}");
    }
}

/// The third machine is missing from every second answer to each client, for some polls.
fn every_other_answer(fly: &mut Fly) {
    let before = lengths(fly);
    let clients = match &fly.recursor {
        Some(recursor) => vec![recursor.host().private().into()],
        None => fly.addresses(&ALL),
    };
    let without = fly.zone_of(&[1, 2]);
    let name = "hello-elixir.internal";
    fly.server
        .alternate("internal", (name, &[Kind::Aaaa]), without, &clients)
        .unwrap();
    fly.quiet("a record missing from every other answer", POLLS * 2);
    fly.server.steady().unwrap();
    for (n, new) in news(fly, &before) {
        // To change one's mind at every answer would be a line at every answer.
        assert!(new.len() <= 2, "member {n} said {new:#?}");
        assert!(
            !new.iter().any(|line| line.contains("forgotten")),
            "member {n} said {new:#?}"
        );
    }
}

/// The name is there and has no address, for longer than removal takes: the machines live, so nobody goes.
fn nothing_for_long(fly: &mut Fly) {
    let before = lengths(fly);
    let note = Record::txt("hello-elixir.internal", "no addresses here");
    fly.server.serve("internal", vec![note]).unwrap();
    said_by_all(fly, "an empty answer", &before, "lists nobody");
    fly.quiet("an empty answer", LONG);
    for (n, new) in news(fly, &before) {
        let said = new.iter().filter(|line| line.contains("lists nobody"));
        assert_eq!(said.count(), 1, "member {n} said {new:#?}");
        assert!(
            !new.iter().any(|line| line.contains("forgotten")),
            "member {n} said {new:#?}"
        );
    }
    let before = lengths(fly);
    fly.publish().unwrap();
    said_by_all(fly, "after an empty answer", &before, "again");
}

fn said_by_all(fly: &Fly, what: &str, before: &[usize], line: &str) {
    let said = || {
        let all = news(fly, before);
        all.iter()
            .all(|(_, new)| new.iter().any(|said| said.contains(line)))
            .then_some(())
    };
    if wait::within(PATIENCE, said).is_none() {
        panic!("{what}: not everybody says {line:?}:\n{}", fly.report());
    }
}

/// How much each agent has said.
fn lengths(fly: &Fly) -> Vec<usize> {
    let members = fly.members().iter();
    members.map(|member| member.agent_log().len()).collect()
}

/// What each agent has said since.
fn news(fly: &Fly, before: &[usize]) -> Vec<(u8, Vec<String>)> {
    let members = fly.members().iter().zip(before);
    members
        .map(|(member, old)| (member.host.n(), member.agent_log().split_off(*old)))
        .collect()
}
