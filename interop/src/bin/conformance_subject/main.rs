//! Our node as the subject of the conformance suite: does what `interop/conformance/subject.erl` does, with the public API of
//! `trunkline-node`. The commands are in `interop/conformance/README.md`.
//!
//! `conformance_subject NAME [KEY=VALUE…]`, with the port mapper's port in `ERL_EPMD_PORT`.

mod kept;
mod node_commands;
mod process_commands;
mod puppet;
mod words;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use trunkline_etf::atom;
use trunkline_node::{Node, NodeBuilder, Target, Tls};
use trunkline_proto::conn::Sending;
use trunkline_proto::{Cookie, NodeName};

use puppet::Puppet;

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let name: NodeName = words.next().context("which name?")?.parse()?;
    let options: HashMap<String, String> = words
        .filter_map(|word| Some(word.split_once('=')?).map(|(k, v)| (k.to_owned(), v.to_owned())))
        .collect();
    let dial = options.get("dial").map(|peer| peer.parse()).transpose()?;
    let dial = dial.map(Target::new);
    let node = start(name, &options, dial.as_ref()).await?;
    let subject = Puppet::start(&node, false, &[]);
    anyhow::ensure!(
        node.register(&atom!("subject"), &subject),
        "the name subject"
    );
    if let Some(peer) = dial {
        let reached = node.connect(&peer).await;
        println!("dial {}", reached.is_ok());
        reached.err().inspect(|why| println!("{why}"));
    }
    println!("ready");
    // Ended by a command or by the runner.
    std::future::pending().await
}

/// `undefined@HOST` has no name of its own, and gets one from the node that it dials.
async fn start(
    name: NodeName,
    options: &HashMap<String, String>,
    dial: Option<&Target>,
) -> Result<Node> {
    let cookie = Cookie::new(options.get("cookie").map_or("monster", String::as_str))?;
    if name.alive() == "undefined" {
        let builder = Node::nameless(name.host()).cookie(cookie);
        let giver = dial.context("a node without a name dials one")?;
        return Ok(set_up(builder, options)?.start_through(giver).await?);
    }
    let port = |key: &str, default| -> Result<u16> {
        let given = options.get(key).map(|value| value.parse());
        Ok(given.transpose()?.unwrap_or(default))
    };
    let ports = port("min", 0)?..=port("max", 0)?;
    let builder = Node::builder(name)
        .cookie(cookie)
        .listen_range([Ipv4Addr::LOCALHOST.into()], ports);
    Ok(set_up(builder, options)?.start().await?)
}

/// What both kinds of node have.
fn set_up<C, N>(
    builder: NodeBuilder<C, N>,
    options: &HashMap<String, String>,
) -> Result<NodeBuilder<C, N>> {
    let epmd_port = std::env::var("ERL_EPMD_PORT").context("the port mapper's port")?;
    let seconds = |key: &str, default| -> Result<Duration> {
        let given = options.get(key).map(|value| value.parse());
        Ok(Duration::from_secs(given.transpose()?.unwrap_or(default)))
    };
    let mut builder = builder
        .epmd_port(epmd_port.parse()?)
        .connect_timeout(seconds("setuptime", 7)?)
        .tick_time(seconds("ticktime", 60)?)
        // The subject has the tick time that the suite gives it, and asks no peer for another.
        .follow_tick_time(false);
    if options.contains_key("atoms") {
        builder = builder.sending(Sending::default().with_atom_cache(true));
    }
    if let Some(file) = options.get("tls") {
        builder = builder.tls(Tls::from_optfile(file)?);
    }
    Ok(builder)
}
