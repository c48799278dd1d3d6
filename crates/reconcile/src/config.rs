//! The knobs of the engine: `[engine]` in the configuration.

use core::time::Duration;

/// What an operator can turn. `Default` is what the documentation says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// How many dials our node makes at once; one inside a BEAM lasts until the peer answers. Default
    /// 64. The engine only hands it to whoever drives it.
    pub max_connects: usize,
    /// How many attempts run at once, most of which are probes of ours that wait for somebody who is
    /// dead: so many that these delay nobody, and half of the 1024 sockets that a process is usually
    /// allowed. Default 512.
    pub max_attempts: usize,
    /// How long one probe of ours may take, all steps together. Default 5 s. The engine only hands
    /// it to whoever drives it.
    pub connect_timeout: Duration,
    /// Wait after the first failure for a reason that passes by itself; doubles up to
    /// `backoff_max`. Default 1 s.
    pub backoff_min: Duration,
    /// Default 30 s.
    pub backoff_max: Duration,
    /// Wait after the first failure for a reason that only a person can mend; doubles up to
    /// `lasting_backoff_max`. Default 1 min.
    pub lasting_backoff_min: Duration,
    /// Default 10 min.
    pub lasting_backoff_max: Duration,
    /// At most one full handshake per peer in this time as long as nothing changes there: each one
    /// is a line in the log of a peer whose cookie differs. Default 10 min.
    pub proof_interval: Duration,
    /// How often a peer whose handshake fails is looked at (its greeting, which it does not log),
    /// to see whether it was restarted. Default 30 s.
    pub look_interval: Duration,
    /// A link that lived this long is retried at once when it is lost; one that did not backs off,
    /// so that a flapping link makes no storm. Default 10 s.
    pub stable_after: Duration,
    /// Good answers in a row without a peer before it can be dropped. Default 3.
    pub removal_misses: u32,
    /// Time between the first answer without a peer and its removal. Default 30 s.
    pub removal_grace: Duration,
    /// The largest part of a topology (self included) that is dropped in one step; a step lasts
    /// `removal_grace`. One is always allowed. When more than that is missing at once the source
    /// is doubted: everybody is still dialled and nobody leaves. Default 0.5.
    pub removal_guard: Fraction,
    /// What happens to a living peer that no source lists any more. Default: nothing.
    pub on_removed: OnRemoved,
    /// How often the whole list of links is compared with what should be. Default 30 s.
    pub audit_interval: Duration,
    /// How many nodes a topology should list at least, self included. Fewer is an alarm. Default 1,
    /// so that a node alone is quiet.
    pub expected_size: usize,
    /// A timer that runs this late means that we were stopped: what is known is old, and no removal
    /// is decided on it. Default 5 s.
    pub freeze: Duration,
    /// How long a living peer that was dropped has to leave by itself before the others care.
    /// Default 10 s.
    pub leave_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connects: 64,
            max_attempts: 512,
            connect_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            lasting_backoff_min: Duration::from_secs(60),
            lasting_backoff_max: Duration::from_secs(600),
            proof_interval: Duration::from_secs(600),
            look_interval: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            removal_misses: 3,
            removal_grace: Duration::from_secs(30),
            removal_guard: Fraction::HALF,
            on_removed: OnRemoved::Keep,
            audit_interval: Duration::from_secs(30),
            expected_size: 1,
            freeze: Duration::from_secs(5),
            leave_grace: Duration::from_secs(10),
        }
    }
}

/// What to do with a living peer that fell out of every topology.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnRemoved {
    /// Its link stays until it leaves by itself.
    #[default]
    Keep,
    /// `disconnect_node`. With `prevent_overlapping_partitions` (default since OTP 25) this can
    /// tear other links of the mesh down for a moment.
    Disconnect,
}

/// A part between nothing and all, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction(u16);

impl Fraction {
    /// One half.
    pub const HALF: Self = Self(500);

    /// From a number in `0.0..=1.0`, rounded down to thousandths; `None` outside.
    pub fn new(part: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&part) {
            return None;
        }
        // The tolerance keeps 0.3 at 300: it is a little less than three tenths in binary.
        (0..=1000)
            .rev()
            .find(|n| f64::from(*n) <= part * 1000.0 + 1e-6)
            .map(Self)
    }

    /// As a number in `0.0..=1.0`.
    pub fn get(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// That part of `n`, rounded down, but at least one.
    pub fn of(self, n: usize) -> usize {
        let part = n.saturating_mul(usize::from(self.0)).checked_div(1000);
        part.unwrap_or(0).max(1)
    }
}

/// What holds for one topology only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TopologyRules {
    /// A peer must pass this before the first connect. The check itself is the driver's.
    pub health: Option<HealthRule>,
}

/// When a peer counts as healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HealthRule {
    /// Checks passed in a row that open the gate. Default 1.
    pub rise: u32,
    /// Checks failed in a row that close it again. Default 1.
    pub fall: u32,
    /// Time between two checks of one peer. Default 5 s.
    pub interval: Duration,
}

impl Default for HealthRule {
    fn default() -> Self {
        Self {
            rise: 1,
            fall: 1,
            interval: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_rounds_down_and_allows_at_least_one() {
        let of = |part, n| Fraction::new(part).unwrap().of(n);
        assert_eq!(of(0.3, 10), 3);
        assert_eq!(of(0.5, 3), 1);
        assert_eq!(of(0.0, 10), 1);
        assert_eq!(of(1.0, 7), 7);
        assert_eq!(Fraction::new(1.01), None);
        assert_eq!(Fraction::new(f64::NAN), None);
    }
}
