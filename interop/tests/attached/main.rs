//! A member that is attached to a real node, against real OTP on this host's loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dials;
mod leaving;
mod links;
mod newer_otp;
mod reading;
mod reasons;
mod restarts;
mod site;
