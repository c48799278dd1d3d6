//! Encoding.

use alloc::vec::Vec;
use core::slice::Iter;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    Atom, Pid, Port, Reference, Term,
    big::{BigInt, trimmed},
    fun::{Export, Fun, Record},
    tag,
    term::Repr,
};

/// Where encoded bytes go.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Appends the bytes of a binary; a sink of several segments may keep them instead of copying.
    fn put_shared(&mut self, bytes: &[u8], shared: impl FnOnce() -> Bytes) {
        let _ = shared;
        self.put(bytes);
    }

    /// The place of this atom in a table that goes before the term, to which the term refers then
    /// (`ATOM_CACHE_REF`). A sink without such a table gives `None`: the atom is written out.
    fn place_of(&mut self, atom: &Atom) -> Option<u8> {
        let _ = atom;
        None
    }

    /// The next `len` bytes were measured with their atoms written out: there must be no
    /// [`place_of`](Self::place_of) them until then.
    fn measured(&mut self, len: usize) {
        let _ = len;
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

/// Counts.
impl Sink for usize {
    fn put(&mut self, bytes: &[u8]) {
        *self = self.saturating_add(bytes.len());
    }
}

impl Term {
    /// Appends the term with the version byte 131, as `term_to_binary/1` gives it.
    pub fn encode(&self, out: &mut impl Sink) {
        out.put(&[tag::VERSION]);
        self.encode_bare(out);
    }

    /// Appends the term without the version byte, as frames with a distribution header carry it.
    pub fn encode_bare(&self, out: &mut impl Sink) {
        encode(self, out);
    }

    /// The encoded term with the version byte 131.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// How many bytes [`encode_bare`](Self::encode_bare) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut length = 0_usize;
        self.encode_bare(&mut length);
        length
    }
}

/// A container of which parts are still to be written.
struct Open<'a> {
    rest: Iter<'a, Term>,
    /// A proper list ends with `[]`.
    nil: bool,
}

fn encode(term: &Term, out: &mut impl Sink) {
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
            out.put(&[tag::NIL]);
        }
        match waiting.pop() {
            Some(outer) => current = outer,
            None => return,
        }
    }
}

/// Writes all of a term that has no parts, else what comes before them.
fn head<'a>(term: &'a Term, out: &mut impl Sink) -> Option<Open<'a>> {
    let mut nil = false;
    match &term.0 {
        Repr::Atom(value) => atom(value, out),
        Repr::Int(value) => int(*value, out),
        Repr::Float(value) => tagged(tag::NEW_FLOAT, &value.to_be_bytes(), out),
        Repr::ShortBig(value) => big(value.view(), out),
        Repr::Big(value) => big(value.view(), out),
        Repr::Nil => out.put(&[tag::NIL]),
        Repr::Tuple(items) => match u8::try_from(items.len()) {
            Ok(arity) => out.put(&[tag::SMALL_TUPLE, arity]),
            Err(_) => counted(tag::LARGE_TUPLE, items.len(), out),
        },
        Repr::List(items) => {
            if string(items, out) {
                return None;
            }
            counted(tag::LIST, items.len(), out);
            nil = true;
        }
        Repr::Improper(items) => counted(tag::LIST, items.len().saturating_sub(1), out),
        Repr::ShortBinary(binary) => {
            counted(tag::BINARY, binary.as_slice().len(), out);
            out.put(binary.as_slice());
        }
        Repr::Binary(binary) => {
            counted(tag::BINARY, binary.as_slice().len(), out);
            out.put_shared(binary.as_slice(), || binary.to_bytes());
        }
        Repr::Bits(bits) => {
            counted(tag::BIT_BINARY, bits.bytes().len(), out);
            out.put(&[bits.bits_of_last()]);
            out.put_shared(bits.bytes(), || bits.bytes().clone());
        }
        Repr::Map(map) => counted(tag::MAP, map.len(), out),
        Repr::Pid(value) => pid(value, out),
        Repr::Port(value) => port(value, out),
        Repr::Reference(value) => reference(value, out),
        Repr::Fun(value) => fun(value, out),
        Repr::Export(value) => export(value, out),
        Repr::Record(value) => record(value, out),
        Repr::Opaque(bytes) => tagged(tag::LOCAL, bytes, out),
    }
    let parts = term.parts();
    (!parts.is_empty()).then(|| Open {
        rest: parts.iter(),
        nil,
    })
}

fn atom(atom: &Atom, out: &mut impl Sink) {
    if let Some(place) = out.place_of(atom) {
        return out.put(&[tag::ATOM_CACHE_REF, place]);
    }
    let text = atom.as_bytes();
    match u8::try_from(text.len()) {
        Ok(length) => out.put(&[tag::SMALL_ATOM_UTF8, length]),
        // At most 255 characters, 1,020 bytes.
        Err(_) => tagged(
            tag::ATOM_UTF8,
            &u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes(),
            out,
        ),
    }
    out.put(text);
}

fn int(value: i64, out: &mut impl Sink) {
    if let Ok(byte) = u8::try_from(value) {
        return out.put(&[tag::SMALL_INTEGER, byte]);
    }
    match i32::try_from(value) {
        Ok(value) => tagged(tag::INTEGER, &value.to_be_bytes(), out),
        Err(_) => magnitude(value < 0, trimmed(&value.unsigned_abs().to_le_bytes()), out),
    }
}

fn big(value: BigInt<'_>, out: &mut impl Sink) {
    magnitude(value.is_negative(), value.magnitude(), out);
}

fn magnitude(negative: bool, magnitude: &[u8], out: &mut impl Sink) {
    match u8::try_from(magnitude.len()) {
        Ok(length) => out.put(&[tag::SMALL_BIG, length]),
        Err(_) => counted(tag::LARGE_BIG, magnitude.len(), out),
    }
    out.put(&[u8::from(negative)]);
    out.put(magnitude);
}

/// A list of up to 65,535 bytes has a form of its own.
fn string(items: &[Term], out: &mut impl Sink) -> bool {
    let Ok(length) = u16::try_from(items.len()) else {
        return false;
    };
    let byte = |item: &Term| item.as_i64().and_then(|value| u8::try_from(value).ok());
    if !items.iter().all(|item| byte(item).is_some()) {
        return false;
    }
    tagged(tag::STRING, &length.to_be_bytes(), out);
    let mut buffer = [0; 256];
    for chunk in items.chunks(buffer.len()) {
        let mut length = 0_usize;
        for (to, from) in buffer.iter_mut().zip(chunk.iter().filter_map(byte)) {
            *to = from;
            length = length.saturating_add(1);
        }
        out.put(buffer.get(..length).unwrap_or_default());
    }
    true
}

fn pid(pid: &Pid, out: &mut impl Sink) {
    out.put(&[tag::NEW_PID]);
    atom(&pid.node, out);
    out.put(&pid.id.to_be_bytes());
    out.put(&pid.serial.to_be_bytes());
    out.put(&pid.creation.to_be_bytes());
}

fn port(port: &Port, out: &mut impl Sink) {
    out.put(&[tag::V4_PORT]);
    atom(&port.node, out);
    out.put(&port.id.to_be_bytes());
    out.put(&port.creation.to_be_bytes());
}

fn reference(reference: &Reference, out: &mut impl Sink) {
    // One to five words.
    let words = u16::try_from(reference.words().len()).unwrap_or(0);
    tagged(tag::NEWER_REFERENCE, &words.to_be_bytes(), out);
    atom(reference.node(), out);
    out.put(&reference.creation().to_be_bytes());
    for word in reference.words() {
        out.put(&word.to_be_bytes());
    }
}

fn export(export: &Export, out: &mut impl Sink) {
    out.put(&[tag::EXPORT]);
    atom(&export.module, out);
    atom(&export.function, out);
    out.put(&[tag::SMALL_INTEGER, export.arity]);
}

fn fun(fun: &Fun, out: &mut impl Sink) {
    // Its size does not count the tag.
    out.measured(fun.size.saturating_add(1));
    counted(tag::NEW_FUN, fun.size, out);
    fun_head(fun, out);
}

/// From the arity up to the variables.
fn fun_head(fun: &Fun, out: &mut impl Sink) {
    out.put(&[fun.arity]);
    out.put(&fun.uniq);
    out.put(&fun.index.to_be_bytes());
    out.put(&saturated(fun.free.len()).to_be_bytes());
    atom(&fun.module, out);
    int(fun.old_index, out);
    int(fun.old_uniq, out);
    pid(&fun.pid, out);
}

impl Fun {
    /// What the size field says: itself, the head and the variables. A fun inside has its own size
    /// already, so this looks at each part once however deep they nest.
    pub(crate) fn measure(&self) -> usize {
        let mut size = size_of::<u32>();
        fun_head(self, &mut size);
        let mut waiting = alloc::vec![self.free.iter()];
        while let Some(mut parts) = waiting.pop() {
            let Some(term) = parts.next() else { continue };
            waiting.push(parts);
            match &term.0 {
                Repr::Fun(inner) => size = size.saturating_add(inner.size).saturating_add(1),
                _ => {
                    if let Some(open) = head(term, &mut size) {
                        size = size.saturating_add(usize::from(open.nil));
                        waiting.push(open.rest);
                    }
                }
            }
        }
        size
    }
}

fn record(record: &Record, out: &mut impl Sink) {
    counted(tag::RECORD, record.values.len(), out);
    out.put(&[record.flags]);
    atom(&record.module, out);
    atom(&record.name, out);
    for field in record.fields.iter() {
        atom(field, out);
    }
}

fn tagged(tag: u8, bytes: &[u8], out: &mut impl Sink) {
    out.put(&[tag]);
    out.put(bytes);
}

fn counted(tag: u8, count: usize, out: &mut impl Sink) {
    tagged(tag, &saturated(count).to_be_bytes(), out);
}

/// Counts that do not fit would need 100 GB of terms; binaries are checked when they are made.
fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
