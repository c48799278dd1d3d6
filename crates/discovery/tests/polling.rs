//! The schedule, in virtual time.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use trunkline_discovery::{
    BuiltSource, DiscoverError, Poll, PollCx, Polling, Quota, Report, SourceHandle,
};
use trunkline_reconcile::evidence::{Answer, Kind};

const S: fn(u64) -> Duration = Duration::from_secs;

/// Answers as it is told, and notes when it was asked.
#[derive(Clone, Debug)]
struct Asked {
    at: Arc<Mutex<Vec<Instant>>>,
    answer: Result<Answer, DiscoverError>,
    quota: Option<Quota>,
    takes: Duration,
}

impl Poll for Asked {
    fn poll<'a>(&'a self, cx: &'a PollCx) -> BoxFuture<'a, Result<Answer, DiscoverError>> {
        Box::pin(async move {
            self.at.lock().unwrap().push(Instant::now());
            if let Some(quota) = self.quota {
                cx.note_quota(quota);
            }
            tokio::time::sleep(self.takes).await;
            self.answer.clone()
        })
    }
}

impl Asked {
    fn new(answer: Result<Answer, DiscoverError>) -> Self {
        let at = Arc::default();
        Self {
            at,
            answer,
            quota: None,
            takes: Duration::ZERO,
        }
    }

    fn start(&self) -> (SourceHandle, mpsc::Receiver<Report>) {
        let (tx, rx) = mpsc::channel(1024);
        let (_, me) = watch::channel(Some("app@10.0.0.1".parse().unwrap()));
        let source = Polling::new(self.clone(), Kind::Authoritative, S(5)).timeout(S(30));
        (BuiltSource::new("web/asked", source).start(tx, me), rx)
    }

    /// Seconds between polls.
    fn gaps(&self) -> Vec<f64> {
        let at = self.at.lock().unwrap();
        at.windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64())
            .collect()
    }
}

fn refused(retry_after: Option<Duration>) -> Result<Answer, DiscoverError> {
    let status = if retry_after.is_some() { 429 } else { 500 };
    Err(DiscoverError::Status {
        status,
        what: "no".into(),
        cure: "wait".into(),
        retry_after,
    })
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_kept_and_jittered() {
    let asked = Asked::new(Ok(Answer::default()));
    let (_handle, _reports) = asked.start();
    tokio::time::sleep(S(300)).await;
    let gaps = asked.gaps();
    assert!(gaps.len() > 55, "{gaps:?}");
    assert!(
        gaps.iter().all(|gap| (4.49..=5.01).contains(gap)),
        "{gaps:?}"
    );
    assert!(
        gaps.iter().any(|gap| (gap - gaps[0]).abs() > 0.01),
        "no jitter: {gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_polled_ever_more_slowly_and_reported_each_time() {
    let asked = Asked::new(refused(None));
    let (_handle, mut reports) = asked.start();
    tokio::time::sleep(S(300)).await;
    let gaps = asked.gaps();
    assert!(
        gaps.windows(2).take(3).all(|pair| pair[1] > 1.6 * pair[0]),
        "{gaps:?}"
    );
    assert!(gaps.iter().all(|gap| *gap <= 60.1), "{gaps:?}");
    assert!(reports.recv().await.unwrap().answer.is_err());
}

#[tokio::test(start_paused = true)]
async fn retry_after_holds_against_a_poke() {
    let asked = Asked::new(refused(Some(S(40))));
    let (handle, mut reports) = asked.start();
    reports.recv().await.unwrap();
    handle.poke();
    reports.recv().await.unwrap();
    assert!(asked.gaps()[0] >= 40.0, "{:?}", asked.gaps());
}

#[tokio::test(start_paused = true)]
async fn a_poke_asks_at_once() {
    let asked = Asked::new(Ok(Answer::default()));
    let (handle, mut reports) = asked.start();
    reports.recv().await.unwrap();
    for _ in 0..3 {
        handle.poke();
        handle.poke();
        reports.recv().await.unwrap();
    }
    assert!(
        asked.gaps().iter().all(|gap| *gap < 1.0),
        "{:?}",
        asked.gaps()
    );
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_ends_is_not_run_into() {
    let mut asked = Asked::new(Ok(Answer::default()));
    asked.quota = Some(Quota {
        limit: 5_000,
        remaining: 50,
        reset: S(600),
    });
    let (_handle, _reports) = asked.start();
    tokio::time::sleep(S(600)).await;
    let gaps = asked.gaps();
    assert!(gaps.iter().all(|gap| *gap > 60.0), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_hangs_is_an_error_and_does_not_hold_up_the_end() {
    let mut asked = Asked::new(Ok(Answer::default()));
    asked.takes = S(1_000_000);
    let (handle, mut reports) = asked.start();
    let report = reports.recv().await.unwrap();
    assert!(
        matches!(report.answer, Err(DiscoverError::Timeout { .. })),
        "{report:?}"
    );
    let begin = Instant::now();
    handle.stop(S(5)).await;
    assert!(begin.elapsed() < S(1));
    assert!(reports.recv().await.is_none(), "the task is gone");
}
