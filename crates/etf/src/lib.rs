//! The External Term Format of Erlang/OTP, in both directions, as OTP 25 to 29 send it.
//!
//! A [`Term`] is any Erlang value. [`Term::decode`] and [`Term::encode`] are `binary_to_term` and `term_to_binary`;
//! [`Decoder`], [`RawTerm`] and [`Term::encode_bare`] serve the frames of a distribution connection, where terms have no
//! version byte and atoms may come from the frame's header. `Display` prints in Erlang's syntax,
//! [`Term::elixir`] in Elixir's.
//!
//! ```
//! use trunkline_etf::{Limits, Term, atom};
//!
//! let request = Term::tuple([
//!     Term::atom("call"),
//!     Term::from("a binary"),
//!     Term::map([(atom!("retries"), 3)]),
//! ]);
//! let mut bytes = Vec::new();
//! request.encode(&mut bytes);
//!
//! let term = Term::decode(&bytes.into(), &Limits::default())?;
//! assert_eq!(term, request);
//! assert_eq!(term.to_string(), "{call,<<97,32,98,105,110,97,114,121>>,#{retries => 3}}");
//! if let Some([verb, text, options]) = term.as_tuple() {
//!     assert!(verb.is_atom("call"));
//!     assert_eq!(text.to_text().as_deref(), Some("a binary"));
//!     assert_eq!(options.as_map().and_then(|map| map.get_atom("retries")?.as_i64()), Some(3));
//! }
//! # Ok::<(), trunkline_etf::DecodeError>(())
//! ```
//!
//! # Where to look
//!
//! - [`Term`] and [`View`]: make terms, take them apart. [`Atom`] and `atom!`, [`Pid`], [`Port`], [`Reference`], [`Map`],
//!   [`BigInt`], [`Bits`], [`Fun`], [`Export`], [`Record`]: what they consist of.
//! - [`RawTerm::visit`] and [`Visit`]: read all values in one pass that checks them, without building a term; [`RawTerm::walk`] and
//!   [`Walk`]: check first, then look at parts.
//! - [`Limits`] and [`DecodeError`]: what a peer may make us hold.
//! - [`Sink`]: where encoded bytes go.
//!
//! # What a peer cannot do
//!
//! No depth of nesting can exhaust a stack: decoding, dropping, cloning, comparing, hashing, printing and encoding keep stacks of their
//! own on the heap, some beyond a few levels only. Memory is taken for bytes that are there, never for a length that is claimed.
//! Binaries of more than 22 bytes, and bitstrings, are slices of the input (which lives as long as one of them does); everything
//! else is the term's own. There is no atom table to fill.
//!
//! # The canonical form
//!
//! A decoded term encodes to the bytes that OTP 26 and newer send by default. So these come back in another form:
//!
//! | read | written |
//! |---|---|
//! | atoms in Latin-1 (100, 115), from the cache (82), or long without need (118) | `SMALL_ATOM_UTF8_EXT` 119, `ATOM_UTF8_EXT` 118 from 256 bytes |
//! | floats as text (99) | `NEW_FLOAT_EXT` 70 |
//! | pids 103, ports 102 and 89, references 101 and 114 | 88, 120, 90 |
//! | integers, tuples and big integers that are longer than need be, minus zero | the shortest |
//! | lists in pieces (`[1 \| [2]]`), lists of bytes not as `STRING_EXT` | one list, `STRING_EXT` up to 65,535 bytes |
//! | bitstrings with bits set that do not count, or with eight bits in the last byte | cleared; a binary |
//! | compressed terms (80) | not compressed |
//!
//! Pairs of a map keep the order in which they came.
//!
//! # Where OTP decides otherwise
//!
//! - There is no option `safe`: atoms and functions need not exist anywhere.
//! - A term of another runtime's own (`LOCAL_EXT` 121) is opaque: kept, printed as bytes, written back; its hash is not checked.
//! - A reference without words is an error (OTP reads past the end). So are a bitstring of no bits and a float whose
//!   text fills all 31 bytes, which only OTP 25 takes. So are bytes after the term inside of a compressed stream.
//! - Limits: see [`Limits`].
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
mod byte_list;
mod decode;
mod encode;
mod fun;
mod id;
mod input;
mod items;
mod limits;
mod map;
mod parts;
mod print;
mod raw;
mod tag;
mod term;
mod term_macro;
mod text;
mod walk;

pub use atom::{Atom, AtomError};
pub use big::BigInt;
pub use binary::Bits;
pub use decode::Decoder;
pub use encode::Sink;
pub use fun::{Export, Fun, Record};
pub use id::{Pid, Port, Reference, ReferenceError};
pub use limits::{DecodeError, Limits};
pub use map::Map;
pub use print::elixir::Elixir;
pub use raw::RawTerm;
pub use term::{NotFinite, Term, View};
#[doc(hidden)]
pub use term_macro::__literal_term;
pub use walk::{AtomRef, Encoded, PidRef, PortRef, ReferenceRef, Token, Visit, Walk};
#[cfg(test)]
mod size {
    #[test]
    fn a_term_is_three_words() {
        assert_eq!(size_of::<crate::Term>(), 24);
        assert_eq!(size_of::<Option<crate::Term>>(), 24);
    }
}
