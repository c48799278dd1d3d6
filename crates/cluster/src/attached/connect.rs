//! Having the attached node connect to a peer, and finding out why it did not.

use trunkline_node::Target;
use trunkline_node::probe::{Depth, Probe, ProbeConfig, probe};
use trunkline_proto::{Creation, Reason, Step};
use trunkline_reconcile::{Attempt, Dial, Proof};

use super::beam::Beam;
use crate::MemberError;

/// How the probes of one agent are made; `depth` is set for each.
pub(super) type Probing = ProbeConfig;

/// Reaches the peer's greeting ourselves, then has `beam` dial it. When that fails and `proof`
/// allows, one full handshake of ours says why.
pub(super) async fn connect(beam: &Beam, probing: &Probing, dial: Dial, proof: Proof) -> Attempt {
    let target = to_target(dial);
    let first = if proof == Proof::First {
        Depth::Handshake
    } else {
        Depth::Greeting
    };
    let seen = run(probing, first, &target).await;
    let mut attempt = Attempt {
        result: Ok(()),
        creation: creation(&seen),
        proved: reached_handshake(&seen),
    };
    let refused = match seen.result {
        Ok(_) => None,
        // `net_kernel:allow/1` there may name the node and not its probe.
        Err(why @ Reason::NotAllowed { .. }) => Some(why),
        Err(reason) => {
            return Attempt {
                result: Err(reason),
                ..attempt
            };
        }
    };
    attempt.result = match beam.connect_node(&target.name).await {
        Ok(true) => Ok(()),
        Ok(false) => match (refused, proof) {
            (Some(reason), _) => Err(reason),
            (None, Proof::No) => Err(Reason::Closed {
                step: Step::Connect,
            }),
            (None, Proof::First) => Err(differs()),
            (None, Proof::WhenItFails) => {
                attempt.proved = true;
                prove(beam, probing, &target).await
            }
        },
        Err(why) => Err(unanswered(&why)),
    };
    attempt
}

/// The peer greets, and the node cannot connect it: does it have our cookie? When it has, the dial
/// may have met one from the other side; only a second failure is a difference.
async fn prove(beam: &Beam, probing: &Probing, target: &Target) -> Result<(), Reason> {
    run(probing, Depth::Handshake, target).await.result?;
    match beam.connect_node(&target.name).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(differs()),
        Err(why) => Err(unanswered(&why)),
    }
}

/// The peer's greeting and no more.
pub(super) async fn look(probing: &Probing, dial: Dial) -> Attempt {
    let seen = run(probing, Depth::Greeting, &to_target(dial)).await;
    Attempt {
        creation: creation(&seen),
        result: seen.result.map(drop),
        proved: false,
    }
}

async fn run(probing: &Probing, depth: Depth, target: &Target) -> Probe {
    let config = ProbeConfig {
        depth,
        ..probing.clone()
    };
    probe(&config, target).await
}

fn creation(seen: &Probe) -> Option<Creation> {
    let greeting = seen.result.as_ref().ok()?.greeting.as_ref()?;
    Some(greeting.creation)
}

fn reached_handshake(seen: &Probe) -> bool {
    seen.steps
        .iter()
        .any(|report| report.step == Step::Handshake)
}

/// OTP dials the address in a name, whatever a source knows: it is the one to look at.
fn to_target(dial: Dial) -> Target {
    Target {
        address: dial.node.ip().or(dial.address),
        name: dial.node,
        port: dial.port,
    }
}

fn differs() -> Reason {
    let detail = "net_kernel:connect_node/1 there gave false".to_owned();
    Reason::DiffersFromHere { detail }
}

/// The attached node gave no answer: nothing is known of the peer.
fn unanswered(why: &MemberError) -> Reason {
    match why {
        MemberError::Detached => Reason::Closed {
            step: Step::Connect,
        },
        MemberError::Failed(_) => Reason::Timeout {
            step: Step::Connect,
        },
    }
}
