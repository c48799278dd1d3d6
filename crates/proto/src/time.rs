//! Time as an argument.

use core::ops::Add;
use core::time::Duration;

/// A moment, as the time since the driver started. The cores never read a clock: whoever drives
/// them passes the moment in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The moment at which the driver started.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The moment `since_start` after the driver started.
    pub const fn at(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// Time since the driver started.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// `wait` later; saturates at the end of time.
    #[must_use]
    pub const fn saturating_add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time.
    fn add(self, rhs: Duration) -> Self {
        self.saturating_add(rhs)
    }
}
