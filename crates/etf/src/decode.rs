//! Decoding.

mod containers;
mod inflate;
mod leaves;
mod reader;

use alloc::{sync::Arc, vec::Vec};

use bytes::Bytes;

use self::{containers::Frame, reader::Reader};
use crate::{Atom, DecodeError, Limits, Term, tag, term::Repr};

impl Term {
    /// Decodes what `term_to_binary` gave: version byte 131, a term (compressed, perhaps), nothing after it.
    ///
    /// Binaries are slices of `bytes`, not copies.
    ///
    /// # Errors
    /// When the bytes are no term, or one beyond the limits.
    pub fn decode(bytes: &Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        let (term, used) = Self::decode_prefix(bytes, limits)?;
        match bytes.len().saturating_sub(used) {
            0 => Ok(term),
            more => Err(DecodeError::Trailing(more)),
        }
    }

    /// As [`decode`](Self::decode), but more bytes may follow; gives how many the term has.
    ///
    /// # Errors
    /// When the bytes do not begin with a term, or with one beyond the limits.
    pub fn decode_prefix(bytes: &Bytes, limits: &Limits) -> Result<(Self, usize), DecodeError> {
        let mut decoder = Decoder::new(bytes.clone(), limits);
        let term = decoder.versioned()?;
        Ok((term, decoder.used()))
    }
}

/// Decodes one term after another, in the form of distribution frames.
///
/// ```
/// use trunkline_etf::{Decoder, Limits, atom};
/// let frame = bytes::Bytes::from_static(&[104, 2, 82, 0, 97, 7, 82, 1]);
/// let (limits, atoms) = (Limits::default(), [atom!("tick"), atom!("ok")]);
/// let mut decoder = Decoder::new(frame, &limits).atoms(&atoms);
/// assert_eq!(decoder.term()?.to_string(), "{tick,7}");
/// assert_eq!(decoder.remaining().len(), 2);
/// # Ok::<(), trunkline_etf::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder<'a> {
    reader: Reader,
    limits: Limits,
    atoms: &'a [Atom],
    /// Bytes of memory that terms may still take.
    budget: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of these bytes. The size limit is for all its terms together.
    #[must_use]
    pub fn new(bytes: Bytes, limits: &Limits) -> Self {
        Self {
            reader: Reader::new(bytes),
            limits: *limits,
            atoms: &[],
            budget: limits.size,
        }
    }

    /// With the atoms that the header of the frame gave, to which `ATOM_CACHE_REF` refers by their place.
    #[must_use]
    pub fn atoms(self, atoms: &'a [Atom]) -> Self {
        Self { atoms, ..self }
    }

    /// The next term, without a version byte.
    ///
    /// # Errors
    /// When no term within the limits follows.
    pub fn term(&mut self) -> Result<Term, DecodeError> {
        // Values wait here until the last part of their container has come.
        let mut values = Vec::new();
        let mut open: Vec<Frame> = Vec::new();
        // Parts of open containers that have not begun: each has a byte at least.
        let mut owed = 0_usize;
        loop {
            // What comes now is owed no longer, whatever it owes itself.
            owed = owed.saturating_sub(1);
            match self.head(owed)? {
                Head::Leaf(term) => values.push(term),
                Head::Open(kind, missing) => {
                    if open.len() >= self.limits.depth {
                        return Err(DecodeError::TooDeep(self.limits.depth));
                    }
                    owed = owed
                        .saturating_add(missing)
                        .saturating_add(kind.has_tail().into());
                    values.reserve(missing);
                    open.push(Frame {
                        kind,
                        missing,
                        start: values.len(),
                    });
                    continue;
                }
            }
            // A value is complete, and with it perhaps what it is the last part of, and so on.
            loop {
                let Some(frame) = open.last_mut() else {
                    return values.pop().ok_or(DecodeError::Truncated);
                };
                frame.missing = frame.missing.saturating_sub(1);
                if frame.missing > 0 || self.awaits_more(frame, &mut values, &mut owed)? {
                    break;
                }
                if let Some(frame) = open.pop() {
                    let term = self.close(frame, &mut values)?;
                    values.push(term);
                }
            }
        }
    }

    /// The next term, after the version byte 131; a compressed one is inflated.
    ///
    /// # Errors
    /// When no term within the limits follows.
    pub fn versioned(&mut self) -> Result<Term, DecodeError> {
        match self.reader.u8()? {
            tag::VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        match self.reader.peek()? {
            tag::COMPRESSED => self.compressed(),
            tag::LOCAL => self.local(),
            _ => self.term(),
        }
    }

    /// What has not been decoded yet.
    #[must_use]
    pub fn remaining(&self) -> Bytes {
        self.reader.rest()
    }

    /// How many bytes have been decoded.
    #[must_use]
    pub fn used(&self) -> usize {
        self.reader.used()
    }

    /// Only the runtime that wrote it knows where it ends, so it is all that is left.
    fn local(&mut self) -> Result<Term, DecodeError> {
        self.reader.u8()?;
        match self.reader.take_rest() {
            // Four bytes of hash, and one of a term.
            content @ [_, _, _, _, _, ..] => Ok(Term(Repr::Opaque(Arc::from(content)))),
            _ => Err(DecodeError::Truncated),
        }
    }

    /// Takes `count` parts of 24 bytes, or of `each`, from the budget.
    fn charge(&mut self, count: usize, each: usize) -> Result<(), DecodeError> {
        let cost = count.saturating_mul(each);
        self.budget = self
            .budget
            .checked_sub(cost)
            .ok_or(DecodeError::TooLarge(self.limits.size))?;
        Ok(())
    }
}

/// The beginning of a term.
enum Head {
    /// All of it.
    Leaf(Term),
    /// A container and the number of its parts, at least one.
    Open(containers::Kind, usize),
}
