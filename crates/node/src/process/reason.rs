//! Why processes end.

use std::convert::Infallible;
use std::fmt::Display;

use trunkline_etf::{Atom, Limits, Term, atom};

use crate::mailbox::Body;

/// What a process's future may return: the reason for which the process ends.
///
/// | returned | reason |
/// |---|---|
/// | `()` | `normal` |
/// | a [`Term`] or an [`Atom`] | itself |
/// | `Ok(value)` | that of the value |
/// | `Err(error)` | `{error, <<"what the error says">>}`; it is logged |
pub trait ExitReason {
    /// The reason.
    fn into_reason(self) -> Term;

    /// Whether it is an error, which a process that ends for it has in the log. Default: no.
    fn is_error(&self) -> bool {
        false
    }
}

impl ExitReason for () {
    fn into_reason(self) -> Term {
        atom!("normal").into()
    }
}

impl ExitReason for Term {
    fn into_reason(self) -> Term {
        self
    }
}

impl ExitReason for Atom {
    fn into_reason(self) -> Term {
        self.into()
    }
}

impl ExitReason for Infallible {
    fn into_reason(self) -> Term {
        match self {}
    }
}

impl<T: ExitReason, E: Display> ExitReason for Result<T, E> {
    fn into_reason(self) -> Term {
        match self {
            Ok(value) => value.into_reason(),
            Err(error) => Term::tuple([atom!("error").into(), Term::from(&*error.to_string())]),
        }
    }

    fn is_error(&self) -> bool {
        self.as_ref().map_or(true, ExitReason::is_error)
    }
}

impl Body {
    /// The term; a reason that cannot be decoded is still an end.
    pub(crate) fn into_term(self) -> Term {
        match self {
            Self::Term(term) => term,
            Self::Raw(raw, _) => raw.decode(&Limits::default()).unwrap_or_else(|why| {
                Term::tuple([atom!("undecodable").into(), Term::from(&*why.to_string())])
            }),
        }
    }
}
