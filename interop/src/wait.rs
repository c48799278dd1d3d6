//! Waiting for a condition with a deadline, never for luck.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How often a condition is looked at. Short, because stories measure how long a change takes.
const STEP: Duration = Duration::from_millis(20);

/// Polls `look` until it gives a value, and panics with `what` and the time waited when `limit` is over.
///
/// # Panics
/// When `limit` passes without a value: a test has failed, and this is its message.
pub fn until<T>(what: impl Display, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    match within(limit, look) {
        Some(value) => value,
        None => panic!("waited {limit:?} in vain for: {what}"),
    }
}

/// Polls `look` until it gives a value; `None` when `limit` is over.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if start.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(STEP);
    }
}

/// Watches for the whole of `span` that `look` finds nothing wrong: the way to show that something does *not* happen.
///
/// # Panics
/// With the first complaint.
pub fn stays(what: impl Display, span: Duration, mut look: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    while start.elapsed() < span {
        if let Err(complaint) = look() {
            panic!(
                "{what} lasted {:?} of {span:?}: {complaint}",
                start.elapsed()
            );
        }
        std::thread::sleep(STEP);
    }
}

/// Says how long a story took when it is dropped, also to those who see only the names of passed tests.
#[derive(Debug)]
pub struct Took {
    what: String,
    start: Instant,
}

impl Took {
    /// Starts to count.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            start: Instant::now(),
        }
    }
}

impl Drop for Took {
    fn drop(&mut self) {
        // Past the capturing of tests' output, and nobody minds when it is closed.
        let (what, took) = (&self.what, self.start.elapsed().as_secs_f32());
        writeln!(std::io::stderr(), "{what}: {took:.1} s").ok();
    }
}
