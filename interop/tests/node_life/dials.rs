//! Both sides dial at once, many times: one connection comes of it, and no message is lost.

use anyhow::Result;
use trunkline_etf::{Term, atom};
use trunkline_interop::otp::{Epmd, Otp};
use trunkline_node::{NodeEvent, NodeType, Target};

use super::*;

/// Per peer; the moment of our dial moves through that of theirs.
const ROUNDS: u64 = 60;

const ECHO: &str = "register(echo, spawn(fun F() -> receive {P, M} -> P ! M, F() end end))";

const SOCKETS: &str =
    "length([P || P <- erlang:ports(), erlang:port_info(P, name) =:= {name, \"tcp_inet\"}])";

#[tokio::test(flavor = "multi_thread")]
async fn with_otp() -> Result<()> {
    for release in RELEASES {
        let epmd = Epmd::start()?;
        // One name sorts before ours and one after it: each side's dial wins once.
        for other in ["aaa@127.0.0.1", "zzz@127.0.0.1"] {
            let otp = Otp::of_release(release, &epmd, other, "monster", &[])?;
            let node = builder(&epmd, "mmm@127.0.0.1").start().await?;
            let mut sink = node.process();
            assert!(sink.register(&atom!("sink")));
            let mut events = node.monitor_nodes_of(NodeType::All);
            let (target, there) = (Target::new(name(other)), atom!("echo"));
            otp.eval(ECHO)?;
            let before = otp.eval(SOCKETS)?;
            for round in 0..ROUNDS {
                // Their message dials; so does ours.
                let theirs = format!("{{sink, 'mmm@127.0.0.1'}} ! {{theirs, {round}}}");
                let ours = async {
                    sleep(Duration::from_micros(round * 50)).await;
                    node.connect(&target).await?;
                    let echo = Term::tuple([Term::from(sink.pid()), Term::from(round)]);
                    sink.send((&there, &target.name), &echo).await?;
                    anyhow::Ok(())
                };
                let (sent, connected) = tokio::join!(
                    async { tokio::task::block_in_place(|| otp.eval(&theirs)) },
                    ours
                );
                sent?;
                connected?;
                let mut got = [received(&mut sink).await, received(&mut sink).await];
                got.sort();
                assert_eq!(
                    got,
                    [format!("{round}"), format!("{{theirs,{round}}}")],
                    "{other}"
                );
                assert_eq!(otp.eval("nodes(connected)")?, "['mmm@127.0.0.1']");
                assert_eq!(node.connected(), [name(other)]);
                otp.eval("erlang:disconnect_node('mmm@127.0.0.1')")?;
                until("apart", || node.connected().is_empty()).await;
                // One connection each round, not one that replaced another.
                let (up, down) = (events.next().await, events.next().await);
                assert!(
                    matches!(up, Some(NodeEvent::Up { .. })),
                    "{other} {round}: {up:?}"
                );
                assert!(
                    matches!(down, Some(NodeEvent::Down { .. })),
                    "{other} {round}: {down:?}"
                );
            }
            let left = || otp.eval(SOCKETS).is_ok_and(|now| now == before);
            until("no socket is left there", left).await;
        }
    }
    Ok(())
}
