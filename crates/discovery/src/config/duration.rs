//! Durations as the configuration writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A duration: `"5s"`, `"500ms"`, `"2m"`, `"1h"`, or a bare number of milliseconds, as libcluster
/// writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub Duration);

/// What [`Millis`] takes, for error texts.
pub const ALLOWED: &str = "a duration such as \"5s\" or \"500ms\", or a number of milliseconds";

/// Longer than any sensible setting, short enough that arithmetic on it never overflows.
const MAX: Duration = Duration::from_secs(366 * 24 * 3600);

impl Millis {
    /// So many milliseconds.
    pub const fn new(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Millis {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| ALLOWED)?;
        let millis = match unit.trim_start() {
            "" | "ms" => Some(number),
            "s" => number.checked_mul(1_000),
            "m" | "min" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            _ => None,
        };
        millis
            .map(Self::new)
            .filter(|millis| millis.0 <= MAX)
            .ok_or(ALLOWED)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Human(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(MillisVisitor)
    }
}

struct MillisVisitor;

impl Visitor<'_> for MillisVisitor {
    type Value = Millis;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALLOWED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Millis, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Millis, E> {
        Some(Millis::new(millis))
            .filter(|millis| millis.0 <= MAX)
            .ok_or_else(|| E::custom(ALLOWED))
    }

    fn visit_i64<E: de::Error>(self, millis: i64) -> Result<Millis, E> {
        let millis = u64::try_from(millis).map_err(|_| E::custom(ALLOWED))?;
        self.visit_u64(millis)
    }
}

/// Prints a duration as a person writes it: `500 ms`, `5 s`, `1.5 s`.
pub(crate) struct Human(pub(crate) Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis < 1_000 {
            write!(f, "{millis} ms")
        } else if millis.is_multiple_of(1_000) {
            write!(f, "{} s", millis / 1_000)
        } else {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, millis) in [("5s", 5_000), ("500ms", 500), ("7", 7), ("2m", 120_000)] {
            assert_eq!(text.parse(), Ok(Millis::new(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "5 parsecs",
            "-1s",
            "1.5s",
            "99999999999999999999s",
            "1000000h",
        ] {
            assert_eq!(text.parse::<Millis>(), Err(ALLOWED), "{text}");
        }
    }

    #[test]
    fn printed() {
        for (millis, text) in [(500, "500 ms"), (5_000, "5 s"), (1_500, "1.5 s")] {
            assert_eq!(Millis::new(millis).to_string(), text);
        }
    }
}
