//! A Rust process that an Erlang process links to.
//!
//! ```text
//! erl -name app@127.0.0.1 -setcookie secret
//! cargo run -p trunkline-node --example linked_from_erlang -- app@127.0.0.1
//! ```
//!
//! It registers at the port mapper of this host (`ERL_EPMD_PORT`, else 4369) as `rust@127.0.0.1`
//! and has a process `worker`. In the shell of the Erlang node:
//!
//! ```erlang
//! process_flag(trap_exit, true).
//! Worker = gen_server:call({worker, 'rust@127.0.0.1'}, whoareyou).
//! link(Worker).
//! gen_server:call(Worker, {divide, 6, 3}).                % 2
//! catch gen_server:call(Worker, {divide, 6, 0}).          % it panics: the call exits
//! flush().                                                % {'EXIT', Worker, {panic, …}}
//! ```

use std::env;
use std::error::Error;
use std::net::Ipv4Addr;

use trunkline_etf::{Term, atom, term};
use trunkline_node::epmd::DEFAULT_PORT;
use trunkline_node::{Message, Node, Process};
use trunkline_proto::Cookie;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let peer = env::args().nth(1).ok_or("which node? name it")?.parse()?;
    let epmd_port = env::var("ERL_EPMD_PORT").map_or(Ok(DEFAULT_PORT), |port| port.parse())?;
    let cookie = env::var("RELEASE_COOKIE").unwrap_or_else(|_| "secret".to_owned());
    let node = Node::builder("rust@127.0.0.1".parse()?)
        .cookie(Cookie::new(cookie)?)
        .epmd_port(epmd_port)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .start()
        .await?;

    // One after the other: whoever waits for the last one's end starts the next.
    let mut supervisor = node.process();
    supervisor.monitor_node(&peer);
    let start = |supervisor: &Process| {
        let (worker, monitor) = supervisor.spawn_monitor(work);
        // Before anybody is told that it is there.
        node.register(&atom!("worker"), &worker);
        (worker, monitor)
    };
    let (mut worker, mut monitor) = start(&supervisor);
    println!("ready");
    loop {
        match supervisor.recv().await {
            Some(Message::Down {
                reference, reason, ..
            }) if reference == monitor => {
                println!("{worker} ended: {reason}");
                (worker, monitor) = start(&supervisor);
            }
            Some(Message::NodeDown { node }) => {
                println!("{node} is gone");
                return Ok(());
            }
            _ => {}
        }
    }
}

async fn work(mut process: Process) {
    while let Some(Message::Term(message)) = process.recv().await {
        let Some([_, from, request]) = message.as_tuple() else {
            continue;
        };
        let reply = match request.as_tuple() {
            Some([verb, a, b]) if verb.is_atom("divide") => {
                // By zero it panics, and whoever is linked hears so.
                match a.as_i64().zip(b.as_i64()) {
                    Some((a, b)) => Term::from(a / b),
                    None => term!({error, badarg}),
                }
            }
            _ => Term::from(process.pid()),
        };
        process.reply(from, reply).await.ok();
    }
}
