//! How a verb fails: one line, one format, one of two exit codes.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

/// Why a verb failed, in the order that the reader needs it: what happened, where, what to do.
/// No field ever holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    code: u8,
    what: String,
    place: String,
    cure: String,
}

impl Failure {
    /// The operation failed: exit code 1.
    pub(crate) fn operation(
        what: impl Into<String>,
        place: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(1, what, place, cure)
    }

    /// The command line, the environment or the configuration is wrong: exit code 2.
    pub(crate) fn usage(
        what: impl Into<String>,
        place: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(2, what, place, cure)
    }

    /// With an exit code of its own; `exec` answers like a shell (126, 127).
    pub(crate) fn new(
        code: u8,
        what: impl Into<String>,
        place: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            code,
            what: what.into(),
            place: place.into(),
            cure: cure.into(),
        }
    }

    /// Writes the line to stderr as something that only should be looked at.
    pub(crate) fn warn(&self) {
        writeln!(std::io::stderr(), "trunkline: warning: {self}").ok();
    }

    /// Where it happened.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Writes the line to stderr and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // A closed stderr changes nothing about the exit code.
        writeln!(std::io::stderr(), "trunkline: {self}").ok();
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    /// `what · where · cure`, on one line whatever the parts hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for part in [&self.what, &self.place, &self.cure] {
            if part.is_empty() {
                continue;
            }
            f.write_str(between)?;
            for (n, word) in part.split_whitespace().enumerate() {
                if n > 0 {
                    f.write_str(" ")?;
                }
                f.write_str(word)?;
            }
            between = " · ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line() {
        let failure = Failure::operation("no answer\nat all", "", "wait");
        assert_eq!(failure.to_string(), "no answer at all · wait");
    }
}
