//! One node and all that may stand beside it: verbs and two agents at once, a short `net_ticktime`, restarts of the node under the
//! agent and of the agent under the node.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use trunkline_interop::agent::{Agent, Place};
use trunkline_interop::fleet::{COOKIE, Fleet, Member, Naming, PATIENCE, Settings};
use trunkline_interop::netns::Lab;
use trunkline_interop::otp::{self, Otp};
use trunkline_interop::process::Process;
use trunkline_interop::release::Event;
use trunkline_interop::turn::Turn;
use trunkline_interop::verb::Said;
use trunkline_interop::wait::{self, Took};
use trunkline_interop::workspace;

/// `net_ticktime` of the nodes; a peer that is silent is cut after at most a quarter more.
const TICK_TIME: u32 = 4;

/// Several of those.
const QUIET: Duration = Duration::from_secs(18);

/// What an attached agent that polls may take; the goal is 12 MiB.
const RESIDENT: u64 = 20 << 20;

#[test]
fn verbs_and_two_agents_at_once() -> Result<()> {
    let _took = Took::new("verbs and two agents at once");
    let lab = Lab::new()?;
    let hosts = [lab.host(1)?, lab.host(2)?];
    let nodes: Vec<Otp> = thread::scope(|scope| {
        let started = hosts.each_ref().map(|host| {
            let name = format!("app@{}", host.private());
            scope.spawn(move || Otp::on(host, otp::Release::Otp25, &name, COOKIE, &[]).unwrap())
        });
        started.map(|node| node.join().unwrap()).into()
    });
    let [app, peer] = &nodes[..] else {
        unreachable!("two were started")
    };
    let place = Place::new(&hosts[0], app.name(), COOKIE);
    place.list(&[app.name(), peer.name()])?;
    let first = place.run("first.log")?;
    let connected = || (first.count("INFO connected", peer.name()) == 1).then_some(());
    wait::until("the first agent", PATIENCE, connected);

    // The second agent says one line and ends, whatever the verbs beside it do.
    let (refused, verbs) = thread::scope(|scope| {
        let second = scope.spawn(|| place.say(&["run"]).unwrap());
        let verbs: Vec<_> = (0..8)
            .map(|n| {
                let node = app.name();
                let args = match n % 4 {
                    0 => vec!["ping", node],
                    1 => vec!["nodes", node, "--json"],
                    // Without a name: the node that the agent here serves.
                    2 => vec!["ping"],
                    _ => vec!["nodes"],
                };
                let place = &place;
                scope.spawn(move || place.say(&args).unwrap())
            })
            .collect();
        let verbs: Vec<Said> = verbs.into_iter().map(|verb| verb.join().unwrap()).collect();
        (second.join().unwrap(), verbs)
    });
    assert_eq!(
        (refused.code, refused.err.lines().count()),
        (1, 1),
        "{refused:?}"
    );
    assert!(
        refused.err.contains("another agent") && refused.err.contains(app.name()),
        "{refused:?}"
    );
    for (n, said) in verbs.iter().enumerate() {
        assert_eq!(
            (said.code, said.err.as_str()),
            (0, ""),
            "verb {n}: {said:?}"
        );
        if n % 4 == 1 {
            let value: serde_json::Value = serde_json::from_str(&said.out)?;
            assert_eq!(
                value["visible"],
                serde_json::json!([peer.name()]),
                "{value}"
            );
            let hidden = value["hidden"].as_array().unwrap();
            let ours = |name: &serde_json::Value| name.as_str().unwrap().starts_with("trunkline-");
            assert!(hidden.iter().all(ours), "{value}");
            let agent = format!("trunkline-{}", app.name());
            assert!(hidden.contains(&agent.into()), "{value}");
        }
    }

    // Only the agent stays, and it has noticed nothing.
    let only = format!("['trunkline-{}']", app.name());
    wait::until("the verbs are gone", PATIENCE, || {
        (app.eval("nodes(hidden)").unwrap() == only).then_some(())
    });
    let said = first.lines();
    let trouble: Vec<_> = said
        .iter()
        .filter(|line| line.starts_with("WARN"))
        .collect();
    assert!(trouble.is_empty(), "{trouble:?}");
    assert!(!app.output().contains("REPORT"), "{}", app.output());
    Ok(())
}

#[test]
fn ticks_and_restarts() -> Result<()> {
    let _took = Took::new("ticks and restarts");
    let mut fleet = Fleet::new(Settings {
        polling: Some("1s"),
        connect_all: false,
        tick: Some(TICK_TIME),
        ..Settings::default()
    })?;
    let all = [1, 2, 3];
    let (mut apps, mut agents) = (Vec::new(), Vec::new());
    for n in all {
        fleet.create(n, Naming::Trunkline)?;
    }
    for n in all {
        apps.push(start_app(&fleet, n)?);
        agents.push(start_agent(&fleet, n)?);
    }
    fleet.until_whole(&all);
    let others = |n: u8, event: Event| {
        let others = all.into_iter().filter(move |other| *other != n);
        others.map(|other| (event, other)).collect::<Vec<_>>()
    };
    fleet.recorded("all are up", |n| others(n, Event::Up));

    quiet(&mut fleet);

    // The node is killed and comes back; its agent stays.
    apps[0].signal(Signal::KILL);
    apps[0].wait(PATIENCE);
    let agent = format!("attached · {}", fleet.member(1).node);
    let attached = |agents: &[Agent]| agents[0].count("INFO", &agent);
    let before = attached(&agents);
    wait::until("the others see it go", PATIENCE, || {
        let gone = |n| fleet.member(n).visible().len() == 1;
        (gone(2) && gone(3)).then_some(())
    });
    apps[0] = start_app(&fleet, 1)?;
    fleet.until_whole(&all);
    // The others' agents may have been quicker.
    wait::until("its agent is attached again", PATIENCE, || {
        (attached(&agents) > before).then_some(())
    });
    fleet.recorded("the node was restarted", |n| match n {
        1 => others(1, Event::Up),
        _ => vec![(Event::Down, 1), (Event::Up, 1)],
    });

    // The agent is killed and comes back; the application notices nothing.
    let before = attached(&agents);
    agents[0].kill();
    agents[0].process().wait(PATIENCE);
    agents[0] = start_agent(&fleet, 1)?;
    wait::until("the agent is attached again", PATIENCE, || {
        (attached(&agents) > before).then_some(())
    });
    fleet.until_whole(&all);
    quiet(&mut fleet);
    Ok(())
}

/// What users run: the static binary. A debug one is larger by the code that nobody optimised.
#[test]
fn an_attached_agent_that_polls_is_small() -> Result<()> {
    let binary = workspace::dist();
    let _took = Took::new("the memory of an agent");
    let mut fleet = Fleet::new(Settings {
        polling: Some("1s"),
        ..Settings::default()
    })?;
    for n in [1, 2] {
        fleet.create(n, Naming::Trunkline)?;
    }
    let _apps = [start_app(&fleet, 1)?, start_app(&fleet, 2)?];
    let agents = [1, 2].map(|n| start_binary(&fleet, n, binary).unwrap());
    fleet.until_whole(&[1, 2]);
    let before = fleet.api.count();
    let mut most = 0;
    wait::until("ten polls of each", PATIENCE, || {
        for agent in &agents {
            most = most.max(agent.resident().unwrap());
        }
        (fleet.api.count() >= before + 20).then_some(())
    });
    println!(
        "an attached agent that polls takes up to {} KiB",
        most / 1024
    );
    assert!(most < RESIDENT, "an agent takes {} KiB", most / 1024);
    Ok(())
}

/// Nobody comes or goes, hidden ones included, for several tick times.
fn quiet(fleet: &mut Fleet) {
    let records = |fleet: &Fleet| {
        let records = fleet.members().iter().map(|m| m.release.records());
        records.collect::<Vec<_>>()
    };
    // An agent may attach after the others have brought its node in.
    wait::until("the agents are attached", PATIENCE, || {
        let attached = |m: &Member| {
            let agent = format!("trunkline-{}", m.node);
            let records = m.release.records();
            let last = records.iter().rfind(|record| record.node == agent);
            last.is_some_and(|record| record.event == Event::Up)
        };
        fleet.members().iter().all(attached).then_some(())
    });
    let before = records(fleet);
    wait::stays("the quiet", QUIET, || {
        let now = records(fleet);
        match now == before {
            true => Ok(()),
            false => Err(format!("{now:#?}\n{}", fleet.report())),
        }
    });
    fleet.recorded("the quiet", |_| Vec::new());
}

fn start_app(fleet: &Fleet, n: u8) -> Result<Process> {
    let member = fleet.member(n);
    let mut start = member.release.command(member.release.script())?;
    let flags = format!("-kernel connect_all false -kernel net_ticktime {TICK_TIME}");
    start.arg("start").env("ERL_FLAGS", flags);
    let _turn = Turn::of(1)?;
    let app = member.host.start(start, "app.log")?;
    wait::until("the application", PATIENCE, || {
        member.release.eval("1").ok()
    });
    Ok(app)
}

fn start_agent(fleet: &Fleet, n: u8) -> Result<Agent> {
    start_binary(fleet, n, workspace::trunkline())
}

fn start_binary(fleet: &Fleet, n: u8, binary: &Path) -> Result<Agent> {
    let member = fleet.member(n);
    let mut run = member.release.command(binary)?;
    run.arg("run")
        .env("DIGITALOCEAN_TOKEN", fleet.api.token())
        .env("RELEASE_COOKIE", COOKIE);
    // Where the fleet's report looks.
    Ok(Agent::of(member.host.start(run, "exec.log")?))
}
