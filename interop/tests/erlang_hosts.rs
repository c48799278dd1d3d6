//! `.hosts.erlang` on three hosts, each with OTP's own port mapper: read as OTP reads it, again when it changes, and an error when it
//! is broken.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use trunkline_interop::agent::{Agent, Place};
use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::otp::{Otp, Release};
use trunkline_interop::wait;

const COOKIE: &str = "hosts-0123456789-abcdefghij";
const PATIENCE: Duration = Duration::from_secs(120);
const ALONE: [&str; 3] = ["-kernel", "connect_all", "false"];

fn node(host: &Host, name: &str, args: &[&str]) -> Result<Otp> {
    Otp::on(
        host,
        Release::Otp25,
        name,
        COOKIE,
        &[&ALONE[..], args].concat(),
    )
}

fn until_sees(node: &Otp, expected: &str) {
    wait::until(format!("{} sees {expected}", node.name()), PATIENCE, || {
        let sees = node.eval("lists:sort(nodes())").ok();
        sees.filter(|seen| seen == expected)
    });
}

fn until_said(agent: &Agent, what: &str, times: usize) {
    wait::until(format!("{what:?} {times} times"), PATIENCE, || {
        (agent.count(what, "") == times).then_some(())
    });
}

#[test]
fn the_file_decides_and_is_read_again() -> Result<()> {
    let lab = Lab::new()?;
    let hosts = [lab.host(1)?, lab.host(2)?, lab.host(3)?];
    let [one, two, three] = &hosts;
    let a = node(one, "app@host-1", &[])?;
    let _b = node(two, "app@host-2", &[])?;
    let _tool = node(two, "app-tool@host-2", &["-hidden"])?;
    let c = node(three, "app@host-3", &[])?;
    let other = node(three, "db@host-3", &[])?;
    let place = Place::new(one, a.name(), COOKIE);
    let config = "[topologies.site]\nstrategy = 'erlang_hosts'\nname_match = 'app'\npolling_interval = '500ms'\n";
    fs::write(one.dir().join("trunkline.toml"), config)?;

    // Nowhere a file: said once, with the places where OTP looks.
    let agent = place.run("run.log")?;
    until_said(
        &agent,
        "there is no .hosts.erlang, looked for ./.hosts.erlang, ",
        1,
    );

    // What Erlang itself reads from it is what we read.
    let file = one.dir().join(".hosts.erlang");
    fs::write(
        &file,
        "% the site\nlocalhost.\n'host-1'.\n\"host-2\" .% two\n'host\\x2d2'.\n",
    )?;
    let consulted = a.eval(&format!("file:consult(\"{}\")", file.display()))?;
    assert_eq!(consulted, "{ok,[localhost,'host-1',\"host-2\",'host-2']}");
    until_sees(&a, "['app@host-2']");

    // Replaced by another that is as long; OTP would not look again.
    let new = one.dir().join("new");
    fs::write(&new, "'host-1'.\n'host-2'.\n'host-3'.\n")?;
    fs::rename(&new, &file)?;
    until_sees(&a, "['app@host-2','app@host-3']");

    // Broken: the last good answer stands.
    fs::write(&file, "'host-1'.\nhost-2.\n")?;
    until_said(
        &agent,
        ".hosts.erlang: line 2: host-2. needs quotes: 'host-2'.",
        1,
    );
    wait::stays("the links", Duration::from_secs(3), || {
        let seen = a
            .eval("lists:sort(nodes())")
            .map_err(|why| why.to_string())?;
        (seen == "['app@host-2','app@host-3']")
            .then_some(())
            .ok_or(seen)
    });
    fs::write(&file, "'host-1'.\n'host-2'.\n'host-3'.\n'host-60'.\n")?;
    until_said(&agent, "host-60: its EPMD (port 4369) does not answer", 1);

    // A node that comes back is found although a host of the list is dead.
    drop(c);
    until_sees(&a, "['app@host-2']");
    let c = node(three, "app@host-3", &[])?;
    until_sees(&a, "['app@host-2','app@host-3']");
    until_sees(&c, "['app@host-1']");
    assert_eq!(other.eval("nodes(connected)")?, "[]");
    // The helper's name is read in a shell's way; hidden nodes were not connected.
    assert_eq!(a.eval("nodes(hidden)")?, "['trunkline-app@host-1']");
    Ok(())
}

#[test]
fn each_topology_forgets_only_its_own() -> Result<()> {
    let lab = Lab::new()?;
    let hosts = [lab.host(1)?, lab.host(2)?, lab.host(3)?, lab.host(4)?];
    let [one, two, three, four] = &hosts;
    let a = node(one, "app@host-1", &[])?;
    let b = node(two, "app@host-2", &[])?;
    let c = node(three, "app@host-3", &[])?;
    let d = node(four, "app@host-4", &[])?;
    let list = |file: &str, hosts: &[u8]| {
        let text: String = hosts.iter().map(|n| format!("'host-{n}'.\n")).collect();
        fs::write(one.dir().join(file), text)
    };
    list("near", &[1, 2, 3])?;
    list("far", &[1, 3, 4])?;
    let mut config = "[engine]\nremoval_misses = 2\nremoval_grace = '1s'\n".to_owned();
    for name in ["near", "far"] {
        config += &format!(
            "[topologies.{name}]\nstrategy = 'erlang_hosts'\npath = '{name}'\npolling_interval = '500ms'\n"
        );
    }
    fs::write(one.dir().join("trunkline.toml"), config)?;
    let agent = Place::new(one, a.name(), COOKIE).run("run.log")?;
    until_sees(&a, "['app@host-2','app@host-3','app@host-4']");

    // Two of three leave the near list. One of them ends; the other is in the far list, too, and is connected again when it was lost.
    list("near", &[1])?;
    drop(b);
    wait::until("app@host-2 is forgotten", PATIENCE, || {
        (agent.count("listed, forgotten", "app@host-2") == 1).then_some(())
    });
    assert_eq!(a.eval("erlang:disconnect_node('app@host-3')")?, "true");
    until_sees(&a, "['app@host-3','app@host-4']");

    // The far list breaks. The near one goes on, and what was far stays and is dialled.
    fs::write(one.dir().join("far"), "'host-1'.\n{")?;
    until_said(&agent, "far: line 2: { is neither an atom nor a string", 1);
    drop(d);
    let b = node(two, "app@host-2", &[])?;
    list("near", &[1, 2])?;
    until_sees(&a, "['app@host-2','app@host-3']");
    let d = node(four, "app@host-4", &[])?;
    until_sees(&a, "['app@host-2','app@host-3','app@host-4']");
    assert_eq!(
        agent.count("listed, forgotten", ""),
        1,
        "{}",
        agent.output()
    );
    drop((b, c, d));
    Ok(())
}
