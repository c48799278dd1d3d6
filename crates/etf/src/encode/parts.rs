//! Every kind of term as bytes.

use core::slice;

use super::{
    Sink,
    block::{Block, Out, Straight, Used},
};
use crate::{
    Atom, Pid, Port, Reference, Term,
    big::BigInt,
    fun::{Export, Fun, Record},
    tag,
    term::Repr,
};

/// Writes a term after these bytes.
#[inline]
pub(super) fn write<const N: usize>(before: [u8; N], term: &Term, sink: &mut impl Sink) {
    let term = slice::from_ref(term);
    if let Some((mut out, used)) = Straight::new(sink) {
        let used = out.put(used, before);
        let used = near(term, &mut out, used);
        return out.end(used);
    }
    let mut out = Block::new(sink, 0);
    let used = out.put(0, before);
    let used = near(term, &mut out, used);
    let _ = out.end(used);
}

/// Parts that nest a few levels deep: what is still to be written waits in a few places on the thread's stack, which costs
/// less than a call for each level. All kinds stand in one `match`: a second one would be a second jump that the processor has to guess.
fn near<O: Out>(parts: &[Term], out: &mut O, mut used: Used) -> Used {
    let mut waiting: [slice::Iter<'_, Term>; NEAR] = Default::default();
    let mut level = 0_usize;
    let mut parts = parts.iter();
    // A bit for each level, the lowest for the innermost: whether `[]` comes after its parts.
    let mut nils = 0_u32;
    loop {
        let Some(term) = parts.next() else {
            if nils & 1 == 1 {
                used = out.put(used, [tag::NIL]);
            }
            nils >>= 1;
            level = level.wrapping_sub(1);
            let Some(outer) = waiting.get(level) else {
                return used;
            };
            parts = outer.clone();
            continue;
        };
        let (inner, nil) = match &term.0 {
            Repr::Int(value) => {
                used = int(*value, out, used);
                continue;
            }
            Repr::Nil => {
                used = out.put(used, [tag::NIL]);
                continue;
            }
            Repr::Atom(value) => {
                used = atom(value, out, used);
                continue;
            }
            Repr::Float(value) => {
                let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
                used = out.put(used, [tag::NEW_FLOAT, a, b, c, d, e, f, g, h]);
                continue;
            }
            Repr::ShortBinary(binary) => {
                let (content, length) = binary.padded();
                used = out.short(used, [tag::BINARY, 0, 0, 0, length], content, length);
                continue;
            }
            Repr::ShortBig(value) => {
                let (negative, magnitude, length) = value.padded();
                let head = [tag::SMALL_BIG, length, negative.into()];
                used = out.short(used, head, magnitude, length);
                continue;
            }
            Repr::String(list) => {
                used = string(list.bytes(), out, used);
                continue;
            }
            Repr::Pid(value) => {
                used = pid(value, out, used);
                continue;
            }
            Repr::Reference(value) => {
                used = reference(value, out, used);
                continue;
            }
            Repr::Tuple(items) => {
                used = tuple(items.len(), out, used);
                (items, false)
            }
            Repr::List(items) => {
                used = counted(tag::LIST, items.len(), out, used);
                (items, true)
            }
            Repr::Map(map) => {
                used = counted(tag::MAP, map.len(), out, used);
                (map.items(), false)
            }
            Repr::Improper(items) => {
                used = seldom(term, out, used);
                (items, false)
            }
            Repr::Fun(fun) => {
                used = seldom(term, out, used);
                (&fun.free, false)
            }
            Repr::Record(record) => {
                used = seldom(term, out, used);
                (&record.values, false)
            }
            _ => {
                used = seldom(term, out, used);
                continue;
            }
        };
        match waiting.get_mut(level) {
            Some(place) if !O::STRAIGHT || inner.len() < MANY => {
                *place = parts;
                level = level.wrapping_add(1);
                parts = inner.iter();
                nils = (nils << 1) | u32::from(nil);
            }
            _ => {
                used = many(inner, level < NEAR, out, used);
                if nil {
                    used = out.put(used, [tag::NIL]);
                }
            }
        }
    }
}

/// Many parts in blocks, which cost more by themselves and less for each piece; or parts that nest deep.
#[inline(never)]
fn many<O: Out>(parts: &[Term], near_by: bool, out: &mut O, used: Used) -> Used {
    if !near_by {
        return far(parts, out, used);
    }
    out.sink(used);
    let counted = *out.counted();
    let mut block = Block::new(out.sink_aside(), counted);
    let used = near(parts, &mut block, 0);
    *out.counted() = block.end(used);
    out.begun(0)
}

/// So many parts pay for a block.
const MANY: usize = 32;

/// Parts that nest at any depth: what is still to be written waits on the heap.
#[inline(never)]
fn far<O: Out>(parts: &[Term], out: &mut O, mut used: Used) -> Used {
    let mut waiting = alloc::vec![(parts.iter(), false)];
    while let Some((parts, nil)) = waiting.last_mut() {
        match parts.next() {
            Some(term) => {
                used = head(term, out, used);
                let parts = term.parts();
                if !parts.is_empty() {
                    waiting.push((parts.iter(), term.ends_with_nil()));
                }
            }
            None => {
                if *nil {
                    used = out.put(used, [tag::NIL]);
                }
                waiting.pop();
            }
        }
    }
    used
}

/// How many levels may use the thread's stack.
const NEAR: usize = 8;

/// Writes all of a term that has no parts, else what comes before them.
fn head<O: Out>(term: &Term, out: &mut O, used: Used) -> Used {
    match &term.0 {
        Repr::Tuple(items) => tuple(items.len(), out, used),
        Repr::List(items) => counted(tag::LIST, items.len(), out, used),
        Repr::Map(map) => counted(tag::MAP, map.len(), out, used),
        Repr::Improper(_) | Repr::Fun(_) | Repr::Record(_) => seldom(term, out, used),
        _ => near(slice::from_ref(term), out, used),
    }
}

impl Term {
    /// Whether `[]` comes after its parts.
    fn ends_with_nil(&self) -> bool {
        matches!(self.0, Repr::List(_))
    }
}

/// Everything else but its parts.
#[inline(never)]
fn seldom<O: Out>(term: &Term, out: &mut O, used: Used) -> Used {
    match &term.0 {
        Repr::Big(value) => big(value.view(), out, used),
        Repr::Improper(items) => counted(tag::LIST, items.len().saturating_sub(1), out, used),
        Repr::Binary(binary) => {
            let bytes = binary.as_slice();
            let used = counted(tag::BINARY, bytes.len(), out, used);
            if bytes.len() < KEPT_FROM {
                return out.slice(used, bytes);
            }
            let (sink, _) = out.sink(used);
            sink.put_shared(bytes, || binary.to_bytes());
            out.begun(bytes.len())
        }
        Repr::Bits(bits) => {
            let used = counted(tag::BIT_BINARY, bits.bytes().len(), out, used);
            let used = out.put(used, [bits.bits_of_last()]);
            let (sink, _) = out.sink(used);
            sink.put_shared(bits.bytes(), || bits.bytes().clone());
            out.begun(bits.bytes().len())
        }
        Repr::Port(value) => port(value, out, used),
        Repr::Fun(value) => fun(value, out, used),
        Repr::Export(value) => export(value, out, used),
        Repr::Record(value) => record(value, out, used),
        Repr::Opaque(bytes) => {
            let used = out.put(used, [tag::LOCAL]);
            out.slice(used, bytes)
        }
        // All others are common ones.
        _ => used,
    }
}

/// No sink keeps a binary that is shorter: it would cost more than to copy it.
const KEPT_FROM: usize = 64;

#[inline(always)]
fn tuple<O: Out>(arity: usize, out: &mut O, used: Used) -> Used {
    match u8::try_from(arity) {
        Ok(arity) => out.put(used, [tag::SMALL_TUPLE, arity]),
        Err(_) => counted(tag::LARGE_TUPLE, arity, out, used),
    }
}

#[inline(always)]
fn atom<O: Out>(atom: &Atom, out: &mut O, used: Used) -> Used {
    let (sink, used) = out.sink_of_atoms(used);
    if let Some(place) = sink.place_of(atom) {
        return out.put(used, [tag::ATOM_CACHE_REF, place]);
    }
    let Some((bytes, length)) = atom.padded() else {
        return long_atom(atom, out, used);
    };
    out.short(used, [tag::SMALL_ATOM_UTF8, length], bytes, length)
}

#[inline(never)]
fn long_atom<O: Out>(atom: &Atom, out: &mut O, used: Used) -> Used {
    let text = atom.as_bytes();
    let used = match u8::try_from(text.len()) {
        Ok(length) => out.put(used, [tag::SMALL_ATOM_UTF8, length]),
        Err(_) => {
            // At most 255 characters, 1,020 bytes.
            let [high, low] = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
            out.put(used, [tag::ATOM_UTF8, high, low])
        }
    };
    out.slice(used, text)
}

#[inline(always)]
fn int<O: Out>(value: i64, out: &mut O, used: Used) -> Used {
    if let Ok(byte) = u8::try_from(value) {
        return out.put(used, [tag::SMALL_INTEGER, byte]);
    }
    if let Ok(value) = i32::try_from(value) {
        let [a, b, c, d] = value.to_be_bytes();
        return out.put(used, [tag::INTEGER, a, b, c, d]);
    }
    let magnitude = value.unsigned_abs();
    let zeros = magnitude.leading_zeros().wrapping_shr(3);
    let length = 8_u8.saturating_sub(u8::try_from(zeros).unwrap_or(0));
    let head = [tag::SMALL_BIG, length, u8::from(value < 0)];
    out.short(used, head, &magnitude.to_le_bytes(), length)
}

fn big<O: Out>(value: BigInt<'_>, out: &mut O, used: Used) -> Used {
    let magnitude = value.magnitude();
    let used = match u8::try_from(magnitude.len()) {
        Ok(length) => out.put(used, [tag::SMALL_BIG, length]),
        Err(_) => counted(tag::LARGE_BIG, magnitude.len(), out, used),
    };
    let used = out.put(used, [u8::from(value.is_negative())]);
    out.slice(used, magnitude)
}

#[inline(always)]
fn string<O: Out>(bytes: &[u8], out: &mut O, used: Used) -> Used {
    // A list of bytes has no more of them.
    let [high, low] = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let used = out.put(used, [tag::STRING, high, low]);
    out.slice(used, bytes)
}

#[inline(never)]
fn pid<O: Out>(pid: &Pid, out: &mut O, used: Used) -> Used {
    let used = out.put(used, [tag::NEW_PID]);
    let used = atom(&pid.node, out, used);
    out.words(used, [pid.id, pid.serial, pid.creation], 3)
}

fn port<O: Out>(port: &Port, out: &mut O, used: Used) -> Used {
    let used = out.put(used, [tag::V4_PORT]);
    let used = atom(&port.node, out, used);
    let used = out.put(used, port.id.to_be_bytes());
    out.put(used, port.creation.to_be_bytes())
}

#[inline(never)]
fn reference<O: Out>(reference: &Reference, out: &mut O, used: Used) -> Used {
    // One to five words.
    let words = u8::try_from(reference.words().len()).unwrap_or(0);
    let used = out.put(used, [tag::NEWER_REFERENCE, 0, words]);
    let used = atom(reference.node(), out, used);
    let used = out.put(used, reference.creation().to_be_bytes());
    out.words(used, *reference.padded(), words)
}

fn export<O: Out>(export: &Export, out: &mut O, used: Used) -> Used {
    let used = out.put(used, [tag::EXPORT]);
    let used = atom(&export.module, out, used);
    let used = atom(&export.function, out, used);
    out.put(used, [tag::SMALL_INTEGER, export.arity])
}

fn fun<O: Out>(fun: &Fun, out: &mut O, used: Used) -> Used {
    // Its size does not count the tag.
    let used = out.measured(used, fun.size.saturating_add(1));
    let used = counted(tag::NEW_FUN, fun.size, out, used);
    fun_head(fun, out, used)
}

/// From the arity up to the variables.
fn fun_head<O: Out>(fun: &Fun, out: &mut O, used: Used) -> Used {
    let used = out.put(used, [fun.arity]);
    let used = out.put(used, fun.uniq);
    let used = out.put(used, fun.index.to_be_bytes());
    let used = out.put(used, saturated(fun.free.len()).to_be_bytes());
    let used = atom(&fun.module, out, used);
    let used = int(fun.old_index, out, used);
    let used = int(fun.old_uniq, out, used);
    pid(&fun.pid, out, used)
}

impl Fun {
    /// What the size field says: itself, the head and the variables. A fun inside has its own size
    /// already, so this looks at each part once however deep they nest.
    pub(crate) fn measure(&self) -> usize {
        let mut written = 0;
        let mut inner = size_of::<u32>();
        let mut out = Block::new(&mut written, 0);
        let mut used = fun_head(self, &mut out, 0);
        let mut waiting = alloc::vec![self.free.iter()];
        while let Some(parts) = waiting.last_mut() {
            let Some(term) = parts.next() else {
                waiting.pop();
                continue;
            };
            match &term.0 {
                Repr::Fun(fun) => inner = inner.saturating_add(fun.size).saturating_add(1),
                _ => {
                    used = head(term, &mut out, used);
                    inner = inner.saturating_add(usize::from(term.ends_with_nil()));
                    waiting.push(term.parts().iter());
                }
            }
        }
        let _ = out.end(used);
        inner.saturating_add(written)
    }
}

fn record<O: Out>(record: &Record, out: &mut O, used: Used) -> Used {
    let used = counted(tag::RECORD, record.values.len(), out, used);
    let mut used = out.put(used, [record.flags]);
    used = atom(&record.module, out, used);
    used = atom(&record.name, out, used);
    for field in record.fields.iter() {
        used = atom(field, out, used);
    }
    used
}

#[inline(always)]
fn counted<O: Out>(tag: u8, count: usize, out: &mut O, used: Used) -> Used {
    let [a, b, c, d] = saturated(count).to_be_bytes();
    out.put(used, [tag, a, b, c, d])
}

/// Counts that do not fit would need 100 GB of terms; binaries are checked when they are made.
#[inline]
fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
