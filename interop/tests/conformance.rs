//! OTP is the judge: one suite in Erlang (`interop/conformance`) runs on OTP 25 and 27 against our node, and the same suite
//! against OTP nodes in its place. One test per pair; each prints its cases with their durations.
//!
//! One pair, some groups: `CONFORMANCE_GROUPS=links_cases,ticks_cases cargo test -p trunkline-interop --test conformance rust_otp27`.

#[path = "conformance/launcher.rs"]
mod launcher;
#[path = "conformance/report.rs"]
mod report;
#[path = "conformance/subject.rs"]
mod subject;
#[path = "conformance/world.rs"]
mod world;

use anyhow::Result;
use trunkline_interop::otp::Release::{Otp25, Otp27};

use subject::Kind;
use world::run;

#[test]
fn rust_judged_by_otp25() -> Result<()> {
    run(Kind::Rust, Otp25)
}

#[test]
fn rust_judged_by_otp27() -> Result<()> {
    run(Kind::Rust, Otp27)
}

#[test]
fn otp25_judged_by_otp25() -> Result<()> {
    run(Kind::Otp(Otp25), Otp25)
}

#[test]
fn otp25_judged_by_otp27() -> Result<()> {
    run(Kind::Otp(Otp25), Otp27)
}

#[test]
fn otp27_judged_by_otp25() -> Result<()> {
    run(Kind::Otp(Otp27), Otp25)
}

#[test]
fn otp27_judged_by_otp27() -> Result<()> {
    run(Kind::Otp(Otp27), Otp27)
}
