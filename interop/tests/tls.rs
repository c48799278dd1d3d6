//! Distribution over TLS with real OTP nodes: what goes through, in both directions.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::timeout;
use trunkline_etf::{Term, atom};
use trunkline_interop::certificates::{Certificates, arguments};
use trunkline_interop::otp::{Epmd, Otp, Release};
use trunkline_node::probe::{Depth, ProbeConfig, probe};
use trunkline_node::{Message, Node, Target, Tls};
use trunkline_proto::{Cookie, NodeName};

const SOON: Duration = Duration::from_secs(120);
const RELEASES: [Release; 2] = [Release::Otp25, Release::Otp27];

fn name(text: &str) -> NodeName {
    text.parse().expect("a node name")
}

fn monster() -> Cookie {
    Cookie::new("monster").expect("a cookie")
}

fn otp(release: Release, epmd: &Epmd, who: &str, protocol: &str, file: &Path) -> Result<Otp> {
    let arguments = arguments(protocol, file);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Otp::of_release(release, epmd, who, "monster", &arguments)
}

async fn rust(epmd: &Epmd, host: &str, file: &Path) -> Result<Node> {
    let listen: IpAddr = host.parse()?;
    let builder = Node::builder(name(&format!("rust@{host}")))
        .cookie(monster())
        .epmd_port(epmd.port)
        .listen([listen], 0)
        .connect_timeout(SOON)
        .tls(Tls::from_optfile(file)?);
    Ok(builder.start().await?)
}

/// Both dial, and 64 MiB go there and back.
async fn both_ways(otp: &Otp, node: &Node) -> Result<()> {
    let (app, me) = (name(otp.name()), node.name().clone());
    ensure!(
        otp.eval(&format!("net_adm:ping('{me}')"))? == "pong",
        "{}",
        otp.output()
    );
    node.disconnect(&app);
    let gone = || otp.eval("nodes(hidden)").is_ok_and(|nodes| nodes == "[]");
    trunkline_interop::wait::until("the link is down", SOON, || gone().then_some(()));
    node.connect(&Target::new(app.clone())).await?;

    otp.eval("register(echo, spawn(fun() -> receive {From, Bin} -> From ! Bin end end))")?;
    let mut process = node.process();
    let large: Vec<u8> = (0..64 << 20).map(|i: u32| (i ^ i >> 7) as u8).collect();
    let large = Term::binary(large);
    let message = Term::tuple([Term::from(&process.pid()), large.clone()]);
    process.send((&atom!("echo"), &app), message).await?;
    match timeout(SOON, process.recv()).await {
        Ok(Some(Message::Term(term))) => ensure!(term == large, "it came back another"),
        other => panic!("{other:?}"),
    }
    ensure!(!otp.output().contains("REPORT"), "{}", otp.output());
    Ok(())
}

/// One option file for both ends: mutual authentication over IPv4 and IPv6.
#[tokio::test(flavor = "multi_thread")]
async fn mutual_with_one_option_file() -> Result<()> {
    let ca = Certificates::new("Trunkline interop")?;
    for (host, protocol) in [("127.0.0.1", "inet_tls"), ("::1", "inet6_tls")] {
        ca.issue("app", host)?;
        let file = ca.mutual("app", "")?;
        for release in RELEASES {
            let epmd = Epmd::start()?;
            let otp = otp(release, &epmd, &format!("app@{host}"), protocol, &file)?;
            let node = rust(&epmd, host, &file).await?;
            both_ways(&otp, &node).await?;
        }
    }
    Ok(())
}

/// TLS 1.2 alone, as OTP speaks it where nothing is said; 1.3 alone; and old forms of keys.
#[tokio::test(flavor = "multi_thread")]
async fn versions_and_keys() -> Result<()> {
    let ca = Certificates::new("Trunkline interop")?;
    ca.issue("ec", "127.0.0.1")?;
    ca.issue_rsa("rsa", "127.0.0.1")?;
    for (key, versions) in [
        ("ec", ", {versions, ['tlsv1.3']}"),
        ("rsa", ", {versions, ['tlsv1.3', 'tlsv1.2']}"),
        (
            "rsa",
            ", {versions, ['tlsv1.2']}, {ciphers, [\"ECDHE-RSA-AES256-GCM-SHA384\"]}",
        ),
    ] {
        let file = ca.mutual(key, versions)?;
        for release in RELEASES {
            let epmd = Epmd::start()?;
            let otp = otp(release, &epmd, "app@127.0.0.1", "inet_tls", &file)?;
            let node = rust(&epmd, "127.0.0.1", &file).await?;
            both_ways(&otp, &node).await?;
        }
    }
    Ok(())
}

/// A caller without a certificate, as where only servers have them; and the steps of a probe.
#[tokio::test(flavor = "multi_thread")]
async fn one_sided() -> Result<()> {
    let ca = Certificates::new("Trunkline interop")?;
    ca.issue("app", "127.0.0.1")?;
    let file = ca.one_sided("app")?;
    for release in RELEASES {
        let epmd = Epmd::start()?;
        let otp = otp(release, &epmd, "app@127.0.0.1", "inet_tls", &file)?;
        let node = rust(&epmd, "127.0.0.1", &file).await?;
        both_ways(&otp, &node).await?;
        let config = ProbeConfig {
            cookie: Some(monster()),
            depth: Depth::Handshake,
            epmd_port: epmd.port,
            timeout: SOON,
            tls: Some(Tls::builder().cacertfile(ca.path("ca.pem")).build()?),
            ..ProbeConfig::new(name("trunkline-probe-test@127.0.0.1"))
        };
        let found = probe(&config, &Target::new(name("app@127.0.0.1"))).await;
        assert_eq!(
            found.result.expect("reached").greeting.map(|g| g.name),
            Some(name("app@127.0.0.1"))
        );
        assert_eq!(found.steps.len(), 6, "{:?}", found.steps);
    }
    Ok(())
}
