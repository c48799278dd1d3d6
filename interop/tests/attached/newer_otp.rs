//! The same beside OTP 27, and between 25 and 27.

use anyhow::Result;
use trunkline_interop::otp::{Epmd, Release};
use trunkline_reconcile::Config;

use crate::site::{Agent, NO_MESH, neighbours, quick, recorded, start, start_on, until_on};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_beside_otp_27_connects_it_with_otp_25_and_sees_links_end() -> Result<()> {
    let newer = Release::Otp27;
    let epmd = Epmd::start()?;
    let a = start_on(newer, &epmd, 1, NO_MESH)?;
    let b = start(&epmd, 2, NO_MESH)?;
    assert_eq!(a.eval("erlang:system_info(otp_release)")?, "\"27\"");
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=2);
    agent.until_connected(1).await;
    drop(b);
    agent
        .until_said("connection lost: connection_closed · app2@127.0.0.3")
        .await;
    let _b = start_on(newer, &epmd, 2, NO_MESH)?;
    agent.until_connected(1).await;
    assert_eq!(neighbours(&a)?, "['app2@127.0.0.3']");
    assert!(!a.output().contains("ERROR"), "{}", a.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_leaves_a_mesh_of_both_releases_and_nobody_else_is_lost() -> Result<()> {
    let newer = Release::Otp27;
    let epmd = Epmd::start()?;
    let nodes = [
        start(&epmd, 1, &[])?,
        start_on(newer, &epmd, 2, &[])?,
        start_on(newer, &epmd, 3, &[])?,
    ];
    let mut agents = vec![];
    for i in 1..=3 {
        let agent = Agent::start(&epmd, i, quick()).await?;
        agent.list(1..=3);
        agents.push(agent);
    }
    for agent in &agents {
        agent.until_connected(2).await;
    }
    agents.iter().for_each(|agent| agent.list(1..=2));
    agents[2].until_said("it leaves the others").await;
    until_on(&nodes[2], "nodes()", "[]");
    for (node, agent) in nodes.iter().zip(&agents).take(2) {
        agent.until_said("forgotten · app3@127.0.0.4").await;
        assert_eq!(
            recorded(node)?.matches("{down,").count(),
            1,
            "{}",
            recorded(node)?
        );
    }
    Ok(())
}
