//! Decoding.

mod far;
mod inflate;
mod leaf;
mod leaves;
mod near;
mod source;

use bytes::Bytes;
use triomphe::Arc;

use self::source::Source;
use crate::{
    Atom, DecodeError, Limits, Term,
    input::Input,
    parts::{self, OVERHEAD},
    tag,
    term::Repr,
};

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
    bytes: Bytes,
    at: usize,
    /// `bytes`, made with the first binary, shared by all.
    shared: Option<Arc<Bytes>>,
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
            bytes,
            at: 0,
            shared: None,
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
        let source = Source::Shared(&self.bytes);
        let mut parse = Parse::new(source, &mut self.shared, self.atoms, &self.limits);
        parse.budget = self.budget;
        let rest = Input(self.bytes.get(self.at..).unwrap_or_default());
        let (term, rest) = parse.term(rest)?;
        self.budget = parse.budget;
        self.at = self.bytes.len().saturating_sub(rest.left());
        Ok(term)
    }

    /// The next term, after the version byte 131; a compressed one is inflated.
    ///
    /// # Errors
    /// When no term within the limits follows.
    pub fn versioned(&mut self) -> Result<Term, DecodeError> {
        match self.byte(0)? {
            tag::VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let tag = self.byte(1)?;
        self.at = self.at.saturating_add(1);
        match tag {
            tag::COMPRESSED => self.compressed(),
            tag::LOCAL => self.local(),
            _ => self.term(),
        }
    }

    /// What has not been decoded yet.
    #[must_use]
    pub fn remaining(&self) -> Bytes {
        self.bytes.slice(self.at.min(self.bytes.len())..)
    }

    /// How many bytes have been decoded.
    #[must_use]
    pub fn used(&self) -> usize {
        self.at
    }

    fn byte(&self, ahead: usize) -> Result<u8, DecodeError> {
        let byte = self.bytes.get(self.at.saturating_add(ahead));
        byte.copied().ok_or(DecodeError::Truncated)
    }

    /// Only the runtime that wrote it knows where it ends, so it is all that is left.
    fn local(&mut self) -> Result<Term, DecodeError> {
        let content = self.remaining();
        self.at = self.bytes.len();
        // The tag, four bytes of hash, and one of a term.
        let [_, content @ ..] = &*content else {
            return Err(DecodeError::Truncated);
        };
        if content.len() <= 4 {
            return Err(DecodeError::Truncated);
        }
        let left = self
            .budget
            .checked_sub(content.len().saturating_add(OVERHEAD));
        self.budget = left.ok_or(DecodeError::TooLarge(self.limits.size))?;
        Ok(Term(Repr::Opaque(Arc::from(content))))
    }
}

/// A term that is being decoded. What is left of the input goes through the functions by value, so that
/// loops keep it in registers.
struct Parse<'b> {
    source: Source<'b>,
    shared: &'b mut Option<Arc<Bytes>>,
    atoms: &'b [Atom],
    limits: &'b Limits,
    budget: usize,
    /// Levels that may use the thread's stack.
    near: usize,
    /// Whether something was read that may be deep: then levels are counted.
    deep: bool,
    /// Why there is no term, when there is none.
    fault: DecodeError,
}

/// A term, and what follows it.
type Parsed<'b> = Result<(Term, Input<'b>), DecodeError>;

impl<'b> Parse<'b> {
    fn new(
        source: Source<'b>,
        shared: &'b mut Option<Arc<Bytes>>,
        atoms: &'b [Atom],
        limits: &'b Limits,
    ) -> Self {
        Self {
            source,
            shared,
            atoms,
            limits,
            budget: limits.size,
            near: limits.depth.min(NEAR),
            deep: false,
            fault: DecodeError::Truncated,
        }
    }

    /// Takes memory for so many parts from the budget. Parts for which there cannot be bytes are refused first: what is
    /// reserved is in proportion to the bytes present, over all open containers together.
    #[inline]
    fn claim(&mut self, parts: usize, owed: usize, input: Input<'b>) -> Option<()> {
        if parts.saturating_add(owed) > input.left() {
            return self.fail(DecodeError::Truncated);
        }
        self.charge(parts::cost(parts))
    }

    /// Takes so many bytes of memory from the budget.
    #[inline]
    fn charge(&mut self, bytes: usize) -> Option<()> {
        match self.budget.checked_sub(bytes) {
            Some(left) => self.budget = left,
            None => return self.fail(DecodeError::TooLarge(self.limits.size)),
        }
        Some(())
    }

    #[cold]
    fn fail<T>(&mut self, fault: DecodeError) -> Option<T> {
        self.fault = fault;
        None
    }
}

/// How many levels of a term may use the thread's stack: what messages have. Deeper ones wait on the heap.
const NEAR: usize = 8;
