use std::time::Duration;

use anyhow::Result;
use trunkline_interop::otp::{Epmd, Otp};
use trunkline_reconcile::PeerState;

use crate::site::{Agent, neighbours, quick, recorded, start, until, until_on};

/// With OTP's own mesh (`connect_all`, `prevent_overlapping_partitions`): what tears there.
fn mesh(epmd: &Epmd, n: u8) -> Result<Vec<Otp>> {
    (1..=n).map(|i| start(epmd, i, &[])).collect()
}

async fn agents(epmd: &Epmd, beside: impl IntoIterator<Item = u8>, n: u8) -> Result<Vec<Agent>> {
    let mut agents = vec![];
    for i in beside {
        let agent = Agent::start(epmd, i, quick()).await?;
        agent.list(1..=n);
        agents.push(agent);
    }
    for agent in &agents {
        agent.until_connected(usize::from(n) - 1).await;
    }
    Ok(agents)
}

fn downs(node: &Otp) -> Result<usize> {
    Ok(recorded(node)?.matches("{down,").count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_no_longer_listed_leaves_and_the_others_lose_nobody_else() -> Result<()> {
    let epmd = Epmd::start()?;
    let nodes = mesh(&epmd, 4)?;
    let agents = agents(&epmd, 1..=4, 4).await?;
    agents.iter().for_each(|agent| agent.list(1..=3));
    agents[3]
        .until_said("no longer listed, it leaves the others")
        .await;
    until_on(&nodes[3], "nodes()", "[]");
    for (node, agent) in nodes.iter().zip(&agents).take(3) {
        agent.until_said("forgotten · app4@127.0.0.5").await;
        assert_eq!(downs(node)?, 1, "{}", recorded(node)?);
        assert_eq!(agent.cluster.status().engine.connected(), 2);
    }
    assert_eq!(
        nodes[3].eval("nodes(hidden)")?,
        "['trunkline-app4@127.0.0.5']"
    );

    // Its application talks on: that is a state, said once, and nobody fights it.
    nodes[3].eval("{nobody, 'app1@127.0.0.2'} ! hello")?;
    agents[0]
        .until_said("unlisted but connected · app4@127.0.0.5")
        .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(agents[0].state(4), Some(PeerState::UnlistedButConnected));
    for node in nodes.iter().take(3) {
        assert_eq!(downs(node)?, 1, "{}", recorded(node)?);
    }
    let said = agents[0].said();
    let times = said
        .iter()
        .filter(|line| line.starts_with("unlisted but connected"));
    assert_eq!(times.count(), 1, "{said:?}");

    // Listed again, it returns.
    agents.iter().for_each(|agent| agent.list(1..=4));
    agents[3].until_connected(3).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_without_an_agent_is_asked_by_one_agent() -> Result<()> {
    let epmd = Epmd::start()?;
    let nodes = mesh(&epmd, 4)?;
    let agents = agents(&epmd, 1..=3, 4).await?;
    agents.iter().for_each(|agent| agent.list(1..=3));
    agents[0]
        .until_said("asked to leave · app4@127.0.0.5")
        .await;
    until_on(&nodes[3], "nodes()", "[]");
    until("it is forgotten", || {
        agents.iter().all(|agent| agent.state(4).is_none())
    })
    .await;
    for agent in &agents[1..] {
        assert!(!agent.has_said("asked to leave"), "{:?}", agent.said());
    }
    for node in &nodes[..3] {
        assert_eq!(downs(node)?, 1, "{}", recorded(node)?);
    }
    assert_eq!(
        neighbours(&nodes[0])?,
        "['app2@127.0.0.3','app3@127.0.0.4']"
    );
    Ok(())
}
