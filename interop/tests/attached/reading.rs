//! Nodes where no watcher may run, or where it does not live.

use std::time::Duration;

use anyhow::Result;
use trunkline_interop::otp::{Epmd, Evaluator, Otp, Release};
use trunkline_reconcile::Config;

use crate::site::{
    Agent, COOKIE, NO_MESH, SOON, name, neighbours, recorded, start, until, until_within,
};

/// The list is read every second, the audit comes only after thirty. What is seen within this time
/// came by the first.
const SECONDS: Duration = Duration::from_secs(20);

const READ: &str = "links are read every second";

/// Node `i`, whose `eval` takes calls only.
fn caller(release: Release, evaluator: Evaluator, epmd: &Epmd, i: u8) -> Result<Otp> {
    Otp::of_calls(release, evaluator, epmd, name(i).as_str(), COOKIE, NO_MESH)
}

async fn links_are_read_beside(release: Release) -> Result<()> {
    let epmd = Epmd::start()?;
    let a = caller(release, Evaluator::Absent, &epmd, 1)?;
    let (b, c) = (start(&epmd, 2, NO_MESH)?, start(&epmd, 3, NO_MESH)?);
    // One link is older than the agent.
    c.eval("net_kernel:connect_node('app1@127.0.0.2')")?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    let normal = Agent::start(&epmd, 3, Config::default()).await?;
    agent.list([1, 2, 3]);
    normal.list([3]);
    agent.until_connected(2).await;
    agent.until_said(READ).await;
    assert!(agent.has_said(
        "no process there forwards their changes: erl_eval:exprs/2 gave undef · app1@127.0.0.2 · keep stdlib's erl_eval in the release"
    ));
    let known = |i| agent.cluster.status().engine.links.contains(&name(i));

    // Links that nobody of ours makes or breaks.
    let _d = start(&epmd, 4, NO_MESH)?;
    a.eval("net_kernel:connect_node('app4@127.0.0.5')")?;
    until_within(SECONDS, "the link is seen", || known(4)).await;
    a.eval("disconnect_node('app4@127.0.0.5')")?;
    until_within(SECONDS, "its end is seen", || !known(4)).await;

    // One of ours that ends, and comes again.
    drop(b);
    let lost = "connection lost: noticed late · app2@127.0.0.3";
    until_within(SECONDS, "its end is said", || agent.has_said(lost)).await;
    let _b = start(&epmd, 2, NO_MESH)?;
    agent.until_connected(2).await;

    assert_eq!(agent.count(READ), 1, "{:?}", agent.said());
    assert_eq!(agent.count("connected · app2"), 2, "{:?}", agent.said());
    assert_eq!(agent.count("connected · app3"), 1, "{:?}", agent.said());
    assert_eq!(agent.count("connection lost"), 1, "{:?}", agent.said());
    assert_eq!(
        a.eval("calls:recorded()")?,
        "[{up,'app3@127.0.0.4'},{up,'app2@127.0.0.3'},{up,'app4@127.0.0.5'},{down,'app4@127.0.0.5'},\
          {down,'app2@127.0.0.3'},{up,'app2@127.0.0.3'}]"
    );
    assert!(!a.output().contains("REPORT"), "{}", a.output());

    // The node next to it is pushed as ever.
    assert!(!normal.has_said(READ), "{:?}", normal.said());
    drop(a);
    until_within(SECONDS, "the push", || {
        !normal.cluster.status().engine.links.contains(&name(1))
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_watcher_may_run_links_are_read_every_second() -> Result<()> {
    links_are_read_beside(Release::Otp25).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_watcher_may_run_on_otp_27_links_are_read_every_second() -> Result<()> {
    links_are_read_beside(Release::Otp27).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_again_is_not_said_again() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = caller(Release::Otp25, Evaluator::Absent, &epmd, 1)?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.until_said(READ).await;
    drop(a);
    until("its end is noticed", || !agent.cluster.status().engine.up).await;
    let a = caller(Release::Otp25, Evaluator::Absent, &epmd, 1)?;
    let _b = start(&epmd, 2, NO_MESH)?;
    until("it is up again", || agent.cluster.status().engine.up).await;
    a.eval("net_kernel:connect_node('app2@127.0.0.3')")?;
    let known = || agent.cluster.status().engine.links.contains(&name(2));
    until_within(SECONDS, "the link is seen", known).await;
    assert_eq!(agent.count(READ), 1, "{:?}", agent.said());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluator_that_goes_and_comes_back() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = caller(Release::Otp25, Evaluator::Whole, &epmd, 1)?;
    let _b = start(&epmd, 2, NO_MESH)?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=2);
    agent.until_connected(1).await;
    a.lose_evaluator()?;
    agent.until_said(READ).await;
    a.eval("disconnect_node('app2@127.0.0.3')")?;
    let lost = || agent.has_said("connection lost: noticed late");
    until_within(SECONDS, "its end is said", lost).await;
    agent.until_connected(1).await;

    a.regain_evaluator()?;
    // It is tried every half minute, and believed when it has lived so long.
    let back = || agent.has_said("forwards link changes again, they are no longer read");
    until_within(SOON * 2, "a watcher runs", back).await;
    a.eval("disconnect_node('app2@127.0.0.3')")?;
    agent.until_said("connection lost: disconnect").await;
    assert_eq!(agent.count(READ), 1, "{:?}", agent.said());
    assert_eq!(agent.count("attached"), 1, "{:?}", agent.said());
    Ok(())
}

/// Kills every process there that is linked to the agent.
const KILL: &str = "[exit(P, kill) || P <- processes(), {links,L} <- [process_info(P, links)], \
     lists:any(fun(X) -> is_pid(X) andalso node(X) =:= 'trunkline-app1@127.0.0.2' end, L)]";

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_is_killed_is_started_again() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let b = start(&epmd, 2, NO_MESH)?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=2);
    agent.until_connected(1).await;
    // With the link, in one breath: nobody tells the agent.
    assert_ne!(
        a.eval(&format!(
            "{{{KILL}, erlang:disconnect_node('app2@127.0.0.3')}}"
        ))?,
        "{[],true}"
    );
    let lost = || agent.has_said("connection lost");
    until_within(SECONDS, "the end of the link is seen", lost).await;
    agent.until_connected(1).await;
    assert!(agent.has_said("was ended there (killed), it is started again · app1@127.0.0.2"));
    assert_eq!(agent.count("attached"), 1, "{:?}", agent.said());
    assert!(!agent.has_said(READ), "{:?}", agent.said());
    // The application noticed nothing but what it did itself.
    assert_eq!(
        recorded(&b)?,
        "[{up,'app1@127.0.0.2'},{down,'app1@127.0.0.2'},{up,'app1@127.0.0.2'}]"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_is_killed_again_and_again_is_done_without() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let _b = start(&epmd, 2, NO_MESH)?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=2);
    agent.until_connected(1).await;
    a.eval(&format!(
        "spawn(fun Hunt() -> {KILL}, receive after 50 -> Hunt() end end)"
    ))?;
    agent.until_said(READ).await;
    assert!(agent.has_said("it was ended 3 times (killed)"));
    assert_eq!(agent.count("it is started again"), 1, "{:?}", agent.said());
    a.eval("erlang:disconnect_node('app2@127.0.0.3')")?;
    let lost = || agent.has_said("connection lost: noticed late");
    until_within(SECONDS, "its end is said", lost).await;
    agent.until_connected(1).await;
    assert_eq!(neighbours(&a)?, "['app2@127.0.0.3']");
    assert_eq!(agent.count("attached"), 1, "{:?}", agent.said());
    Ok(())
}
