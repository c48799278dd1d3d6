//! The guide to TLS, typed: its certificates, its option file, its flags; and the command beside real nodes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use trunkline_interop::otp::{Epmd, Otp, Release};
use trunkline_interop::process::{Process, run};
use trunkline_interop::verb::Desk;
use trunkline_interop::{wait, workspace};

const COOKIE: &str = "tls-guide-0123456789-abcdefghij";
const SOON: Duration = Duration::from_secs(120);

/// The block of the guide behind this fence.
fn block(fence: &str) -> Result<String> {
    let guide = std::fs::read_to_string(workspace::root().join("docs/guides/tls.md"))?;
    let (_, rest) = guide
        .split_once(&format!("```{fence}\n"))
        .context("the fence")?;
    let (text, _) = rest.split_once("```").context("its end")?;
    Ok(text.to_owned())
}

/// What the guide says, done for hosts of this machine, with everything in `dir`.
fn follow(dir: &Path) -> Result<String> {
    for fence in ["sh authority", "sh host"] {
        let script = block(fence)?.replace("10.0.0.5", "127.0.0.1");
        run(Command::new("sh").args(["-ec", &script]).current_dir(dir))?;
    }
    let here = dir.display().to_string();
    let there = "/etc/my_app/ssl";
    let options = block("erlang ssl_dist.conf")?.replace(there, &here);
    std::fs::write(dir.join("ssl_dist.conf"), options)?;
    let flags = block("sh flags")?.replace(there, &here);
    let flags = flags.trim().strip_prefix("export ELIXIR_ERL_OPTIONS=");
    Ok(flags.context("the variable")?.trim_matches('"').to_owned())
}

#[test]
fn nodes_of_the_guide_and_the_command() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let flags = follow(dir.path())?;
    let arguments: Vec<&str> = flags.split(' ').collect();
    for release in [Release::Otp25, Release::Otp27] {
        let epmd = Epmd::start()?;
        let node = |name: &str| Otp::of_release(release, &epmd, name, COOKIE, &arguments);
        let (one, two) = (node("one@127.0.0.1")?, node("two@127.0.0.1")?);
        let desk = Desk::new(&epmd, COOKIE)?;

        // Nothing says TLS.
        let (code, said) = desk.json(&["ping", one.name(), "--json"])?;
        assert_eq!(
            (code, said["reason"]["code"].as_str()),
            (1, Some("tls_required"))
        );
        // The flags in the environment do.
        let mut ping = desk.command(&["ping", one.name()]);
        let said = trunkline_interop::verb::Said::of(ping.env("ELIXIR_ERL_OPTIONS", &flags))?;
        ensure!(said.out.starts_with("pong ("), "{said:?}");
        // And the configuration.
        let section = format!(
            "[node]\nname = \"one@127.0.0.1\"\n\n[node.tls]\noptfile = \"{}/ssl_dist.conf\"\n\n\
             [topologies.pair]\nstrategy = \"epmd\"\nhosts = [\"one@127.0.0.1\", \"two@127.0.0.1\"]\n\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n",
            dir.path().display()
        );
        let config = desk.dir().join("trunkline.toml");
        std::fs::write(&config, section)?;
        let said = desk.say(&["ping", one.name()])?;
        ensure!(said.out.starts_with("pong ("), "{said:?}");
        let said = desk.say(&["config", "check"])?;
        ensure!(said.code == 0 && said.err.is_empty(), "{said:?}");

        let log = desk.dir().join("agent.log");
        let agent = Process::start(desk.command(&["run"]), &log)?;
        wait::until("the agent connects the two", SOON, || {
            let nodes = one.eval("nodes()").ok()?;
            (nodes == "['two@127.0.0.1']").then_some(())
        });
        let said = desk.say(&["nodes", one.name()])?;
        ensure!(said.out.contains("visible  two@127.0.0.1"), "{said:?}");
        assert_eq!(two.eval("nodes()")?, "['one@127.0.0.1']");
        drop(agent);
    }
    Ok(())
}
