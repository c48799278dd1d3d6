//! One live connection: a task that reads and writes, and the queue between it and everybody else.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use trunkline_etf::{Atom, Term};
use trunkline_proto::conn::{
    ConnectionError, Inbound, Limits, Outbound, Payload, PushError, Sending,
};
use trunkline_proto::control::Control;
use trunkline_proto::handshake::Connected;

use crate::DownReason;
use crate::shared::Shared;
use crate::transport::{ReadHalf, Transport, WriteHalf};

/// Above this a sender that can wait waits; OTP's `+zdbbl` is 1 MiB too.
const BUSY: usize = 1 << 20;

/// A peer that leaves so much unread is given up: answers to its own requests cannot wait.
const MAX_QUEUED: usize = 256 << 20;

/// How much is written before others get a turn.
const WRITE_TURN: usize = 4 << 20;

/// How many segments one system call takes; `IOV_MAX` is 1024.
const SEGMENTS: usize = 64;

/// A connection to a node.
#[derive(Debug)]
pub(crate) struct Link {
    /// Who is there, and what was agreed.
    pub(crate) info: Connected,
    /// The peer's name as pids hold it.
    pub(crate) atom: Atom,
    /// Ends the task.
    pub(crate) stop: CancellationToken,
    begun: Instant,
    out: Mutex<Outbound>,
    wake: Notify,
    busy: watch::Sender<bool>,
    tick_time: watch::Sender<Duration>,
    /// Why the task ends, when somebody else than it found out.
    failed: OnceLock<DownReason>,
}

impl Link {
    /// `stop` ends it; the node's own token is above it.
    pub(crate) fn new(
        info: Connected,
        tick_time: Duration,
        sending: Sending,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let now = trunkline_proto::Instant::ZERO;
        let out = Outbound::new(now, info.flags, info.peer_flags, tick_time).with_sending(sending);
        let atom = Atom::new(info.peer.as_str())
            .expect("a node name has at most 255 characters, as an atom");
        Arc::new(Self {
            atom,
            stop,
            begun: Instant::now(),
            out: Mutex::new(out),
            wake: Notify::new(),
            busy: watch::Sender::new(false),
            tick_time: watch::Sender::new(tick_time),
            failed: OnceLock::new(),
            info,
        })
    }

    /// Queues a message. Never waits: the reader answers with this.
    pub(crate) fn push(&self, control: &Control, payload: Option<&Term>) -> Result<(), PushError> {
        let payload = payload.map_or(Payload::None, Payload::Term);
        let mut out = self.out();
        let queued = out.push(self.now(), control, payload)?;
        // Under the lock: a flush between would say that there is room, and this that there is none.
        self.set_busy(queued.bytes > BUSY);
        drop(out);
        self.wake.notify_one();
        if queued.bytes > MAX_QUEUED && self.failed.set(DownReason::Overflow).is_ok() {
            self.stop.cancel();
        }
        Ok(())
    }

    /// Waits until the queue is short, or the connection is over.
    pub(crate) async fn room(&self) {
        let mut busy = self.busy.subscribe();
        let free = busy.wait_for(|busy| !busy);
        let _ends_either_way = self.stop.run_until_cancelled(free).await.is_some();
    }

    pub(crate) fn set_tick_time(&self, tick_time: Duration) {
        self.tick_time.send_if_modified(|current| {
            let changed = *current != tick_time;
            *current = tick_time;
            changed
        });
    }

    /// The time of the halves: since the connection began.
    fn now(&self) -> trunkline_proto::Instant {
        trunkline_proto::Instant::at(self.begun.elapsed())
    }

    /// Never, when there is nothing to wait for, or the clock does not go that far: the peer says
    /// what its tick time is.
    async fn reached(&self, due: Option<trunkline_proto::Instant>) {
        match due.and_then(|due| self.begun.checked_add(due.since_start())) {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    fn out(&self) -> MutexGuard<'_, Outbound> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_busy(&self, busy: bool) {
        self.busy.send_if_modified(|current| {
            let changed = *current != busy;
            *current = busy;
            changed
        });
    }

    /// Writes what the transport takes; whether all is written.
    fn flush(&self, stream: &WriteHalf) -> io::Result<bool> {
        let mut written = 0;
        let mut out = self.out();
        while !out.is_empty() && written < WRITE_TURN {
            let slices: Vec<IoSlice<'_>> =
                out.segments().take(SEGMENTS).map(IoSlice::new).collect();
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
        let left = out.queued().bytes;
        if left <= BUSY {
            self.set_busy(false);
        }
        drop(out);
        Ok(left == 0 && stream.try_flush()?)
    }
}

/// Runs the connection until it ends.
pub(crate) fn spawn(shared: Arc<Shared>, link: Arc<Link>, transport: Transport, rest: BytesMut) {
    tokio::spawn(async move {
        let (read, write) = transport.split();
        // One task, but neither half waits for the other.
        let reason = tokio::select! {
            reason = receive(&shared, &link, read, rest) => reason,
            reason = transmit(&link, write) => reason,
            () = link.stop.cancelled() => {
                link.failed.get().cloned().unwrap_or(DownReason::Disconnected)
            }
        };
        shared.end(&link, reason);
    });
}

async fn receive(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    stream: ReadHalf,
    rest: BytesMut,
) -> DownReason {
    let mut tick_time = link.tick_time.subscribe();
    let current = *tick_time.borrow_and_update();
    let mut inbound =
        Inbound::new(link.now(), link.info.flags, current, Limits::default()).with_rest(rest);
    loop {
        let mut batch = shared.batch(link);
        for signal in inbound.by_ref() {
            match signal {
                Ok(signal) => batch.signal(signal),
                Err(ConnectionError::TickTimeout) => return DownReason::TickTimeout,
                Err(why) => return DownReason::Protocol(why.to_string()),
            }
        }
        batch.finish();
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
            () = link.reached(inbound.poll_timeout()) => inbound.handle_timeout(link.now()),
        }
    }
}

async fn transmit(link: &Link, stream: WriteHalf) -> DownReason {
    let mut tick_time = link.tick_time.subscribe();
    loop {
        match link.flush(&stream) {
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
        let due = link.out().poll_timeout();
        tokio::select! {
            () = link.wake.notified() => {}
            Ok(()) = tick_time.changed() => {
                let tick_time = *tick_time.borrow_and_update();
                link.out().set_tick_time(tick_time);
            }
            () = link.reached(due) => link.out().handle_timeout(link.now()),
        }
    }
}

/// A process that dies closes its sockets with a reset when something was unread.
fn broken(why: &io::Error) -> DownReason {
    match why.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => DownReason::Closed,
        _ => DownReason::Broken(why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use trunkline_etf::{Pid, atom};
    use trunkline_proto::{Creation, Flags};

    use super::*;

    #[test]
    fn a_link_shows_how_much_waits_and_not_what() {
        let info = Connected {
            me: "me@h".parse().unwrap(),
            my_creation: Creation(1),
            peer: "peer@h".parse().unwrap(),
            peer_flags: Flags::hidden_default(),
            flags: Flags::hidden_default(),
            creation: Creation(1),
        };
        let (time, stop) = (Duration::from_secs(60), CancellationToken::new());
        let link = Link::new(info, time, Sending::default(), stop);
        let control = Control::RegSend {
            from: Pid {
                node: atom!("me@h"),
                id: 2,
                serial: 0,
                creation: 1,
            },
            to: atom!("logger"),
            token: None,
        };
        let word = Term::from("a word for one process");
        link.push(&control, Some(&word)).unwrap();
        let shown = format!("{link:?}");
        assert!(shown.contains("Outbound { "), "{shown}");
        assert!(
            !shown.contains("word") && !shown.contains("logger"),
            "{shown}"
        );
    }
}
