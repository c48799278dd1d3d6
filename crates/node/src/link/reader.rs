//! The task that reads.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::time::sleep_until;
use trunkline_proto::conn::{ConnectionError, Inbound, Limits};

use super::{Link, broken};
use crate::DownReason;
use crate::shared::Shared;
use crate::transport::ReadHalf;

/// Reads until the connection ends.
pub(super) async fn run(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    stream: ReadHalf,
    rest: BytesMut,
) -> DownReason {
    let mut tick_time = link.tick_time.subscribe();
    let current = *tick_time.borrow_and_update();
    let mut inbound = Inbound::new(link.now(), link.info.flags, current, Limits::default())
        .with_tick_intensity(link.tick_intensity)
        .with_rest(rest);
    loop {
        if let Err(why) = deliver(shared, link, &mut inbound) {
            return why;
        }
        if shared.budget.is_over() {
            shared.budget.room().await;
            // The silence was ours.
            inbound.advance(link.now());
        }
        tokio::select! {
            // What has come counts before the clock: after a pause of this whole process both
            // are due.
            biased;
            ready = stream.readable() => {
                let read = ready.and_then(|()| stream.try_read_buf(inbound.read_buf()));
                match read {
                    Ok(0) => return DownReason::Closed,
                    Ok(_) => {
                        inbound.advance(link.now());
                        // A peer that writes faster than this reads is always ready. Its answers,
                        // a disconnect and every other task have to have their turn.
                        tokio::task::yield_now().await;
                    }
                    Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                    Err(why) => return broken(&why),
                }
            }
            Ok(()) = tick_time.changed() => {
                let tick_time = *tick_time.borrow_and_update();
                inbound.set_tick_time(tick_time);
            }
            () = silent(link, &inbound) => inbound.handle_timeout(link.now()),
        }
    }
}

/// Hands over all that has come.
fn deliver(shared: &Shared, link: &Arc<Link>, inbound: &mut Inbound) -> Result<(), DownReason> {
    let mut batch = shared.batch(link);
    let mut end = Ok(());
    for signal in inbound {
        match signal {
            Ok(signal) => batch.signal(signal),
            Err(ConnectionError::TickTimeout) => end = Err(DownReason::TickTimeout),
            Err(why) => end = Err(DownReason::Protocol(why.to_string())),
        }
    }
    batch.finish();
    end
}

/// Waits as long as the peer may be silent.
async fn silent(link: &Link, inbound: &Inbound) {
    match inbound.poll_timeout().and_then(|due| link.moment(due)) {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
