//! `trunkline nodes` and `nodes --matrix` against real nodes.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use trunkline_interop::otp::{Epmd, Otp};
use trunkline_interop::verb::Desk;
use trunkline_interop::wait;

const COOKIE: &str = "verbs-0123456789-abcdefghij";
const SOON: Duration = Duration::from_secs(60);

/// Nodes that connect only where they are told to.
fn start(epmd: &Epmd, names: &[&str]) -> Result<Vec<Otp>> {
    let args = ["-kernel", "connect_all", "false"];
    let each = names.iter();
    each.map(|name| Otp::start(epmd, name, COOKIE, &args))
        .collect()
}

fn join(one: &Otp, other: &Otp) -> Result<()> {
    one.eval(&format!(
        "true = net_kernel:connect_node('{}')",
        other.name()
    ))?;
    // The one that dials is ready first.
    let listed = format!("lists:member('{}', nodes(connected))", one.name());
    wait::until("both list each other", SOON, || {
        (other.eval(&listed).ok()? == "true").then_some(())
    });
    Ok(())
}

#[test]
fn visible_and_hidden() -> Result<()> {
    let epmd = Epmd::start()?;
    let nodes = start(&epmd, &["a@127.0.0.1", "b@127.0.0.1"])?;
    let hidden = Otp::start(&epmd, "h@127.0.0.1", COOKIE, &["-hidden"])?;
    join(&nodes[0], &nodes[1])?;
    join(&nodes[0], &hidden)?;
    let desk = Desk::new(&epmd, COOKIE)?;
    let expected =
        json!({"node": "a@127.0.0.1", "visible": ["b@127.0.0.1"], "hidden": ["h@127.0.0.1"]});
    assert_eq!(
        desk.json(&["nodes", "a@127.0.0.1", "--json"])?,
        (0, expected)
    );
    let text = desk.say(&["nodes", "b@127.0.0.1"])?;
    assert_eq!(text.out, "b@127.0.0.1\n  visible  a@127.0.0.1\n");
    let elixir = desk.say(&["nodes", "b@127.0.0.1", "--elixir"])?;
    assert_eq!(
        elixir.out,
        ":\"b@127.0.0.1\"\n  visible  :\"a@127.0.0.1\"\n"
    );
    let pong = desk.say(&["ping", "b@127.0.0.1", "--elixir"])?;
    assert!(pong.out.starts_with(":pong"), "{}", pong.out);

    let other = Desk::new(&epmd, "another-0123456789-abcdefghij")?;
    let refused = other.say(&["nodes", "a@127.0.0.1"])?;
    assert_eq!(refused.code, 1);
    assert_eq!(
        refused.err,
        "trunkline: cookie_mismatch: the cookies differ · a@127.0.0.1 · give both nodes the same cookie (RELEASE_COOKIE)\n"
    );
    Ok(())
}

/// A chain: a sees b, b sees c, c sees d. Everybody is asked, nobody is connected for it.
#[test]
fn matrix_of_a_chain() -> Result<()> {
    let epmd = Epmd::start()?;
    let names = ["a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1", "d@127.0.0.1"];
    let nodes = start(&epmd, &names)?;
    for pair in nodes.windows(2) {
        join(&pair[0], &pair[1])?;
    }
    let desk = Desk::new(&epmd, COOKIE)?;
    let [a, b, c, d] = names;
    let expected = json!({
        "nodes": names,
        "edges": [[a, b], [b, c], [c, d]],
        "missing": [[a, c], [a, d], [b, d]],
        "unasked": [],
    });
    assert_eq!(
        desk.json(&["nodes", a, "--matrix", "--json"])?,
        (0, expected)
    );
    assert_eq!(
        nodes[0].eval("nodes()")?,
        "['b@127.0.0.1']",
        "nothing has changed"
    );
    let text = desk.say(&["nodes", a, "--matrix"])?;
    println!("{}", text.out);
    assert!(
        text.out.contains("missing: a@127.0.0.1 - d@127.0.0.1"),
        "{text:?}"
    );

    join(&nodes[0], &nodes[2])?;
    join(&nodes[0], &nodes[3])?;
    join(&nodes[1], &nodes[3])?;
    let (_, whole) = desk.json(&["nodes", a, "--matrix", "--json"])?;
    assert_eq!(whole["missing"], json!([]));
    assert_eq!(whole["edges"].as_array().map(Vec::len), Some(6));
    Ok(())
}

/// Several questions at once come under different names, and none disturbs another.
#[test]
fn many_at_once() -> Result<()> {
    let epmd = Epmd::start()?;
    let node = Otp::start(&epmd, "busy@127.0.0.1", COOKIE, &[])?;
    let desk = Desk::new(&epmd, COOKIE)?;
    std::thread::scope(|scope| -> Result<()> {
        let asked: Vec<_> = (0..8)
            .map(|n| {
                let verb = if n % 2 == 0 { "ping" } else { "nodes" };
                let (desk, name) = (&desk, node.name());
                scope.spawn(move || desk.say(&[verb, name]))
            })
            .collect();
        for thread in asked {
            let said = thread.join().expect("no panic")?;
            assert_eq!(said.code, 0, "{said:?}");
        }
        Ok(())
    })?;
    Ok(())
}
