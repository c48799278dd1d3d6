//! Every kind of term as bytes.

use super::{Sink, block::Block};
use crate::{
    Atom, Pid, Port, Reference, Term,
    big::BigInt,
    fun::{Export, Fun, Record},
    tag,
    term::Repr,
};

/// What is still to be written of a container: its parts, none perhaps, and whether `[]` comes after them.
type Rest<'a> = (&'a [Term], bool);

pub(super) fn write(term: &Term, sink: &mut impl Sink) {
    let out = &mut Block::new(sink);
    let rest = head(term, out);
    finish(rest, out, NEAR);
}

fn finish<S: Sink>((parts, nil): Rest<'_>, out: &mut Block<'_, S>, levels: usize) {
    match levels.checked_sub(1) {
        Some(levels) => near(parts, out, levels),
        None => far(parts, out),
    }
    if nil {
        out.put([tag::NIL]);
    }
}

/// Parts that nest a few levels deep, on the thread's stack.
fn near<S: Sink>(parts: &[Term], out: &mut Block<'_, S>, levels: usize) {
    for term in parts {
        let rest @ ([_, ..], _) = head(term, out) else {
            continue;
        };
        finish(rest, out, levels);
    }
}

/// Parts that nest at any depth: what is still to be written waits on the heap.
#[inline(never)]
fn far<S: Sink>(parts: &[Term], out: &mut Block<'_, S>) {
    let mut waiting = alloc::vec![(parts.iter(), false)];
    while let Some((parts, nil)) = waiting.last_mut() {
        match parts.next() {
            Some(term) => {
                let (parts, nil) = head(term, out);
                if !parts.is_empty() {
                    waiting.push((parts.iter(), nil));
                }
            }
            None => {
                if *nil {
                    out.put([tag::NIL]);
                }
                waiting.pop();
            }
        }
    }
}

/// How many levels may use the thread's stack.
const NEAR: usize = 8;

/// Writes all of a term that has no parts, else what comes before them.
#[cfg_attr(not(debug_assertions), inline(always))]
fn head<'a, S: Sink>(term: &'a Term, out: &mut Block<'_, S>) -> Rest<'a> {
    match &term.0 {
        Repr::Int(value) => int(*value, out),
        Repr::Nil => out.put([tag::NIL]),
        Repr::Atom(value) => atom(value, out),
        Repr::Float(value) => {
            let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
            out.put([tag::NEW_FLOAT, a, b, c, d, e, f, g, h]);
        }
        Repr::ShortBinary(binary) => {
            let (content, length) = binary.padded();
            out.short([tag::BINARY, 0, 0, 0, length], content, length);
        }
        Repr::ShortBig(value) => {
            let (negative, magnitude, length) = value.padded();
            out.short([tag::SMALL_BIG, length, negative.into()], magnitude, length);
        }
        Repr::Tuple(items) => {
            match u8::try_from(items.len()) {
                Ok(arity) => out.put([tag::SMALL_TUPLE, arity]),
                Err(_) => counted(tag::LARGE_TUPLE, items.len(), out),
            }
            return (items, false);
        }
        Repr::List(items) => {
            counted(tag::LIST, items.len(), out);
            return (items, true);
        }
        Repr::String(list) => string(list.bytes(), out),
        Repr::Map(map) => {
            counted(tag::MAP, map.len(), out);
            return (map.items(), false);
        }
        _ => return (seldom(term, out), false),
    }
    (&[], false)
}

/// Everything, and the parts that are still to be written.
#[inline(never)]
fn seldom<'a, S: Sink>(term: &'a Term, out: &mut Block<'_, S>) -> &'a [Term] {
    match &term.0 {
        Repr::Big(value) => big(value.view(), out),
        Repr::Improper(items) => counted(tag::LIST, items.len().saturating_sub(1), out),
        Repr::Binary(binary) => {
            counted(tag::BINARY, binary.as_slice().len(), out);
            let sink = out.sink();
            sink.put_shared(binary.as_slice(), || binary.to_bytes());
        }
        Repr::Bits(bits) => {
            counted(tag::BIT_BINARY, bits.bytes().len(), out);
            out.put([bits.bits_of_last()]);
            out.sink().put_shared(bits.bytes(), || bits.bytes().clone());
        }
        Repr::Pid(value) => pid(value, out),
        Repr::Port(value) => port(value, out),
        Repr::Reference(value) => reference(value, out),
        Repr::Fun(value) => fun(value, out),
        Repr::Export(value) => export(value, out),
        Repr::Record(value) => record(value, out),
        Repr::Opaque(bytes) => {
            out.put([tag::LOCAL]);
            out.slice(bytes);
        }
        // All others are common ones.
        _ => {}
    }
    term.parts()
}

#[inline(always)]
fn atom<S: Sink>(atom: &Atom, out: &mut Block<'_, S>) {
    if let Some(place) = out.sink_aside().place_of(atom) {
        return out.put([tag::ATOM_CACHE_REF, place]);
    }
    let Some((bytes, length)) = atom.padded() else {
        return long_atom(atom, out);
    };
    out.short([tag::SMALL_ATOM_UTF8, length], bytes, length);
}

#[inline(never)]
fn long_atom<S: Sink>(atom: &Atom, out: &mut Block<'_, S>) {
    let text = atom.as_bytes();
    match u8::try_from(text.len()) {
        Ok(length) => out.put([tag::SMALL_ATOM_UTF8, length]),
        Err(_) => {
            // At most 255 characters, 1,020 bytes.
            let [high, low] = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
            out.put([tag::ATOM_UTF8, high, low]);
        }
    }
    out.slice(text);
}

#[inline(always)]
fn int<S: Sink>(value: i64, out: &mut Block<'_, S>) {
    if let Ok(byte) = u8::try_from(value) {
        return out.put([tag::SMALL_INTEGER, byte]);
    }
    if let Ok(value) = i32::try_from(value) {
        let [a, b, c, d] = value.to_be_bytes();
        return out.put([tag::INTEGER, a, b, c, d]);
    }
    let magnitude = value.unsigned_abs();
    let zeros = magnitude.leading_zeros().wrapping_shr(3);
    let length = 8_u8.saturating_sub(u8::try_from(zeros).unwrap_or(0));
    let head = [tag::SMALL_BIG, length, u8::from(value < 0)];
    out.short(head, &magnitude.to_le_bytes(), length);
}

fn big<S: Sink>(value: BigInt<'_>, out: &mut Block<'_, S>) {
    let magnitude = value.magnitude();
    match u8::try_from(magnitude.len()) {
        Ok(length) => out.put([tag::SMALL_BIG, length]),
        Err(_) => counted(tag::LARGE_BIG, magnitude.len(), out),
    }
    out.put([u8::from(value.is_negative())]);
    out.slice(magnitude);
}

#[inline(always)]
fn string<S: Sink>(bytes: &[u8], out: &mut Block<'_, S>) {
    // A list of bytes has no more of them.
    let [high, low] = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    out.put([tag::STRING, high, low]);
    out.slice(bytes);
}

fn pid<S: Sink>(pid: &Pid, out: &mut Block<'_, S>) {
    out.put([tag::NEW_PID]);
    atom(&pid.node, out);
    out.words([pid.id, pid.serial, pid.creation], 3);
}

fn port<S: Sink>(port: &Port, out: &mut Block<'_, S>) {
    out.put([tag::V4_PORT]);
    atom(&port.node, out);
    out.put(port.id.to_be_bytes());
    out.put(port.creation.to_be_bytes());
}

fn reference<S: Sink>(reference: &Reference, out: &mut Block<'_, S>) {
    // One to five words.
    let words = u8::try_from(reference.words().len()).unwrap_or(0);
    out.put([tag::NEWER_REFERENCE, 0, words]);
    atom(reference.node(), out);
    out.put(reference.creation().to_be_bytes());
    out.words(*reference.padded(), words);
}

fn export<S: Sink>(export: &Export, out: &mut Block<'_, S>) {
    out.put([tag::EXPORT]);
    atom(&export.module, out);
    atom(&export.function, out);
    out.put([tag::SMALL_INTEGER, export.arity]);
}

fn fun<S: Sink>(fun: &Fun, out: &mut Block<'_, S>) {
    // Its size does not count the tag.
    out.measured(fun.size.saturating_add(1));
    counted(tag::NEW_FUN, fun.size, out);
    fun_head(fun, out);
}

/// From the arity up to the variables.
fn fun_head<S: Sink>(fun: &Fun, out: &mut Block<'_, S>) {
    out.put([fun.arity]);
    out.put(fun.uniq);
    out.put(fun.index.to_be_bytes());
    out.put(saturated(fun.free.len()).to_be_bytes());
    atom(&fun.module, out);
    int(fun.old_index, out);
    int(fun.old_uniq, out);
    pid(&fun.pid, out);
}

impl Fun {
    /// What the size field says: itself, the head and the variables. A fun inside has its own size
    /// already, so this looks at each part once however deep they nest.
    pub(crate) fn measure(&self) -> usize {
        let mut written = 0;
        let mut inner = size_of::<u32>();
        let mut out = Block::new(&mut written);
        fun_head(self, &mut out);
        let mut waiting = alloc::vec![self.free.iter()];
        while let Some(parts) = waiting.last_mut() {
            let Some(term) = parts.next() else {
                waiting.pop();
                continue;
            };
            match &term.0 {
                Repr::Fun(fun) => inner = inner.saturating_add(fun.size).saturating_add(1),
                _ => {
                    let (parts, nil) = head(term, &mut out);
                    inner = inner.saturating_add(usize::from(nil));
                    waiting.push(parts.iter());
                }
            }
        }
        drop(out);
        inner.saturating_add(written)
    }
}

fn record<S: Sink>(record: &Record, out: &mut Block<'_, S>) {
    counted(tag::RECORD, record.values.len(), out);
    out.put([record.flags]);
    atom(&record.module, out);
    atom(&record.name, out);
    for field in record.fields.iter() {
        atom(field, out);
    }
}

#[inline(always)]
fn counted<S: Sink>(tag: u8, count: usize, out: &mut Block<'_, S>) {
    let [a, b, c, d] = saturated(count).to_be_bytes();
    out.put([tag, a, b, c, d]);
}

/// Counts that do not fit would need 100 GB of terms; binaries are checked when they are made.
#[inline]
fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
