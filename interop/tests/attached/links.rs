use std::time::Duration;

use anyhow::Result;
use trunkline_interop::otp::Epmd;
use trunkline_reconcile::{Config, PeerState};

use crate::site::{Agent, NO_MESH, name, neighbours, recorded, start, until};

#[tokio::test(flavor = "multi_thread")]
async fn listed_nodes_are_connected_and_the_application_sees_no_agent() -> Result<()> {
    let epmd = Epmd::start()?;
    let nodes = [
        start(&epmd, 1, NO_MESH)?,
        start(&epmd, 2, NO_MESH)?,
        start(&epmd, 3, NO_MESH)?,
    ];
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.list(1..=3);
    agent.until_connected(2).await;
    assert_eq!(
        neighbours(&nodes[0])?,
        "['app2@127.0.0.3','app3@127.0.0.4']"
    );
    assert_eq!(neighbours(&nodes[1])?, "['app1@127.0.0.2']");
    assert_eq!(
        nodes[0].eval("nodes(hidden)")?,
        "['trunkline-app1@127.0.0.2']"
    );
    assert!(agent.has_said("attached · app1@127.0.0.2"));
    assert!(agent.has_said("connected · app2@127.0.0.3"));
    for node in &nodes {
        assert!(!node.output().contains("ERROR"), "{}", node.output());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_others_make_and_break_are_pushed() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let _b = start(&epmd, 2, NO_MESH)?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.until_said("attached").await;
    until("it is up", || agent.cluster.status().engine.up).await;
    let links = || agent.cluster.status().engine.links;
    a.eval("net_kernel:connect_node('app2@127.0.0.3')")?;
    until("the link is known", || links().contains(&name(2))).await;
    a.eval("erlang:disconnect_node('app2@127.0.0.3')")?;
    until("its end is known", || links().is_empty()).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_topologies_side_by_side_prune_only_their_own() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    let mut others = vec![];
    for i in 2..=4 {
        others.push(start(&epmd, i, NO_MESH)?);
    }
    let config = crate::site::quick();
    let cookie = crate::site::COOKIE;
    let agent = Agent::with(&epmd, 1, cookie, &["web", "db"], config).await?;
    agent.list_in(0, [1, 2, 3]);
    agent.list_in(1, [1, 3, 4]);
    agent.until_connected(3).await;
    // n3 leaves one of two; n2 leaves its only one, and dies.
    agent.list_in(0, [1]);
    drop(others.remove(0));
    agent.until_said("forgotten · app2@127.0.0.3").await;
    assert_eq!(agent.state(2), None);
    assert_eq!(agent.state(3), Some(PeerState::Connected));
    assert_eq!(neighbours(&a)?, "['app3@127.0.0.4','app4@127.0.0.5']");
    assert_eq!(
        recorded(&others[0])?,
        "[{up,'app1@127.0.0.2'}]",
        "nobody touched n3"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_net_ticktime_is_followed() -> Result<()> {
    let epmd = Epmd::start()?;
    let args = [NO_MESH, &["-kernel", "net_ticktime", "4"]].concat();
    let a = start(&epmd, 1, &args)?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent.until_said("attached").await;
    let watched = std::time::Instant::now();
    while watched.elapsed() < Duration::from_secs(12) {
        assert_eq!(a.eval("nodes(hidden)")?, "['trunkline-app1@127.0.0.2']");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!agent.has_said("not attached"), "{:?}", agent.said());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tools_in_the_application_are_said_once_and_left_alone() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = start(&epmd, 1, NO_MESH)?;
    a.eval("register('Elixir.DNSCluster', spawn(fun() -> receive stop -> ok end end))")?;
    let agent = Agent::start(&epmd, 1, Config::default()).await?;
    agent
        .until_said("dns_cluster runs in the application too")
        .await;
    Ok(())
}
