use std::time::Duration;

use anyhow::Result;
use trunkline_interop::otp::Epmd;
use trunkline_reconcile::Config;

use crate::site::{Agent, COOKIE, NO_MESH, name, start, start_with, until};

fn reason(agent: &Agent, i: u8) -> Option<&'static str> {
    let status = agent.cluster.status().engine;
    let peer = status.peers.into_iter().find(|peer| peer.node == name(i))?;
    peer.reason.map(|reason| reason.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cookie_is_named_and_costs_that_peer_few_lines() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let b = start_with(&epmd, 2, "another_cookie", NO_MESH)?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=2);
    agent.until_said("cannot connect (cookie_mismatch)").await;
    assert_eq!(reason(&agent, 2), Some("cookie_mismatch"));
    // One for the dial, one for the proof, and no more.
    let lines = || b.output().matches("Connection attempt from node").count();
    until("both are in its log", || lines() >= 2).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(lines(), 2, "{}", b.output());

    // Restarted with the right one, it is tried long before the ten minutes are over.
    drop(b);
    let _b = start(&epmd, 2, NO_MESH)?;
    let connected = || agent.cluster.status().engine.connected() == 1;
    until("it is connected", connected).await;
    drop(a);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_the_wrong_cookie_says_so() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let agent = Agent::with(&epmd, 1, "wrong", &["web"], Config::default()).await?;
    agent.until_said("not attached (cookie_mismatch)").await;
    assert!(!agent.said().join(" ").contains(COOKIE));
    drop(a);
    let _a = start_with(&epmd, 1, "wrong", NO_MESH)?;
    until("it attaches after the restart", || {
        agent.has_said("attached · ")
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_for_one_node_is_refused_and_the_first_keeps_it() -> Result<()> {
    let epmd = Epmd::start()?;
    let _a = start(&epmd, 1, NO_MESH)?;
    let first = Agent::start(&epmd, 1, Config::default()).await?;
    first.until_said("attached").await;
    let second = Agent::start(&epmd, 1, Config::default()).await?;
    second.until_said("another agent serves that node").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!first.has_said("not attached"), "{:?}", first.said());
    drop(first);
    second.until_said("attached · ").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_peer_costs_the_node_nothing() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list([1, 2, 9]);
    agent.until_said("cannot connect (not_registered)").await;
    assert_eq!(reason(&agent, 9), Some("not_registered"));
    // It was never asked to dial: no atom of that name there.
    assert!(
        a.eval("list_to_existing_atom(\"app9@127.0.0.10\")")
            .is_err()
    );
    assert!(!a.output().contains("ERROR"), "{}", a.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_names_us_not_allowed_says_so() -> Result<()> {
    let epmd = Epmd::start()?;
    let _a = start(&epmd, 1, NO_MESH)?;
    let b = start(&epmd, 2, NO_MESH)?;
    b.eval("net_kernel:allow(['somebody@else'])")?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=2);
    agent.until_said("cannot connect (not_allowed)").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_only_the_attached_one_cannot_reach_is_told_from_others() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let _b = start(&epmd, 2, NO_MESH)?;
    // Its own cookie for that peer alone.
    a.eval("erlang:set_cookie('app2@127.0.0.3', other)")?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=2);
    agent.until_said("cannot connect (differs_from_here)").await;
    Ok(())
}
