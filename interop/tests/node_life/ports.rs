//! Nodes that no port mapper knows, and port mappers that come and go.

use anyhow::Result;
use tokio::time::{sleep, timeout};
use trunkline_interop::otp::{Epmd, Otp, free_port};
use trunkline_interop::verb::Desk;
use trunkline_interop::wait;
use trunkline_node::epmd::client;
use trunkline_node::{Node, NodeKind, Target};

use super::*;

const COOKIE: &str = "ports-0123456789-abcdefghij";

/// A node on `port` of its own address, as `-start_epmd false -erl_epmd_port` has it.
fn without_epmd(release: Release, epmd: &Epmd, name: &str, port: u16) -> Result<Otp> {
    let address = name.split('@').nth(1).expect("a long name");
    let interface = format!("{{{}}}", address.replace('.', ","));
    let port = port.to_string();
    let args = ["-erl_epmd_port", &port, "-connect_all", "false"];
    let interface = ["-kernel", "inet_dist_use_interface", &interface];
    Otp::of_release(
        release,
        epmd,
        name,
        COOKIE,
        &[args.as_slice(), &interface].concat(),
    )
}

fn no_epmd() -> Result<Epmd> {
    let mut epmd = Epmd::start()?;
    epmd.stop();
    Ok(epmd)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_for_all_and_no_epmd() -> Result<()> {
    for release in RELEASES {
        let (epmd, port) = (no_epmd()?, free_port()?);
        let otp = without_epmd(release, &epmd, "app@127.0.0.1", port)?;
        let node = Node::builder(name("rust@127.0.0.2"))
            .cookie(cookie(COOKIE))
            .epmd(None)
            .epmd_port(epmd.port)
            .listen([ip("127.0.0.2")], port)
            .peer_port(port)
            .connect_timeout(SOON)
            .start()
            .await?;
        node.connect(&Target::new(name("app@127.0.0.1"))).await?;
        // Our side is ready first.
        until("listed there", || {
            otp.eval("nodes(hidden)")
                .is_ok_and(|nodes| nodes == "['rust@127.0.0.2']")
        })
        .await;
        node.disconnect(&name("app@127.0.0.1"));
        until("gone", || {
            otp.eval("nodes(hidden)").is_ok_and(|nodes| nodes == "[]")
        })
        .await;
        assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.2')")?, "pong");
        assert_eq!(node.list(), [name("app@127.0.0.1")]);
        assert_eq!(node.nodes(&[NodeKind::Hidden]), []);
    }
    Ok(())
}

/// The agent knows its own node's port from the configuration, and that of the others from the node.
#[test]
fn an_agent_beside_a_node_without_epmd() -> Result<()> {
    for release in RELEASES {
        let (epmd, port, admin) = (no_epmd()?, free_port()?, free_port()?);
        let desk = Desk::new(&epmd, COOKIE)?;
        let text = format!(
            "[node]\nname = 'a@127.0.0.1'\nport = {port}\n[admin]\nlisten = '127.0.0.1:{admin}'\n\
             [topologies.pair]\nstrategy = 'epmd'\nhosts = ['a@127.0.0.1', 'b@127.0.0.2']\n"
        );
        std::fs::write(desk.dir().join("trunkline.toml"), text)?;
        let checked = desk.say(&["config", "check"])?;
        assert_eq!(checked.code, 0, "{checked:?}");
        let agent = desk.start(&["run"], "run.log")?;
        let a = without_epmd(release, &epmd, "a@127.0.0.1", port)?;
        let b = without_epmd(release, &epmd, "b@127.0.0.2", port)?;
        let whole = wait::within(SOON, || {
            a.eval("nodes()")
                .ok()
                .filter(|nodes| nodes == "['b@127.0.0.2']")
        });
        assert!(whole.is_some(), "{}", agent.output());
        let own = desk.say(&["nodes"])?;
        assert!(own.out.contains("visible  b@127.0.0.2"), "{own:?}");
        let own = desk.say(&["ping", "a@127.0.0.1"])?;
        assert!(own.out.starts_with("pong"), "{own:?}");
        let asked = desk.say(&["ping", "b@127.0.0.2"])?;
        assert!(asked.out.starts_with("pang: epmd_unreachable"), "{asked:?}");
        let told = desk.say(&["ping", "b@127.0.0.2", "--port", &port.to_string()])?;
        assert!(told.out.starts_with("pong"), "{told:?}");
        let told = desk.say(&["nodes", "b@127.0.0.2", "--port", &port.to_string()])?;
        assert!(told.out.contains("visible  a@127.0.0.1"), "{told:?}");
        drop(b);
    }
    Ok(())
}

/// OTP's port mapper dies and comes back; meanwhile somebody else takes the name.
#[tokio::test(flavor = "multi_thread")]
async fn the_registration_comes_back() -> Result<()> {
    let mut epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", "monster", &[])?;
    let node = builder(&epmd, "rust@127.0.0.1").start().await?;
    node.connect(&Target::new(name(otp.name()))).await?;
    let mapper = (ip("127.0.0.1"), epmd.port).into();
    let registered = async |port: u16| {
        while client::port_please(mapper, "rust", SOON)
            .await
            .map(|r| r.port)
            != Ok(port)
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let own = node.port().expect("it listens");
    for _ in 0..2 {
        epmd.restart()?;
        timeout(SOON, registered(own)).await?;
        assert_eq!(node.connected(), [name(otp.name())]);
    }
    epmd.stop();
    epmd.restart()?;
    let squatter = trunkline_proto::epmd::Registration::new(
        "rust",
        9,
        trunkline_proto::epmd::NodeType::HIDDEN,
    );
    match client::register(mapper, squatter, SOON).await {
        Ok(held) => {
            sleep(Duration::from_secs(3)).await;
            timeout(SOON, registered(9)).await?;
            drop(held);
        }
        // The node was faster.
        Err(why) => assert_eq!(why, client::QueryError::NameTaken),
    }
    timeout(SOON, registered(own)).await?;
    assert_eq!(node.connected(), [name(otp.name())]);
    assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pong");
    Ok(())
}
