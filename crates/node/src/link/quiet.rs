//! Waiting for what comes seldom, beside what comes often.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled only when it has woken its task: a task that is woken by something else, again and again, pays a
/// look at a flag for it. What polls it takes turns only with its own task.
pub(super) struct Quiet<F> {
    future: Pin<Box<F>>,
    /// The task that polls.
    task: Option<Waker>,
    bell: Arc<Bell>,
    /// What the future gets for its waker.
    waker: Waker,
}

/// Rings for one task at a time.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<F: Future> Quiet<F> {
    pub(super) fn new(future: F) -> Self {
        let bell = Arc::new(Bell::default());
        Self {
            future: Box::pin(future),
            task: None,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
        }
    }

    /// The future, to be changed: it is polled then.
    pub(super) fn change(&mut self) -> Pin<&mut F> {
        self.bell.rung.store(true, Ordering::Release);
        self.future.as_mut()
    }

    /// Not to be called again after it was ready, before the future is [another](Self::change).
    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let knows = |task: &Waker| task.will_wake(cx.waker());
        if !self.task.as_ref().is_some_and(knows) {
            self.task = Some(cx.waker().clone());
            self.bell.is_for(cx.waker());
            // What rang for another is heard with this look; what rings from now on wakes again.
            self.bell.has_rung();
        } else if !self.bell.has_rung() {
            return Poll::Pending;
        }
        let mut cx = Context::from_waker(&self.waker);
        self.future.as_mut().poll(&mut cx)
    }
}

impl Bell {
    /// Wakes the task, now or where it waits next.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(task) = &*self.lock()
        {
            task.wake_by_ref();
        }
    }

    /// Whether it has rung since; the task waits from now on, if not.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_rung() {
            return Poll::Ready(());
        }
        let knows = |task: &Waker| task.will_wake(cx.waker());
        if !self.lock().as_ref().is_some_and(knows) {
            self.is_for(cx.waker());
            // Whoever has rung meanwhile may have woken another.
            if self.has_rung() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Looks before it takes: that it has not rung is what is seen mostly, and costs nothing.
    #[inline]
    fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire) && self.rung.swap(false, Ordering::AcqRel)
    }

    fn is_for(&self, task: &Waker) {
        *self.lock() = Some(task.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nothing_that_rings_is_missed() {
        let (bell, answered) = (Arc::new(Bell::default()), Arc::new(Notify::new()));
        let ringing = tokio::spawn({
            let (bell, answered) = (Arc::clone(&bell), Arc::clone(&answered));
            async move {
                for _ in 0..20_000 {
                    bell.ring();
                    answered.notified().await;
                }
            }
        });
        let heard = async {
            for _ in 0..20_000 {
                std::future::poll_fn(|cx| bell.poll(cx)).await;
                answered.notify_one();
            }
        };
        let limit = Duration::from_secs(60);
        timeout(limit, heard).await.expect("each is heard");
        ringing.await.unwrap();
    }

    /// It is changed before it is polled for the first time, and says something after that.
    #[tokio::test(start_paused = true)]
    async fn what_was_changed_is_heard() {
        let now = tokio::time::Instant::now;
        let mut quiet = Quiet::new(tokio::time::sleep_until(now()));
        for _ in 0..3 {
            quiet.change().reset(now() + Duration::from_secs(1));
            let heard = std::future::poll_fn(|cx| quiet.poll(cx));
            let heard = timeout(Duration::from_secs(2), heard).await;
            heard.expect("in time");
        }
    }

    /// A future is polled as often as it says something, by whatever the task is woken, also when another task goes on with it.
    #[tokio::test]
    async fn who_is_quiet_is_not_asked() {
        struct Counted<'a, F>(Pin<Box<F>>, &'a AtomicUsize);
        impl<F: Future> Future for Counted<'_, F> {
            type Output = F::Output;
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
                self.1.fetch_add(1, Ordering::Relaxed);
                self.0.as_mut().poll(cx)
            }
        }
        let (notify, polls) = (Notify::new(), AtomicUsize::new(0));
        let mut quiet = Quiet::new(Counted(Box::pin(notify.notified()), &polls));
        for _ in 0..10 {
            tokio::select! {
                biased;
                () = std::future::poll_fn(|cx| quiet.poll(cx)) => panic!("nobody said anything"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        let task = Waker::from(Arc::new(Bell::default()));
        let mut other = Context::from_waker(&task);
        assert!(quiet.poll(&mut other).is_pending());
        assert!(quiet.poll(&mut other).is_pending());
        assert_eq!(polls.load(Ordering::Relaxed), 2);
        notify.notify_one();
        assert!(quiet.poll(&mut other).is_ready());
        assert_eq!(polls.load(Ordering::Relaxed), 3);
    }
}
