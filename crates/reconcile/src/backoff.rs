//! How long to wait before the next attempt.

use core::time::Duration;

use trunkline_proto::Reason;

use crate::Config;

/// A small generator (SplitMix64) for jitter: the seed is an argument, so that a run repeats.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Jitter(u64);

impl Jitter {
    /// The same seed gives the same waits.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A duration between half of `wait` and `wait`: peers that failed together do not come back
    /// together.
    pub fn spread(&mut self, wait: Duration) -> Duration {
        let half = wait.checked_div(2).unwrap_or_default();
        let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        let extra = self.next().checked_rem(millis.saturating_add(1));
        half.saturating_add(Duration::from_millis(extra.unwrap_or(0)))
    }
}

/// The wait after `failures` failures in a row (1 or more) of which the last had this reason.
pub fn wait(config: &Config, failures: u32, reason: &Reason, jitter: &mut Jitter) -> Duration {
    if needs_proof(reason) {
        // Every attempt is a line in that peer's log, and jitter must not make it more often.
        return config.proof_interval;
    }
    let (min, max) = if reason.is_lasting() {
        (config.lasting_backoff_min, config.lasting_backoff_max)
    } else {
        (config.backoff_min, config.backoff_max)
    };
    let doublings = failures.saturating_sub(1).min(20);
    let wait = min.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
    jitter.spread(wait.min(max))
}

/// Whether only a full handshake can tell that this is over.
pub(crate) const fn needs_proof(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::CookieMismatch | Reason::DiffersFromHere { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_proto::Step;

    #[test]
    fn a_passing_reason_is_retried_soon_and_a_lasting_one_reaches_ten_minutes() {
        let config = Config::default();
        let mut jitter = Jitter::new(7);
        let timeout = Reason::Timeout { step: Step::Port };
        for (failures, max) in [(1, 1), (2, 2), (3, 4), (6, 30), (60, 30)] {
            let wait = wait(&config, failures, &timeout, &mut jitter);
            assert!(wait <= Duration::from_secs(max) && wait * 2 >= Duration::from_secs(max));
        }
        let tls = Reason::TlsRequired;
        for (failures, max) in [(1, 60), (3, 240), (9, 600), (u32::MAX, 600)] {
            let wait = wait(&config, failures, &tls, &mut jitter);
            assert!(wait <= Duration::from_secs(max) && wait * 2 >= Duration::from_secs(max));
        }
    }

    #[test]
    fn the_seed_decides_the_jitter() {
        let mut first = Jitter::new(1);
        let mut second = Jitter::new(1);
        let wait = Duration::from_secs(30);
        for _ in 0..100 {
            assert_eq!(first.spread(wait), second.spread(wait));
        }
        assert_ne!(first.spread(wait), Jitter::new(2).spread(wait));
    }
}
