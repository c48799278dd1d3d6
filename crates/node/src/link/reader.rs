//! The task that reads.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::futures::Notified;
use tokio::time::timeout;
use trunkline_etf::{RawTerm, Term};
use trunkline_proto::conn::{ConnectionError, Inbound, Limits, Lost, Signal};
use trunkline_proto::control::{AltactTo, Control};

use super::clock::Clock;
use super::quiet::Quiet;
use super::window::Window;
use super::{Link, broken};
use crate::DownReason;
use crate::budget::Unfinished;
use crate::dispatch::batch::Batch;
use crate::mailbox::SMALL;
use crate::process::state::Inner;
use crate::shared::Shared;
use crate::transport::ReadHalf;

/// How much is read before others get a turn: those whose messages these are, before all. A peer that
/// writes faster than this reads is always ready.
const READ_TURN: usize = 64 << 10;

/// How much is read between two pauses at the least. The head of a fragment is read alone, and would cost one.
const PAUSE_AFTER: usize = 4 << 10;

/// A message of more is none that waits for others.
const LARGE: usize = 64 << 10;

/// How often it is looked in a long pause what can be given back: as soon as [`Inbound`] does so.
const MEMORY_LOOK: Duration = Duration::from_secs(1);

/// Reads until the connection ends.
pub(super) async fn run(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    mut stream: ReadHalf,
    rest: BytesMut,
) -> DownReason {
    let (flags, limits) = (link.info.flags, Limits::default());
    let mut inbound = Inbound::new(link.now(), flags, link.tick_time(), limits)
        .with_tick_intensity(link.tick_intensity)
        .with_names([link.atom.clone(), shared.atom.clone()])
        .with_rest(rest);
    let mut clock = Clock::new();
    let mut retimed = Quiet::new(link.retimed.notified());
    let mut turn = 0;
    let mut since_pause = PAUSE_AFTER;
    let mut receiver = None;
    let mut window = Window::default();
    let mut unfinished = link.account.unfinished();
    loop {
        match deliver(shared, link, &mut inbound, &mut receiver) {
            Ok(small) if small && inbound.is_within_large() => {
                window.shared(&stream);
                // Whose they are has a turn before the next piece is read: he may have an answer.
                turn = READ_TURN;
            }
            Ok(_) => {}
            Err(why) => return why,
        }
        unfinished.set(inbound.held());
        if since_pause >= PAUSE_AFTER && link.account.is_over() {
            since_pause = 0;
            // Apart: it is rare, and every connection would hold the room for it.
            Box::pin(pause(shared, link, &stream, &mut inbound, &mut unfinished)).await;
        }
        if turn >= READ_TURN {
            turn = 0;
            // A peer that always has something lets nobody wait below.
            if clock.is_reached() {
                look(link, &mut inbound);
            }
            tokio::task::yield_now().await;
        }
        clock.set(inbound.poll_timeout().and_then(|due| link.moment(due)));
        match next(&mut stream, &mut inbound, &mut retimed, &mut clock).await {
            Next::Read(Ok(0)) => return DownReason::Closed,
            Next::Read(Ok(count)) => {
                inbound.advance(link.heard());
                turn += count;
                since_pause += count;
                window.read(count, &stream);
            }
            Next::Read(Err(why)) => return broken(&why),
            Next::Retimed => {
                retimed.change().set(link.retimed.notified());
                inbound.set_tick_time(link.tick_time());
            }
            Next::Look => {
                look(link, &mut inbound);
                unfinished.set(inbound.held());
            }
        }
    }
}

/// Waits for it. Most of it comes from the stream.
async fn next(
    stream: &mut ReadHalf,
    inbound: &mut Inbound,
    retimed: &mut Quiet<Notified<'_>>,
    clock: &mut Clock,
) -> Next {
    let mut read = pin!(stream.read_buf(inbound.read_buf()));
    poll_fn(|cx| {
        // What has come counts before the clock: after a pause of this whole process both
        // are due.
        if let Poll::Ready(read) = read.as_mut().poll(cx) {
            return Poll::Ready(Next::Read(read));
        }
        if retimed.poll(cx).is_ready() {
            return Poll::Ready(Next::Retimed);
        }
        clock.poll_reached(cx).map(|()| Next::Look)
    })
    .await
}

/// What there is to do for the one who reads.
enum Next {
    Read(io::Result<usize>),
    /// The tick time is another one.
    Retimed,
    /// By the clock something may be due.
    Look,
}

/// Lets some time pass, because too much waits here of what came by this connection. Not when it is
/// about to end: the peer's end is behind what it has sent.
async fn pause(
    shared: &Shared,
    link: &Link,
    stream: &ReadHalf,
    inbound: &mut Inbound,
    unfinished: &mut Unfinished,
) {
    link.say_slow();
    let pause = link.account.pause(|| link.is_awaited(shared));
    let mut pause = pin!(link.closing.run_until_cancelled(pause));
    while timeout(MEMORY_LOOK, &mut pause).await.is_err() {
        // Memory that is kept for what comes next is given back meanwhile.
        inbound.give_back(link.now());
        unfinished.set(inbound.held());
        let patience = link.tick_time().saturating_add(link.tick_interval());
        let is_gone = || stream.heard().is_some_and(|heard| heard.is_gone(patience));
        if stream.is_read_closed() || is_gone() {
            // No more comes than is here already. Who is gone is silent then.
            link.close();
        }
    }
    // The silence was ours.
    inbound.lives(link.now());
}

/// What is due by the clock.
fn look(link: &Link, inbound: &mut Inbound) {
    inbound.lives(link.peer_has_read());
    inbound.handle_timeout(link.now());
}

/// Hands over all that one read brought, before anybody else has a turn; whether there were small messages.
/// `receiver` is for whom the last message was: one process that sends to another does so again.
fn deliver(
    shared: &Shared,
    link: &Arc<Link>,
    inbound: &mut Inbound,
    receiver: &mut Option<Arc<Inner>>,
) -> Result<bool, DownReason> {
    let mut batch = shared.batch(link);
    if let Some(receiver) = receiver {
        batch.resume(receiver);
    }
    let mut end = None;
    let (mut messages, mut large) = (0, 0);
    loop {
        // One process that sends to another.
        while batch.is_message() && inbound.next_alike(SMALL, |payload| batch.alike(payload)) {
            messages += 1;
        }
        let mut is_its_own = true;
        let small = |control, payload: &[u8]| {
            messages += u32::from(!payload.is_empty());
            is_its_own = batch.small(control, payload);
        };
        if inbound.next_small(SMALL, small) {
            if is_its_own {
                continue;
            }
            end = Some(another_nodes());
            break;
        }
        let Some(signal) = inbound.next() else {
            break;
        };
        match signal {
            Ok(signal) => {
                if let Some(payload) = &signal.payload {
                    messages += 1;
                    large += u32::from(payload.bytes().len() > LARGE);
                }
                let is_its_own = match signal.lost {
                    None => batch.signal(signal),
                    Some(lost) => too_long(link, &mut batch, signal, lost),
                };
                if !is_its_own {
                    end = Some(another_nodes());
                    break;
                }
            }
            Err(ConnectionError::TickTimeout) => end = Some(DownReason::TickTimeout),
            Err(why) => end = Some(DownReason::Protocol(why.to_string())),
        }
    }
    if batch.receiver().map(Arc::as_ptr) != receiver.as_ref().map(Arc::as_ptr) {
        *receiver = batch.receiver().cloned();
    }
    // Before the one who answers is woken.
    link.asked.store(messages == 1, Ordering::Relaxed);
    batch.finish();
    end.map_or(Ok(messages > large), Err)
}

fn another_nodes() -> DownReason {
    DownReason::Protocol("a signal of another node's process".to_owned())
}

/// A message whose payload was longer than we are willing to hold. Its receiver is not told, but what
/// ends a link or a monitor does so, for another reason, and whoever waits for an answer hears that
/// there is none. `false` as [`Batch::signal`].
fn too_long(link: &Link, batch: &mut Batch<'_>, mut signal: Signal, lost: Lost) -> bool {
    link.count_lost(|| {
        let Lost { len, limit, .. } = lost;
        tracing::warn!(
            "a message of {len} bytes is dropped · from {} · {limit} at most: send it in parts · \
             said once for each connection",
            link.info.peer
        );
    });
    let reason = Term::atom("system_limit");
    let ends = match &signal.control {
        Control::PayloadExit { .. }
        | Control::PayloadExit2 { .. }
        | Control::PayloadMonitorPExit { .. }
        | Control::SpawnRequest { .. } => true,
        Control::AltactSend { flags, to, .. } => {
            if let AltactTo::Alias(alias) = to {
                batch.answer_lost(alias, reason.clone());
            }
            flags & Control::ALTACT_EXIT != 0
        }
        Control::AliasSend { alias, .. } => {
            batch.answer_lost(alias, reason.clone());
            false
        }
        _ => false,
    };
    if ends {
        signal.payload = Some(RawTerm::from(&reason));
    }
    !ends || batch.signal(signal)
}

#[cfg(test)]
mod tests;
