//! The task that writes.

use std::future::pending;
use std::io::{self, IoSlice};

use trunkline_proto::conn::Portion;

use super::clock::Clock;
use super::{Link, broken};
use crate::DownReason;
use crate::transport::WriteHalf;

/// How much is written before others get a turn.
const WRITE_TURN: usize = 4 << 20;

/// How many segments one system call takes; `IOV_MAX` is 1024. With a large binary in each message
/// that is enough for 2 MiB in pieces of 64 KiB.
const SEGMENTS: usize = 64;

/// Writes until the connection ends.
pub(super) async fn run(link: &Link, stream: WriteHalf) -> DownReason {
    let mut clock = Clock::new();
    let mut tick_time = link.tick_time();
    clock.set(link.tick_due());
    let mut portion = Portion::default();
    loop {
        // Before the flush: what was sent before the end leaves with this one.
        let ends = link.closing.is_cancelled();
        match flush(link, &stream, &mut portion) {
            Ok(Flushed::All) if ends => {
                // The peer reads what it was sent, and hangs up; until then the reader reads.
                drop(stream);
                return pending().await;
            }
            Ok(Flushed::All) => {}
            Ok(Flushed::Turn) => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(Flushed::Full) => match wait_for_room(link, &stream, &mut clock).await {
                Ok(()) => continue,
                Err(why) => return broken(&why),
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
                portion.release();
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
async fn wait_for_room(link: &Link, stream: &WriteHalf, clock: &mut Clock) -> io::Result<()> {
    loop {
        tokio::select! {
            biased;
            ready = stream.writable() => {
                link.peer_read();
                return ready;
            }
            () = clock.reached() => tick(link, clock),
        }
    }
}

/// What came of an attempt to write.
enum Flushed {
    /// There is nothing more.
    All,
    /// There is more, and others have waited.
    Turn,
    /// There is more, and the transport takes none of it now.
    Full,
}

/// Writes what there is. Nobody who sends waits for a system call: the next portion fills meanwhile.
fn flush(link: &Link, stream: &WriteHalf, portion: &mut Portion) -> io::Result<Flushed> {
    let mut written = 0;
    loop {
        if portion.is_empty() && !link.queue.take(portion) {
            let flushed = stream.try_flush()?;
            return Ok(if flushed { Flushed::All } else { Flushed::Full });
        }
        if written >= WRITE_TURN {
            return Ok(Flushed::Turn);
        }
        match write(stream, portion) {
            Ok(count) => {
                portion.sent(count);
                written += count;
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Full),
            Err(why) => return Err(why),
        }
    }
}

/// One system call.
fn write(stream: &WriteHalf, portion: &Portion) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SEGMENTS];
    let mut count = 0;
    for (slice, segment) in slices.iter_mut().zip(portion.segments()) {
        *slice = IoSlice::new(segment);
        count += 1;
    }
    stream.try_write_vectored(slices.get(..count).unwrap_or_default())
}
