//! The side that listens.

use std::time::Duration;

use trunkline_proto::handshake::acceptor::{AfterName, AwaitName, Caller, Challenger};
use trunkline_proto::handshake::{Connected, Greeting};
use trunkline_proto::{Cookie, Creation, Flags, NodeName, Reason, Step};

use super::Framed;
use crate::reach::deadline;

/// What this node thinks of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is no other connection between the two.
    Accept,
    /// This node dials the caller too, and the caller's attempt wins.
    Simultaneous,
    /// This node dials the caller too, and keeps its attempt.
    Nok,
    /// There is a connection to that name.
    Alive,
    /// It shall not connect.
    NotAllowed,
}

/// What the node that is called decides and shows.
pub(crate) trait Host {
    /// What to say to this caller.
    fn verdict(&self, caller: &Greeting) -> Verdict;

    /// The name and incarnation for a caller that asks for them, with this part after the `@`;
    /// `None`: it gets none.
    fn name_for(&self, host: &str) -> Option<(NodeName, Creation)>;

    /// What this caller has to prove.
    fn cookie(&self, peer: &NodeName) -> Cookie;

    /// The caller has proved its cookie; the acknowledgement is written next. A connection that
    /// this one replaces ends now. `false`: a later call of the same peer came to its end before.
    fn proved(&self, peer: &NodeName) -> bool;
}

/// Who answers.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    pub(crate) name: NodeName,
    pub(crate) flags: Flags,
    pub(crate) creation: Creation,
}

/// The whole handshake. The limit is restarted at each step, as OTP does.
pub(crate) async fn accept(
    framed: &mut Framed,
    me: Me,
    host: &(impl Host + Sync),
    step_limit: Duration,
) -> Result<Connected, Reason> {
    let restart = |framed: &mut Framed| framed.set_deadline(deadline(step_limit));
    let state = AwaitName::new(me.name, me.flags, me.creation);
    restart(framed);
    let frame = framed.read().await;
    let frame = frame.map_err(|missing| missing.reason(state.closed(), Step::Greeting))?;
    let challenger = match state.name(&frame) {
        Ok(AfterName::Caller(caller)) => {
            restart(framed);
            let verdict = host.verdict(caller.greeting());
            answer(framed, caller, verdict).await?
        }
        Ok(AfterName::Nameless(nameless)) => {
            restart(framed);
            let Some((name, creation)) = host.name_for(nameless.host()) else {
                framed.write(&nameless.refuse()).await;
                return Err(Reason::NotAllowed { here: true });
            };
            let (status, next) = nameless.accept(name, creation);
            framed.hold(&status);
            next
        }
        Err(why) => {
            if let Some(farewell) = why.farewell() {
                framed.write(&farewell).await;
            }
            return Err(why.reason());
        }
    };

    let (frame, state) = challenger.challenge(rand::random());
    framed.write(&frame).await;

    restart(framed);
    let frame = framed.read().await;
    let frame = frame.map_err(|missing| missing.reason(state.closed(), Step::Handshake))?;
    let cookie = host.cookie(state.peer());
    let (ack, connected) = state.reply(&frame, &cookie).map_err(|why| why.reason())?;
    if !host.proved(&connected.peer) {
        return Err(Reason::LostRace);
    }
    framed.write(&ack).await;
    Ok(connected)
}

async fn answer(
    framed: &mut Framed,
    caller: Caller,
    verdict: Verdict,
) -> Result<Challenger, Reason> {
    let (farewell, why) = match verdict {
        Verdict::Accept => {
            let (status, next) = caller.accept();
            framed.hold(&status);
            return Ok(next);
        }
        Verdict::Simultaneous => {
            let (status, next) = caller.accept_simultaneous();
            framed.hold(&status);
            return Ok(next);
        }
        Verdict::Alive => {
            let (status, state) = caller.alive();
            framed.write(&status).await;
            let frame = framed.read().await;
            let frame = frame.map_err(|missing| missing.reason(state.closed(), Step::Greeting))?;
            return state.status(&frame).map_err(|why| why.reason());
        }
        Verdict::Nok => (caller.refuse_nok(), Reason::LostRace),
        Verdict::NotAllowed => (caller.refuse(), Reason::NotAllowed { here: true }),
    };
    framed.write(&farewell).await;
    Err(why)
}
