use anyhow::Result;
use trunkline_interop::otp::Epmd;
use trunkline_reconcile::Config;

use crate::site::{Agent, NO_MESH, neighbours, recorded, start, until, until_on};

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_killed_and_comes_back_is_connected_again() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let b = start(&epmd, 2, NO_MESH)?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=2);
    agent.until_connected(1).await;
    drop(b);
    agent
        .until_said("connection lost: connection_closed · app2@127.0.0.3")
        .await;
    let _b = start(&epmd, 2, NO_MESH)?;
    agent.until_connected(1).await;
    assert_eq!(neighbours(&a)?, "['app2@127.0.0.3']");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_may_die_and_return_and_the_application_notices_nothing() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let b = start(&epmd, 2, NO_MESH)?;
    for _ in 0..3 {
        let agent = Agent::start(&epmd, 1, Config::default()).await?;
        agent.list(1..=2);
        agent.until_connected(1).await;
        drop(agent);
        until_on(&a, "nodes(hidden)", "[]");
    }
    assert_eq!(recorded(&a)?, "[{up,'app2@127.0.0.3'}]");
    assert_eq!(recorded(&b)?, "[{up,'app1@127.0.0.2'}]");
    // Nor does anything of ours stay behind.
    assert_eq!(a.eval("length([P || P <- processes(), {current_function,{erl_eval,_,_}} <- [process_info(P, current_function)]]) < 3")?, "true");
    assert!(!a.output().contains("ERROR"), "{}", a.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_comes_first_and_outlives_restarts_of_its_node() -> Result<()> {
    let epmd = Epmd::start()?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=2);
    agent.until_said("waiting for the node to start").await;
    let b = start(&epmd, 2, NO_MESH)?;
    for _ in 0..3 {
        let a = start(&epmd, 1, NO_MESH)?;
        agent.until_connected(1).await;
        assert_eq!(neighbours(&a)?, "['app2@127.0.0.3']");
        drop(a);
        until("its end is noticed", || !agent.cluster.status().engine.up).await;
        until_on(&b, "nodes()", "[]");
    }
    Ok(())
}
