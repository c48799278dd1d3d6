//! The configuration of an agent changes under real nodes: no link comes or goes by it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;
use trunkline_interop::otp::{Epmd, Otp};
use trunkline_interop::process::Process;
use trunkline_interop::verb::Desk;
use trunkline_interop::wait;

const COOKIE: &str = "reload-0123456789-abcdefghij";
const PATIENCE: Duration = Duration::from_secs(120);

const RECORDER: &str = "register(recorder, spawn(fun() -> net_kernel:monitor_nodes(true), \
    (fun F(Seen) -> receive {tell, P} -> P ! {seen, lists:reverse(Seen)}, F(Seen); M -> F([M | Seen]) end end)([]) end)), ok";

fn node(epmd: &Epmd, n: u8) -> Result<Otp> {
    let args = ["-kernel", "connect_all", "false"];
    Otp::start(epmd, &name(n), COOKIE, &args)
}

fn name(n: u8) -> String {
    format!("n{n}@127.0.0.{n}")
}

/// What the application of a node saw since it started.
fn seen(node: &Otp) -> Result<String> {
    node.eval("recorder ! {tell, self()}, receive {seen, Seen} -> Seen end")
}

/// The agent of `n1`, and its file.
struct Agent {
    desk: Desk,
    process: Process,
    reloads: usize,
}

impl Agent {
    fn start(epmd: &Epmd, text: &str) -> Result<Self> {
        let desk = Desk::new(epmd, COOKIE)?;
        std::fs::write(desk.dir().join("trunkline.toml"), file(text))?;
        let process = desk.start(&["run"], "run.log")?;
        Ok(Self {
            desk,
            process,
            reloads: 0,
        })
    }

    /// Writes the file anew, sends SIGHUP, and waits until it was read. What is said of it.
    fn reload(&mut self, text: &str) -> Result<String> {
        let path = self.desk.dir().join("trunkline.toml");
        std::fs::write(path, file(text))?;
        self.process.signal(Signal::HUP);
        self.reloads += 1;
        let said = wait::within(PATIENCE, || {
            let log = self.process.output();
            let read = |line: &&str| {
                line.contains("configuration read again") || line.contains("the old one stays")
            };
            let lines: Vec<_> = log.lines().filter(read).map(str::to_owned).collect();
            (lines.len() == self.reloads)
                .then(|| lines.last().cloned())
                .flatten()
        });
        said.with_context(|| self.process.output())
    }

    fn status(&self) -> Result<Value> {
        let socket = self.socket()?;
        let mut command = std::process::Command::new("curl");
        command
            .args(["--silent", "--unix-socket"])
            .arg(socket)
            .arg("http://localhost/api/v1/status");
        let output = command
            .output()
            .context("curl; install it: apt-get install -y curl")?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn socket(&self) -> Result<PathBuf> {
        let folder = self.desk.dir().join("trunkline");
        let mut files = std::fs::read_dir(&folder)?
            .filter_map(Result::ok)
            .map(|file| file.path());
        let socket = files.find(|path| path.extension().is_some_and(|end| end == "sock"));
        socket.with_context(|| format!("no socket in {}", folder.display()))
    }

    /// How long ago the source of a topology answered.
    fn answered_ms(&self, topology: &str) -> Result<u64> {
        let status = self.status()?;
        let topologies = status["topologies"].as_array().context("topologies")?;
        let found = topologies.iter().find(|t| t["name"] == topology);
        let age = found.and_then(|t| t["sources"][0]["last_answer_ms"].as_u64());
        age.with_context(|| format!("{topology}: {status}"))
    }

    fn until_answered(&self, topology: &str) -> u64 {
        wait::until(format!("{topology} answered"), PATIENCE, || {
            self.answered_ms(topology).ok()
        })
    }
}

fn file(text: &str) -> String {
    format!("[node]\nname = '{}'\n{text}", name(1))
}

fn list(topology: &str, nodes: &[u8]) -> String {
    let hosts: Vec<_> = nodes.iter().map(|n| format!("'{}'", name(*n))).collect();
    format!(
        "[topologies.{topology}]\nstrategy = 'epmd'\nhosts = [{}]\n",
        hosts.join(", ")
    )
}

fn until_sees(node: &Otp, expected: &[u8]) {
    let names: Vec<_> = expected.iter().map(|n| format!("'{}'", name(*n))).collect();
    let expected = format!("[{}]", names.join(","));
    wait::until(format!("{} sees {expected}", node.name()), PATIENCE, || {
        node.eval("lists:sort(nodes())")
            .ok()
            .filter(|seen| *seen == expected)
    });
}

#[test]
fn ten_reloads_and_no_link_comes_or_goes() -> Result<()> {
    let epmd = Epmd::start()?;
    let nodes = (1..=4)
        .map(|n| node(&epmd, n))
        .collect::<Result<Vec<_>>>()?;
    let [n1, n2, n3, _] = &nodes[..] else {
        unreachable!()
    };
    for node in &nodes {
        node.eval(RECORDER)?;
    }
    let still = list("still", &[1, 2]);
    let mut agent = Agent::start(&epmd, &format!("{still}{}", list("web", &[1, 3])))?;
    until_sees(n1, &[2, 3]);
    let (before, age) = (
        [seen(n1)?, seen(n2)?, seen(n3)?],
        agent.until_answered("still"),
    );

    // Every kind of change: other hosts, a health check, other knobs, removed, renamed, back again.
    let check = "health_check = { type = 'tcp', port = 1 }\n";
    for (text, expected) in [
        (list("web", &[1, 3]), "nothing changed"),
        (list("web", &[1, 3, 9]), "changed web"),
        (format!("{}{check}", list("web", &[1, 3])), "changed web"),
        (
            format!(
                "[engine]\nremoval_grace = '1s'\nremoval_misses = 1\n{}",
                list("web", &[3])
            ),
            "changed web; other settings",
        ),
        (String::new(), "removed web; other settings"),
        (list("web", &[1, 3]), "new web"),
        (
            format!("{}enabled = false\n", list("web", &[1, 3])),
            "changed web",
        ),
        (list("other", &[1, 3]), "new other; removed web"),
        (
            format!("{}{}", list("other", &[1, 3]), list("web", &[1, 3])),
            "new web",
        ),
        (list("web", &[1, 3]), "removed other"),
    ] {
        let said = agent.reload(&format!("{text}{still}"))?;
        assert!(
            said.contains(&format!("configuration read again: {expected} · ")),
            "{said}"
        );
    }
    wait::stays("the links", Duration::from_secs(5), || {
        let links = n1
            .eval("lists:sort(nodes())")
            .map_err(|error| error.to_string())?;
        (links == "['n2@127.0.0.2','n3@127.0.0.3']")
            .then_some(())
            .ok_or(links)
    });
    assert_eq!(
        [seen(n1)?, seen(n2)?, seen(n3)?],
        before,
        "{}",
        agent.process.output()
    );
    // Its source was never asked again.
    assert!(agent.answered_ms("still")? >= age + 5_000);
    assert!(
        !agent.process.output().contains("connection lost"),
        "{}",
        agent.process.output()
    );
    Ok(())
}

#[test]
fn a_broken_file_is_reported_and_the_old_one_stays() -> Result<()> {
    let epmd = Epmd::start()?;
    let (n1, n2) = (node(&epmd, 1)?, node(&epmd, 2)?);
    let mut agent = Agent::start(&epmd, &list("web", &[1, 2]))?;
    until_sees(&n1, &[2]);
    let age = agent.until_answered("web");
    for (text, mistake) in [
        (
            "[topologies.web]\nstrategy = 'epmd'\nhost = []\n",
            "unknown key host · ",
        ),
        ("[topologies.web\n", "unclosed table"),
        (
            "[engine]\nremoval_grace = 'soon'\n",
            "removal_grace = \"soon\" is not allowed · ",
        ),
    ] {
        let said = agent.reload(text)?;
        assert!(
            said.contains("ERROR the new configuration is not taken, the old one stays: "),
            "{said}"
        );
        assert!(
            said.contains(mistake) && said.contains("trunkline.toml:"),
            "{said}"
        );
    }
    // It still heals what the old file lists.
    n2.signal(Signal::KILL);
    drop(n2);
    until_sees(&n1, &[]);
    let _n2 = node(&epmd, 2)?;
    until_sees(&n1, &[2]);
    assert!(agent.answered_ms("web")? > age);
    Ok(())
}

#[test]
fn new_peers_come_and_old_ones_are_let_go() -> Result<()> {
    let epmd = Epmd::start()?;
    let (n1, n2, n3) = (node(&epmd, 1)?, node(&epmd, 2)?, node(&epmd, 3)?);
    let mut agent = Agent::start(&epmd, &list("web", &[1, 2]))?;
    until_sees(&n1, &[2]);
    agent.reload(&list("fly", &[1, 3]))?;
    // The new one is connected; nobody cuts the old one.
    until_sees(&n1, &[2, 3]);
    // But nobody brings it back either.
    n2.signal(Signal::KILL);
    drop(n2);
    until_sees(&n1, &[3]);
    let n2 = node(&epmd, 2)?;
    wait::stays("alone", Duration::from_secs(8), || {
        let links = n2.eval("nodes()").map_err(|error| error.to_string())?;
        (links == "[]").then_some(()).ok_or(links)
    });
    until_sees(&n3, &[1]);
    Ok(())
}

/// What cannot change is said once, and again only when it was put right in between.
#[test]
fn what_needs_a_restart_is_said_once() -> Result<()> {
    let epmd = Epmd::start()?;
    let n1 = node(&epmd, 1)?;
    let _n2 = node(&epmd, 2)?;
    let web = list("web", &[1, 2]);
    let mut agent = Agent::start(&epmd, &web)?;
    until_sees(&n1, &[2]);
    for _ in 0..3 {
        agent.reload(&format!("[admin]\nlisten = '127.0.0.1:1'\nmin_nodes = 7\n[engine]\nconnect_timeout = '9s'\n{web}"))?;
    }
    let log = agent.process.output();
    for key in ["[admin] listen", "[engine] connect_timeout"] {
        let line = format!("WARN {key} is another one now, this agent keeps the old · ");
        assert_eq!(log.matches(&line).count(), 1, "{log}");
    }
    assert_eq!(n1.eval("nodes()")?, "['n2@127.0.0.2']");
    Ok(())
}
