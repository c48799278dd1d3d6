//! `trunkline ping`: can that node be reached, and if not, why.

use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;
use trunkline_node::probe::{Depth, Probe, ProbeConfig, probe};
use trunkline_proto::{NodeName, Reason, Step};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, JsonFlag, SyntaxFlag};
use crate::peer::{Peer, PeerArgs, parse_name};
use crate::runtime::block_on;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    peer: PeerArgs,
    #[command(flatten)]
    output: JsonFlag,
    #[command(flatten)]
    syntax: SyntaxFlag,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    node: &'a str,
    result: &'static str,
    reason: Option<ReasonOut>,
    /// From our proof of the cookie to the node's own, in microseconds; null without a `pong`.
    rtt_us: Option<u64>,
}

#[derive(Serialize)]
struct ReasonOut {
    code: &'static str,
    text: String,
}

pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    if let (Some(text), true) = (&args.peer.node, args.output.json) {
        bad_name(text)?;
    }
    block_on(async {
        let peer = Peer::find(&args.peer, cx).await?;
        let secret_cookie = peer.cookie()?;
        let result = peer
            .under_free_name(async |me| {
                let mut config = ProbeConfig::new(me);
                config.cookie = Some(secret_cookie.clone());
                config.depth = Depth::Handshake;
                config.timeout = peer.timeout;
                config.epmd_port = peer.epmd_port;
                config.resolver = Arc::clone(&peer.resolver);
                config.tls = peer.tls.clone();
                let found = probe(&config, &peer.target()).await;
                match &found.result {
                    Ok(_) => Ok(rtt_us(&found)),
                    Err(why) => Err(form_first(why.clone(), &peer.node)),
                }
            })
            .await;
        report(peer.node.as_str(), result, &args)
    })
}

/// A script that asks for JSON gets it for a name that is none, too.
fn bad_name(text: &str) -> Result<(), Failure> {
    let Err(failure) = parse_name(text) else {
        return Ok(());
    };
    let detail = text.parse::<NodeName>().err();
    let reason = Reason::BadName {
        detail: detail.map_or_else(String::new, |error| error.to_string()),
    };
    output::json(&answer(text, &Err(reason)))?;
    Err(failure)
}

fn report(
    node: &str,
    result: Result<Option<u64>, Reason>,
    args: &Args,
) -> Result<ExitCode, Failure> {
    if args.output.json {
        output::json(&answer(node, &result))?;
    } else {
        let colon = if args.syntax.elixir { ":" } else { "" };
        output::text(&match &result {
            Ok(None) => format!("{colon}pong\n"),
            Ok(Some(us)) => format!("{colon}pong ({}.{:03} ms)\n", us / 1000, us % 1000),
            Err(why) => format!("{colon}pang: {}: {why} · {}\n", why.code(), why.cure()),
        })?;
    }
    Ok(match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    })
}

fn answer<'a>(node: &'a str, result: &Result<Option<u64>, Reason>) -> Answer<'a> {
    let reason = result.as_ref().err().map(|why| ReasonOut {
        code: why.code(),
        text: why.to_string(),
    });
    Answer {
        node,
        result: if result.is_ok() { "pong" } else { "pang" },
        reason,
        rtt_us: result.as_ref().ok().copied().flatten(),
    }
}

/// Our own name takes the form of the one that was asked for, so the node's answer alone tells that
/// it was started with the other form; that explains more than the two names do.
fn form_first(why: Reason, asked: &NodeName) -> Reason {
    match why {
        Reason::NameMismatch { actual }
            if actual.alive() == asked.alive() && actual.form() != asked.form() =>
        {
            Reason::NameForm {
                ours: asked.form(),
                theirs: actual.form(),
            }
        }
        other => other,
    }
}

/// The last step is one round trip to the node itself: our proof, its proof.
fn rtt_us(found: &Probe) -> Option<u64> {
    let proof = found.steps.iter().find(|s| s.step == Step::Handshake)?;
    u64::try_from(proof.elapsed.as_micros()).ok()
}
