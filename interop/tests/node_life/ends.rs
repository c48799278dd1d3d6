//! The end of a node as its peers see it.

use anyhow::Result;
use trunkline_etf::{Term, atom};
use trunkline_interop::otp::{Epmd, Otp};
use trunkline_node::Target;

use super::*;

/// Remembers what comes to it: sums of binaries, and every nodedown.
const WITNESS: &str = "register(witness, spawn(fun() -> net_kernel:monitor_nodes(true, [{node_type, all}, nodedown_reason]), \
    (fun F(Bytes, Downs) -> receive {nodedown, N, I} -> F(Bytes, [{N, proplists:get_value(nodedown_reason, I)} | Downs]); \
    {nodeup, _, _} -> F(Bytes, Downs); {ask, P} -> P ! {Bytes, Downs}, F(Bytes, Downs); B when is_binary(B) -> F(Bytes + byte_size(B), Downs) end end)(0, []) end))";

const ASK: &str = "witness ! {ask, self()}, receive {B, D} when is_integer(B) -> {B, D} end";

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_before_one_nodedown() -> Result<()> {
    for release in RELEASES {
        let epmd = Epmd::start()?;
        let otp = Otp::of_release(release, &epmd, "app@127.0.0.1", "monster", &[])?;
        otp.eval(WITNESS)?;
        let target = Target::new(name(otp.name()));
        let node = builder(&epmd, "rust@127.0.0.1").start().await?;
        node.connect(&target).await?;
        let outbox = node.process();
        let large = Term::binary(vec![7; 1 << 20]);
        for _ in 0..64 {
            outbox
                .send((atom!("witness"), &target.name), &large)
                .await?;
        }
        let shutdown = node.shutdown(SOON).await;
        assert!(shutdown.is_clean(), "{shutdown:?}");
        let expected = format!("{{{},[{{'rust@127.0.0.1',connection_closed}}]}}", 64 << 20);
        until("all of it, and one end", || {
            otp.eval(ASK).is_ok_and(|seen| seen == expected)
        })
        .await;
        assert_eq!(otp.eval("nodes(connected)")?, "[]");
        until("EPMD has forgotten it", || {
            otp.eval("net_adm:names({127,0,0,1})")
                .is_ok_and(|names| !names.contains("\"rust\""))
        })
        .await;
        assert!(!otp.output().contains("REPORT"), "{}", otp.output());
        // The name and the port are free at once.
        let again = builder(&epmd, "rust@127.0.0.1").start().await?;
        again.connect(&target).await?;
    }
    Ok(())
}
