//! The side that dials.

use trunkline_proto::handshake::initiator::{AfterStatus, Greeted, Start};
use trunkline_proto::handshake::{Connected, Local};
use trunkline_proto::{Cookie, NodeName, Reason, Step};

use super::Framed;
use crate::transport::Transport;

/// What to do when the acceptor still has a connection to our name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnAlive {
    /// We know of none: it shall replace it.
    Replace,
    /// It may be in use, somebody else's even.
    GiveUp,
}

/// Steps 1 to 3: shows our name, and hears who answers. `on_alive` is asked when the question comes.
pub(crate) async fn greet(
    framed: &mut Framed,
    me: Local,
    peer: &NodeName,
    on_alive: impl FnOnce() -> OnAlive,
) -> Result<Greeted, Reason> {
    let step = Step::Greeting;
    let (frame, state) = Start::new(me, Some(peer.clone())).send_name();
    framed.write(&frame).await;

    let frame = framed.read().await;
    let frame = frame.map_err(|missing| missing.reason(state.closed(), step))?;
    let state = match state.status(&frame).map_err(|why| why.reason())? {
        AfterStatus::Go(state) => state,
        AfterStatus::Alive(question) if on_alive() == OnAlive::Replace => {
            let (frame, state) = question.replace();
            framed.write(&frame).await;
            state
        }
        AfterStatus::Alive(question) => {
            let (frame, why) = question.give_up();
            framed.write(&frame).await;
            return Err(why.reason());
        }
    };

    let frame = framed.read().await;
    let frame = frame.map_err(|missing| missing.reason(state.closed(), step))?;
    state.challenge(&frame).map_err(|why| why.reason())
}

/// Steps 4 and 5: both sides prove the cookie.
pub(crate) async fn prove(
    framed: &mut Framed,
    greeted: Greeted,
    cookie: &Cookie,
) -> Result<Connected, Reason> {
    let (frame, state) = greeted.reply(cookie, rand::random());
    framed.write(&frame).await;
    let frame = framed.read().await;
    let frame = frame.map_err(|missing| missing.reason(state.closed(), Step::Handshake))?;
    state.ack(&frame).map_err(|why| why.reason())
}

/// The whole handshake, for a connection that is to live.
pub(crate) async fn connect(
    transport: impl Into<Transport>,
    me: Local,
    peer: &NodeName,
    on_alive: impl FnOnce() -> OnAlive,
    cookie: &Cookie,
    deadline: tokio::time::Instant,
) -> Result<(Connected, Framed), Reason> {
    let mut framed = Framed::new(transport, deadline);
    let greeted = greet(&mut framed, me, peer, on_alive).await?;
    let connected = prove(&mut framed, greeted, cookie).await?;
    Ok((connected, framed))
}
