//! Equality, order and hash, each with a stack of its own.

use alloc::vec::Vec;
use core::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    iter::Zip,
    mem,
    slice::Iter,
};

use super::{Repr, Term};
use crate::{
    BigInt,
    fun::{Fun, Record},
    items::Items,
    map::Sorted,
};

/// Erlang's `=:=`: an integer never equals a float, and `0.0` is not `-0.0` (as in OTP 27 and newer).
impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        compare(self, other, equality) == Ordering::Equal
    }
}

impl Eq for Term {}

impl PartialOrd for Term {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of map keys in OTP: integer < float < atom < reference < fun < port < pid < tuple < map < `[]` < list
/// < bitstring. It is Erlang's order but for one thing: there `1 == 1.0`, here an integer is always less than a float,
/// so that the order agrees with `Eq`. Among references, funs, ports, pids and records it is any order.
impl Ord for Term {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self, other, order)
    }
}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_head(self, state);
        let mut current = Parts::of(self);
        let mut waiting = Vec::new();
        loop {
            match current.next() {
                Some(term) => {
                    hash_head(term, state);
                    if !term.parts().is_empty() {
                        waiting.push(mem::replace(&mut current, Parts::of(term)));
                    }
                }
                None => match waiting.pop() {
                    Some(outer) => current = outer,
                    None => return,
                },
            }
        }
    }
}

impl PartialEq for Fun {
    fn eq(&self, other: &Self) -> bool {
        self.head() == other.head() && *self.free == *other.free
    }
}

impl Eq for Fun {}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.head() == other.head() && *self.values == *other.values
    }
}

impl Eq for Record {}

/// Compares two terms part by part, in the order of Erlang: the first difference decides.
fn compare<'a>(
    one: &'a Term,
    other: &'a Term,
    heads: fn(&'a Term, &'a Term) -> Heads<'a>,
) -> Ordering {
    let mut waiting = Vec::new();
    let mut current = match heads(one, other) {
        Heads::Decided(ordering) => return ordering,
        Heads::Parts(pairs, otherwise) => (pairs, otherwise),
    };
    loop {
        let Some((one, other)) = current.0.next() else {
            if current.1 != Ordering::Equal {
                return current.1;
            }
            match waiting.pop() {
                Some(outer) => current = outer,
                None => return Ordering::Equal,
            }
            continue;
        };
        match heads(one, other) {
            Heads::Decided(Ordering::Equal) => {}
            Heads::Decided(ordering) => return ordering,
            Heads::Parts(pairs, otherwise) => {
                waiting.push(mem::replace(&mut current, (pairs, otherwise)));
            }
        }
    }
}

/// What two terms say without their parts.
enum Heads<'a> {
    Decided(Ordering),
    /// The parts decide; when they are all equal, this does.
    Parts(Pairs<'a>, Ordering),
}

enum Pairs<'a> {
    Plain(Zip<Iter<'a, Term>, Iter<'a, Term>>),
    /// All keys, then all values, in the order of the keys.
    Maps(Sorted<'a>, Sorted<'a>, usize),
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a Term, &'a Term);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Plain(pairs) => pairs.next(),
            Self::Maps(one, other, next) => {
                let pair = one.key_or_value(*next).zip(other.key_or_value(*next));
                *next = next.saturating_add(1);
                pair
            }
        }
    }
}

/// Parts of one term, in an order that equal terms share.
enum Parts<'a> {
    Plain(Iter<'a, Term>),
    Map(Sorted<'a>, usize),
}

impl<'a> Parts<'a> {
    fn of(term: &'a Term) -> Self {
        match &term.0 {
            Repr::Map(map) => Self::Map(map.sorted(), 0),
            _ => Self::Plain(term.parts().iter()),
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a Term;

    fn next(&mut self) -> Option<&'a Term> {
        match self {
            Self::Plain(parts) => parts.next(),
            Self::Map(map, next) => {
                let part = map.key_or_value(*next);
                *next = next.saturating_add(1);
                part
            }
        }
    }
}

/// `Less` stands for "not equal".
fn equality<'a>(one: &'a Term, other: &'a Term) -> Heads<'a> {
    let parts = |one: &'a Items, other: &'a Items, heads_equal: bool| {
        if !heads_equal || one.len() != other.len() {
            return Heads::Decided(Ordering::Less);
        }
        if one.same(other) {
            return Heads::Decided(Ordering::Equal);
        }
        Heads::Parts(Pairs::Plain(one.iter().zip(other.iter())), Ordering::Equal)
    };
    let equal = match (&one.0, &other.0) {
        (Repr::Tuple(one), Repr::Tuple(other))
        | (Repr::List(one), Repr::List(other))
        | (Repr::Improper(one), Repr::Improper(other)) => return parts(one, other, true),
        (Repr::Fun(one), Repr::Fun(other)) => {
            return parts(&one.free, &other.free, one.head() == other.head());
        }
        (Repr::Record(one), Repr::Record(other)) => {
            return parts(&one.values, &other.values, one.head() == other.head());
        }
        (Repr::Map(one), Repr::Map(other)) if one.len() == other.len() => {
            if one.items().same(other.items()) {
                return Heads::Decided(Ordering::Equal);
            }
            return Heads::Parts(
                Pairs::Maps(one.sorted(), other.sorted(), 0),
                Ordering::Equal,
            );
        }
        (Repr::Atom(one), Repr::Atom(other)) => one == other,
        (Repr::Int(one), Repr::Int(other)) => one == other,
        (Repr::Float(one), Repr::Float(other)) => one.to_bits() == other.to_bits(),
        (Repr::Nil, Repr::Nil) => true,
        (Repr::ShortBinary(one), Repr::ShortBinary(other)) => one.as_slice() == other.as_slice(),
        (Repr::Binary(one), Repr::Binary(other)) => one.as_slice() == other.as_slice(),
        (Repr::String(one), Repr::String(other)) => one.bytes() == other.bytes(),
        (Repr::Bits(one), Repr::Bits(other)) => one == other,
        (Repr::Pid(one), Repr::Pid(other)) => one == other,
        (Repr::Port(one), Repr::Port(other)) => one == other,
        (Repr::Reference(one), Repr::Reference(other)) => one == other,
        (Repr::Export(one), Repr::Export(other)) => one == other,
        (Repr::Opaque(one), Repr::Opaque(other)) => one == other,
        // A large integer has the one form or the other, by its size.
        _ => one.as_big().is_some_and(|big| other.as_big() == Some(big)),
    };
    Heads::Decided(if equal {
        Ordering::Equal
    } else {
        Ordering::Less
    })
}

fn order<'a>(one: &'a Term, other: &'a Term) -> Heads<'a> {
    let plain = |one: &'a [Term], other: &'a [Term], heads: Ordering| match heads {
        Ordering::Equal => Heads::Parts(Pairs::Plain(one.iter().zip(other)), Ordering::Equal),
        decided => Heads::Decided(decided),
    };
    let ordering = match (&one.0, &other.0) {
        (Repr::Tuple(one), Repr::Tuple(other)) => {
            return plain(one, other, one.len().cmp(&other.len()));
        }
        (Repr::Map(one), Repr::Map(other)) => match one.len().cmp(&other.len()) {
            Ordering::Equal => {
                return Heads::Parts(
                    Pairs::Maps(one.sorted(), other.sorted(), 0),
                    Ordering::Equal,
                );
            }
            decided => decided,
        },
        (Repr::List(_) | Repr::Improper(_), Repr::List(_) | Repr::Improper(_)) => {
            return order_lists(one, other);
        }
        (Repr::String(one), Repr::String(other)) => one.bytes().cmp(other.bytes()),
        (Repr::String(bytes), Repr::List(_) | Repr::Improper(_)) => {
            order_bytes(bytes.bytes(), other)
        }
        (Repr::List(_) | Repr::Improper(_), Repr::String(bytes)) => {
            order_bytes(bytes.bytes(), one).reverse()
        }
        (Repr::Fun(one), Repr::Fun(other)) => {
            let heads = one.head().cmp(&other.head());
            return plain(
                &one.free,
                &other.free,
                heads.then(one.free.len().cmp(&other.free.len())),
            );
        }
        (Repr::Record(one), Repr::Record(other)) => {
            return plain(&one.values, &other.values, one.head().cmp(&other.head()));
        }
        (Repr::Atom(one), Repr::Atom(other)) => one.cmp(other),
        (Repr::Int(one), Repr::Int(other)) => one.cmp(other),
        (Repr::Float(one), Repr::Float(other)) => one.total_cmp(other),
        (Repr::Pid(one), Repr::Pid(other)) => one.cmp(other),
        (Repr::Port(one), Repr::Port(other)) => one.cmp(other),
        (Repr::Reference(one), Repr::Reference(other)) => one.cmp(other),
        (Repr::Export(one), Repr::Export(other)) => one.cmp(other),
        (Repr::Opaque(one), Repr::Opaque(other)) => one.cmp(other),
        _ => match (one.bits(), other.bits()) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => order_big(one, other).unwrap_or_else(|| rank(one).cmp(&rank(other))),
        },
    };
    Heads::Decided(ordering)
}

/// Integers of which one is large at least: it lies beyond all others, on its side of zero.
fn order_big(one: &Term, other: &Term) -> Option<Ordering> {
    let beyond = |big: BigInt<'_>| {
        if big.is_negative() {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    };
    match (one.as_big(), other.as_big()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        (Some(big), None) => other.as_i64().map(|_| beyond(big)),
        (None, Some(big)) => one.as_i64().map(|_| beyond(big).reverse()),
        (None, None) => None,
    }
}

/// As a chain of cells: where one ends, its tail meets the rest of the other.
fn order_lists<'a>(one: &'a Term, other: &'a Term) -> Heads<'a> {
    let (elements, tail) = one.cells();
    let (other_elements, other_tail) = other.cells();
    let lengths = elements.len().cmp(&other_elements.len());
    if let (Ordering::Equal, Some(_), Some(_)) = (lengths, tail, other_tail) {
        // Same length, and the tails are the last of the parts.
        let pairs = one.parts().iter().zip(other.parts());
        return Heads::Parts(Pairs::Plain(pairs), Ordering::Equal);
    }
    let otherwise = order_ends(lengths, tail, other_tail);
    Heads::Parts(Pairs::Plain(elements.iter().zip(other_elements)), otherwise)
}

/// A list of bytes and one of other terms.
fn order_bytes(bytes: &[u8], other: &Term) -> Ordering {
    let (elements, tail) = other.cells();
    let each = bytes.iter().zip(elements);
    // Beside a byte everything is decided by what it is, not by its parts.
    let mut each = each.map(|(byte, element)| match order(&Term::from(*byte), element) {
        Heads::Decided(ordering) => ordering,
        Heads::Parts(_, otherwise) => otherwise,
    });
    each.find(|ordering| ordering.is_ne())
        .unwrap_or_else(|| order_ends(bytes.len().cmp(&elements.len()), None, tail))
}

/// Where the shorter of two lists ends.
fn order_ends(lengths: Ordering, tail: Option<&Term>, other_tail: Option<&Term>) -> Ordering {
    let rank_of = |tail: Option<&Term>| tail.map_or(RANK_NIL, rank);
    match lengths {
        Ordering::Equal => rank_of(tail).cmp(&rank_of(other_tail)),
        Ordering::Less => rank_of(tail).cmp(&RANK_LIST),
        Ordering::Greater => RANK_LIST.cmp(&rank_of(other_tail)),
    }
}

impl Term {
    /// Elements and, unless the list is proper, the tail.
    fn cells(&self) -> (&[Self], Option<&Self>) {
        match &self.0 {
            Repr::Improper(items) => match &**items {
                [elements @ .., tail] => (elements, Some(tail)),
                [] => (&[], None),
            },
            _ => (self.parts(), None),
        }
    }

    /// A binary or bitstring as bytes and the number of bits in the last one.
    fn bits(&self) -> Option<(&[u8], u8)> {
        match &self.0 {
            Repr::Bits(bits) => Some((bits.bytes(), bits.bits_of_last())),
            _ => Some((self.as_binary()?, 8)),
        }
    }
}

const RANK_NIL: u8 = 10;
const RANK_LIST: u8 = 11;

fn rank(term: &Term) -> u8 {
    match term.0 {
        Repr::Int(_) | Repr::ShortBig(_) | Repr::Big(_) => 0,
        Repr::Float(_) => 1,
        Repr::Atom(_) => 2,
        Repr::Reference(_) => 3,
        Repr::Fun(_) => 4,
        Repr::Export(_) => 5,
        Repr::Port(_) => 6,
        Repr::Pid(_) => 7,
        Repr::Tuple(_) => 8,
        Repr::Map(_) => 9,
        Repr::Nil => RANK_NIL,
        Repr::String(_) | Repr::List(_) | Repr::Improper(_) => RANK_LIST,
        Repr::ShortBinary(_) | Repr::Binary(_) | Repr::Bits(_) => 12,
        Repr::Record(_) => 13,
        Repr::Opaque(_) => 14,
    }
}

/// Everything about a term but its parts.
fn hash_head<H: Hasher>(term: &Term, state: &mut H) {
    mem::discriminant(&term.0).hash(state);
    match &term.0 {
        Repr::Atom(atom) => atom.hash(state),
        Repr::Int(value) => value.hash(state),
        Repr::Float(value) => value.to_bits().hash(state),
        Repr::ShortBig(value) => value.view().hash(state),
        Repr::Big(value) => value.view().hash(state),
        Repr::Nil => {}
        Repr::Tuple(items) | Repr::List(items) | Repr::Improper(items) => items.len().hash(state),
        Repr::ShortBinary(binary) => binary.as_slice().hash(state),
        Repr::Binary(binary) => binary.as_slice().hash(state),
        Repr::String(bytes) => bytes.bytes().hash(state),
        Repr::Bits(bits) => bits.hash(state),
        Repr::Map(map) => map.len().hash(state),
        Repr::Pid(pid) => pid.hash(state),
        Repr::Port(port) => port.hash(state),
        Repr::Reference(reference) => reference.hash(state),
        Repr::Fun(fun) => (fun.head(), fun.free.len()).hash(state),
        Repr::Export(export) => export.hash(state),
        Repr::Record(record) => record.head().hash(state),
        Repr::Opaque(bytes) => bytes.hash(state),
    }
}
