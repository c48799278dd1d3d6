//! The task that writes.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use tokio::time::Instant;

use super::clock::Clock;
use super::wire::Flushed;
use super::{Link, broken};
use crate::DownReason;
use crate::transport::{Progress, WriteHalf};

/// After so many turns the clock is looked at, if nothing was waited for: it is a part of what a small write costs.
const LOOK_EVERY: u32 = 32;

/// Writes until the connection ends.
pub(super) async fn run(link: &Link, stream: WriteHalf) -> DownReason {
    let stream = Arc::new(stream);
    let open = link.wire.open(&stream);
    let mut ticker = Ticker::new(link);
    let mut tick_time = link.tick_time();
    let mut turns = 0_u32;
    loop {
        turns = turns.wrapping_add(1);
        // A peer that reads as fast as this writes, or somebody who always sends more, lets nobody wait
        // below.
        if turns.is_multiple_of(LOOK_EVERY) && ticker.clock.is_reached() {
            ticker.tick(link);
        }
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
                tokio::task::yield_now().await;
                continue;
            }
            Ok(Flushed::Full) => match wait_for_room(link, &stream, &mut ticker).await {
                Ok(()) => continue,
                Err(why) => return why,
            },
            Err(why) => return broken(&why),
        }
        let is_filled = poll_fn(|cx| {
            if link.queue.poll_filled(cx).is_ready() {
                return Poll::Ready(true);
            }
            ticker.clock.poll_reached(cx).map(|()| false)
        });
        if is_filled.await {
            if tick_time != link.tick_time() {
                tick_time = link.tick_time();
                ticker.set(link);
            }
        } else {
            ticker.tick(link);
            link.wire.release();
        }
    }
}

/// Ticks, and looks at each of them whether the peer reads.
struct Ticker {
    clock: Clock,
    /// When it looked last, and how far the stream had come.
    looked: Instant,
    progress: Option<Progress>,
}

impl Ticker {
    fn new(link: &Link) -> Self {
        let mut ticker = Self {
            clock: Clock::new(),
            looked: Instant::now(),
            progress: None,
        };
        ticker.set(link);
        ticker
    }

    fn set(&mut self, link: &Link) {
        self.clock.set(link.tick_due());
    }

    fn tick(&mut self, link: &Link) {
        self.look(link);
        link.queue.lock().handle_timeout(link.now());
        self.set(link);
    }

    /// The peer has read something if it has taken some of what was written, but for a good while not
    /// all: then there was no room for that, and now there is some. What it takes at once says nothing, its
    /// system does that.
    fn look(&mut self, link: &Link) {
        let now = Instant::now();
        if now < self.looked + link.tick_interval() / 2 {
            return;
        }
        let progress = link.wire.progress();
        if let Some((before, after)) = self.progress.zip(progress)
            && (before.acknowledged + 1..before.written).contains(&after.acknowledged)
        {
            link.peer_read();
        }
        (self.looked, self.progress) = (now, progress);
    }
}

/// Waits until the transport takes more. The peer lives then: it has read some of what filled all that
/// is between it and us. Ticks go on meanwhile, behind what waits.
async fn wait_for_room(
    link: &Link,
    stream: &WriteHalf,
    ticker: &mut Ticker,
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
            () = ticker.clock.reached() => ticker.tick(link),
        }
    }
}
