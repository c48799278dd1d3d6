//! The end of the connection that is written to. Its task writes, and whoever answers what has just come: one who was
//! woken by a single message has, as a rule, nothing behind his answer that could leave with it, and saves the other
//! task's turn.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use trunkline_proto::conn::Portion;

use super::broken;
use super::queue::Queue;
use super::unsent::Unsent;
use crate::DownReason;
use crate::process::Then;
use crate::transport::{Progress, WriteHalf};

/// How much is written before others get a turn: those before all whose messages go between two fragments. One of these: an
/// answer may have come meanwhile, and whoever waits for it says the next thing.
const WRITE_TURN: usize = 64 << 10;

/// The same where nobody goes between: one portion, which is one system call if there is room.
const WRITE_TURN_ALONE: usize = 1 << 20;

/// How many segments one system call takes; `IOV_MAX` is 1024. With a large binary in each message
/// that is enough for 2 MiB in pieces of 64 KiB.
const SEGMENTS: usize = 64;

/// What writes, and what it writes. Whoever writes holds the lock, so that bytes leave in the order of the queue; never
/// across a wait.
#[derive(Debug, Default)]
pub(super) struct Wire(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// `None` before the task begins and after it has ended.
    stream: Option<Arc<WriteHalf>>,
    portion: Portion,
    unsent: Unsent,
    /// Bytes that the stream has taken.
    written: u64,
    /// Half a frame may have left: nothing may follow it.
    over: bool,
    /// What broke the stream. The system says it once, to whoever writes first; later ones hear only that
    /// it is broken.
    failure: Option<DownReason>,
}

/// What came of an attempt to write.
pub(super) enum Flushed {
    /// There is nothing more.
    All,
    /// There is more, and others have waited.
    Turn,
    /// There is more, and the transport takes none of it now.
    Full,
}

/// The wire may be written to while this lives.
pub(super) struct Open<'a>(&'a Wire);

impl Wire {
    /// Lets others write too. They do as long as the guard lives; then the stream is the caller's alone.
    pub(super) fn open(&self, stream: &Arc<WriteHalf>) -> Open<'_> {
        self.lock().stream = Some(Arc::clone(stream));
        Open(self)
    }

    /// Writes what there is. Nobody who sends waits for a system call: the next portion fills
    /// meanwhile.
    pub(super) fn flush(&self, queue: &Queue) -> io::Result<Flushed> {
        let mut then = Then::default();
        let flushed = self.lock().flush(queue, &mut then);
        then.wake_guarded();
        flushed
    }

    /// Writes what there is, in place of the task that writes: whether all of it has left. When not, the task is to look.
    pub(super) fn flush_at_once(&self, queue: &Queue) -> bool {
        // Before the lock, which is given back first where something panics.
        let mut then = Then::default();
        let mut state = match self.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            // Somebody writes.
            Err(TryLockError::WouldBlock) => return false,
        };
        let flushed = state.flush(queue, &mut then);
        drop(state);
        then.wake_guarded();
        // After an error the task is to look: it ends the connection.
        matches!(flushed, Ok(Flushed::All))
    }

    /// How far the stream has come. `None` where there is none, or the system does not say.
    pub(super) fn progress(&self) -> Option<Progress> {
        let state = self.lock();
        state.stream.as_ref()?.progress(state.written)
    }

    /// What broke the stream first, if anything did and a write met it.
    pub(super) fn failure(&self) -> Option<DownReason> {
        self.lock().failure.clone()
    }

    /// What the socket says may lie unsent in the system.
    #[cfg(test)]
    pub(super) fn unsent_limit(&self) -> Option<u32> {
        let state = self.lock();
        let socket = state.stream.as_ref()?.socket();
        socket2::SockRef::from(socket).tcp_notsent_lowat().ok()
    }

    /// Gives memory back that is kept for the next portion.
    pub(super) fn release(&self) {
        self.lock().portion.release();
    }

    /// Forgets what has not left: the connection is over, and whatever is queued yet by somebody who does not know so stays
    /// where it is. The stream stays until its task has ended, which would look for it again and again. How many bytes of what was taken had not left.
    pub(super) fn clear(&self) -> usize {
        let mut state = self.lock();
        state.over = true;
        std::mem::take(&mut state.portion).len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.lock().stream = None;
    }
}

impl State {
    /// Whom it gives room is to be woken without the lock.
    fn flush(&mut self, queue: &Queue, then: &mut Then) -> io::Result<Flushed> {
        let flushed = self.write_all(queue, then);
        if let Err(why) = &flushed {
            self.failure.get_or_insert_with(|| broken(why));
        }
        flushed
    }

    fn write_all(&mut self, queue: &Queue, then: &mut Then) -> io::Result<Flushed> {
        let Some(stream) = &self.stream else {
            return Ok(Flushed::Full);
        };
        if self.over {
            return Ok(Flushed::All);
        }
        let portion = &mut self.portion;
        let mut written = 0;
        loop {
            if portion.is_empty() {
                if !queue.take(portion, then) {
                    let flushed = stream.try_flush()?;
                    return Ok(if flushed { Flushed::All } else { Flushed::Full });
                }
                self.unsent.follow(portion.is_alone(), stream.socket());
            }
            let turn = match portion.is_alone() {
                true => WRITE_TURN_ALONE,
                false => WRITE_TURN,
            };
            if written >= turn {
                return Ok(Flushed::Turn);
            }
            match write(stream, portion) {
                Ok(count) => {
                    portion.sent(count);
                    written += count;
                    self.written += count as u64;
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Full),
                Err(why) => return Err(why),
            }
        }
    }
}

/// One system call. For a single segment it is a cheaper one.
fn write(stream: &WriteHalf, portion: &Portion) -> io::Result<usize> {
    let mut segments = portion.segments();
    let first = segments.next().unwrap_or_default();
    match segments.next() {
        None => stream.try_write(first),
        Some(second) => write_many(stream, [first, second].into_iter().chain(segments)),
    }
}

#[inline(never)]
fn write_many<'a>(
    stream: &WriteHalf,
    segments: impl Iterator<Item = &'a [u8]>,
) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SEGMENTS];
    let mut count = 0;
    for (slice, segment) in slices.iter_mut().zip(segments) {
        *slice = IoSlice::new(segment);
        count += 1;
    }
    stream.try_write_vectored(slices.get(..count).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Wake, Waker};
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use trunkline_etf::{Pid, Term, atom};
    use trunkline_proto::conn::{DEFAULT_TICK_TIME, Outbound, Payload};
    use trunkline_proto::control::Control;
    use trunkline_proto::{Flags, Instant};

    use super::super::queue::Sends;
    use super::*;
    use crate::transport::Transport;

    async fn streams() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound");
        let ours = TcpStream::connect(port).await.expect("it listens");
        let (theirs, _) = listener.accept().await.expect("somebody comes");
        (ours, theirs)
    }

    fn queue() -> Queue {
        let flags = Flags::hidden_default();
        let out = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
        Queue::new(out)
    }

    fn push(queue: &Queue, message: &Term) {
        let pid = |id| Pid {
            node: atom!("a@h"),
            id,
            serial: 0,
            creation: 1,
        };
        let control = Control::SendSender {
            from: pid(1),
            to: pid(2),
            token: None,
        };
        let append = |out: &mut Sends, now| out.push(now, &control, Payload::Term(message));
        queue
            .push(|| Instant::ZERO, append, |_| true)
            .expect("it is small");
    }

    /// Who sends meets the first error of the stream; the task that writes, which says why the connection
    /// ended, meets another.
    #[tokio::test]
    async fn what_broke_the_stream_first_is_the_reason() {
        let (ours, _theirs) = streams().await;
        let limit = Duration::from_millis(100);
        let limited = socket2::SockRef::from(&ours).set_tcp_user_timeout(Some(limit));
        limited.expect("a limit");
        let (_reads, writes) = Transport::from(ours).split();
        let stream = Arc::new(writes);
        let (queue, wire) = (queue(), Wire::default());
        let _open = wire.open(&stream);
        let begun = std::time::Instant::now();
        // Nobody reads: the system gives up.
        while wire.failure().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it goes on");
            push(&queue, &Term::binary(vec![0; 1 << 20]));
            wire.flush_at_once(&queue);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let Err(second) = wire.flush(&queue) else {
            panic!("it is written to");
        };
        assert_eq!(broken(&second), DownReason::Closed);
        let first = wire.failure();
        assert!(matches!(first, Some(DownReason::Broken(_))), "{first:?}");
    }

    /// Somebody queues a message by a connection of which he does not know yet that it is over.
    #[tokio::test]
    async fn nothing_follows_what_left_of_a_lost_connection() {
        let (ours, mut theirs) = streams().await;
        let (_reads, writes) = Transport::from(ours).split();
        let stream = Arc::new(writes);
        let (queue, wire) = (queue(), Wire::default());
        let push = || push(&queue, &Term::atom("late"));
        let open = wire.open(&stream);
        push();
        assert!(wire.flush_at_once(&queue));
        let before = theirs.read(&mut [0; 500]).await.expect("the first");
        assert!(before > 20, "{before}");
        wire.clear();
        push();
        assert!(wire.flush_at_once(&queue));
        assert!(matches!(wire.flush(&queue), Ok(Flushed::All)));
        drop((open, stream, _reads));
        let after = theirs.read(&mut [0; 500]).await.expect("the end");
        assert_eq!(after, 0);
    }

    /// While small messages are about, all others have a turn after each fragment.
    #[tokio::test]
    async fn a_turn_is_one_fragment() {
        let (ours, _theirs) = streams().await;
        let (_reads, writes) = Transport::from(ours).split();
        let (queue, wire) = (queue(), Wire::default());
        let _open = wire.open(&Arc::new(writes));
        for _ in 0..20 {
            push(&queue, &Term::atom("small"));
        }
        assert!(matches!(wire.flush(&queue), Ok(Flushed::All)));
        push(&queue, &Term::binary(vec![0; 4 << 20]));
        let before = wire.lock().written;
        assert!(matches!(wire.flush(&queue), Ok(Flushed::Turn)));
        let written = wire.lock().written - before;
        assert!((1..=66 << 10).contains(&written), "{written}");
    }

    /// Whoever waits for room may send on the spot when he has some, and by this connection; who panics
    /// then hurts nobody but himself.
    #[tokio::test]
    async fn who_has_room_is_woken_without_a_lock() {
        struct Sends(Arc<(Queue, Wire)>, AtomicU32);

        impl Wake for Sends {
            fn wake(self: Arc<Self>) {
                let (queue, wire) = &*self.0;
                let is_free = queue.try_lock() && wire.0.try_lock().is_ok();
                self.1.fetch_add(u32::from(is_free), Ordering::Relaxed);
                panic!("somebody's waker");
            }
        }

        let (ours, _theirs) = streams().await;
        let (_reads, writes) = Transport::from(ours).split();
        let both = Arc::new((queue(), Wire::default()));
        let (queue, wire) = &*both;
        let _open = wire.open(&Arc::new(writes));
        let sender = Pid {
            node: atom!("a@h"),
            id: 1,
            serial: 0,
            creation: 1,
        };
        for at_once in [true, false] {
            push(queue, &Term::binary(vec![0; 4 << 20]));
            let woken = Arc::new(Sends(Arc::clone(&both), AtomicU32::new(0)));
            let waker = Waker::from(Arc::clone(&woken));
            let mut room = pin!(queue.room(&sender));
            assert!(
                room.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            if at_once {
                assert!(!wire.flush_at_once(queue), "nobody reads");
            } else {
                // What the socket did not take goes before the look for more.
                wire.lock().portion = Portion::default();
                assert!(wire.flush(queue).is_ok());
            }
            assert_eq!(woken.1.load(Ordering::Relaxed), 1);
        }
    }
}
