//! Distribution over TLS with real OTP nodes: what fails, and what each end says of it.

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tracing_subscriber::fmt::MakeWriter;
use trunkline_interop::certificates::{Certificates, arguments};
use trunkline_interop::otp::{Epmd, Otp, Release};
use trunkline_interop::wait;
use trunkline_node::probe::{Depth, ProbeConfig, probe};
use trunkline_node::{Node, Target, Tls, TlsBuilder};
use trunkline_proto::{Cookie, NodeName, Reason, TlsFault};

const SOON: Duration = Duration::from_secs(120);
const RELEASES: [Release; 2] = [Release::Otp25, Release::Otp27];
const HOST: &str = "127.0.0.1";

fn name(text: &str) -> NodeName {
    text.parse().expect("a node name")
}

fn monster() -> Cookie {
    Cookie::new("monster").expect("a cookie")
}

fn otp(release: Release, epmd: &Epmd, who: &str, file: Option<&Path>) -> Result<Otp> {
    let arguments = file.map_or_else(Vec::new, |file| arguments("inet_tls", file));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Otp::of_release(release, epmd, who, "monster", &arguments)
}

/// What a probe of `app@127.0.0.1` ends with.
async fn why(epmd: &Epmd, tls: Option<TlsBuilder>) -> Result<Reason> {
    let config = ProbeConfig {
        cookie: Some(monster()),
        depth: Depth::Handshake,
        epmd_port: epmd.port,
        timeout: SOON,
        tls: tls.map(TlsBuilder::build).transpose()?,
        ..ProbeConfig::new(name("trunkline-probe-test@127.0.0.1"))
    };
    let found = probe(&config, &Target::new(name("app@127.0.0.1"))).await;
    let reason = found.result.expect_err("a failure");
    println!("{}: {reason} · {}", reason.code(), reason.cure());
    Ok(reason)
}

async fn fault(epmd: &Epmd, tls: TlsBuilder) -> Result<TlsFault> {
    match why(epmd, Some(tls)).await? {
        Reason::TlsFailed { fault, .. } => Ok(fault),
        other => panic!("{}: {other}", other.code()),
    }
}

fn trusting(ca: &Certificates) -> TlsBuilder {
    Tls::builder().cacertfile(ca.path("ca.pem"))
}

fn showing(ca: &Certificates, name: &str) -> TlsBuilder {
    trusting(ca)
        .certfile(ca.path(&format!("{name}.pem")))
        .keyfile(ca.path(&format!("{name}.key")))
}

/// We call, and the node's certificate does not do. It reads a renewed one for the next caller.
#[tokio::test(flavor = "multi_thread")]
async fn their_certificate() -> Result<()> {
    let (ca, other) = (Certificates::new("ours")?, Certificates::new("another")?);
    ca.issue("app", "elsewhere.example.com")?;
    let file = ca.one_sided("app")?;
    for release in RELEASES {
        let epmd = Epmd::start()?;
        let otp = otp(release, &epmd, "app@127.0.0.1", Some(&file))?;
        // It would read the files again by itself after two minutes.
        let forget =
            "gen_server:call(ssl_pem_cache_dist, {unconditionally_clear_pem_cache, self()})";
        let renewed = || otp.eval(forget);
        ca.issue("app", "elsewhere.example.com")?;
        renewed()?;
        assert_eq!(fault(&epmd, trusting(&ca)).await?, TlsFault::TheirHost);
        ca.issue_expired("app", HOST)?;
        renewed()?;
        assert_eq!(fault(&epmd, trusting(&ca)).await?, TlsFault::TheirExpired);
        ca.issue("app", HOST)?;
        renewed()?;
        let stranger = fault(&epmd, trusting(&other)).await?;
        assert_eq!(stranger, TlsFault::TheirAuthority);
        assert_eq!(why(&epmd, None).await?, Reason::TlsRequired);
    }
    Ok(())
}

/// We call, and the node does not take what we show.
#[tokio::test(flavor = "multi_thread")]
async fn our_certificate() -> Result<()> {
    let (ca, other) = (Certificates::new("ours")?, Certificates::new("another")?);
    ca.issue("app", HOST)?;
    ca.issue_expired("old", HOST)?;
    other.issue("stranger", HOST)?;
    ca.take("stranger", &other)?;
    for versions in ["", ", {versions, ['tlsv1.3']}"] {
        let file = ca.mutual("app", versions)?;
        for release in RELEASES {
            let epmd = Epmd::start()?;
            let _otp = otp(release, &epmd, "app@127.0.0.1", Some(&file))?;
            assert_eq!(fault(&epmd, trusting(&ca)).await?, TlsFault::OurNone);
            let old = fault(&epmd, showing(&ca, "old")).await?;
            assert_eq!(old, TlsFault::OurExpired);
            let stranger = fault(&epmd, showing(&ca, "stranger")).await?;
            assert_eq!(stranger, TlsFault::OurAuthority);
        }
    }
    Ok(())
}

/// No version in common, and a node that speaks plain.
#[tokio::test(flavor = "multi_thread")]
async fn versions_and_plain() -> Result<()> {
    let ca = Certificates::new("ours")?;
    ca.issue("app", HOST)?;
    let newer = ca.options(
        "newer.conf",
        &format!("[{{client, [{}, {{versions, ['tlsv1.3']}}]}}].", ca.ca()),
    )?;
    for release in RELEASES {
        let epmd = Epmd::start()?;
        let file = ca.one_sided("app")?;
        let tls_node = otp(release, &epmd, "app@127.0.0.1", Some(&file))?;
        let config = ProbeConfig {
            epmd_port: epmd.port,
            timeout: SOON,
            tls: Some(Tls::from_optfile(&newer)?),
            ..ProbeConfig::new(name("trunkline-probe-test@127.0.0.1"))
        };
        let found = probe(&config, &Target::new(name("app@127.0.0.1"))).await;
        match found.result {
            Err(Reason::TlsFailed { fault, .. }) => assert_eq!(fault, TlsFault::Version),
            other => panic!("{other:?}"),
        }
        drop(tls_node);

        let epmd = Epmd::start()?;
        let plain = otp(release, &epmd, "app@127.0.0.1", None)?;
        let reason = why(&epmd, Some(trusting(&ca))).await?;
        assert_eq!(reason, Reason::TlsNotSpoken);
        assert_eq!(plain.eval("nodes(connected)")?, "[]");
    }
    Ok(())
}

/// What this process logs.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<String>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.lock().expect("whole").push_str(&text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// The line that is about a connection and comes next.
    fn failure(&self) -> String {
        let line = wait::until("a line in the log", SOON, || {
            let log = self.0.lock().expect("whole");
            let mut lines = log
                .lines()
                .filter(|line| line.contains("incoming connection failed"));
            lines.next().map(str::to_owned)
        });
        self.0.lock().expect("whole").clear();
        line
    }
}

/// An OTP node calls us: it gets no connection, and our log says why.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_when_they_call() -> Result<()> {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_env_filter("trunkline_node=info")
        .with_ansi(false)
        .with_writer(log.clone())
        .init();
    let (ca, other) = (Certificates::new("ours")?, Certificates::new("another")?);
    ca.issue("app", HOST)?;
    ca.issue("elsewhere", "elsewhere.example.com")?;
    ca.issue_expired("old", HOST)?;
    other.issue("stranger", HOST)?;
    ca.take("stranger", &other)?;
    let one_sided = ca.one_sided("app")?;
    let mut failures = String::new();
    for release in RELEASES {
        let epmd = Epmd::start()?;
        let caller = otp(release, &epmd, "app@127.0.0.1", Some(&one_sided))?;
        let plain = otp(release, &epmd, "plain@127.0.0.1", None)?;
        for (nth, (tls, caller, said)) in [
            (
                Some(showing(&ca, "elsewhere")),
                &caller,
                "the other node refuses the certificate shown here",
            ),
            (Some(showing(&ca, "old")), &caller, "(certificate_expired)"),
            (Some(showing(&ca, "stranger")), &caller, "(unknown_ca)"),
            (
                Some(showing(&ca, "app").mutual(true)),
                &caller,
                "the caller shows no certificate",
            ),
            (Some(showing(&ca, "app")), &plain, "the node speaks no TLS"),
            (None, &caller, "the node speaks TLS only"),
        ]
        .into_iter()
        .enumerate()
        {
            let me = format!("rust{nth}@127.0.0.1");
            let mut builder = Node::builder(name(&me))
                .cookie(monster())
                .epmd_port(epmd.port)
                .listen([Ipv4Addr::LOCALHOST.into()], 0);
            if let Some(tls) = tls {
                builder = builder.tls(tls.build()?);
            }
            let node = builder.start().await?;
            let pang = caller.eval(&format!("net_adm:ping('{me}')"))?;
            assert_eq!(pang, "pang", "{said}");
            let line = log.failure();
            if !line.contains(said) {
                writeln!(failures, "{release:?}: {line} instead of {said}")?;
            }
            drop(node);
        }
    }
    assert!(failures.is_empty(), "{failures}");
    Ok(())
}
