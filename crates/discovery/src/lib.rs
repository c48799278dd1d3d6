//! Who is out there, and who am I: discovery strategies and platform facts.

pub mod platform;
