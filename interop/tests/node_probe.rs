//! Probes against real OTP nodes: they leave no trace, and every reason is told apart.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Result;
use trunkline_interop::otp::{Epmd, Otp};
use trunkline_node::probe::{Depth, Probe, ProbeConfig, probe};
use trunkline_node::{Family, Target};
use trunkline_proto::{Cookie, NodeName, Reason, Step};

fn config(epmd: &Epmd) -> ProbeConfig {
    ProbeConfig {
        epmd_port: epmd.port,
        timeout: Duration::from_secs(60),
        cookie: Some(Cookie::new("monster").expect("a cookie")),
        depth: Depth::Handshake,
        ..ProbeConfig::new(name("trunkline-probe-test@127.0.0.1"))
    }
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a node name")
}

fn target(text: &str) -> Target {
    Target::new(name(text))
}

fn code(probe: &Probe) -> &'static str {
    probe.result.as_ref().map_or_else(Reason::code, |_| "ok")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_probes_leave_no_atoms() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "quiet@127.0.0.1", "monster", &[])?;
    let greeting = ProbeConfig {
        depth: Depth::Greeting,
        ..config(&epmd)
    };
    let whole = config(&epmd);
    let atoms = || -> Result<i64> { Ok(otp.eval("erlang:system_info(atom_count)")?.parse()?) };
    // What its first connections and the expression itself load is not a leak.
    for config in [&greeting, &whole] {
        assert_eq!(code(&probe(config, &target(otp.name())).await), "ok");
    }
    atoms()?;
    let before = atoms()?;
    for n in 0..2_000 {
        let config = if n % 10 == 0 { &whole } else { &greeting };
        let found = probe(config, &target(otp.name())).await;
        let found = found.result.map_err(|why| anyhow::anyhow!("{n}: {why}"))?;
        assert_eq!(found.greeting.unwrap().name, name(otp.name()));
    }
    let grown = atoms()? - before;
    println!("2,000 probes, {grown} atoms");
    assert!(grown < 50, "{grown} atoms");
    let said = otp.output();
    assert!(
        !said.contains("REPORT") && !said.contains("rejected"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_in_order_and_only_as_deep_as_asked() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "deep@127.0.0.1", "monster", &[])?;
    let all = [
        (Depth::Resolve, Step::Resolve),
        (Depth::Epmd, Step::Epmd),
        (Depth::Port, Step::Port),
        (Depth::Greeting, Step::Greeting),
        (Depth::Handshake, Step::Handshake),
    ];
    for (n, (depth, _)) in all.iter().enumerate() {
        let config = ProbeConfig {
            depth: *depth,
            ..config(&epmd)
        };
        let probe = probe(&config, &target(otp.name())).await;
        let steps: Vec<Step> = probe.steps.iter().map(|report| report.step).collect();
        let wanted: Vec<Step> = all.iter().take(n + 1).map(|(_, step)| *step).collect();
        assert_eq!(steps, wanted);
        assert!(probe.result.is_ok());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn epmd_and_what_it_knows() -> Result<()> {
    let mut epmd = Epmd::start()?;
    let _one = Otp::start(&epmd, "one@127.0.0.1", "monster", &[])?;
    let _two = Otp::start(&epmd, "two@127.0.0.1", "monster", &["-hidden"])?;
    let missing = probe(&config(&epmd), &target("three@127.0.0.1")).await;
    assert_eq!(
        missing.result.unwrap_err(),
        Reason::NotRegistered {
            alive: "three".into(),
            registered: "two, one".into()
        }
    );
    epmd.stop();
    let refused = probe(&config(&epmd), &target("one@127.0.0.1")).await;
    let why = refused.result.unwrap_err();
    assert!(
        matches!(why, Reason::EpmdUnreachable { refused: true, .. }),
        "{why:?}"
    );

    // Something that takes connections and says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, epmd.port))?;
    let config = ProbeConfig {
        timeout: Duration::from_secs(2),
        ..config(&epmd)
    };
    let why = probe(&config, &target("one@127.0.0.1"))
        .await
        .result
        .unwrap_err();
    assert!(
        matches!(why, Reason::EpmdUnreachable { refused: false, .. }),
        "{why:?}"
    );
    drop(silent);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_can_be_on_the_port() -> Result<()> {
    let epmd = Epmd::start()?;
    let patient = config(&epmd);
    let quick = ProbeConfig {
        timeout: Duration::from_secs(2),
        ..config(&epmd)
    };
    let app = || target("app@127.0.0.1");

    let web = stranger(|mut stream| {
        let mut asked = [0; 16];
        let _n = stream.read(&mut asked);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
    })?;
    assert_eq!(
        code(&probe(&patient, &app().on_port(web)).await),
        "not_dist"
    );

    let closes = stranger(drop)?;
    let why = probe(&patient, &app().on_port(closes)).await.result;
    let step = Step::Greeting;
    assert_eq!(why.unwrap_err(), Reason::Closed { step });

    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = silent.local_addr()?.port();
    let why = probe(&quick, &app().on_port(port)).await.result;
    assert_eq!(why.unwrap_err(), Reason::Timeout { step });
    drop(silent);

    let why = probe(&quick, &app().on_port(port))
        .await
        .result
        .unwrap_err();
    assert!(
        matches!(why, Reason::PortUnreachable { refused: true, .. }),
        "{why:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_behind_tls() -> Result<()> {
    let epmd = Epmd::start()?;
    let dir = tempfile::tempdir()?;
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()])?;
    std::fs::write(dir.path().join("cert.pem"), key.cert.pem())?;
    std::fs::write(dir.path().join("key.pem"), key.signing_key.serialize_pem())?;
    let folder = dir.path().display();
    let options = format!(
        "[{{server,[{{certfile,\"{folder}/cert.pem\"}},{{keyfile,\"{folder}/key.pem\"}}]}}]."
    );
    let file = dir.path().join("dist.conf");
    std::fs::write(&file, options)?;
    let file = file.display().to_string();
    let args = ["-proto_dist", "inet_tls", "-ssl_dist_optfile", &file];
    let otp = Otp::start(&epmd, "tls@127.0.0.1", "monster", &args)?;
    assert_eq!(
        code(&probe(&config(&epmd), &target(otp.name())).await),
        "tls_required"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_do_not_fit() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "real@127.0.0.1", "monster", &[])?;
    let port: u16 = otp
        .eval("{ok,L}=erl_epmd:names({127,0,0,1}), element(2,lists:keyfind(\"real\",1,L))")?
        .parse()?;
    let other = probe(&config(&epmd), &target("other@127.0.0.1").on_port(port)).await;
    let actual = name("real@127.0.0.1");
    assert_eq!(other.result.unwrap_err(), Reason::NameMismatch { actual });

    let short = probe(&config(&epmd), &target("real@localhost")).await;
    assert_eq!(code(&short), "name_form");
    assert!(
        short.steps.is_empty(),
        "nobody is dialled: {:?}",
        short.steps
    );
    let nowhere = probe(&config(&epmd), &target("real@no-such-host.invalid")).await;
    assert_eq!(code(&nowhere), "unresolved");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv4_against_ipv6() -> Result<()> {
    let epmd = Epmd::start()?;
    // Named by an IPv6 address, but started without -proto_dist inet6_tcp.
    let v4 = Otp::start(&epmd, "four@127.0.0.1", "monster", &[])?;
    let asked = probe(&config(&epmd), &target("four@127.0.0.1").at("::1".parse()?)).await;
    let why = asked.result.unwrap_err();
    assert_eq!(why.code(), "family_mismatch", "{why}");
    println!("{why}");
    drop(v4);

    let _v6 = Otp::start(&epmd, "six@::1", "monster", &["-proto_dist", "inet6_tcp"])?;
    let v6 = ProbeConfig {
        me: name("trunkline-probe-six@::1"),
        ..config(&epmd)
    };
    assert_eq!(code(&probe(&v6, &target("six@::1")).await), "ok");
    let v4_only = ProbeConfig {
        family: Some(Family::V4),
        ..v6
    };
    assert_eq!(
        code(&probe(&v4_only, &target("six@::1")).await),
        "family_mismatch"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "picky@127.0.0.1", "other-cookie", &[])?;
    let why = probe(&config(&epmd), &target(otp.name())).await;
    assert_eq!(code(&why), "cookie_mismatch");
    let greeting = ProbeConfig {
        depth: Depth::Greeting,
        ..config(&epmd)
    };
    assert_eq!(code(&probe(&greeting, &target(otp.name())).await), "ok");

    otp.eval("net_kernel:allow(['friend@127.0.0.1'])")?;
    assert_eq!(
        code(&probe(&greeting, &target(otp.name())).await),
        "not_allowed"
    );

    // A probe under the name of a node that is connected must not cut that node off.
    let friend = Otp::start(&epmd, "friend@127.0.0.1", "other-cookie", &[])?;
    friend.eval("true = net_kernel:connect_node('picky@127.0.0.1')")?;
    let as_friend = ProbeConfig {
        me: name("friend@127.0.0.1"),
        ..greeting
    };
    let why = probe(&as_friend, &target(otp.name())).await;
    assert_eq!(code(&why), "already_connected");
    assert_eq!(otp.eval("nodes()")?, "['friend@127.0.0.1']");
    Ok(())
}

/// Something on a port of its own that handles one connection after the other.
fn stranger(serve: impl Fn(TcpStream) + Send + 'static) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    Ok(port)
}
