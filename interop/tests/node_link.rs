//! Connections with real OTP nodes: both directions, both families, ticks, cookies, ends.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use tokio::time::{sleep, timeout};
use trunkline_interop::otp::{Epmd, Otp};
use trunkline_node::epmd::client;
use trunkline_node::{DownReason, Node, NodeBuilder, NodeEvent, NodeType, Target};
use trunkline_proto::{Cookie, NodeName};

/// For what takes milliseconds, while others compile.
const SOON: Duration = Duration::from_secs(60);

fn name(text: &str) -> NodeName {
    text.parse().expect("a node name")
}

fn builder(epmd: &Epmd, text: &str) -> NodeBuilder<Cookie> {
    Node::builder(name(text))
        .cookie(Cookie::new("monster").expect("a cookie"))
        .epmd_port(epmd.port)
        .connect_timeout(SOON)
}

async fn down(events: &mut trunkline_node::NodeEvents) -> (NodeName, DownReason) {
    let next = async {
        loop {
            match events.next().await {
                Some(NodeEvent::Down { peer, reason, .. }) => return (peer, reason),
                Some(_) => {}
                None => panic!("the node is gone"),
            }
        }
    };
    timeout(SOON, next).await.expect("a link goes down")
}

#[tokio::test(flavor = "multi_thread")]
async fn dials_and_is_seen_as_hidden() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", "monster", &[])?;
    let node = builder(&epmd, "rust@127.0.0.1").start().await?;
    let mut events = node.monitor_nodes_of(NodeType::All);
    let connected = node.connect(&Target::new(name(otp.name()))).await?;
    let creation: u32 = otp.eval("erlang:system_info(creation)")?.parse()?;
    assert_eq!(connected.creation.0, creation);
    assert!(matches!(
        events.next().await,
        Some(NodeEvent::Up { hidden: false, .. })
    ));
    assert_eq!(node.connected(), [name(otp.name())]);
    // Our side is ready first.
    listed(&otp, "['rust@127.0.0.1']").await;
    assert_eq!(otp.eval("nodes()")?, "[]");
    // A second call finds the connection.
    node.connect(&Target::new(name(otp.name()))).await?;

    node.disconnect(&name(otp.name()));
    assert_eq!(down(&mut events).await.1, DownReason::Disconnected);
    listed(&otp, "[]").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn is_dialled_and_answers_ping() -> Result<()> {
    let mut epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", "monster", &[])?;
    let node = builder(&epmd, "rust@127.0.0.1")
        .listen([ip("127.0.0.1")], 0)
        .start()
        .await?;
    let mut events = node.monitor_nodes_of(NodeType::All);
    assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pong");
    assert!(matches!(
        timeout(SOON, events.next()).await?,
        Some(NodeEvent::Up { .. })
    ));
    assert_eq!(
        otp.eval("rpc:call('rust@127.0.0.1', erlang, node, [])")?,
        "{badrpc,notsup}"
    );
    assert_eq!(
        otp.eval("catch gen_server:call({nobody, 'rust@127.0.0.1'}, hello)")?,
        "{'EXIT',{noproc,{gen_server,call,[{nobody,'rust@127.0.0.1'},hello]}}}"
    );
    assert!(!otp.output().contains("REPORT"), "{}", otp.output());

    // The registration comes back with the port mapper; connections do not notice.
    let addr = (ip("127.0.0.1"), epmd.port).into();
    let registered = client::port_please(addr, "rust", SOON).await?;
    assert_eq!(Some(registered.port), node.port());
    assert!(registered.hidden());
    epmd.restart()?;
    let found = async {
        while client::port_please(addr, "rust", SOON).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, found).await?;
    assert_eq!(node.connected(), [name(otp.name())]);
    assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pong");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_ipv6_in_both_directions() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@::1", "monster", &["-proto_dist", "inet6_tcp"])?;
    let node = builder(&epmd, "rust@::1")
        .listen([ip("::1")], 0)
        .start()
        .await?;
    assert_eq!(otp.eval("net_adm:ping('rust@::1')")?, "pong");
    node.disconnect(&name("app@::1"));
    node.connect(&Target::new(name("app@::1"))).await?;
    assert_eq!(node.connected(), [name("app@::1")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_epmd() -> Result<()> {
    let mut epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", "monster", &[])?;
    let (_, port) = listen_port(&otp)?;
    epmd.stop();
    let node = builder(&epmd, "rust@127.0.0.1")
        .listen([ip("127.0.0.1")], 0)
        .start()
        .await?;
    assert!(node.creation().0 > 3);
    node.connect(&Target::new(name(otp.name())).on_port(port))
        .await?;
    // It registers as soon as there is one.
    epmd.restart()?;
    let addr = (ip("127.0.0.1"), epmd.port).into();
    let found = async {
        while client::port_please(addr, "rust", SOON).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, found).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_cookie_both_ways() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", "another", &[])?;
    let node = builder(&epmd, "rust@127.0.0.1")
        .listen([ip("127.0.0.1")], 0)
        .start()
        .await?;
    let refused = node.connect(&Target::new(name(otp.name()))).await;
    assert_eq!(refused.unwrap_err().reason().code(), "cookie_mismatch");
    assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pang");
    assert!(node.connected().is_empty());
    otp.eval("erlang:set_cookie('rust@127.0.0.1', monster)")?;
    assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pong");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_dial_at_once() -> Result<()> {
    let epmd = Epmd::start()?;
    // One name sorts before ours and one after it: each side wins once.
    for other in ["aaa@127.0.0.1", "zzz@127.0.0.1"] {
        let otp = Otp::start(&epmd, other, "monster", &[])?;
        let node = builder(&epmd, "mmm@127.0.0.1")
            .listen([ip("127.0.0.1")], 0)
            .start()
            .await?;
        for round in 0..20 {
            let target = Target::new(name(other));
            let dial = node.connect(&target);
            let (theirs, ours) = tokio::join!(
                async {
                    tokio::task::block_in_place(|| {
                        otp.eval("net_kernel:connect_node('mmm@127.0.0.1')")
                    })
                },
                dial
            );
            assert_eq!(theirs?, "true", "{other} {round}");
            ours.unwrap_or_else(|why| panic!("{other} {round}: {why}"));
            assert_eq!(otp.eval("nodes(hidden)")?, "['mmm@127.0.0.1']");
            assert_eq!(node.connected(), [name(other)]);
            otp.eval("erlang:disconnect_node('mmm@127.0.0.1')")?;
            until(|| node.connected().is_empty()).await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_link_stays_and_a_stopped_peer_is_noticed() -> Result<()> {
    let epmd = Epmd::start()?;
    let args = ["-kernel", "net_ticktime", "4"];
    let otp = Otp::start(&epmd, "app@127.0.0.1", "monster", &args)?;
    // Our own is 60 s: the peer's is followed.
    let node = builder(&epmd, "rust@127.0.0.1").start().await?;
    let mut events = node.monitor_nodes_of(NodeType::All);
    node.connect(&Target::new(name(otp.name()))).await?;
    timeout(SOON, events.next()).await?;
    let quiet = timeout(Duration::from_secs(10), events.next()).await;
    assert!(quiet.is_err(), "a quiet link goes down: {quiet:?}");
    assert_eq!(otp.eval("nodes(hidden)")?, "['rust@127.0.0.1']");
    otp.signal(Signal::STOP);
    assert_eq!(down(&mut events).await.1, DownReason::TickTimeout);
    otp.signal(Signal::CONT);
    // The peer notices that the connection is gone, and takes a new one.
    node.connect(&Target::new(name(otp.name()))).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_peer_and_its_next_incarnation() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", "monster", &[])?;
    let node = builder(&epmd, "rust@127.0.0.1").start().await?;
    let mut events = node.monitor_nodes_of(NodeType::All);
    let target = Target::new(name("app@127.0.0.1"));
    let first = node.connect(&target).await?;
    otp.signal(Signal::KILL);
    assert_eq!(
        down(&mut events).await,
        (name("app@127.0.0.1"), DownReason::Closed)
    );
    drop(otp);
    let _again = Otp::start(&epmd, "app@127.0.0.1", "monster", &[])?;
    let second = node.connect(&target).await?;
    assert_ne!(first.creation, second.creation);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_next_incarnation_replaces_the_connection() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", "monster", &[])?;
    let one = builder(&epmd, "rust@127.0.0.1").start().await?;
    one.connect(&Target::new(name(otp.name()))).await?;
    // Another process under the same name, as after a crash that the peer has not seen: it says
    // `alive`.
    let two = builder(&epmd, "rust@127.0.0.1").start().await?;
    two.connect(&Target::new(name(otp.name()))).await?;
    until(|| one.connected().is_empty()).await;
    listed(&otp, "['rust@127.0.0.1']").await;

    // The same the other way round.
    let server = builder(&epmd, "server@127.0.0.1")
        .listen([ip("127.0.0.1")], 0)
        .start()
        .await?;
    let mut events = server.monitor_nodes_of(NodeType::All);
    one.connect(&Target::new(name("server@127.0.0.1"))).await?;
    // It has a connection a moment after who called it; one that a later call overtakes is none.
    until(|| server.connected() == [name("rust@127.0.0.1")]).await;
    two.connect(&Target::new(name("server@127.0.0.1"))).await?;
    assert_eq!(down(&mut events).await.1, DownReason::Replaced);
    until(|| server.connected() == [name("rust@127.0.0.1")]).await;
    assert_eq!(two.connected().len(), 2);
    Ok(())
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn listen_port(otp: &Otp) -> Result<(String, u16)> {
    let port = otp.eval(&format!(
        "{{ok,L}}=erl_epmd:names({{127,0,0,1}}), element(2,lists:keyfind(hd(string:split(\"{}\",\"@\")),1,L))",
        otp.name()
    ))?;
    Ok((otp.name().to_owned(), port.parse()?))
}

/// The other side comes to list these hidden nodes.
async fn listed(otp: &Otp, expected: &str) {
    until(|| {
        otp.eval("nodes(hidden)")
            .is_ok_and(|nodes| nodes == expected)
    })
    .await;
}

async fn until(mut done: impl FnMut() -> bool) {
    let polled = async {
        while !done() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, polled).await.expect("it comes to be");
}
