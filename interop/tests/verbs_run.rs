//! `trunkline run` beside real nodes: it connects them, is found by other verbs, and comes and goes without the application noticing.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;
use trunkline_interop::otp::{Epmd, Evaluator, Otp, Release, free_port};
use trunkline_interop::process::Process;
use trunkline_interop::verb::Desk;
use trunkline_interop::wait;

const COOKIE: &str = "verbs-0123456789-abcdefghij";
const PATIENCE: Duration = Duration::from_secs(120);

/// What each agent connects: these nodes and nobody else.
const NODES: [&str; 2] = ["a@127.0.0.1", "b@127.0.0.2"];

/// A node that does nothing by itself, with ticks every second.
fn node(epmd: &Epmd, name: &str) -> Result<Otp> {
    let args = ["-kernel", "connect_all", "false", "net_ticktime", "4"];
    Otp::start(epmd, name, COOKIE, &args)
}

/// A desk with a configuration for `name`, and the port of its admin address.
fn desk(epmd: &Epmd, name: &str) -> Result<(Desk, u16)> {
    let desk = Desk::new(epmd, COOKIE)?;
    let port = free_port()?;
    let text = format!(
        "[node]\nname = '{name}'\n[admin]\nlisten = '127.0.0.1:{port}'\nmin_nodes = 2\n\
         [topologies.pair]\nstrategy = 'epmd'\nhosts = ['{}', '{}']\n",
        NODES[0], NODES[1]
    );
    std::fs::write(desk.dir().join("trunkline.toml"), text)?;
    Ok((desk, port))
}

/// A body from the admin address, and the status.
fn get(port: u16, path: &str) -> Result<(u16, String)> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let code = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((code, body.to_owned()))
}

fn status(port: u16) -> Option<Value> {
    serde_json::from_str(&get(port, "/api/v1/status").ok()?.1).ok()
}

fn until_attached(port: u16, agent: &Process) {
    let attached = || status(port).filter(|said| said["node"]["attached"] == true);
    if wait::within(PATIENCE, attached).is_none() {
        panic!("not attached: {}", agent.output());
    }
}

fn until_sees(node: &Otp, expected: &str) {
    wait::until(format!("{} sees {expected}", node.name()), PATIENCE, || {
        node.eval("nodes()").ok().filter(|seen| seen == expected)
    });
}

#[test]
fn two_nodes_become_one_cluster() -> Result<()> {
    let epmd = Epmd::start()?;
    let (desk_a, port_a) = desk(&epmd, NODES[0])?;
    let (desk_b, port_b) = desk(&epmd, NODES[1])?;
    // The agent of a is there before its node.
    let agent_a = desk_a.start(&["run"], "run.log")?;
    wait::until("the agent answers", PATIENCE, || {
        get(port_a, "/healthz").ok()
    });
    assert_eq!(get(port_a, "/readyz")?.0, 503);
    let (a, b) = (node(&epmd, NODES[0])?, node(&epmd, NODES[1])?);
    let agent_b = desk_b.start(&["run"], "run.log")?;
    until_sees(&a, "['b@127.0.0.2']");
    until_sees(&b, "['a@127.0.0.1']");
    wait::until("ready", PATIENCE, || {
        (get(port_a, "/readyz").ok()?.0 == 200).then_some(())
    });
    until_attached(port_b, &agent_b);

    let said = status(port_a).context("a status")?;
    let topology = &said["topologies"][0];
    assert_eq!(said["node"]["name"], NODES[0]);
    assert_eq!(
        (&topology["name"], &topology["strategy"]),
        (&"pair".into(), &"epmd".into())
    );
    assert_eq!(topology["sources"][0]["error"], Value::Null);
    assert!(topology["sources"][0]["last_answer_ms"].is_u64(), "{said}");
    assert_eq!(topology["peers"][0]["node"], NODES[1]);
    assert_eq!(topology["peers"][0]["state"], "connected");

    // The agent's cookie serves verbs on its host, and theirs is that of nobody.
    let desk_a = desk_a.without_cookie();
    let (code, nodes) = desk_a.json(&["nodes", "--json"])?;
    assert_eq!((code, &nodes["node"]), (0, &NODES[0].into()), "{nodes}");
    assert_eq!(nodes["visible"], serde_json::json!([NODES[1]]));
    assert_eq!(
        nodes["hidden"],
        serde_json::json!(["trunkline-a@127.0.0.1"])
    );
    assert_eq!(desk_a.say(&["ping"])?.code, 0);

    for log in [agent_a.output(), agent_b.output()] {
        assert!(!log.contains(COOKIE), "{log}");
        assert!(
            log.contains("the cookie is the one in RELEASE_COOKIE"),
            "{log}"
        );
    }
    Ok(())
}

#[test]
fn the_agent_comes_and_goes() -> Result<()> {
    let epmd = Epmd::start()?;
    let (a, b) = (node(&epmd, NODES[0])?, node(&epmd, NODES[1])?);
    // What the application would notice.
    a.eval("register(seen, spawn(fun F() -> receive {get, P} -> P ! {seen, get(l)}; M -> put(l, [M | case get(l) of undefined -> []; L -> L end]) end, F() end)), seen ! start, erlang:send(seen, go), ok")?;
    a.eval("P = whereis(seen), spawn(fun() -> net_kernel:monitor_nodes(true), (fun F() -> receive M -> P ! M, F() end end)() end), ok")?;
    let seen =
        || a.eval("seen ! {get, self()}, receive {seen, L} -> [M || M <- L, is_tuple(M)] end");
    let (desk, port) = desk(&epmd, NODES[0])?;
    let mut agent = desk.start(&["run"], "run.log")?;
    until_sees(&a, "['b@127.0.0.2']");
    wait::until("the application has seen it", PATIENCE, || {
        seen()
            .ok()
            .filter(|seen| seen == "[{nodeup,'b@127.0.0.2'}]")
    });

    // Killed, and started again.
    agent.signal(Signal::KILL);
    agent.wait(PATIENCE);
    wait::until("the node is rid of it", PATIENCE, || {
        a.eval("nodes(hidden)").ok().filter(|hidden| hidden == "[]")
    });
    let mut agent = desk.start(&["run"], "run.log")?;
    until_attached(port, &agent);
    assert_eq!(seen()?, "[{nodeup,'b@127.0.0.2'}]");

    // Told to stop.
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(PATIENCE).code(), Some(0));
    assert_eq!(a.eval("nodes()")?, "['b@127.0.0.2']");
    assert_eq!(seen()?, "[{nodeup,'b@127.0.0.2'}]");
    drop(b);
    Ok(())
}

#[test]
fn the_node_comes_and_goes() -> Result<()> {
    let epmd = Epmd::start()?;
    let (desk, port) = desk(&epmd, NODES[0])?;
    let agent = desk.start(&["run"], "run.log")?;
    let b = node(&epmd, NODES[1])?;
    for round in 0..2 {
        let a = node(&epmd, NODES[0])?;
        until_attached(port, &agent);
        until_sees(&a, "['b@127.0.0.2']");
        println!("round {round}");
        a.signal(Signal::KILL);
        drop(a);
        until_sees(&b, "[]");
    }
    Ok(())
}

/// A release that was stripped of what the agent's watcher runs in.
#[test]
fn a_node_without_an_evaluator_is_served_all_the_same() -> Result<()> {
    let epmd = Epmd::start()?;
    let args = ["-kernel", "connect_all", "false"];
    let (release, absent) = (Release::Otp25, Evaluator::Absent);
    let a = Otp::of_calls(release, absent, &epmd, NODES[0], COOKIE, &args)?;
    let b = node(&epmd, NODES[1])?;
    let (desk, port) = desk(&epmd, NODES[0])?;
    let agent = desk.start(&["run"], "run.log")?;
    until_sees(&a, "['b@127.0.0.2']");
    b.signal(Signal::KILL);
    let peer = |state: &str| {
        let state = state.to_owned();
        wait::until(format!("{} is {state}", NODES[1]), PATIENCE, || {
            let said = status(port)?;
            (said["topologies"][0]["peers"][0]["state"] == state).then_some(())
        });
    };
    drop(b);
    peer("waiting");
    let _b = node(&epmd, NODES[1])?;
    peer("connected");
    until_sees(&a, "['b@127.0.0.2']");
    let log = agent.output();
    let said = log.matches("links are read every second, no process there forwards their changes: erl_eval:exprs/2 gave undef · a@127.0.0.1 · ");
    assert_eq!(said.count(), 1, "{log}");
    assert!(!a.output().contains("REPORT"), "{}", a.output());
    Ok(())
}

/// With net_ticktime 4 a peer that does not tick is cut after five seconds; ours is not.
#[test]
fn ticks_are_followed() -> Result<()> {
    let epmd = Epmd::start()?;
    let a = node(&epmd, NODES[0])?;
    let (desk, port) = desk(&epmd, NODES[0])?;
    let agent = desk.start(&["run"], "run.log")?;
    until_attached(port, &agent);
    wait::stays("attached", Duration::from_secs(8), || {
        let hidden = a.eval("nodes(hidden)").map_err(|error| error.to_string())?;
        (hidden == "['trunkline-a@127.0.0.1']")
            .then_some(())
            .ok_or(hidden)
    });
    assert!(!a.output().contains("timedout"), "{}", a.output());
    Ok(())
}

#[test]
fn one_agent_for_one_node() -> Result<()> {
    let epmd = Epmd::start()?;
    let _a = node(&epmd, NODES[0])?;
    let (first, port) = desk(&epmd, NODES[0])?;
    let agent = first.start(&["run"], "run.log")?;
    until_attached(port, &agent);
    // In the same folder and in another one, with ping and nodes going on.
    let (second, _) = desk(&epmd, NODES[0])?;
    std::thread::scope(|scope| -> Result<()> {
        let asked = scope.spawn(|| -> Result<()> {
            for _ in 0..3 {
                assert_eq!(first.say(&["ping"])?.code, 0);
                assert_eq!(first.say(&["nodes"])?.code, 0);
            }
            Ok(())
        });
        let said = first.say(&["run"])?;
        assert_eq!(said.code, 1, "{said:?}");
        let last = said.err.lines().last().unwrap_or_default();
        let what = format!(
            "trunkline: another agent (pid {}) already serves a@127.0.0.1 · ",
            agent.id()
        );
        assert!(last.starts_with(&what), "{said:?}");
        let said = second.say(&["run"])?;
        assert_eq!(said.code, 1, "{said:?}");
        asked.join().expect("no panic")
    })?;
    assert_eq!(status(port).context("a status")?["node"]["attached"], true);
    Ok(())
}

#[test]
fn the_name_comes_from_epmd() -> Result<()> {
    let epmd = Epmd::start()?;
    let desk = Desk::new(&epmd, COOKIE)?;
    let port = free_port()?;
    let text = format!(
        "[admin]\nlisten = '127.0.0.1:{port}'\n[topologies.pair]\nstrategy = 'epmd'\nhosts = ['{}']\n",
        NODES[1]
    );
    std::fs::write(desk.dir().join("trunkline.toml"), text)?;
    let agent = desk.start(&["run"], "run.log")?;
    wait::until("it waits", PATIENCE, || {
        agent
            .output()
            .contains("no node is registered yet, waiting")
            .then_some(())
    });
    let a = node(&epmd, NODES[0])?;
    until_attached(port, &agent);
    assert_eq!(status(port).context("a status")?["node"]["name"], a.name());
    drop(agent);

    let _b = node(&epmd, NODES[1])?;
    let said = desk.say(&["run"])?;
    assert_eq!(said.code, 2);
    let last = said.err.lines().last().unwrap_or_default();
    assert_eq!(
        last,
        format!(
            "trunkline: several nodes are registered here: a@127.0.0.1, b@127.0.0.2 · local epmd, port {} · say which one: [node] name, or RELEASE_NODE",
            epmd.port
        )
    );
    Ok(())
}

#[test]
fn the_admin_address_is_taken() -> Result<()> {
    let epmd = Epmd::start()?;
    let (desk, port) = desk(&epmd, NODES[0])?;
    let _holder = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let said = desk.say(&["run"])?;
    assert_eq!(said.code, 1);
    let last = said.err.lines().last().unwrap_or_default();
    let what =
        format!("trunkline: the admin address 127.0.0.1:{port} is taken · [admin] listen · ");
    assert!(last.starts_with(&what), "{said:?}");
    Ok(())
}
