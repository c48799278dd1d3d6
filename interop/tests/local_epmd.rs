//! The nodes of one host: found through its EPMD with nothing configured, whatever the form of their names, over IPv4 and IPv6.

use std::time::Duration;

use anyhow::Result;
use trunkline_interop::agent::{Agent, Place};
use trunkline_interop::netns::Lab;
use trunkline_interop::otp::{Epmd, Otp, Release};
use trunkline_interop::process::Process;
use trunkline_interop::verb::{Desk, Said};
use trunkline_interop::{wait, workspace};

const COOKIE: &str = "local-0123456789-abcdefghij";
const PATIENCE: Duration = Duration::from_secs(120);

/// Nodes that connect nobody by themselves, so that the agent is seen to do it.
const ALONE: [&str; 3] = ["-kernel", "connect_all", "false"];

fn node(epmd: &Epmd, name: &str, args: &[&str]) -> Result<Otp> {
    Otp::start(epmd, name, COOKIE, &[&ALONE[..], args].concat())
}

fn until_sees(node: &Otp, expected: &str) {
    wait::until(format!("{} sees {expected}", node.name()), PATIENCE, || {
        let sees = node.eval("lists:sort(nodes())").ok();
        sees.filter(|seen| seen == expected)
    });
}

/// Lines of an agent that somebody would have to look at.
fn trouble(agent: &Agent) -> Vec<String> {
    let mut lines = agent.lines();
    lines.retain(|line| line.starts_with("WARN") || line.starts_with("ERROR"));
    lines
}

#[test]
fn nothing_configured_connects_the_nodes_of_this_host() -> Result<()> {
    let mut epmd = Epmd::start()?;
    let desk = Desk::new(&epmd, COOKIE)?;
    // Quick removals: what EPMD forgets must not be forgotten here. No topology.
    let engine =
        "[admin]\nlisten = '127.0.0.1:0'\n[engine]\nremoval_grace = '1s'\nremoval_misses = 1\n";
    std::fs::write(desk.dir().join("trunkline.toml"), engine)?;
    let a = node(&epmd, "a@127.0.0.1", &[])?;
    let agent = Agent::of(desk.start(&["run"], "run.log")?);
    wait::until("attached", PATIENCE, || {
        (agent.count("INFO attached", "a@127.0.0.1") == 1).then_some(())
    });
    let chosen = "topology local_epmd (local_epmd), because nothing else is configured";
    assert_eq!(agent.count("INFO", chosen), 1, "{}", agent.output());

    let b = node(&epmd, "b@127.0.0.1", &[])?;
    let tool = node(&epmd, "tool@127.0.0.1", &["-hidden"])?;
    let shell = node(&epmd, "rem-1a2b-app@127.0.0.1", &[])?;
    let c = node(&epmd, "c@127.0.0.1", &[])?;
    until_sees(&a, "['b@127.0.0.1','c@127.0.0.1']");
    assert_eq!(a.eval("nodes(hidden)")?, "['trunkline-a@127.0.0.1']");
    assert_eq!(
        (
            tool.eval("nodes(connected)")?,
            shell.eval("nodes(connected)")?
        ),
        ("[]".into(), "[]".into())
    );
    assert_eq!(trouble(&agent), [""; 0]);

    // What `discover` says beside it; the shell and the tool are nobody's peers.
    let mut discover = desk.command(&["discover", "--json"]);
    let said = Said::of(discover.env("RELEASE_NODE", "a@127.0.0.1"))?;
    let value: serde_json::Value = serde_json::from_str(&said.out)?;
    let peers = value["topologies"][0]["peers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let names: Vec<_> = peers
        .iter()
        .filter_map(|peer| peer["node"].as_str())
        .collect();
    assert_eq!(
        names,
        ["a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1"],
        "{said:?}"
    );
    assert_eq!(peers[0]["self"], true);

    // EPMD ends, and comes back without knowing anybody until they register again.
    epmd.stop();
    wait::until("EPMD is missed", PATIENCE, || {
        (agent.count("WARN", "nothing answers at its EPMD port") == 1).then_some(())
    });
    epmd.restart()?;
    wait::until("EPMD is back", PATIENCE, || {
        (agent.count("INFO", "answers again") == 1).then_some(())
    });
    wait::stays("the links", Duration::from_secs(12), || {
        let seen = a
            .eval("lists:sort(nodes())")
            .map_err(|why| why.to_string())?;
        let whole = seen == "['b@127.0.0.1','c@127.0.0.1']";
        whole.then_some(()).ok_or(seen)
    });
    // One that really ends is forgotten.
    drop(c);
    until_sees(&a, "['b@127.0.0.1']");
    wait::until("c is forgotten", PATIENCE, || {
        (agent.count("INFO", "c@127.0.0.1") > 0 && agent.output().contains("forgotten"))
            .then_some(())
    });
    assert_eq!(b.eval("nodes()")?, "['a@127.0.0.1']");
    Ok(())
}

/// The demo brings its own port mapper for its own addresses; OTP's, on all addresses of the host, stays what it is.
#[test]
fn the_demo_works_beside_otps_port_mapper() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host(1)?;
    let name = format!("app@{}", host.private());
    let node = Otp::on(&host, Release::Otp25, &name, COOKIE, &[])?;
    let mut demo = host.command(workspace::trunkline());
    let said = Said::of(demo.args(["demo", "--once", "--json"]))?;
    assert_eq!(said.code, 0, "{said:?}");
    let mesh: serde_json::Value = serde_json::from_str(said.out.trim())?;
    assert_eq!(mesh["missing"], serde_json::json!([]), "{mesh}");
    assert_eq!(mesh["nodes"].as_array().map(Vec::len), Some(3), "{mesh}");
    let names = node.eval("{ok, Names} = erl_epmd:names(), [Name || {Name, _} <- Names]")?;
    assert_eq!(names, "[\"app\"]");
    assert_eq!(node.eval("nodes(connected)")?, "[]");
    Ok(())
}

#[test]
fn short_names_and_a_name_from_the_environment() -> Result<()> {
    let epmd = Epmd::start()?;
    let [a, b] = ["a@localhost", "b@localhost"];
    let (first, second) = (node(&epmd, a, &[])?, node(&epmd, b, &[])?);
    let desk = Desk::new(&epmd, COOKIE)?;
    // Which of the two is meant somebody must say.
    let said = desk.say(&["run"])?;
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err
            .contains("several nodes are registered here: a@localhost, b@localhost"),
        "{said:?}"
    );
    let mut run = desk.command(&["run"]);
    run.env("RELEASE_NODE", a);
    let process = Process::start(run, desk.dir().join("run.log"))?;
    let agent = Agent::of(process);
    until_sees(&first, "[b@localhost]");
    until_sees(&second, "[a@localhost]");
    assert_eq!(trouble(&agent), [""; 0], "{}", agent.output());
    Ok(())
}

#[test]
fn nodes_over_ipv6() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host(1)?;
    for ip in ["::1".to_owned(), host.fly6().to_string()] {
        let names = ["app", "web"].map(|alive| format!("{alive}@{ip}"));
        let six = [&ALONE[..], &["-proto_dist", "inet6_tcp"]].concat();
        let start = |name: &str| Otp::on(&host, Release::Otp25, name, COOKIE, &six);
        let nodes = [start(&names[0])?, start(&names[1])?];
        let place = Place::new(&host, &names[0], COOKIE);
        let log = format!("{}.log", names[0]);
        let agent = place.run(&log)?;
        until_sees(&nodes[0], &format!("['{}']", names[1]));
        until_sees(&nodes[1], &format!("['{}']", names[0]));
        assert_eq!(trouble(&agent), [""; 0], "{}", agent.output());
        assert_eq!(place.say(&["ping", &names[1]])?.code, 0);
    }
    Ok(())
}

#[test]
fn a_node_over_the_other_family_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host(1)?;
    let [four, six] = [
        format!("four@{}", host.private()),
        format!("six@{}", host.fly6()),
    ];
    let over_six = [&ALONE[..], &["-proto_dist", "inet6_tcp"]].concat();
    let nodes = [
        Otp::on(&host, Release::Otp25, &four, COOKIE, &ALONE)?,
        Otp::on(&host, Release::Otp25, &six, COOKIE, &over_six)?,
    ];
    // Either is registered and reads as if it had the other's host: EPMD does not know better.
    for ours in [&four, &six] {
        let agent = Place::new(&host, ours, COOKIE).run(&format!("{ours}.log"))?;
        let why = wait::until("a reason", PATIENCE, || {
            let lines = agent.lines();
            lines
                .into_iter()
                .find(|line| line.contains("cannot connect"))
        });
        assert!(
            why.contains("(family_mismatch): IPv4 against IPv6"),
            "{why}"
        );
        assert!(why.contains("-proto_dist"), "{why}");
        drop(agent);
    }
    for node in nodes {
        assert_eq!(node.eval("nodes()")?, "[]");
    }
    Ok(())
}
