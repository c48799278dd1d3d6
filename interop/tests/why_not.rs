//! Why two nodes are not connected: each reason from a real fault on a host of its own, as `ping --json` says it and as the
//! agent's log does.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use serde_json::Value;
use trunkline_interop::fleet::{COOKIE, PATIENCE};
use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::process::{Process, read_lossy};
use trunkline_interop::{wait, workspace};

/// Where the nodes of this test listen.
const PORT: u16 = 9100;

#[test]
fn each_reason_from_a_real_fault() {
    let _took = wait::Took::new("why not");
    let lab = Lab::new().unwrap();
    let faults = Faults::new(&lab);
    let home = lab.host(1).unwrap();
    let me = format!("app@{}", home.private());
    let _node = node(&home, &me, COOKIE, &[]);

    for case in &faults.cases {
        let (answer, code) = ping(&home, &case.node);
        if case.told == Told::ByAgent {
            assert_eq!(answer["result"], "pong", "{answer:#}");
            continue;
        }
        assert_eq!(answer["reason"]["code"], case.code, "{answer:#}");
        assert_eq!(answer["result"], "pang");
        assert_eq!(code, Some(1), "{answer:#}");
        let text = answer["reason"]["text"].as_str().unwrap();
        assert!(text.contains(case.says), "{answer:#}");
    }
    let (answer, code) = ping(&home, &faults.well);
    assert_eq!((&answer["result"], code), (&"pong".into(), Some(0)));
    assert!(answer["rtt_us"].as_u64().is_some(), "{answer:#}");

    let agent = agent(&home, &me, &faults);
    for case in faults.cases.iter().filter(|case| case.told != Told::ByPing) {
        let start = format!("cannot connect ({}): ", case.code);
        let place = format!(" · {} · ", case.node);
        let said = || {
            let log = agent.output();
            let line = log
                .lines()
                .find(|line| line.contains(&start) && line.contains(&place));
            line.map(String::from)
        };
        let Some(line) = wait::within(PATIENCE, said) else {
            panic!(
                "nothing like \"{start}{}…{place}\" in:\n{}",
                case.says,
                agent.output()
            );
        };
        assert!(line.contains(case.says), "{line}");
    }
    wait::until("the well one is connected", PATIENCE, || {
        agent
            .output()
            .contains(&format!("connected · {}", faults.well))
            .then_some(())
    });
    let node_log = read_lossy(&home.dir().join("app.log"));
    assert!(
        !node_log.contains("REPORT"),
        "the attached node's log: {node_log}"
    );
}

/// One node that cannot be connected.
struct Case {
    node: String,
    code: &'static str,
    says: &'static str,
    told: Told,
}

/// Whose reason it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// `ping` from the host and the agent see it alike.
    ByBoth,
    /// `ping` takes the form and family of the node that it asks; the attached node cannot.
    ByAgent,
    /// The agent goes on with the name that the greeting shows.
    ByPing,
}

/// All the hosts with something wrong, and one with nothing.
struct Faults {
    cases: Vec<Case>,
    well: String,
    _alive: Vec<Box<dyn std::any::Any>>,
}

impl Faults {
    fn new(lab: &Lab) -> Self {
        let mut faults = Self {
            cases: Vec::new(),
            well: String::new(),
            _alive: Vec::new(),
        };
        let mut next = 2..;
        let mut host = || lab.host(next.next().unwrap()).unwrap();

        let at = |host: &Host| format!("app@{}", host.private());
        let well = host();
        faults.well = at(&well);
        faults.keep(node(&well, &at(&well), COOKIE, &[]));

        let other_cookie = host();
        faults.keep(node(&other_cookie, &at(&other_cookie), "another", &[]));
        faults.case(&at(&other_cookie), "cookie_mismatch", "");

        let unregistered = host();
        faults.keep(node(
            &unregistered,
            &format!("web@{}", unregistered.private()),
            COOKIE,
            &[],
        ));
        faults.case(&at(&unregistered), "not_registered", "only web");

        let no_epmd = host();
        faults.case(&at(&no_epmd), "epmd_unreachable", "refuse");
        faults.keep(no_epmd);

        let epmd_blocked = host();
        epmd_blocked.firewall(&["tcp dport 4369 drop"]).unwrap();
        faults.case(&at(&epmd_blocked), "epmd_unreachable", "");
        faults.keep(epmd_blocked);

        let port_rejected = host();
        faults.keep(node(&port_rejected, &at(&port_rejected), COOKIE, &[]));
        port_rejected
            .firewall(&["tcp dport 9100 reject with tcp reset"])
            .unwrap();
        faults.case(&at(&port_rejected), "port_unreachable", "refuse");

        let port_dropped = host();
        faults.keep(node(&port_dropped, &at(&port_dropped), COOKIE, &[]));
        port_dropped.firewall(&["tcp dport 9100 drop"]).unwrap();
        faults.case(&at(&port_dropped), "port_unreachable", "");

        let web = host();
        faults.keep(registered(&web, "app"));
        serve(&web, |mut stream| {
            let mut asked = [0; 16];
            if stream.read(&mut asked).is_ok() {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
            }
        });
        faults.case(&at(&web), "not_dist", "");
        faults.keep(web);

        let renamed = host();
        let public = format!("app@{}", renamed.public());
        faults.keep(node(&renamed, &public, COOKIE, &[]));

        // Named by an IPv6 address, and started without -proto_dist inet6_tcp.
        let four = host();
        let four_name = format!("app@{}", four.public6());
        faults.keep(node(&four, &four_name, COOKIE, &[]));
        faults.case(&four_name, "family_mismatch", "");

        // Well in itself, and out of reach for the attached node, which speaks IPv4 only.
        let six = host();
        let six_name = format!("app@{}", six.public6());
        faults.keep(node(&six, &six_name, COOKIE, &["-proto_dist", "inet6_tcp"]));
        faults.case(&six_name, "family_mismatch", "");
        faults.told(Told::ByAgent);

        let tls = host();
        faults.keep(tls_node(&tls, &at(&tls)));
        faults.case(&at(&tls), "tls_required", "");

        let picky = host();
        let allow = "net_kernel:allow(['friend@10.20.0.99']).";
        faults.keep(node(&picky, &at(&picky), COOKIE, &["-eval", allow]));
        faults.case(&at(&picky), "not_allowed", "");

        let old = host();
        faults.keep(registered(&old, "app"));
        let name = at(&old);
        serve(&old, move |stream| too_old(stream, &name));
        faults.case(&at(&old), "incompatible", "");
        faults.keep(old);

        let short = host();
        let short_name = format!("app@host-{}", short.n());
        faults.keep(node(&short, &short_name, COOKIE, &[]));
        faults.case(&short_name, "name_form", "");
        faults.told(Told::ByAgent);

        let short = host();
        let short_name = format!("app@host-{}", short.n());
        faults.keep(node(&short, &short_name, COOKIE, &[]));
        faults.case(&at(&short), "name_form", "");
        faults.told(Told::ByPing);

        faults.case("app@no-such-host.invalid", "unresolved", "");
        faults.case(&at(&renamed), "name_mismatch", "");
        faults.told(Told::ByPing);
        faults
    }

    fn case(&mut self, node: &str, code: &'static str, says: &'static str) {
        let node = node.to_owned();
        self.cases.push(Case {
            node,
            code,
            says,
            told: Told::ByBoth,
        });
    }

    /// Of the last case.
    fn told(&mut self, told: Told) {
        self.cases.last_mut().unwrap().told = told;
    }

    fn keep(&mut self, what: impl Sized + 'static) {
        self._alive.push(Box::new(what));
    }
}

/// An OTP node on a fixed port, with the host's own epmd.
fn node(host: &Host, name: &str, cookie: &str, args: &[&str]) -> (Host, Process) {
    let port = PORT.to_string();
    let mut erl = host.command("erl");
    let form = if name.contains('.') || name.contains(':') {
        "-name"
    } else {
        "-sname"
    };
    erl.args(["-noinput", form, name, "-setcookie", cookie])
        .args([
            "-kernel",
            "inet_dist_listen_min",
            &port,
            "inet_dist_listen_max",
            &port,
        ])
        .args(args);
    let process = host.start(erl, "app.log").unwrap();
    let alive = name.split('@').next().unwrap();
    let registered = || {
        let names = host.run("epmd", &["-names"]).ok()?;
        names
            .contains(&format!("name {alive} at port"))
            .then_some(())
    };
    if wait::within(PATIENCE, registered).is_none() {
        panic!("{name} does not start: {}", process.output());
    }
    (host.clone(), process)
}

fn tls_node(host: &Host, name: &str) -> (Host, Process) {
    let key = rcgen::generate_simple_self_signed(vec![host.private().to_string()]).unwrap();
    let folder = host.dir().display();
    fs::write(host.dir().join("cert.pem"), key.cert.pem()).unwrap();
    fs::write(host.dir().join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let options = format!(
        "[{{server,[{{certfile,\"{folder}/cert.pem\"}},{{keyfile,\"{folder}/key.pem\"}}]}}]."
    );
    let file = host.dir().join("dist.conf");
    fs::write(&file, options).unwrap();
    let file = file.display().to_string();
    node(
        host,
        name,
        COOKIE,
        &["-proto_dist", "inet_tls", "-ssl_dist_optfile", &file],
    )
}

/// Registers a name for `PORT` at the host's epmd, for as long as the stream lives.
fn registered(host: &Host, name: &str) -> TcpStream {
    let daemon = host.run("epmd", &["-daemon"]);
    daemon.unwrap();
    let mut stream = wait::until("epmd", PATIENCE, || {
        host.inside(|| TcpStream::connect((Ipv4Addr::LOCALHOST, 4369)))
            .unwrap()
            .ok()
    });
    // ALIVE2_REQ: visible, TCP over IPv4, versions 5 to 6, no extra.
    let mut request = vec![120];
    request.extend(PORT.to_be_bytes());
    request.extend([77, 0, 0, 6, 0, 5]);
    request.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
    request.extend(name.as_bytes());
    request.extend([0, 0]);
    let length = u16::try_from(request.len()).unwrap();
    stream.write_all(&length.to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut response = [0; 2];
    stream.read_exact(&mut response).unwrap();
    assert_eq!(response[1], 0, "epmd takes the name");
    stream
}

/// Handles one connection to `PORT` after the other, until the test program ends.
fn serve(host: &Host, work: impl Fn(TcpStream) + Send + 'static) {
    let listener: TcpListener = host.listen((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(work));
}

/// Answers as OTP 22 did: a challenge of version 5.
fn too_old(mut stream: TcpStream, name: &str) {
    let mut length = [0; 2];
    if stream.read_exact(&mut length).is_err() {
        return;
    }
    let mut asked = vec![0; u16::from_be_bytes(length).into()];
    if stream.read_exact(&mut asked).is_err() {
        return;
    }
    // Version 5; flags of OTP 22; the challenge.
    let mut challenge = vec![b'n', 0, 5];
    challenge.extend(0x0003_7fbd_u32.to_be_bytes());
    challenge.extend(1_u32.to_be_bytes());
    challenge.extend(name.as_bytes());
    let length = u16::try_from(challenge.len()).unwrap();
    let mut answer = vec![0, 3];
    answer.extend(b"sok");
    answer.extend(length.to_be_bytes());
    answer.extend(challenge);
    stream.write_all(&answer).ok();
    // Until the other end has read it and hung up.
    stream.read(&mut [0]).ok();
}

/// What `ping --json` on `host` says, and its exit code.
fn ping(host: &Host, node: &str) -> (Value, Option<i32>) {
    let mut ping: Command = host.command(workspace::trunkline());
    ping.args(["ping", "--json", "--timeout", "2s", node])
        .env("RELEASE_NODE", format!("app@{}", host.private()))
        .env("RELEASE_COOKIE", COOKIE);
    let output = ping.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let answer = serde_json::from_str(&text);
    let answer = answer.unwrap_or_else(|error| panic!("{node}: {error}: {text} {stderr}"));
    (answer, output.status.code())
}

/// An agent for the node on `host`, with all faults in its list.
fn agent(host: &Host, me: &str, faults: &Faults) -> Process {
    let mut hosts: Vec<_> = faults.cases.iter().map(|case| case.node.as_str()).collect();
    hosts.push(&faults.well);
    let config = format!(
        "[node]\nname = {me:?}\n[engine]\nconnect_timeout = \"2s\"\n\
         [topologies.faults]\nstrategy = \"epmd\"\nhosts = {hosts:?}\n"
    );
    fs::write(host.dir().join("trunkline.toml"), config).unwrap();
    let mut run = host.command(workspace::trunkline());
    run.arg("run").env("RELEASE_COOKIE", COOKIE);
    host.start(run, "agent.log").unwrap()
}
