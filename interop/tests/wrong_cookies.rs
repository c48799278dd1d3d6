//! Wrong cookies, as they happen: a newline in `exec`'s environment, another file, another build of the release, a redeploy with a fresh
//! random one. Both ends say it, none says a cookie.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::fs;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use trunkline_interop::agent::{Agent, Place};
use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::otp::{self, Otp};
use trunkline_interop::release::{self, Release};
use trunkline_interop::wait::{self, Took};

const COOKIE: &str = "cookies-0123456789-abcdefghij";
const RANDOM: &str = "RANDOMRANDOMRANDOMRA";

/// How long a BEAM may take to start on a machine that does other things too. The agent looks every 30 s whether a peer that
/// refused it was restarted.
const PATIENCE: Duration = Duration::from_secs(120);

const ENV_SH: &str = "#!/bin/sh\neval \"$(trunkline env)\"\n";

fn node(host: &Host, cookie: &str) -> Result<Otp> {
    let name = format!("app@{}", host.private());
    Otp::on(host, otp::Release::Otp25, &name, cookie, &[])
}

/// The peer refuses, once in words and a few times on the wire; `ping` gives the same reason.
fn mismatch(what: &str, agent: &Agent, place: &Place, peer: &Otp) -> Result<()> {
    let said = || (!agent.codes(peer.name()).is_empty()).then_some(());
    if wait::within(PATIENCE, said).is_none() {
        panic!("{what}: no reason in {}", agent.output());
    }
    assert_eq!(agent.codes(peer.name()), ["cookie_mismatch"], "{what}");
    assert_eq!(place.ping(peer.name())?.code, "cookie_mismatch", "{what}");
    for secret in [COOKIE, RANDOM] {
        assert!(!agent.output().contains(secret), "{what}");
    }
    Ok(())
}

#[test]
fn of_exec() -> Result<()> {
    let _took = Took::new("wrong cookies of exec");
    let lab = Lab::new()?;
    let (here, there) = (lab.host(1)?, lab.host(2)?);
    let release = Release::install(&here, release::Otp::System, ENV_SH)?;
    let peer = node(&there, COOKIE)?;
    let mut place = Place::new(&here, &format!("app@{}", here.private()), "");
    place.list(&[&place.node, peer.name()])?;

    // From the environment, with the newline that `$(…)` would have taken off and a file or a secret store leaves.
    let exec = |place: &Place, file: Option<&str>, log: &str| -> Result<Agent> {
        let mut exec = release.command("trunkline")?;
        exec.arg("exec");
        if let Some(file) = file {
            exec.args(["--cookie-file", file]);
        }
        exec.arg("--").arg(release.script()).arg("start");
        exec.env("RELEASE_NODE", &place.node);
        if let Some(cookie) = &place.cookie {
            exec.env("RELEASE_COOKIE", cookie);
        }
        Ok(Agent::of(here.start(exec, log)?))
    };
    let end = |mut agent: Agent| {
        agent.process().signal(Signal::TERM);
        agent.process().wait(PATIENCE);
    };
    place.cookie = Some(format!("{COOKIE}\n"));
    let agent = exec(&place, None, "newline.log")?;
    mismatch("a newline", &agent, &place, &peer)?;
    let warned = agent.lines().into_iter().filter(|line| {
        line.starts_with("WARN") && line.contains("RELEASE_COOKIE") && line.contains("newline")
    });
    assert_eq!(warned.count(), 1, "{:#?}", agent.lines());
    end(agent);

    // From a file that holds another one.
    fs::write(here.dir().join("other"), RANDOM)?;
    let agent = exec(
        &Place {
            cookie: None,
            ..place.clone()
        },
        Some("other"),
        "other.log",
    )?;
    place.cookie = Some(RANDOM.to_owned());
    mismatch("another file", &agent, &place, &peer)?;
    end(agent);

    // From the release itself, of another build than the peer's.
    let file = release.root().join("releases/COOKIE");
    let of_the_build = fs::read(&file)?;
    fs::write(&file, RANDOM)?;
    let none = Place {
        cookie: None,
        ..place.clone()
    };
    let agent = exec(&none, None, "build.log")?;
    mismatch("another build", &agent, &place, &peer)?;
    assert_eq!(agent.count("INFO the cookie is", "releases/COOKIE"), 1);
    end(agent);
    fs::write(&file, of_the_build)?;

    // A file is read as OTP reads it, so its newline does no harm.
    fs::write(here.dir().join("same"), format!("{COOKIE}\r\n"))?;
    let agent = exec(
        &Place {
            cookie: None,
            ..place
        },
        Some("same"),
        "same.log",
    )?;
    let connected = || (agent.count("INFO connected", peer.name()) == 1).then_some(());
    if wait::within(PATIENCE, connected).is_none() {
        panic!("the right cookie: {}", agent.output());
    }
    end(agent);
    Ok(())
}

#[test]
fn after_a_redeploy() -> Result<()> {
    let _took = Took::new("a redeploy with another cookie");
    let lab = Lab::new()?;
    let (here, there) = (lab.host(1)?, lab.host(2)?);
    let (app, peer) = (node(&here, COOKIE)?, node(&there, COOKIE)?);
    let place = Place::new(&here, app.name(), COOKIE);
    place.list(&[app.name(), peer.name()])?;
    let agent = place.run("agent.log")?;
    let peer_name = format!("app@{}", there.private());
    let connected = |times: usize| {
        let line = || (agent.count("INFO connected", &peer_name) == times).then_some(());
        if wait::within(PATIENCE, line).is_none() {
            panic!("no connection {times}: {}", agent.output());
        }
    };
    connected(1);

    // The image build made a fresh one.
    drop(peer);
    let peer = node(&there, RANDOM)?;
    let said = || {
        let codes = agent.codes(&peer_name);
        codes
            .last()
            .is_some_and(|code| code == "cookie_mismatch")
            .then_some(())
    };
    if wait::within(PATIENCE, said).is_none() {
        panic!("no reason: {}", agent.output());
    }
    assert_eq!(place.ping(&peer_name)?.code, "cookie_mismatch");
    // The node's own dial, the agent's proof, two pings.
    let rejected = peer.output().matches("rejected").count();
    assert!((1..=4).contains(&rejected), "{}", peer.output());
    // The one with the fresh cookie sees it from its side.
    let theirs = Place::new(&there, &peer_name, RANDOM);
    theirs.list(&[app.name(), &peer_name])?;
    mismatch("a fresh one", &theirs.run("agent.log")?, &theirs, &app)?;

    // And the next deploy has the right one again.
    drop(peer);
    let peer = node(&there, COOKIE)?;
    connected(2);
    assert_eq!(place.ping(&peer_name)?.code, "pong");
    assert_eq!(app.eval("nodes()")?, format!("['{}']", peer.name()));
    // On the way the reason was: lost, perhaps not there yet, the cookie. Each was said once.
    let codes = agent.codes(&peer_name);
    let mut unique = codes.clone();
    unique.dedup();
    assert_eq!(codes, unique);
    Ok(())
}
