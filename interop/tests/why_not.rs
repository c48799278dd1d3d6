//! Why not: every reason that can occur with distribution over TCP, each from a real fault, as `trunkline ping` tells it and as the
//! agent of a real node says it. Both give one code.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::thread;
use std::time::Duration;

use anyhow::Result;
use trunkline_interop::agent::{Agent, Pang, Place};
use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::otp::{Otp, Release};
use trunkline_interop::scripted::{self, Behind, Scripted};
use trunkline_interop::wait::{self, Took};
use trunkline_proto::Flags;
use trunkline_proto::handshake::Status;

const COOKIE: &str = "why-not-0123456789-abcdefghij";
const OTHER_COOKIE: &str = "another-0123456789-klmnopqrst";

/// How long a BEAM may take to start, and a silent peer to be given up, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(120);

/// For how long nothing more is to happen, once each reason has been said.
const QUIET: Duration = Duration::from_secs(15);

/// A listed peer, and what is wrong with it.
struct Case {
    /// As the list has it.
    listed: String,
    /// The code that `ping` gives, or `pong`.
    ping: &'static str,
    /// The code in the agent's line.
    agent: &'static str,
    /// Whom the agent's line is about, where that is not the listed name.
    said_of: Option<String>,
    /// What the text holds besides.
    words: &'static str,
}

impl Case {
    fn new(listed: impl Into<String>, code: &'static str, words: &'static str) -> Self {
        Self {
            listed: listed.into(),
            ping: code,
            agent: code,
            said_of: None,
            words,
        }
    }

    /// Nothing is wrong between here and there: only the attached node cannot.
    fn only_attached(listed: impl Into<String>, code: &'static str, words: &'static str) -> Self {
        Self {
            ping: "pong",
            ..Self::new(listed, code, words)
        }
    }

    fn said_of(self, name: impl Into<String>) -> Self {
        Self {
            said_of: Some(name.into()),
            ..self
        }
    }

    fn peer(&self) -> &str {
        self.said_of.as_ref().unwrap_or(&self.listed)
    }

    /// What is wrong with the answer of `ping`.
    fn check_ping(&self, pang: &Pang) -> Vec<String> {
        let mut wrong = Vec::new();
        if pang.code != self.ping {
            wrong.push(format!(
                "ping {}: {pang:?} and not {}",
                self.listed, self.ping
            ));
        }
        if self.ping == "pong" {
            return wrong;
        }
        if !pang.text.contains(self.words) {
            wrong.push(format!(
                "ping {}: no {:?} in {:?}",
                self.listed, self.words, pang.text
            ));
        }
        // `pang: CODE: why · cure`
        let begin = format!("pang: {}: {}", self.ping, self.words);
        let said = pang.human.out.split_once(" · ");
        let good = said.is_some_and(|(why, cure)| {
            why.starts_with(&format!("pang: {}: ", self.ping))
                && why.contains(self.words)
                && cure.trim_end().len() > 10
        });
        if !good || pang.human.code != 1 {
            wrong.push(format!("ping {}: {begin:?}: {:?}", self.listed, pang.human));
        }
        wrong
    }

    /// What is wrong with the agent's lines.
    fn check_agent(&self, agent: &Agent) -> Vec<String> {
        let codes = agent.codes(self.peer());
        let words = agent.count(self.words, self.peer());
        if codes == [self.agent] && words >= 1 {
            return Vec::new();
        }
        let lines = agent.lines();
        let about: Vec<_> = lines
            .iter()
            .filter(|l| l.contains(self.peer()) && !l.contains("listed"))
            .collect();
        vec![format!(
            "agent, {}: {codes:?} and not one {} with {:?}: {about:#?}",
            self.peer(),
            self.agent,
            self.words
        )]
    }
}

/// Who asks `ping` and how it answered, all at once: most of it is waiting.
fn ping_all(place: &Place, cases: &[Case]) -> Vec<String> {
    thread::scope(|scope| {
        let asked: Vec<_> = cases
            .iter()
            .map(|case| scope.spawn(|| case.check_ping(&place.ping(&case.listed).unwrap())))
            .collect();
        let wrong = asked.into_iter().flat_map(|asked| asked.join().unwrap());
        wrong.collect()
    })
}

/// Waits until the agent has said something of each, then watches that it and the peers' logs stay as they are.
fn agent_says(agent: &Agent, cases: &[Case]) -> Vec<String> {
    let all = || {
        cases
            .iter()
            .all(|case| !agent.codes(case.peer()).is_empty())
    };
    wait::within(SOON, || all().then_some(()));
    let wrong = cases.iter().flat_map(|case| case.check_agent(agent));
    wrong.collect()
}

fn start_all<const N: usize>(specs: [(&Host, Release, &str, &str, &[&str]); N]) -> [Otp; N] {
    thread::scope(|scope| {
        let nodes = specs.map(|(host, otp, name, cookie, args)| {
            scope.spawn(move || Otp::on(host, otp, name, cookie, args).unwrap())
        });
        nodes.map(|node| node.join().unwrap())
    })
}

/// Lines in a node's log that a refused handshake leaves.
fn rejected(otp: &Otp) -> usize {
    let said = otp.output();
    said.lines()
        .filter(|line| line.contains("rejected"))
        .count()
}

#[test]
fn each_reason_from_a_real_fault() -> Result<()> {
    let _took = Took::new("each reason from a real fault");
    let lab = Lab::new()?;
    let hosts: Vec<Host> = (1..=11).map(|n| lab.host(n).unwrap()).collect();
    let host = |n: usize| &hosts[n - 1];
    let at = |alive: &str, n: usize| format!("{alive}@{}", host(n).private());

    let (_tls_dir, tls) = tls_options(host(10))?;
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    let (os, newer) = (Release::Otp25, Release::Otp27);
    let fixed_port = [
        "-kernel",
        "inet_dist_listen_min",
        "9100",
        "inet_dist_listen_max",
        "9100",
    ];
    let moved = format!("moved@{}", host(8).public());
    let four = format!("four@{}", host(9).fly6());
    let six = format!("six@{}", host(9).fly6());
    let [
        app,
        cookie,
        differs,
        _dropped,
        _reset,
        _brief,
        _short,
        _moved_node,
        _four_node,
        _six_node,
        _tls_node,
        picky,
        cookie27,
        _tls27,
        picky27,
    ] = start_all([
        (
            host(1),
            os,
            &at("app", 1),
            COOKIE,
            &["-kernel", "net_setuptime", "3"],
        ),
        (host(2), os, &at("cookie", 2), OTHER_COOKIE, &[]),
        (host(2), os, &at("differs", 2), COOKIE, &[]),
        (host(5), os, &at("app", 5), COOKIE, &fixed_port),
        (host(6), os, &at("app", 6), COOKIE, &fixed_port),
        (host(8), os, "brief@host-8", COOKIE, &[]),
        (host(8), os, "short@host-8", COOKIE, &[]),
        (host(8), os, &moved, COOKIE, &[]),
        // Named by an IPv6 address, and started without -proto_dist inet6_tcp.
        (host(9), os, &four, COOKIE, &[]),
        (host(9), os, &six, COOKIE, &["-proto_dist", "inet6_tcp"]),
        (host(10), os, &at("tls", 10), COOKIE, &tls),
        (host(10), os, &at("picky", 10), COOKIE, &[]),
        (host(11), newer, &at("cookie", 11), OTHER_COOKIE, &[]),
        (host(11), newer, &at("tls", 11), COOKIE, &tls),
        (host(11), newer, &at("picky", 11), COOKIE, &[]),
    ]);

    // The faults that are not in how a node was started.
    for picky in [&picky, &picky27] {
        picky.eval("net_kernel:allow(['friend@10.20.0.77'])")?;
    }
    app.eval(&format!("erlang:set_cookie('{}', stale)", at("differs", 2)))?;
    host(4).firewall(&["tcp dport 4369 drop"])?;
    host(5).firewall(&["tcp dport 9100 drop"])?;
    host(6).firewall(&["tcp dport 9100 reject with tcp reset"])?;
    let strangers = strangers(host(7))?;

    let mut cases = vec![
        Case::new(at("cookie", 2), "cookie_mismatch", "cookies differ"),
        Case::only_attached(
            at("differs", 2),
            "differs_from_here",
            "not from the attached node",
        ),
        Case::new(at("nobody", 2), "not_registered", "knows no node nobody"),
        Case::new(at("app", 3), "epmd_unreachable", "refuses"),
        Case::new(at("app", 4), "epmd_unreachable", "does not answer"),
        Case::new(at("app", 5), "port_unreachable", "does not answer"),
        Case::new(at("app", 6), "port_unreachable", "refuses"),
        Case::new(at("brief", 8), "name_form", "short").said_of("brief@host-8"),
        // `ping` takes the form and the family of the node that it asks; the attached node has its own.
        Case::only_attached("short@host-8", "name_form", "long names here"),
        Case::new(&four, "family_mismatch", "IPv4 against IPv6"),
        Case::only_attached(&six, "family_mismatch", "IPv4 against IPv6"),
        Case::new(at("tls", 10), "tls_required", "TLS only"),
        Case::new(at("picky", 10), "not_allowed", "not_allowed"),
        Case::new("app@no-such-host.invalid", "unresolved", "no-such-host"),
        Case::new(at("cookie", 11), "cookie_mismatch", "cookies differ"),
        Case::new(at("tls", 11), "tls_required", "TLS only"),
        Case::new(at("picky", 11), "not_allowed", "not_allowed"),
    ];
    let stranger = |(alive, code, words, _): &(&str, &'static str, &'static str, Scripted)| {
        Case::new(at(alive, 7), code, words)
    };
    cases.extend(strangers.iter().map(stranger));

    let place = Place::new(host(1), app.name(), COOKIE);
    let mut list: Vec<&str> = cases.iter().map(|case| case.listed.as_str()).collect();
    let listed_moved = at("moved", 8);
    list.push(&listed_moved);
    place.list(&list)?;
    // One after the other: a node that has never met TLS yet takes its time to load it.
    let mut wrong = ping_all(&place, &cases);
    let agent = place.run("agent.log")?;
    wrong.extend(agent_says(&agent, &cases));

    // Another name at that address: `ping` names it, the agent uses it.
    let pang = place.ping(&listed_moved)?;
    if pang.code != "name_mismatch" || !pang.text.contains(&moved) {
        wrong.push(format!("{pang:?}"));
    }
    let used = wait::within(SOON, || {
        (agent.count("(name_mismatch)", &moved) == 1 && agent.count("INFO connected", &moved) == 1)
            .then_some(())
    });
    if used.is_none() {
        wrong.push(format!("{moved} is not connected"));
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), agent.output());

    assert!(!app.output().contains("REPORT"), "{}", app.output());

    // Nothing is said twice, and nobody's log fills: one line for the node's own dial, one for the agent's proof, one for each
    // of two pings; the second try of the node where the proof succeeds.
    let lines = || agent.lines().len();
    let marks = || [rejected(&cookie), rejected(&cookie27), rejected(&differs)];
    let (said, before) = (lines(), marks());
    wait::stays("quiet", QUIET, || match (lines(), marks()) {
        (now, marks) if now == said && marks == before => Ok(()),
        _ => Err(format!(
            "{:#?}\n{:?}",
            agent.lines().split_off(said),
            marks()
        )),
    });
    println!("lines in the logs of mismatching peers: {before:?}");
    assert!(
        before.iter().all(|lines| (1..=4).contains(lines)),
        "{before:?}"
    );
    Ok(())
}

/// What else can be behind a registered port: name, code, words.
fn strangers(host: &Host) -> Result<Vec<(&'static str, &'static str, &'static str, Scripted)>> {
    let name = |alive: &str| format!("{alive}@{}", host.private()).parse().unwrap();
    let good = Flags::hidden_default();
    let mut random = Vec::new();
    for n in 1_u32..65 {
        random.extend(n.wrapping_mul(2_654_435_761).to_be_bytes());
    }
    let web = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n".to_vec();
    [
        (
            "web",
            "not_dist",
            "HTTP/1.1 400",
            Behind::SaysAndCloses(web),
        ),
        ("garbage", "not_dist", "it answers", Behind::Says(random)),
        ("silent", "timeout", "greeting", Behind::Silence),
        (
            "shy",
            "closed",
            "greeting",
            Behind::SaysAndCloses(Vec::new()),
        ),
        (
            "half",
            "closed",
            "greeting",
            Behind::SaysAndCloses(scripted::status(&Status::Ok)),
        ),
        (
            "late",
            "timeout",
            "handshake",
            Behind::Says(scripted::greeting(&name("late"), good)),
        ),
        (
            "ancient",
            "incompatible",
            "",
            Behind::Says(scripted::old_greeting(&name("ancient"))),
        ),
        (
            "poor",
            "incompatible",
            "V4_NC",
            Behind::Says(scripted::greeting(&name("poor"), Flags::MANDATORY_25)),
        ),
        (
            "busy",
            "already_connected",
            "still has a connection",
            Behind::Says(scripted::status(&Status::Alive)),
        ),
        (
            "racing",
            "lost_race",
            "dialled at once",
            Behind::SaysAndCloses(scripted::status(&Status::Nok)),
        ),
    ]
    .into_iter()
    .map(|(alive, code, words, behind)| {
        Ok((alive, code, words, Scripted::start(host, alive, behind)?))
    })
    .collect()
}

/// A certificate that signs itself, and what a node needs to demand TLS with it.
fn tls_options(host: &Host) -> Result<(tempfile::TempDir, [String; 4])> {
    let dir = tempfile::tempdir_in(host.dir())?;
    let key = rcgen::generate_simple_self_signed(vec![host.private().to_string()])?;
    std::fs::write(dir.path().join("cert.pem"), key.cert.pem())?;
    std::fs::write(dir.path().join("key.pem"), key.signing_key.serialize_pem())?;
    let folder = dir.path().display();
    let options = format!(
        "[{{server,[{{certfile,\"{folder}/cert.pem\"}},{{keyfile,\"{folder}/key.pem\"}}]}}]."
    );
    let file = dir.path().join("dist.conf");
    std::fs::write(&file, options)?;
    let args = ["-proto_dist", "inet_tls", "-ssl_dist_optfile"].map(String::from);
    let [a, b, c] = args;
    Ok((dir, [a, b, c, file.display().to_string()]))
}
