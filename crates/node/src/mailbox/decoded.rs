//! What a message takes once it is decoded.

use trunkline_etf::{Fun, Pid, Record, Reference, Term, View};

use crate::process::Message;

/// What a piece of memory takes beside its contents: counters, a length, what the allocator adds.
const PIECE: usize = 48;

/// Texts of atoms up to this length lie in their place.
const SHORT: usize = 22;

/// What of a message's memory is not counted by the bytes that it came as: its parts. Binaries and long
/// integers have no more bytes than came. A list of bytes counts as the elements that are made of it
/// when somebody asks for them.
pub(crate) fn parts(message: &Message) -> usize {
    match message {
        Message::Term(term) | Message::Exit { reason: term, .. } => of(term),
        Message::Down { reason, .. } => of(reason),
        Message::NodeDown { .. } => 0,
    }
}

fn of(term: &Term) -> usize {
    let (mut size, mut left) = (0, vec![term]);
    while let Some(term) = left.pop() {
        if let Some(bytes) = term.as_byte_list().filter(|bytes| !bytes.is_empty()) {
            size += 2 * PIECE + bytes.len() * PLACE;
            continue;
        }
        size += match term.view() {
            View::Atom(atom) if atom.as_str().len() > SHORT => PIECE + atom.as_str().len(),
            View::Atom(_) | View::Int(_) | View::Float(_) | View::List([]) => 0,
            View::Tuple(items) | View::List(items) => {
                left.extend(items);
                PIECE + items.len() * PLACE
            }
            View::Improper(items, tail) => {
                left.extend(items);
                left.push(tail);
                PIECE + (items.len() + 1) * PLACE
            }
            View::Map(map) => {
                left.extend(map.iter().flat_map(|(key, value)| [key, value]));
                // Large ones have an index.
                2 * PIECE + map.len() * (2 * PLACE + size_of::<usize>())
            }
            View::Fun(fun) => {
                left.extend(fun.free());
                PIECE + size_of::<Fun>() + fun.free().len() * PLACE
            }
            View::Record(record) => {
                left.extend(record.fields().map(|(_, value)| value));
                3 * PIECE + size_of::<Record>() + record.fields().len() * 2 * PLACE
            }
            View::Pid(_) | View::Port(_) => PIECE + size_of::<Pid>(),
            View::Reference(_) => PIECE + size_of::<Reference>(),
            // Bytes, as they came.
            _ => 2 * PIECE,
        };
    }
    size
}

/// What a term has where it is a part of another one.
const PLACE: usize = size_of::<Term>();
