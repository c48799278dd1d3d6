//! What is said of a bug: where, and nothing that a secret could be in.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write as _;
use std::panic::PanicHookInfo;

/// Replaces the default hook, whose message may format a value that we must not show.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(report));
}

/// Only a literal message is repeated: a formatted one may hold a cookie or a token.
fn report(info: &PanicHookInfo<'_>) {
    let message = info.payload().downcast_ref::<&'static str>();
    let place = info.location().map(ToString::to_string);
    let mut stderr = std::io::stderr().lock();
    writeln!(
        stderr,
        "trunkline: internal error: {} · {} · please report this line",
        message
            .copied()
            .unwrap_or("details withheld, they may hold a secret"),
        place.as_deref().unwrap_or("unknown place"),
    )
    .ok();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        writeln!(stderr, "{backtrace}").ok();
    }
}
