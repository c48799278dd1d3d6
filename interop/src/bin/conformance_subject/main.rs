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
use trunkline_node::{Node, Target, Tls};
use trunkline_proto::{Cookie, NodeName};

use puppet::Puppet;

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let name: NodeName = words.next().context("which name?")?.parse()?;
    let options: HashMap<String, String> = words
        .filter_map(|word| Some(word.split_once('=')?).map(|(k, v)| (k.to_owned(), v.to_owned())))
        .collect();
    let node = start(name, &options).await?;
    let subject = Puppet::start(&node, false, &[]);
    anyhow::ensure!(
        node.register(&atom!("subject"), &subject),
        "the name subject"
    );
    if let Some(peer) = options.get("dial") {
        let reached = node.connect(&Target::new(peer.parse()?)).await;
        println!("dial {}", reached.is_ok());
        reached.err().inspect(|why| println!("{why}"));
    }
    println!("ready");
    // Ended by a command or by the runner.
    std::future::pending().await
}

async fn start(name: NodeName, options: &HashMap<String, String>) -> Result<Node> {
    let cookie = options.get("cookie").map_or("monster", String::as_str);
    let epmd_port = std::env::var("ERL_EPMD_PORT").context("the port mapper's port")?;
    let seconds = |key: &str, default| -> Result<Duration> {
        let given = options.get(key).map(|value| value.parse());
        Ok(Duration::from_secs(given.transpose()?.unwrap_or(default)))
    };
    let mut builder = Node::builder(name)
        .cookie(Cookie::new(cookie)?)
        .epmd_port(epmd_port.parse()?)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .connect_timeout(seconds("setuptime", 7)?)
        .tick_time(seconds("ticktime", 60)?)
        // The subject has the tick time that the suite gives it, and asks no peer for another.
        .follow_tick_time(false);
    if let Some(file) = options.get("tls") {
        builder = builder.tls(Tls::from_optfile(file)?);
    }
    Ok(builder.start().await?)
}
