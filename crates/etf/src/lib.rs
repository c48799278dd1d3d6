//! The External Term Format of Erlang/OTP, in both directions, as OTP 25 to 29 send it.
#![no_std]
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::unwrap_used
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod atom;
mod big;
mod binary;
mod decode;
mod encode;
mod fun;
mod id;
mod items;
mod limits;
mod map;
mod print;
mod raw;
mod tag;
mod term;

pub use atom::{Atom, AtomError};
pub use big::BigInt;
pub use binary::Bits;
pub use decode::Decoder;
pub use encode::Sink;
pub use fun::{Export, Fun, Record};
pub use id::{Pid, Port, Reference, ReferenceError};
pub use limits::{DecodeError, Limits};
pub use map::Map;
pub use raw::RawTerm;
pub use term::{NotFinite, Term, View};
#[cfg(test)]
mod size {
    #[test]
    fn a_term_is_three_words() {
        assert_eq!(size_of::<crate::Term>(), 24);
        assert_eq!(size_of::<Option<crate::Term>>(), 24);
    }
}
