//! [`Term`]: any Erlang value.

mod access;
mod compare;

use alloc::vec::Vec;

use bytes::Bytes;
use triomphe::Arc;

use crate::{
    Atom, Map, Pid, Port, Reference,
    big::{Big, BigInt, LongBig, Normal, ShortBig},
    binary::{Binary, Bits, ShortBinary},
    byte_list::ByteList,
    fun::{Export, Fun, Record},
    items::Items,
};

pub use access::View;

/// Any Erlang value: 24 bytes, cheap to clone (parts are shared), immutable.
///
/// Make one with the constructors and `From`, take one apart with the `as_…` methods or [`view`](Self::view).
/// `Display` prints it in Erlang's syntax. `Eq` is Erlang's `=:=`, and `Ord` is the order in which OTP sorts
/// the keys of a map (see [`Ord`](#impl-Ord-for-Term)). Nothing here recurses, however deep the term.
///
/// ```
/// use trunkline_etf::{Term, atom};
/// let call = Term::tuple([Term::atom("call"), atom!("lists").into(), Term::list([1, 2, 3])]);
/// assert_eq!(call.to_string(), "{call,lists,[1,2,3]}");
/// assert_eq!(call.as_tuple().unwrap()[2].as_list().unwrap().len(), 3);
/// ```
#[derive(Clone, Default)]
pub struct Term(pub(crate) Repr);

/// The tag lives in the last byte, the niche of `Atom`: what has an alignment has 16 bytes at most, and bytes 23.
#[derive(Clone, Default)]
pub(crate) enum Repr {
    Atom(Atom),
    Int(i64),
    Float(f64),
    #[default]
    Nil,
    ShortBinary(ShortBinary),
    ShortBig(ShortBig),
    /// Longer than what fits inside.
    Binary(Binary),
    Big(LongBig),
    Bits(Arc<Bits>),
    Pid(Arc<Pid>),
    Port(Arc<Port>),
    Reference(Arc<Reference>),
    Export(Arc<Export>),
    Opaque(Arc<[u8]>),
    /// A proper list, and every one that can be this.
    String(ByteList),
    // What has parts stands together, so that one comparison tells.
    Tuple(Items),
    /// At least one element, and no [`ByteList`].
    List(Items),
    /// At least one element and, last, the tail, which is no list.
    Improper(Items),
    Map(Map),
    Fun(Arc<Fun>),
    Record(Arc<Record>),
}

impl Repr {
    /// A proper list of one element at least.
    #[inline]
    pub(crate) fn list(items: Items) -> Self {
        match ByteList::of(&items) {
            Some(bytes) => Self::String(bytes),
            None => Self::List(items),
        }
    }
}

/// Puts a value into a place in which nothing is that would have to be dropped.
#[inline(always)]
pub(crate) fn put(place: &mut Term, value: Repr) {
    core::mem::forget(core::mem::replace(&mut place.0, value));
}

impl Term {
    /// The empty list.
    #[must_use]
    pub const fn nil() -> Self {
        Self(Repr::Nil)
    }

    /// An atom from a text that is known to be one; for a constant, `atom!` is checked when compiled.
    ///
    /// # Panics
    /// When the text has more than 255 characters; from outside, use [`Atom::new`].
    #[must_use]
    pub fn atom(text: &'static str) -> Self {
        Self(Repr::Atom(Atom::__literal(text)))
    }

    /// A tuple.
    pub fn tuple<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self(Repr::Tuple(items.into_iter().map(Into::into).collect()))
    }

    /// A proper list.
    pub fn list<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        let items: Items = items.into_iter().map(Into::into).collect();
        if items.is_empty() {
            Self::nil()
        } else {
            Self(Repr::list(items))
        }
    }

    /// `[a, b | tail]`; a tail that is a list is continued, and no items at all give the tail.
    pub fn list_with_tail<T: Into<Self>>(items: impl IntoIterator<Item = T>, tail: Self) -> Self {
        let mut items: Vec<Self> = items.into_iter().map(Into::into).collect();
        match &tail.0 {
            Repr::Nil => Self::list(items),
            Repr::List(rest) => {
                items.extend(rest.iter().cloned());
                Self::list(items)
            }
            Repr::String(rest) => {
                items.extend(rest.bytes().iter().map(|byte| Self::from(*byte)));
                Self::list(items)
            }
            Repr::Improper(rest) => {
                items.extend(rest.iter().cloned());
                Self(Repr::Improper(items.into()))
            }
            _ if items.is_empty() => tail,
            _ => {
                items.push(tail);
                Self(Repr::Improper(items.into()))
            }
        }
    }

    /// A list of the characters of `text`, which is what Erlang writes as `"text"`.
    #[must_use]
    pub fn string(text: &str) -> Self {
        if text.is_ascii() && text.len() <= ByteList::MAX {
            return Self::byte_list(text.as_bytes());
        }
        Self::list(text.chars().map(u32::from))
    }

    /// A binary. `Bytes` are kept as they are, not copied, when they are more than 22.
    ///
    /// # Panics
    /// When it has 4 GiB or more, which the format cannot carry.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(match ShortBinary::new(&bytes) {
            Some(short) => Repr::ShortBinary(short),
            None => Repr::Binary(Binary::new(bytes)),
        })
    }

    /// The first `bits` bits of `bytes`: a binary when that is whole bytes, else a bitstring.
    ///
    /// `None` when there are not that many, or 4 GiB or more.
    #[must_use]
    pub fn bitstring(bytes: &Bytes, bits: usize) -> Option<Self> {
        let whole = bits.div_euclid(8);
        let Ok(rest @ 1..) = u8::try_from(bits.rem_euclid(8)) else {
            return (whole <= bytes.len().min(Binary::MAX))
                .then(|| Self::binary(bytes.slice(..whole)));
        };
        let length = whole.checked_add(1)?;
        let fits = length <= bytes.len().min(Binary::MAX);
        fits.then(|| Self::from_bits(bytes.slice(..length), rest))
    }

    /// A map; of two pairs with the same key the later one counts.
    pub fn map<K: Into<Self>, V: Into<Self>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs = pairs
            .into_iter()
            .flat_map(|(key, value)| [key.into(), value.into()]);
        Self(Repr::Map(Map::last_wins(pairs.collect())))
    }

    /// A float; `None` for NaN and the infinities, which Erlang does not have.
    #[must_use]
    pub fn float(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(Repr::Float(value)))
    }

    /// An integer of any size from its sign and magnitude (little endian).
    #[must_use]
    pub fn integer(negative: bool, magnitude: &[u8]) -> Self {
        match BigInt::normal(negative, magnitude) {
            Normal::Small(value) => Self(Repr::Int(value)),
            Normal::Big(value) => match Big::from(value) {
                Big::Short(value) => Self(Repr::ShortBig(value)),
                Big::Long(value) => Self(Repr::Big(value)),
            },
        }
    }

    /// A list of up to 65,535 bytes.
    #[inline]
    pub(crate) fn byte_list(bytes: &[u8]) -> Self {
        Self(ByteList::new(bytes).map_or(Repr::Nil, Repr::String))
    }

    /// `bits` is 1 to 7, the bits that count in the last byte; the others are cleared.
    pub(crate) fn from_bits(bytes: Bytes, bits: u8) -> Self {
        Self(Repr::Bits(Arc::new(Bits::new(bytes, bits))))
    }
}

macro_rules! from_small {
    ($($int:ty)*) => {$(
        impl From<$int> for Term {
            fn from(value: $int) -> Self {
                Self(Repr::Int(i64::from(value)))
            }
        }
    )*};
}

from_small!(i8 u8 i16 u16 i32 u32 i64);

impl From<i128> for Term {
    fn from(value: i128) -> Self {
        Self::integer(value < 0, &value.unsigned_abs().to_le_bytes())
    }
}

impl From<u128> for Term {
    fn from(value: u128) -> Self {
        Self::integer(false, &value.to_le_bytes())
    }
}

impl From<u64> for Term {
    fn from(value: u64) -> Self {
        Self::integer(false, &value.to_le_bytes())
    }
}

impl From<usize> for Term {
    fn from(value: usize) -> Self {
        Self::integer(false, &value.to_le_bytes())
    }
}

macro_rules! from_shared {
    ($($variant:ident)*) => {$(
        impl From<$variant> for Term {
            fn from(value: $variant) -> Self {
                Self(Repr::$variant(Arc::new(value)))
            }
        }
    )*};
}

from_shared!(Pid Port Reference Export Record);

impl From<Fun> for Term {
    /// Measured here: whoever has a closure may change what it says of itself.
    fn from(mut fun: Fun) -> Self {
        fun.size = fun.measure();
        Self(Repr::Fun(Arc::new(fun)))
    }
}

impl From<Map> for Term {
    fn from(map: Map) -> Self {
        Self(Repr::Map(map))
    }
}

impl From<Atom> for Term {
    fn from(atom: Atom) -> Self {
        Self(Repr::Atom(atom))
    }
}

impl From<&Atom> for Term {
    fn from(atom: &Atom) -> Self {
        Self(Repr::Atom(atom.clone()))
    }
}

/// The same term, shared.
impl From<&Self> for Term {
    fn from(term: &Self) -> Self {
        term.clone()
    }
}

impl From<&Pid> for Term {
    fn from(pid: &Pid) -> Self {
        pid.clone().into()
    }
}

impl From<&Reference> for Term {
    fn from(reference: &Reference) -> Self {
        reference.clone().into()
    }
}

impl From<bool> for Term {
    fn from(value: bool) -> Self {
        Atom::from(value).into()
    }
}

/// A binary of the text, as Elixir's strings are.
impl From<&str> for Term {
    fn from(text: &str) -> Self {
        match ShortBinary::new(text.as_bytes()) {
            Some(short) => Self(Repr::ShortBinary(short)),
            None => Self::binary(Bytes::copy_from_slice(text.as_bytes())),
        }
    }
}

impl From<Bytes> for Term {
    fn from(bytes: Bytes) -> Self {
        Self::binary(bytes)
    }
}

/// A proper list.
impl From<Vec<Self>> for Term {
    fn from(items: Vec<Self>) -> Self {
        Self::list(items)
    }
}

/// A float; NaN and the infinities are an error, Erlang does not have them.
impl TryFrom<f64> for Term {
    type Error = NotFinite;

    fn try_from(value: f64) -> Result<Self, NotFinite> {
        Self::float(value).ok_or(NotFinite)
    }
}

/// Erlang has no NaN and no infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a float in Erlang is finite")]
pub struct NotFinite;
