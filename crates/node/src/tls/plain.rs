//! Does a port that says nothing to TLS speak plain distribution?
//!
//! A plain node takes the start of a TLS handshake for a long message, and waits for the rest of it
//! without a word. A second connection that says a plain name is answered at once.

use std::net::SocketAddr;

use tokio::time::Instant;
use trunkline_proto::handshake::Local;
use trunkline_proto::handshake::initiator::Start;
use trunkline_proto::{Creation, Flags, NodeName};

use crate::handshake::Framed;
use crate::reach::left;
use crate::socket;

/// Pids of this question never travel; any creation but 0 does.
const CREATION: Creation = Creation(1);

/// Whether a node answers there in plain text. It is told our name and nothing else.
pub(super) async fn speaks(
    addr: SocketAddr,
    me: &NodeName,
    peer: &NodeName,
    deadline: Instant,
) -> bool {
    let Ok(stream) = socket::dial(addr, left(deadline)).await else {
        return false;
    };
    let mut framed = Framed::new(stream, deadline);
    let me = Local::new(me.clone(), Flags::hidden_default(), CREATION);
    let (frame, _) = Start::new(me, Some(peer.clone())).send_name();
    framed.write(&frame).await;
    // A status, of any kind.
    let answer = framed.read().await;
    answer.is_ok_and(|frame| frame.first() == Some(&b's'))
}
