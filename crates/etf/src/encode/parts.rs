//! Every kind of term as bytes.

use alloc::vec::Vec;
use core::slice;

use super::{
    Sink,
    out::{At, Count, Out},
    straight::Straight,
};
use crate::{
    Atom, Pid, Port, Reference, Term,
    big::BigInt,
    binary::Binary,
    fun::{Export, Fun, Record},
    tag,
    term::Repr,
};

/// Writes a term, after the version byte or without it.
#[inline]
pub(super) fn write<const VERSION: bool>(term: &Term, sink: &mut impl Sink) {
    let mut out = Straight::new(sink);
    let at = out.begin();
    let at = all::<_, VERSION>(term, &mut out, at);
    out.end(at);
}

/// As [`write`], for a sink that has a buffer: to this one instead, which is new and which nobody lends then.
#[inline(always)]
pub(super) fn write_new<const VERSION: bool>(
    term: &Term,
    sink: &mut impl Sink,
    new: Vec<u8>,
) -> Vec<u8> {
    let mut out = Straight::holding(sink, new);
    let at = out.clear();
    let at = all::<_, VERSION>(term, &mut out, at);
    out.into_bytes(at)
}

/// Messages are tuples, mostly: those need not be looked for, and their head is one piece with the version byte.
#[inline(always)]
fn all<O: Out, const VERSION: bool>(term: &Term, out: &mut O, at: At) -> At {
    if let Repr::Tuple(items) = &term.0
        && items.len() < MANY
    {
        let arity = u8::try_from(items.len()).unwrap_or(u8::MAX);
        let begun = 2_u8.wrapping_add(VERSION.into());
        let head = match VERSION {
            true => [tag::VERSION, tag::SMALL_TUPLE, arity, 0],
            false => [tag::SMALL_TUPLE, arity, 0, 0],
        };
        let at = out.short(at, head, begun, &[], 0);
        return near::<_, FEW>(items, out, at);
    }
    let at = match VERSION {
        true => out.put(at, [tag::VERSION]),
        false => at,
    };
    near::<_, FEW>(slice::from_ref(term), out, at)
}

/// How many bytes a term takes.
pub(super) fn measure(term: &Term) -> usize {
    near::<_, NEAR>(slice::from_ref(term), &mut Count, 0)
}

/// Terms one after another. Of those that nest a few levels deep, what is still to be written waits in a few places on the
/// thread's stack, which costs less than a call for each level. Most kinds stand in one `match`: each more would be a jump
/// more that the processor has to guess.
pub(super) fn near<O: Out, const N: usize>(terms: &[Term], out: &mut O, mut at: At) -> At {
    let mut waiting: [slice::Iter<'_, Term>; N] = core::array::from_fn(|_| Default::default());
    let mut level = 0_usize;
    let mut terms = terms.iter();
    loop {
        let Some(term) = terms.next() else {
            level = level.wrapping_sub(1);
            let Some(outer) = waiting.get(level) else {
                return at;
            };
            terms = outer.clone();
            continue;
        };
        let parts: &[Term] = match &term.0 {
            Repr::Int(value) => {
                at = int(*value, out, at);
                // Seldom alone, and a comparison is guessed more often than a jump.
                while let [Term(Repr::Int(value)), rest @ ..] = terms.as_slice() {
                    terms = rest.iter();
                    at = int(*value, out, at);
                }
                continue;
            }
            Repr::Nil => {
                at = out.put(at, [tag::NIL]);
                continue;
            }
            Repr::Atom(value) => {
                at = atom(value, out, at);
                continue;
            }
            Repr::Float(value) => {
                at = out.short(at, [tag::NEW_FLOAT], 1, &value.to_be_bytes(), 8);
                continue;
            }
            Repr::ShortBinary(binary) => {
                let (content, length) = binary.padded();
                let head = [tag::BINARY, 0, 0, 0, length, 0, 0, 0];
                at = out.short(at, head, 5, content, length);
                continue;
            }
            Repr::Binary(value) => {
                at = binary(value, out, at);
                continue;
            }
            Repr::ShortBig(value) => {
                let (negative, magnitude, length) = value.padded();
                let head = [tag::SMALL_BIG, length, negative.into(), 0];
                at = out.short(at, head, 3, magnitude, length);
                continue;
            }
            Repr::String(list) => {
                at = string(list.bytes(), out, at);
                continue;
            }
            Repr::Pid(value) => {
                at = pid(value, out, at);
                continue;
            }
            Repr::Reference(value) => {
                at = reference(value, out, at);
                continue;
            }
            Repr::Tuple(items) => {
                at = tuple(items.len(), out, at);
                items
            }
            Repr::Map(map) => {
                at = counted(tag::MAP, map.len(), out, at);
                map.items()
            }
            Repr::Improper(items) => {
                at = counted(tag::LIST, items.len().saturating_sub(1), out, at);
                items
            }
            Repr::List(items) => {
                if !terms.as_slice().is_empty() {
                    let Some(place) = waiting.get_mut(level) else {
                        at = deeper(slice::from_ref(term), out, at);
                        continue;
                    };
                    *place = terms;
                    level = level.wrapping_add(1);
                }
                // Its end comes after its elements.
                terms = END.iter();
                at = counted(tag::LIST, items.len(), out, at);
                items
            }
            Repr::Big(_)
            | Repr::Bits(_)
            | Repr::Port(_)
            | Repr::Export(_)
            | Repr::Opaque(_)
            | Repr::Fun(_)
            | Repr::Record(_) => {
                at = seldom(term, out, at);
                continue;
            }
        };
        if O::SMALL && parts.len() >= MANY {
            at = out.many(at, parts);
            continue;
        }
        // After the parts of the last one nothing is left.
        if !terms.as_slice().is_empty() {
            let Some(place) = waiting.get_mut(level) else {
                at = deeper(parts, out, at);
                continue;
            };
            *place = terms;
            level = level.wrapping_add(1);
        }
        terms = parts.iter();
    }
}

/// Terms for which there is no place to wait.
fn deeper<O: Out>(terms: &[Term], out: &mut O, at: At) -> At {
    if O::SMALL {
        return out.many(at, terms);
    }
    far(terms, out, at)
}

/// What comes after the elements of a list.
static END: [Term; 1] = [Term::nil()];

/// Terms that nest at any depth: what is still to be written waits on the heap.
#[inline(never)]
fn far<O: Out>(terms: &[Term], out: &mut O, mut at: At) -> At {
    let mut waiting = alloc::vec![terms.iter()];
    while let Some(parts) = waiting.last_mut() {
        let Some(term) = parts.next() else {
            waiting.pop();
            continue;
        };
        at = match &term.0 {
            Repr::Tuple(items) => tuple(items.len(), out, at),
            Repr::List(items) => counted(tag::LIST, items.len(), out, at),
            Repr::Map(map) => counted(tag::MAP, map.len(), out, at),
            Repr::Improper(items) => counted(tag::LIST, items.len().saturating_sub(1), out, at),
            Repr::Record(value) => record(value, out, at),
            Repr::Fun(value) if O::COUNTS => {
                at = at.saturating_add(value.len());
                continue;
            }
            Repr::Fun(value) => fun(value, out, at),
            _ => near::<_, FEW>(slice::from_ref(term), out, at),
        };
        if let Repr::List(_) = term.0 {
            waiting.push(END.iter());
        }
        waiting.push(term.parts().iter());
    }
    at
}

/// So many parts pay for more room.
const MANY: usize = 32;

/// How many levels may use the thread's stack.
pub(super) const NEAR: usize = 8;

/// The same for what is small, since each costs.
const FEW: usize = 3;

/// Everything else.
#[inline(never)]
fn seldom<O: Out>(term: &Term, out: &mut O, at: At) -> At {
    match &term.0 {
        Repr::Big(value) => big(value.view(), out, at),
        Repr::Bits(bits) => {
            let at = counted(tag::BIT_BINARY, bits.bytes().len(), out, at);
            let at = out.put(at, [bits.bits_of_last()]);
            out.shared(at, bits.bytes(), || bits.bytes().clone())
        }
        Repr::Port(value) => port(value, out, at),
        Repr::Export(value) => export(value, out, at),
        Repr::Opaque(bytes) => {
            let at = out.put(at, [tag::LOCAL]);
            out.slice(at, bytes)
        }
        _ => far(slice::from_ref(term), out, at),
    }
}

#[inline(always)]
fn binary<O: Out>(binary: &Binary, out: &mut O, at: At) -> At {
    let bytes = binary.as_slice();
    let at = counted(tag::BINARY, bytes.len(), out, at);
    match bytes.len() {
        ..KEPT_FROM => out.slice(at, bytes),
        _ => out.shared(at, bytes, || binary.to_bytes()),
    }
}

/// No sink keeps a binary that is shorter: it would cost more than to copy it.
const KEPT_FROM: usize = 64;

#[inline(always)]
fn tuple<O: Out>(arity: usize, out: &mut O, at: At) -> At {
    match u8::try_from(arity) {
        Ok(arity) => out.put(at, [tag::SMALL_TUPLE, arity]),
        Err(_) => counted(tag::LARGE_TUPLE, arity, out, at),
    }
}

#[inline(always)]
fn atom<O: Out>(atom: &Atom, out: &mut O, at: At) -> At {
    if let Some(place) = out.place_of(at, atom) {
        return out.put(at, [tag::ATOM_CACHE_REF, place]);
    }
    let Some((text, length)) = atom.padded() else {
        return long_atom(atom, out, at);
    };
    out.short(at, [tag::SMALL_ATOM_UTF8, length], 2, text, length)
}

/// A tag and an atom.
#[inline(always)]
fn tagged<O: Out>(tag: u8, atom: &Atom, out: &mut O, at: At) -> At {
    if let Some(place) = out.place_of(at, atom) {
        return out.put(at, [tag, tag::ATOM_CACHE_REF, place]);
    }
    let Some((text, length)) = atom.padded() else {
        let at = out.put(at, [tag]);
        return long_atom(atom, out, at);
    };
    let head = [tag, tag::SMALL_ATOM_UTF8, length, 0];
    out.short(at, head, 3, text, length)
}

#[inline(never)]
fn long_atom<O: Out>(atom: &Atom, out: &mut O, at: At) -> At {
    let text = atom.as_bytes();
    let at = match u8::try_from(text.len()) {
        Ok(length) => out.put(at, [tag::SMALL_ATOM_UTF8, length]),
        Err(_) => {
            // At most 255 characters, 1,020 bytes.
            let [high, low] = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
            out.put(at, [tag::ATOM_UTF8, high, low])
        }
    };
    out.slice(at, text)
}

#[inline(always)]
fn int<O: Out>(value: i64, out: &mut O, at: At) -> At {
    if let Ok(byte) = u8::try_from(value) {
        return out.put(at, [tag::SMALL_INTEGER, byte]);
    }
    if let Ok(value) = i32::try_from(value) {
        let [a, b, c, d] = value.to_be_bytes();
        return out.put(at, [tag::INTEGER, a, b, c, d]);
    }
    let magnitude = value.unsigned_abs();
    let zeros = magnitude.leading_zeros().wrapping_shr(3);
    let length = 8_u8.saturating_sub(u8::try_from(zeros).unwrap_or(0));
    let head = [tag::SMALL_BIG, length, u8::from(value < 0), 0];
    out.short(at, head, 3, &magnitude.to_le_bytes(), length)
}

fn big<O: Out>(value: BigInt<'_>, out: &mut O, at: At) -> At {
    let magnitude = value.magnitude();
    let at = match u8::try_from(magnitude.len()) {
        Ok(length) => out.put(at, [tag::SMALL_BIG, length]),
        Err(_) => counted(tag::LARGE_BIG, magnitude.len(), out, at),
    };
    let at = out.put(at, [u8::from(value.is_negative())]);
    out.slice(at, magnitude)
}

#[inline(always)]
fn string<O: Out>(bytes: &[u8], out: &mut O, at: At) -> At {
    // A list of bytes has no more than two bytes say.
    let [.., high, low] = bytes.len().to_be_bytes();
    let at = out.short(at, [tag::STRING, high, low, 0], 3, &[], 0);
    out.slice(at, bytes)
}

#[inline(always)]
fn pid<O: Out>(pid: &Pid, out: &mut O, at: At) -> At {
    let at = tagged(tag::NEW_PID, &pid.node, out, at);
    let number = u64::from(pid.id).wrapping_shl(32) | u64::from(pid.serial);
    let creation = pid.creation.to_be_bytes();
    out.short(at, number.to_be_bytes(), 8, &creation, 4)
}

fn port<O: Out>(port: &Port, out: &mut O, at: At) -> At {
    let at = tagged(tag::V4_PORT, &port.node, out, at);
    let at = out.put(at, port.id.to_be_bytes());
    out.put(at, port.creation.to_be_bytes())
}

#[inline(never)]
fn reference<O: Out>(reference: &Reference, out: &mut O, at: At) -> At {
    // One to five words.
    let words = u8::try_from(reference.words().len()).unwrap_or(0);
    let at = out.put(at, [tag::NEWER_REFERENCE, 0, words]);
    let at = atom(reference.node(), out, at);
    let at = out.put(at, reference.creation().to_be_bytes());
    let mut bytes = [0; Reference::MAX_WORDS * 4];
    for (to, from) in bytes.as_chunks_mut().0.iter_mut().zip(reference.padded()) {
        *to = from.to_be_bytes();
    }
    out.short(at, [], 0, &bytes, words.wrapping_mul(4))
}

fn export<O: Out>(export: &Export, out: &mut O, at: At) -> At {
    let at = out.put(at, [tag::EXPORT]);
    let at = atom(&export.module, out, at);
    let at = atom(&export.function, out, at);
    out.put(at, [tag::SMALL_INTEGER, export.arity])
}

fn fun<O: Out>(fun: &Fun, out: &mut O, at: At) -> At {
    out.measured(at, fun.len());
    let at = counted(tag::NEW_FUN, fun.size, out, at);
    fun_head(fun, out, at)
}

/// From the arity up to the variables.
fn fun_head<O: Out>(fun: &Fun, out: &mut O, at: At) -> At {
    let at = out.put(at, [fun.arity]);
    let at = out.put(at, fun.uniq);
    let at = out.put(at, fun.index.to_be_bytes());
    let at = out.put(at, saturated(fun.free.len()).to_be_bytes());
    let at = atom(&fun.module, out, at);
    let at = int(fun.old_index, out, at);
    let at = int(fun.old_uniq, out, at);
    pid(&fun.pid, out, at)
}

impl Fun {
    /// What the size field says: itself, the head and the variables. A fun inside was measured already, so this looks at
    /// each part once however deep they nest.
    pub(crate) fn measure(&self) -> usize {
        let at = fun_head(self, &mut Count, size_of::<u32>());
        near::<_, NEAR>(&self.free, &mut Count, at)
    }

    /// What all of it takes: the size does not count the tag.
    fn len(&self) -> usize {
        self.size.saturating_add(1)
    }
}

fn record<O: Out>(record: &Record, out: &mut O, at: At) -> At {
    let at = counted(tag::RECORD, record.values.len(), out, at);
    let mut at = out.put(at, [record.flags]);
    at = atom(&record.module, out, at);
    at = atom(&record.name, out, at);
    for field in record.fields.iter() {
        at = atom(field, out, at);
    }
    at
}

#[inline(always)]
fn counted<O: Out>(tag: u8, count: usize, out: &mut O, at: At) -> At {
    let [a, b, c, d] = saturated(count).to_be_bytes();
    out.put(at, [tag, a, b, c, d])
}

/// Counts that do not fit would need 100 GB of terms; binaries are checked when they are made.
#[inline]
fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
