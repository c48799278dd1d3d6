//! The same node against OTP 27, which demands more of its peers and sends other frames: what the
//! tests against OTP 25 show in detail, once each.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use tokio::time::timeout;
use trunkline_etf::{Term, atom};
use trunkline_interop::otp::{Epmd, Otp, Release};
use trunkline_interop::wait;
use trunkline_node::probe::{Depth, ProbeConfig, probe};
use trunkline_node::{Message, Node, NodeEvent, NodeType, RpcError, Target};
use trunkline_proto::{Cookie, NodeName};

const SOON: Duration = Duration::from_secs(60);

fn name(text: &str) -> NodeName {
    text.parse().expect("a node name")
}

fn monster() -> Cookie {
    Cookie::new("monster").expect("a cookie")
}

async fn node(epmd: &Epmd) -> Result<Node> {
    let builder = Node::builder(name("rust@127.0.0.1"))
        .cookie(monster())
        .epmd_port(epmd.port)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .connect_timeout(SOON);
    Ok(builder.start().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn dials_calls_links_and_hears_the_end() -> Result<()> {
    let epmd = Epmd::start()?;
    let args = ["-kernel", "net_ticktime", "4"];
    let otp = Otp::of_release(Release::Otp27, &epmd, "app@127.0.0.1", "monster", &args)?;
    assert_eq!(otp.eval("erlang:system_info(otp_release)")?, "\"27\"");
    let node = node(&epmd).await?;
    let app = name(otp.name());
    let mut events = node.monitor_nodes_of(NodeType::All);
    node.connect(&Target::new(app.clone())).await?;
    assert!(matches!(
        events.next().await,
        Some(NodeEvent::Up { hidden: false, .. })
    ));
    // Our side is ready first.
    wait::until("it is listed there", SOON, || {
        let nodes = otp.eval("{nodes(), nodes(hidden)}").ok()?;
        (nodes == "{[],['rust@127.0.0.1']}").then_some(())
    });

    let call = async |m: &str, f: &str, args: Vec<Term>| node.erpc(&app, m, f, args, SOON).await;
    let size = 16 * 1024 * 1024;
    let args = vec![Term::binary(vec![b'x']), Term::from(size)];
    let copied = call("binary", "copy", args).await?;
    assert_eq!(copied.as_binary().map(<[u8]>::len), Some(size));
    let measured = call("erlang", "byte_size", vec![copied]).await?;
    assert_eq!(measured, Term::from(size));
    let failed = call("erlang", "error", vec![Term::atom("ball")]).await;
    assert!(
        matches!(&failed, Err(RpcError::Error { reason, .. }) if reason.is_atom("ball")),
        "{failed:?}"
    );
    let thrown = call("erlang", "throw", vec![Term::atom("ball")]).await;
    assert_eq!(thrown, Err(RpcError::Throw(Term::atom("ball"))));

    let mut process = node.process();
    process.trap_exit(true);
    let forever = vec![Term::atom("infinity")];
    let spawned = process
        .spawn_link_at(&app, "timer", "sleep", forever)
        .await?;
    process.monitor((&atom!("nobody"), &app));
    let down = timeout(SOON, process.recv()).await?;
    assert!(matches!(down, Some(Message::Down { reason, .. }) if reason.is_atom("noproc")));
    // Two and a half times its tick time without a word but ticks.
    let quiet = timeout(Duration::from_secs(10), events.next()).await;
    assert!(quiet.is_err(), "a quiet link goes down: {quiet:?}");
    otp.signal(Signal::KILL);
    let exit = timeout(SOON, process.recv()).await?;
    let reason = Term::atom("noconnection");
    let from = spawned;
    assert_eq!(exit, Some(Message::Exit { from, reason }));
    assert!(matches!(events.next().await, Some(NodeEvent::Down { .. })));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn is_dialled_and_answers_ping() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::of_release(Release::Otp27, &epmd, "app@127.0.0.1", "monster", &[])?;
    let node = node(&epmd).await?;
    assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pong");
    assert_eq!(node.connected(), [name(otp.name())]);
    assert_eq!(
        otp.eval("rpc:call('rust@127.0.0.1', erlang, node, [])")?,
        "{badrpc,notsup}"
    );
    assert!(!otp.output().contains("REPORT"), "{}", otp.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_dial_at_once() -> Result<()> {
    let epmd = Epmd::start()?;
    for other in ["aaa@127.0.0.1", "zzz@127.0.0.1"] {
        let otp = Otp::of_release(Release::Otp27, &epmd, other, "monster", &[])?;
        let node = node(&epmd).await?;
        let target = Target::new(name(other));
        for round in 0..10 {
            let (theirs, ours) = tokio::join!(
                async {
                    tokio::task::block_in_place(|| {
                        otp.eval("net_kernel:connect_node('rust@127.0.0.1')")
                    })
                },
                node.connect(&target)
            );
            assert_eq!(theirs?, "true", "{other} {round}");
            ours?;
            let mut events = node.monitor_nodes_of(NodeType::All);
            otp.eval("erlang:disconnect_node('rust@127.0.0.1')")?;
            if !node.connected().is_empty() {
                timeout(SOON, events.next()).await?;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_leave_no_atoms() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::of_release(Release::Otp27, &epmd, "quiet@127.0.0.1", "monster", &[])?;
    let config = ProbeConfig {
        epmd_port: epmd.port,
        timeout: SOON,
        cookie: Some(monster()),
        depth: Depth::Handshake,
        ..ProbeConfig::new(name("trunkline-probe-test@127.0.0.1"))
    };
    let greeting = ProbeConfig {
        depth: Depth::Greeting,
        ..config.clone()
    };
    let target = Target::new(name(otp.name()));
    let atoms = || -> Result<i64> { Ok(otp.eval("erlang:system_info(atom_count)")?.parse()?) };
    for config in [&greeting, &config] {
        probe(config, &target)
            .await
            .result
            .map_err(|why| anyhow::anyhow!("{why}"))?;
    }
    atoms()?;
    let before = atoms()?;
    for n in 0..500 {
        let config = if n % 10 == 0 { &config } else { &greeting };
        let found = probe(config, &target).await.result;
        found.map_err(|why| anyhow::anyhow!("{n}: {why}"))?;
    }
    let grown = atoms()? - before;
    assert!(grown < 50, "{grown} atoms");

    let wrong = ProbeConfig {
        cookie: Some(Cookie::new("another")?),
        ..config
    };
    let why = probe(&wrong, &target).await.result.err();
    assert_eq!(why.map(|why| why.code()), Some("cookie_mismatch"));
    Ok(())
}
