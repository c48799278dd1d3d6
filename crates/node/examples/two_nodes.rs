//! Two nodes in one program: a counter on one, callers on the other.
//!
//! ```text
//! cargo run -p trunkline-node --example two_nodes
//! ```

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Duration;

use trunkline_etf::{Term, atom, term};
use trunkline_node::{Message, Node, Process, Target};
use trunkline_proto::Cookie;

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let (one, two) = (node("one").await?, node("two").await?);
    // No port mapper here: the port is known. With one, or a name that is looked up, `call` and
    // `send` connect by themselves.
    let port = two.port().ok_or("it listens")?;
    let here = Ipv4Addr::LOCALHOST.into();
    one.connect(&Target::new(two.name().clone()).at(here).on_port(port))
        .await?;

    // It has its name before anybody asks for it.
    let counter = two.spawn(counter);
    two.register(&atom!("counter"), &counter);
    let by_name = (atom!("counter"), two.name());
    for step in 1..=3 {
        let total = one
            .call(by_name.clone(), term!({add, (step)}), LIMIT)
            .await?;
        println!("counted to {total}");
    }

    // A process that monitors the counter hears why it ends, also from another node.
    let mut watcher = one.process();
    let monitor = watcher.monitor(&counter);
    watcher.send(&counter, term!({stop, "enough"})).await?;
    match watcher.recv().await {
        Some(Message::Down {
            reference, reason, ..
        }) if reference == monitor => println!("the counter ended: {reason}"),
        other => return Err(format!("{other:?}").into()),
    }
    one.shutdown(LIMIT).await;
    two.shutdown(LIMIT).await;
    Ok(())
}

/// `{add, N}` as a call adds; `{stop, Why}` as a message ends it.
async fn counter(mut process: Process) -> Term {
    let mut total = 0;
    while let Some(Message::Term(message)) = process.recv().await {
        match message.as_tuple() {
            Some([tag, from, request]) if tag.is_atom("$gen_call") => {
                let step = request.as_tuple().and_then(|parts| parts.get(1)?.as_i64());
                total += step.unwrap_or(0);
                // That the caller has gone is no reason to stop.
                process.reply(from, total).await.ok();
            }
            Some([tag, why]) if tag.is_atom("stop") => return term!({stopped, (why)}),
            _ => {}
        }
    }
    term!(normal)
}

async fn node(alive: &str) -> Result<Node, Box<dyn Error>> {
    let node = Node::builder(format!("{alive}@127.0.0.1").parse()?)
        .cookie(Cookie::new("secret")?)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .epmd(None)
        .start()
        .await?;
    Ok(node)
}
