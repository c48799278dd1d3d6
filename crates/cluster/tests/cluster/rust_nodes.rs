//! Rust nodes alone: real sockets on loopback, our own port mapper.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use trunkline::{Cluster, ClusterConfig, RustNode};
use trunkline_discovery::Env;
use trunkline_discovery::strategies;
use trunkline_node::Node;
use trunkline_node::epmd::server::Server;
use trunkline_node::probe::ProbeConfig;
use trunkline_proto::{Cookie, NodeName};

use crate::pretend::{name, until};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn start(epmd: &Server, i: u8) -> Cluster {
    let me: NodeName = name(&format!("n{i}@127.0.0.1"));
    let cookie = Cookie::new("a cookie of Rust nodes").unwrap();
    let node = Node::builder(me.clone())
        .cookie(cookie.clone())
        .epmd_port(epmd.port())
        .listen([HERE], 0)
        .start()
        .await
        .unwrap();
    let probing = ProbeConfig {
        cookie: Some(cookie),
        epmd_port: epmd.port(),
        ..ProbeConfig::new(name(&format!("trunkline-probe-n{i}@127.0.0.1")))
    };
    let options = "strategy = 'epmd'\nhosts = ['n1@127.0.0.1', 'n2@127.0.0.1', 'n3@127.0.0.1']";
    let cx = trunkline::build_cx(Env::from_process());
    let topology = strategies::build("all", &options.parse().unwrap(), &cx).unwrap();
    let (member, events) = RustNode::new(node, probing);
    Cluster::start(me, member, events, ClusterConfig::new(vec![topology]))
}

async fn until_whole(clusters: &[Cluster]) {
    until(|| {
        clusters
            .iter()
            .all(|cluster| cluster.status().engine.connected() == 2)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_find_each_other_and_one_that_ends_is_taken_back() {
    let epmd = Server::bind(&[SocketAddr::new(HERE, 0)]).unwrap();
    let mut clusters = vec![];
    for i in 1..=3 {
        clusters.push(start(&epmd, i).await);
    }
    until_whole(&clusters).await;
    clusters.remove(1).shutdown().await;
    until(|| {
        clusters
            .iter()
            .all(|cluster| cluster.status().engine.connected() == 1)
    })
    .await;
    clusters.push(start(&epmd, 2).await);
    until_whole(&clusters).await;
}
