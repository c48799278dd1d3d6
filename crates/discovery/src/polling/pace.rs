//! How long to wait until the next poll; no clock, no task.

use std::time::Duration;

use crate::DiscoverError;
use crate::source::Quota;

/// Errors never slow polling below this, or below the interval where that is longer: a minute
/// after an outage every agent knows.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// However long a server tells us to stay away.
const MAX_WAIT: Duration = Duration::from_secs(3_600);
/// A request quota is shared by everybody with the token. Below this part of it we slow down.
const LOW_WATER: f64 = 0.25;
/// Above this part what others spend is none of our business: it may be a deployment.
const HALF: f64 = 0.5;
/// This part of a quota is left for others: deployments, people.
const RESERVE: f64 = 0.05;
/// The part of an interval by which it may be shortened at random.
const JITTER: f64 = 0.1;

/// The pace of one source.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    interval: Duration,
    failures: u32,
    last_quota: Option<Quota>,
}

/// What to do until the next poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// When nothing happens.
    pub(super) sleep: Duration,
    /// However much somebody wants to know.
    pub(super) at_least: Duration,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            failures: 0,
            last_quota: None,
        }
    }

    /// After a poll. `luck` is in 0..1.
    pub(super) fn after<T>(
        &mut self,
        answer: &Result<T, DiscoverError>,
        quota: Option<Quota>,
        luck: f64,
    ) -> Wait {
        let wanted = match answer {
            Ok(_) => {
                self.failures = 0;
                self.interval
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.backoff(error)
            }
        };
        let forbidden = answer.as_ref().err().and_then(DiscoverError::retry_after);
        let slowed = quota.map_or(Duration::ZERO, |quota| self.slow_down(quota));
        self.last_quota = quota.or(self.last_quota);
        let at_least = forbidden.unwrap_or_default().max(slowed).min(MAX_WAIT);
        // Early when free to choose, late when told to wait: never before the time that was set.
        let sleep = if at_least < wanted {
            wanted.mul_f64(1.0 - JITTER * luck).max(at_least)
        } else {
            at_least + self.interval.min(at_least).mul_f64(JITTER * luck)
        };
        Wait { sleep, at_least }
    }

    fn backoff(&self, error: &DiscoverError) -> Duration {
        let most = MAX_BACKOFF.max(self.interval);
        if error.is_lasting() {
            return most;
        }
        let doubled = 1u32 << (self.failures - 1).min(16);
        self.interval.saturating_mul(doubled).min(most)
    }

    /// The least wait that the quota allows; zero while there is plenty.
    ///
    /// Two rules, the slower one counts. (1) What all users of the token spent during our last
    /// round, they will spend in the next: once half is gone, what is left above the reserve must
    /// last until the reset. (2) DigitalOcean's window slides, its reset is near even when little is left: below
    /// the low-water mark the wait grows as the rest shrinks.
    fn slow_down(&self, quota: Quota) -> Duration {
        if quota.remaining == 0 {
            return quota.reset.max(self.interval);
        }
        let left = quota.remaining as f64;
        let limit = quota.limit.max(1) as f64;
        let factor = if left < limit * LOW_WATER {
            limit * LOW_WATER / left
        } else {
            0.0
        };
        let by_level = if factor > 0.0 {
            scale(self.interval, factor)
        } else {
            Duration::ZERO
        };
        by_level.max(self.by_spending(quota))
    }

    fn by_spending(&self, quota: Quota) -> Duration {
        let Some(last) = self.last_quota.filter(|last| last.limit == quota.limit) else {
            return Duration::ZERO;
        };
        if quota.remaining as f64 > quota.limit as f64 * HALF {
            return Duration::ZERO;
        }
        let spent = last.remaining.saturating_sub(quota.remaining) as f64;
        let free = quota.remaining as f64 - quota.limit as f64 * RESERVE;
        let rounds = free.max(1.0) / spent.max(1.0);
        let wait = scale(quota.reset, 1.0 / rounds);
        if wait > self.interval {
            wait
        } else {
            Duration::ZERO
        }
    }
}

fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor)
        .map_or(MAX_WAIT, |scaled| scaled.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn down() -> Result<(), DiscoverError> {
        Err(DiscoverError::Connect {
            to: "x".into(),
            why: "connection refused".into(),
        })
    }

    fn status(status: u16, retry_after: Option<u64>) -> Result<(), DiscoverError> {
        Err(DiscoverError::Status {
            status,
            what: "x".into(),
            cure: "y".into(),
            retry_after: retry_after.map(S),
        })
    }

    #[test]
    fn errors_double_the_wait_up_to_a_minute() {
        let mut pace = Pace::new(S(5));
        let waits: Vec<_> = (0..7)
            .map(|_| pace.after(&down(), None, 0.0).sleep.as_secs())
            .collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(
            pace.after(&Ok(()), None, 0.0).sleep,
            S(5),
            "one good answer, and all is as before"
        );
        assert_eq!(pace.after(&down(), None, 0.0).sleep, S(5));
        assert_eq!(
            pace.after(&status(401, None), None, 0.0).sleep,
            S(60),
            "a wrong token does not mend itself"
        );
        for _ in 0..100 {
            pace.after(&down(), None, 0.0);
        }
        assert_eq!(Pace::new(S(300)).after(&down(), None, 0.0).sleep, S(300));
    }

    #[test]
    fn jitter_shortens_a_free_wait_and_lengthens_a_forced_one() {
        let mut pace = Pace::new(S(10));
        assert_eq!(pace.after(&Ok(()), None, 1.0).sleep, S(9));
        let wait = pace.after(&status(429, Some(30)), None, 1.0);
        assert_eq!((wait.at_least, wait.sleep), (S(30), S(31)));
        let forever = pace.after(&status(429, Some(u64::MAX)), None, 0.0);
        assert_eq!(
            forever.sleep,
            S(3_600),
            "nobody sends us away for longer than an hour"
        );
    }

    #[test]
    fn plenty_left_changes_nothing() {
        let mut pace = Pace::new(S(5));
        for remaining in [5_000, 4_990, 4_980] {
            let quota = Quota {
                limit: 5_000,
                remaining,
                reset: S(3_600),
            };
            assert_eq!(pace.after(&Ok(()), Some(quota), 0.0).sleep, S(5));
        }
    }

    /// Twenty agents at 5 s with one token want 14,400 requests an hour of 5,000. `window` says
    /// how the server counts.
    fn hour(mut remaining_at: impl FnMut(u64, &[u64]) -> (u64, u64)) -> (usize, u64) {
        let mut agents: Vec<_> = (0..20).map(|i| (i % 5, Pace::new(S(5)))).collect();
        let mut requests: Vec<u64> = Vec::new();
        let mut least = u64::MAX;
        for now in 0..7_200 {
            for (due, pace) in &mut agents {
                if *due > now {
                    continue;
                }
                requests.push(now);
                let (remaining, reset) = remaining_at(now, &requests);
                least = least.min(remaining);
                let quota = Quota {
                    limit: 5_000,
                    remaining,
                    reset: S(reset),
                };
                let wait = pace.after(&Ok(()), Some(quota), 0.5);
                *due = now + wait.sleep.as_secs().max(1);
            }
        }
        (requests.len(), least)
    }

    #[test]
    fn a_fixed_window_is_not_used_up() {
        let (asked, least) = hour(|now, requests| {
            let begin = now - now % 3_600;
            let used = requests.iter().rev().take_while(|at| **at >= begin).count() as u64;
            (5_000_u64.saturating_sub(used), begin + 3_600 - now)
        });
        assert!(
            least > 0 && asked > 5_000,
            "{asked} requests, {least} left at the worst"
        );
    }

    #[test]
    fn a_sliding_window_is_not_used_up() {
        let (asked, least) = hour(|now, requests| {
            let used = requests
                .iter()
                .rev()
                .take_while(|at| **at + 3_600 > now)
                .count() as u64;
            let oldest = requests[requests.len() - used as usize];
            (5_000_u64.saturating_sub(used), oldest + 3_600 - now)
        });
        assert!(
            least > 0 && asked > 5_000,
            "{asked} requests, {least} left at the worst"
        );
    }

    #[test]
    fn nothing_left_waits_for_the_reset() {
        let quota = Quota {
            limit: 5_000,
            remaining: 0,
            reset: S(120),
        };
        let wait = Pace::new(S(5)).after(&status(429, None), Some(quota), 0.0);
        assert_eq!((wait.sleep, wait.at_least), (S(120), S(120)));
    }
}
