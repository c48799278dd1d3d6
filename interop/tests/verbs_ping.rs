//! `trunkline ping` against real nodes: pong, and each reason from a real fault.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::Result;
use trunkline_interop::netns::Lab;
use trunkline_interop::otp::{Epmd, Otp, free_port};
use trunkline_interop::process::Process;
use trunkline_interop::verb::{Desk, Said};
use trunkline_interop::{wait, workspace};

const COOKIE: &str = "verbs-0123456789-abcdefghij";

/// The reason's code in `ping --json`, checked against exit code and human text.
fn why(desk: &Desk, node: &str) -> Result<String> {
    let (code, said) = desk.json(&["ping", node, "--json", "--timeout", "3s"])?;
    assert_eq!((code, said["result"].as_str()), (1, Some("pang")), "{said}");
    assert_eq!(said["node"], node);
    assert!(said["rtt_us"].is_null(), "{said}");
    let reason = said["reason"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    println!("{reason}: {}", said["reason"]["text"]);
    Ok(reason)
}

#[test]
fn pong() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", COOKIE, &[])?;
    let desk = Desk::new(&epmd, COOKIE)?;
    let (code, said) = desk.json(&["ping", otp.name(), "--json"])?;
    assert_eq!(code, 0);
    assert_eq!(said["result"], "pong");
    assert!(said["reason"].is_null());
    assert!(said["rtt_us"].as_u64().is_some_and(|us| us > 0), "{said}");
    let text = desk.say(&["ping", otp.name()])?;
    assert!(
        text.out.starts_with("pong (") && text.err.is_empty(),
        "{text:?}"
    );
    // Under one name each time, and the node is left as it was.
    for _ in 0..5 {
        assert_eq!(desk.say(&["ping", otp.name()])?.code, 0);
    }
    let left = || {
        otp.eval("nodes(connected)")
            .ok()
            .filter(|nodes| nodes == "[]")
    };
    wait::until(
        "nobody is connected",
        std::time::Duration::from_secs(60),
        left,
    );
    assert!(!otp.output().contains("REPORT"), "{}", otp.output());
    Ok(())
}

#[test]
fn short_names_and_ipv6() -> Result<()> {
    let epmd = Epmd::start()?;
    let desk = Desk::new(&epmd, COOKIE)?;
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let host = host.split('.').next().unwrap_or_default().to_owned();
    let short = Otp::start(&epmd, &format!("brief@{host}"), COOKIE, &[])?;
    let said = desk.say(&["ping", short.name()])?;
    assert_eq!(said.code, 0, "{said:?}");
    let six = Otp::start(&epmd, "six@::1", COOKIE, &["-proto_dist", "inet6_tcp"])?;
    let said = desk.say(&["ping", six.name()])?;
    assert_eq!(said.code, 0, "{said:?}");

    // A long name where the node has a short one, and the other way round.
    assert_eq!(why(&desk, "brief@127.0.0.1")?, "name_form");
    let long = Otp::start(&epmd, "long@127.0.0.1", COOKIE, &[])?;
    assert_eq!(why(&desk, &format!("long@{host}"))?, "name_form");
    drop(long);
    Ok(())
}

#[test]
fn cookies() -> Result<()> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", COOKIE, &[])?;
    // From the environment, with the newline that a file or an `echo` leaves behind.
    let newline = Desk::new(&epmd, &format!("{COOKIE}\n"))?;
    assert_eq!(why(&newline, otp.name())?, "cookie_mismatch");
    // A fresh random one, as an image build makes it.
    let other = Desk::new(&epmd, "another-0123456789-abcdefghij")?;
    assert_eq!(why(&other, otp.name())?, "cookie_mismatch");
    // A file is read as OTP reads it: the first line, and it wins over the environment.
    let file = other.dir().join("cookie");
    std::fs::File::create(&file)?.write_all(format!("{COOKIE}\n").as_bytes())?;
    let file = file.display().to_string();
    let said = other.say(&["ping", otp.name(), "--cookie-file", &file])?;
    assert_eq!(said.code, 0, "{said:?}");
    // The configuration names a variable.
    std::fs::write(
        other.dir().join("trunkline.toml"),
        "[node]\ncookie = { env = 'APP_COOKIE' }\n",
    )?;
    let said = Said::of(
        other
            .command(&["ping", otp.name()])
            .env("APP_COOKIE", COOKIE),
    )?;
    assert_eq!(said.code, 0, "{said:?}");
    // Nobody's cookie is in anything that was said.
    let said = other.say(&["ping", otp.name(), "--json", "--log-level", "trace"])?;
    for secret in [COOKIE, "another-0123456789"] {
        assert!(
            !said.out.contains(secret) && !said.err.contains(secret),
            "{said:?}"
        );
    }
    Ok(())
}

#[test]
fn what_epmd_says() -> Result<()> {
    let mut epmd = Epmd::start()?;
    let desk = Desk::new(&epmd, COOKIE)?;
    assert_eq!(why(&desk, "app@127.0.0.1")?, "not_registered");
    assert_eq!(why(&desk, "app@no-such-host.invalid")?, "unresolved");
    epmd.stop();
    assert_eq!(why(&desk, "app@127.0.0.1")?, "epmd_unreachable");
    Ok(())
}

#[test]
fn who_is_there() -> Result<()> {
    let epmd = Epmd::start()?;
    let desk = Desk::new(&epmd, COOKIE)?;
    // Started for another address, as after a change of the machine's network.
    let moved = Otp::start(&epmd, "moved@127.0.0.2", COOKIE, &[])?;
    assert_eq!(why(&desk, "moved@127.0.0.1")?, "name_mismatch");
    // IPv4 only, and named by an IPv6 address.
    let four = Otp::start(&epmd, "four@127.0.0.1", COOKIE, &[])?;
    assert_eq!(why(&desk, "four@::1")?, "family_mismatch");
    four.eval("net_kernel:allow(['friend@127.0.0.1'])")?;
    assert_eq!(why(&desk, four.name())?, "not_allowed");
    drop((moved, four));
    let tls = behind_tls(&epmd)?;
    assert_eq!(why(&desk, tls.1.name())?, "tls_required");
    Ok(())
}

fn behind_tls(epmd: &Epmd) -> Result<(tempfile::TempDir, Otp)> {
    let dir = tempfile::tempdir()?;
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()])?;
    let (cert, secret_key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, key.cert.pem())?;
    std::fs::write(&secret_key, key.signing_key.serialize_pem())?;
    let options = format!(
        "[{{server,[{{certfile,\"{}\"}},{{keyfile,\"{}\"}}]}}].",
        cert.display(),
        secret_key.display()
    );
    let file = dir.path().join("dist.conf");
    std::fs::write(&file, options)?;
    let file = file.display().to_string();
    let args = ["-proto_dist", "inet_tls", "-ssl_dist_optfile", &file];
    let otp = Otp::start(epmd, "tls@127.0.0.1", COOKIE, &args)?;
    Ok((dir, otp))
}

/// Registered ports behind which something else is: nothing, a web server, one that only listens, a node too old.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_the_port() -> Result<()> {
    let epmd = Epmd::start()?;
    let desk = Desk::new(&epmd, COOKIE)?;
    let mapper = (Ipv4Addr::LOCALHOST, epmd.port).into();
    let register = async |alive: &str, port: u16| {
        use trunkline_node::epmd::client::register;
        use trunkline_proto::epmd::{NodeType, Registration};
        let registration = Registration::new(alive, port, NodeType::VISIBLE);
        register(mapper, registration, std::time::Duration::from_secs(60)).await
    };
    let _nobody = register("nobody", free_port()?).await?;
    assert_eq!(why(&desk, "nobody@127.0.0.1")?, "port_unreachable");

    let web = scripted(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")?;
    let _web = register("web", web).await?;
    assert_eq!(why(&desk, "web@127.0.0.1")?, "not_dist");

    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let _silent = register("silent", silent.local_addr()?.port()).await?;
    assert_eq!(why(&desk, "silent@127.0.0.1")?, "timeout");

    // A challenge of the old handshake, as OTP 22 and older send it ('n', version 5).
    let mut old = b"\x00\x03sok\x00\x19n\x00\x05\x00\x07\xff\xbd\x12\x34\x56\x78".to_vec();
    old.extend(b"old@127.0.0.1");
    old[6] = u8::try_from(old.len() - 7)?;
    let _old = register("old", scripted(&old)?).await?;
    assert_eq!(why(&desk, "old@127.0.0.1")?, "incompatible");
    Ok(())
}

/// A port that takes connections, waits for the first bytes, and says this.
fn scripted(text: &[u8]) -> Result<u16> {
    use std::io::Read as _;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let text = text.to_vec();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 512];
            if stream.read(&mut asked).is_ok_and(|n| n > 0) {
                stream.write_all(&text).ok();
                // Held open until the other side has read it.
                let _end = stream.read(&mut asked);
            }
        }
    });
    Ok(port)
}

/// A firewall that drops without a word, at the port mapper and at the node.
#[test]
fn firewalls() -> Result<()> {
    let lab = Lab::new()?;
    let (here, there) = (lab.host(1)?, lab.host(2)?);
    let node = format!("app@{}", there.private());
    let _epmd: Process = there.start(there.command("epmd"), "epmd.log")?;
    let mut erl = there.command("erl");
    erl.args([
        "-name",
        &node,
        "-setcookie",
        COOKIE,
        "-noinput",
        "-start_epmd",
        "false",
    ])
    .args([
        "-kernel",
        "inet_dist_listen_min",
        "9100",
        "inet_dist_listen_max",
        "9100",
    ]);
    let _erl = there.start(erl, "erl.log")?;
    let ping = || -> Result<String> {
        let mut command = here.command(workspace::trunkline());
        command.args(["ping", &node, "--json", "--timeout", "3s"]);
        let said = Said::of(command.env("RELEASE_COOKIE", COOKIE))?;
        let value: serde_json::Value = serde_json::from_str(&said.out)?;
        Ok(match value["result"].as_str() {
            Some("pong") => "pong".to_owned(),
            _ => format!("{}: {}", value["reason"]["code"], value["reason"]["text"]),
        })
    };
    let patience = std::time::Duration::from_secs(120);
    wait::until("a pong", patience, || {
        ping().ok().filter(|said| said == "pong")
    });
    there.firewall(&["tcp dport 9100 drop"])?;
    let said = ping()?;
    assert!(
        said.starts_with("\"port_unreachable\"") && said.contains("does not answer"),
        "{said}"
    );
    there.open_firewall()?;
    there.firewall(&["tcp dport 4369 drop"])?;
    let said = ping()?;
    assert!(
        said.starts_with("\"epmd_unreachable\"") && said.contains("does not answer"),
        "{said}"
    );
    Ok(())
}
