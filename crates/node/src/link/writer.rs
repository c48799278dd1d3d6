//! The task that writes.

use std::future::pending;
use std::io::{self, IoSlice};

use tokio::time::sleep_until;

use super::{Link, broken};
use crate::DownReason;
use crate::transport::WriteHalf;

/// How much is written before others get a turn.
const WRITE_TURN: usize = 4 << 20;

/// How many segments one system call takes; `IOV_MAX` is 1024.
const SEGMENTS: usize = 64;

/// Writes until the connection ends.
pub(super) async fn run(link: &Link, stream: WriteHalf) -> DownReason {
    let mut tick_time = link.tick_time.subscribe();
    loop {
        match flush(link, &stream) {
            Ok(true) if link.closing.is_cancelled() => {
                // The peer reads what it was sent, and hangs up; until then the reader reads.
                drop(stream);
                return pending().await;
            }
            Ok(true) => {}
            Ok(false) => {
                match stream.writable().await {
                    Ok(()) => tokio::task::yield_now().await,
                    Err(why) => return broken(&why),
                }
                continue;
            }
            Err(why) => return broken(&why),
        }
        let due = link.queue.lock().poll_timeout();
        let due = due.and_then(|due| link.moment(due));
        tokio::select! {
            () = link.queue.filled() => {}
            () = link.closing.cancelled() => {}
            Ok(()) = tick_time.changed() => {
                let tick_time = *tick_time.borrow_and_update();
                link.queue.lock().set_tick_time(tick_time);
            }
            () = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            } => link.queue.lock().handle_timeout(link.now()),
        }
    }
}

/// Writes what the transport takes; whether all is written.
fn flush(link: &Link, stream: &WriteHalf) -> io::Result<bool> {
    let mut written = 0;
    let mut out = link.queue.lock();
    while !out.is_empty() && written < WRITE_TURN {
        let slices: Vec<IoSlice<'_>> = out.segments().take(SEGMENTS).map(IoSlice::new).collect();
        match stream.try_write_vectored(&slices) {
            Ok(count) => {
                drop(slices);
                written += count;
                out.sent(count);
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => break,
            Err(why) => return Err(why),
        }
    }
    let empty = out.is_empty();
    link.queue.got_shorter(out);
    Ok(empty && stream.try_flush()?)
}
