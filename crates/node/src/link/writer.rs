//! The task that writes.

use std::future::pending;
use std::sync::Arc;

use super::clock::Clock;
use super::wire::Flushed;
use super::{Link, broken};
use crate::DownReason;
use crate::transport::WriteHalf;

/// Writes until the connection ends.
pub(super) async fn run(link: &Link, stream: WriteHalf) -> DownReason {
    let stream = Arc::new(stream);
    let open = link.wire.open(&stream);
    let mut clock = Clock::new();
    let mut tick_time = link.tick_time();
    clock.set(link.tick_due());
    loop {
        // Before the flush: what was sent before the end leaves with this one.
        let ends = link.closing.is_cancelled();
        match link.wire.flush(&link.queue) {
            Ok(Flushed::All) if ends => {
                // The peer reads what it was sent, and hangs up; until then the reader reads.
                drop(open);
                drop(stream);
                return pending().await;
            }
            Ok(Flushed::All) => {}
            Ok(Flushed::Turn) => {
                // A peer that reads as fast as this writes lets nobody wait below.
                if clock.is_reached() {
                    tick(link, &mut clock);
                }
                tokio::task::yield_now().await;
                continue;
            }
            Ok(Flushed::Full) => match wait_for_room(link, &stream, &mut clock).await {
                Ok(()) => continue,
                Err(why) => return why,
            },
            Err(why) => return broken(&why),
        }
        tokio::select! {
            biased;
            () = link.queue.filled() => {
                if tick_time != link.tick_time() {
                    tick_time = link.tick_time();
                    clock.set(link.tick_due());
                }
            }
            () = clock.reached() => {
                tick(link, &mut clock);
                link.wire.release();
            }
        }
    }
}

fn tick(link: &Link, clock: &mut Clock) {
    link.queue.lock().handle_timeout(link.now());
    clock.set(link.tick_due());
}

/// Waits until the transport takes more. The peer lives then: it has read some of what filled all that
/// is between it and us. Ticks go on meanwhile, behind what waits.
async fn wait_for_room(
    link: &Link,
    stream: &WriteHalf,
    clock: &mut Clock,
) -> Result<(), DownReason> {
    loop {
        tokio::select! {
            biased;
            ready = stream.writable() => {
                link.peer_read();
                return ready.map_err(|why| broken(&why));
            }
            () = link.overflows.notified() => {
                if link.is_overfull() {
                    return Err(DownReason::Overflow);
                }
            }
            () = clock.reached() => tick(link, clock),
        }
    }
}
