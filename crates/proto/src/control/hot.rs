//! The control messages that carry most of the traffic, read without making a term.

use trunkline_etf::{Atom, Pid, Reference};

use super::fields::{
    ATOM_CACHE_REF, ATOM_UTF8, NEW_PID, NEWER_REFERENCE, SMALL_ATOM_UTF8, SMALL_INTEGER,
    SMALL_TUPLE,
};
use super::{Control, PidOrName, op};
use crate::wire::Reader;

/// Where the atoms of a control message come from.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    /// Those of the frame's header.
    pub(crate) header: &'a [Atom],
    /// Names that are in every message, to be copied instead of made: the two nodes'.
    pub(crate) known: &'a [Atom],
    /// The name that the message before was for.
    pub(crate) last: Option<&'a Atom>,
}

impl Control {
    /// SEND, SEND_SENDER, REG_SEND and ALIAS_SEND without a trace token, MONITOR_P and DEMONITOR_P, as OTP
    /// writes them, at the front of `reader`. `None`, and nothing taken, for anything else: sound or not, that is a
    /// term.
    #[inline]
    pub(crate) fn hot(reader: &mut Reader<'_>, names: Names<'_>) -> Option<Self> {
        let mut ahead = *reader;
        let [SMALL_TUPLE, arity, SMALL_INTEGER, operation] = ahead.array()? else {
            return None;
        };
        let control = match (i64::from(operation), arity) {
            (op::SEND_SENDER, 3) => Self::SendSender {
                from: pid(&mut ahead, names)?,
                to: pid(&mut ahead, names)?,
                token: None,
            },
            (op::REG_SEND, 4) => {
                let from = pid(&mut ahead, names)?;
                unused(&mut ahead, names)?;
                Self::RegSend {
                    from,
                    to: atom(&mut ahead, names)?,
                    token: None,
                }
            }
            (op::SEND, 3) => {
                unused(&mut ahead, names)?;
                Self::Send {
                    to: pid(&mut ahead, names)?,
                    token: None,
                }
            }
            (op::ALIAS_SEND, 3) => Self::AliasSend {
                from: pid(&mut ahead, names)?,
                alias: reference(&mut ahead, names)?,
                token: None,
            },
            (op::MONITOR_P, 4) => Self::MonitorP {
                from: pid(&mut ahead, names)?,
                to: process(&mut ahead, names)?,
                reference: reference(&mut ahead, names)?,
            },
            (op::DEMONITOR_P, 4) => Self::DemonitorP {
                from: pid(&mut ahead, names)?,
                to: process(&mut ahead, names)?,
                reference: reference(&mut ahead, names)?,
            },
            _ => return None,
        };
        *reader = ahead;
        Some(control)
    }
}

#[inline]
fn pid(reader: &mut Reader<'_>, names: Names<'_>) -> Option<Pid> {
    let [NEW_PID] = reader.array()? else {
        return None;
    };
    let node = atom(reader, names)?;
    Some(Pid {
        node,
        id: reader.u32()?,
        serial: reader.u32()?,
        creation: reader.u32()?,
    })
}

/// The place where a cookie was: any atom.
#[inline]
fn unused(reader: &mut Reader<'_>, names: Names<'_>) -> Option<()> {
    if let Some(rest) = reader.rest().strip_prefix(&[SMALL_ATOM_UTF8, 0]) {
        *reader = Reader::new(rest);
        return Some(());
    }
    atom(reader, names).map(drop)
}

fn process(reader: &mut Reader<'_>, names: Names<'_>) -> Option<PidOrName> {
    match reader.rest() {
        [NEW_PID, ..] => pid(reader, names).map(PidOrName::Pid),
        _ => atom(reader, names).map(PidOrName::Name),
    }
}

fn reference(reader: &mut Reader<'_>, names: Names<'_>) -> Option<Reference> {
    let [NEWER_REFERENCE, 0, count] = reader.array()? else {
        return None;
    };
    let node = atom(reader, names)?;
    let creation = reader.u32()?;
    let mut words = [0; Reference::MAX_WORDS];
    let words = words.get_mut(..usize::from(count))?;
    for word in &mut *words {
        *word = reader.u32()?;
    }
    Reference::new(node, creation, words).ok()
}

#[inline]
fn atom(reader: &mut Reader<'_>, names: Names<'_>) -> Option<Atom> {
    let len = match reader.u8()? {
        SMALL_ATOM_UTF8 => usize::from(reader.u8()?),
        ATOM_UTF8 => usize::from(reader.u16()?),
        ATOM_CACHE_REF => return names.header.get(usize::from(reader.u8()?)).cloned(),
        _ => return None,
    };
    let text = reader.take(len)?;
    let mut known = names.known.iter().chain(names.last);
    match known.find(|known| known.as_bytes() == text) {
        Some(known) => Some(known.clone()),
        None => Atom::new(core::str::from_utf8(text).ok()?).ok(),
    }
}
