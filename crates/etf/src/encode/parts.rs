//! Every kind of term as bytes.

use alloc::vec::Vec;
use core::slice::Iter;

use super::{
    Sink,
    block::{Block, LENGTH},
};
use crate::{
    Atom, Pid, Port, Reference, Term,
    big::BigInt,
    fun::{Export, Fun, Record},
    tag,
    term::Repr,
};

/// A container of which parts are still to be written.
struct Open<'a> {
    rest: Iter<'a, Term>,
    /// A proper list ends with `[]`.
    nil: bool,
}

pub(super) fn write(term: &Term, sink: &mut impl Sink) {
    let out = &mut Block::new(sink);
    let Some(mut current) = head(term, out) else {
        return;
    };
    let mut waiting = Vec::new();
    loop {
        if let Some(term) = current.rest.next() {
            if let Some(inner) = head(term, out) {
                waiting.push(core::mem::replace(&mut current, inner));
            }
            continue;
        }
        if current.nil {
            out.put([tag::NIL]);
        }
        match waiting.pop() {
            Some(outer) => current = outer,
            None => return,
        }
    }
}

/// Writes all of a term that has no parts, else what comes before them.
#[inline(always)]
fn head<'a, S: Sink>(term: &'a Term, out: &mut Block<'_, S>) -> Option<Open<'a>> {
    match &term.0 {
        Repr::Int(value) => int(*value, out),
        Repr::Nil => out.put([tag::NIL]),
        Repr::Atom(value) => atom(value, out),
        Repr::Float(value) => {
            let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
            out.put([tag::NEW_FLOAT, a, b, c, d, e, f, g, h]);
        }
        Repr::ShortBinary(binary) => {
            let length = binary.as_slice().len();
            counted(tag::BINARY, length, out);
            out.first(*binary.padded(), length);
        }
        Repr::Tuple(items) => {
            match u8::try_from(items.len()) {
                Ok(arity) => out.put([tag::SMALL_TUPLE, arity]),
                Err(_) => counted(tag::LARGE_TUPLE, items.len(), out),
            }
            return open(items, false);
        }
        Repr::List(items) => {
            if string(items, out) {
                return None;
            }
            counted(tag::LIST, items.len(), out);
            return open(items, true);
        }
        Repr::Map(map) => {
            counted(tag::MAP, map.len(), out);
            return open(map.items(), false);
        }
        _ => return seldom(term, out),
    }
    None
}

fn open(parts: &[Term], nil: bool) -> Option<Open<'_>> {
    let rest = parts.iter();
    (!parts.is_empty()).then_some(Open { rest, nil })
}

#[inline(never)]
fn seldom<'a, S: Sink>(term: &'a Term, out: &mut Block<'_, S>) -> Option<Open<'a>> {
    match &term.0 {
        Repr::ShortBig(value) => big(value.view(), out),
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
    open(term.parts(), false)
}

#[inline(always)]
fn atom<S: Sink>(atom: &Atom, out: &mut Block<'_, S>) {
    if let Some(place) = out.sink_aside().place_of(atom) {
        return out.put([tag::ATOM_CACHE_REF, place]);
    }
    if let Some((bytes, length)) = atom.padded() {
        out.put([tag::SMALL_ATOM_UTF8, length]);
        return out.first(*bytes, length.into());
    }
    long_atom(atom, out);
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
    out.put([tag::SMALL_BIG, length, u8::from(value < 0)]);
    out.first(magnitude.to_le_bytes(), length.into());
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

/// A list of up to 65,535 bytes has a form of its own.
#[inline]
fn string<S: Sink>(items: &[Term], out: &mut Block<'_, S>) -> bool {
    let byte = |item: &Term| match item.0 {
        Repr::Int(value) => u8::try_from(value).ok(),
        _ => None,
    };
    let Ok(length) = u16::try_from(items.len()) else {
        return false;
    };
    if !items.iter().all(|item| byte(item).is_some()) {
        return false;
    }
    let [high, low] = length.to_be_bytes();
    out.put([tag::STRING, high, low]);
    for items in items.chunks(LENGTH) {
        for (place, item) in out.room(items.len()).iter_mut().zip(items) {
            *place = byte(item).unwrap_or(0);
        }
    }
    true
}

fn pid<S: Sink>(pid: &Pid, out: &mut Block<'_, S>) {
    out.put([tag::NEW_PID]);
    atom(&pid.node, out);
    out.put(pid.id.to_be_bytes());
    out.put(pid.serial.to_be_bytes());
    out.put(pid.creation.to_be_bytes());
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
    for word in reference.words() {
        out.put(word.to_be_bytes());
    }
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
        while let Some(mut parts) = waiting.pop() {
            let Some(term) = parts.next() else { continue };
            waiting.push(parts);
            match &term.0 {
                Repr::Fun(fun) => inner = inner.saturating_add(fun.size).saturating_add(1),
                _ => {
                    if let Some(open) = head(term, &mut out) {
                        inner = inner.saturating_add(usize::from(open.nil));
                        waiting.push(open.rest);
                    }
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
