//! The side that dials.

use trunkline_proto::handshake::initiator::{AfterStatus, AwaitStatus, Greeted, Start};
use trunkline_proto::handshake::{Connected, HandshakeFramer, Local, Prefix};
use trunkline_proto::{Cookie, NodeName, Reason, Step};

use tokio::net::TcpStream;

use super::Framed;
use crate::reach::Way;

/// What to do when the acceptor still has a connection to our name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnAlive {
    /// We know of none: it shall replace it.
    Replace,
    /// It may be in use, somebody else's even.
    GiveUp,
}

/// Our name, and what comes after it.
pub(crate) struct Hello {
    message: Vec<u8>,
    state: AwaitStatus,
}

impl Hello {
    pub(crate) fn new(me: Local, peer: &NodeName) -> Self {
        let (message, state) = Start::new(me, Some(peer.clone())).send_name();
        Self { message, state }
    }

    /// As it goes over plain TCP.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        HandshakeFramer::new(Prefix::U16).frame(&self.message)
    }
}

/// Steps 1 to 3: shows our name, and hears who answers. `on_alive` is asked when the question comes.
pub(crate) async fn greet(
    framed: &mut Framed,
    hello: Hello,
    on_alive: impl FnOnce() -> OnAlive,
) -> Result<Greeted, Reason> {
    framed.write(&hello.message).await;
    greeted(framed, hello.state, on_alive).await
}

/// The same, where our name has been shown.
async fn greeted(
    framed: &mut Framed,
    state: AwaitStatus,
    on_alive: impl FnOnce() -> OnAlive,
) -> Result<Greeted, Reason> {
    let step = Step::Greeting;
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

/// The whole handshake, for a connection that is to live. Our name may have been shown on the way.
pub(crate) async fn connect(
    Way {
        transport,
        said,
        over,
    }: Way,
    hello: Hello,
    on_alive: impl FnOnce() -> OnAlive,
    cookie: &Cookie,
    deadline: tokio::time::Instant,
) -> Result<(Connected, Framed, Option<TcpStream>), Reason> {
    let mut framed = Framed::new(transport, deadline);
    if !said {
        framed.write(&hello.message).await;
    }
    let greeted = greeted(&mut framed, hello.state, on_alive).await?;
    let connected = prove(&mut framed, greeted, cookie).await?;
    Ok((connected, framed, over))
}
