//! From frames to signals.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use trunkline_etf::{Atom, DecodeError, Decoder, RawTerm};

use super::atom_cache::AtomCache;
use super::fragments::{FragmentId, Fragments};
use super::frame::{Frame, HEADER, VERSION};
use super::{ConnectionError, Limits, Signal};
use crate::Flags;
use crate::control::{Control, Names};
use crate::wire::Reader;

/// The atoms of a frame's header, if there are any.
type Table = Option<Arc<[Atom]>>;

/// What frames mean depends on what came before: the peer's atoms, and fragments.
#[derive(Debug)]
pub(super) struct Messages {
    /// `DIST_HDR_ATOM_CACHE` holds.
    pub(super) headers: bool,
    /// Names that are copied instead of made.
    pub(super) known: Vec<Atom>,
    cache: AtomCache,
    /// The control message of the signal that was given last, as it came, if it is one that many of
    /// the same mostly follow. Empty otherwise.
    last: Vec<u8>,
    /// The name that the last small message by name was for: who calls says it three times for each call.
    last_name: Option<Atom>,
    pub(super) fragments: Fragments,
    pub(super) limits: Limits,
}

impl Messages {
    pub(super) fn new(flags: Flags, limits: Limits) -> Self {
        Self {
            headers: flags.contains(Flags::DIST_HDR_ATOM_CACHE),
            known: Vec::new(),
            cache: AtomCache::default(),
            last: Vec::new(),
            last_name: None,
            fragments: Fragments::default(),
            limits,
        }
    }

    /// What the frame in the first `len` bytes of `whole` says; nothing, when it is a fragment and
    /// not the last one.
    #[inline]
    pub(super) fn frame(
        &mut self,
        whole: &Bytes,
        len: usize,
    ) -> Result<Option<Signal>, ConnectionError> {
        let body = whole.get(..len).ok_or(ConnectionError::Truncated)?;
        self.last.clear();
        // Most frames: a whole message that brings its atoms itself.
        if let [VERSION, HEADER, 0, terms @ ..] = body
            && self.headers
        {
            let (control, left) = self.control(whole, terms, &[])?;
            self.remember(&control, terms, left);
            return signal(control, whole, left, None).map(Some);
        }
        match Frame::parse(body, self.headers)? {
            Frame::PassThrough(body) => self.pass_through(whole, body).map(Some),
            Frame::Whole(body) => {
                let (control, atoms, left) = self.headed(whole, body)?;
                signal(control, whole, left, atoms).map(Some)
            }
            Frame::FirstFragment(id, body) => self.first_fragment(whole, id, body),
            Frame::NextFragment(id, part) => self.fragments.next(id, part, &self.limits),
        }
    }

    /// Control message and payload of a frame that holds no more than the two, if the control message is a
    /// [hot](Control::hot) one and the payload has fewer bytes than `limit`. `None`, and nothing has changed, for anything
    /// else, sound or not.
    #[inline]
    pub(super) fn small<'a>(
        &mut self,
        body: &'a [u8],
        limit: usize,
    ) -> Option<(Control, &'a [u8])> {
        let [VERSION, HEADER, 0, terms @ ..] = body else {
            return None;
        };
        if !self.headers {
            return None;
        }
        let mut reader = Reader::new(terms);
        let names = Names {
            header: &[],
            known: &self.known,
            last: self.last_name.as_ref(),
        };
        let control = Control::hot(&mut reader, names)?;
        let payload = reader.rest();
        if control.has_payload() == payload.is_empty() || payload.len() >= limit {
            return None;
        }
        self.last.clear();
        self.remember(&control, terms, payload);
        if let Control::RegSend { to, .. } = &control
            && self.last_name.as_ref() != Some(to)
        {
            self.last_name = Some(to.clone());
        }
        Some((control, payload))
    }

    /// What one of `terms`, `left` behind it, many of the same mostly follow.
    #[inline]
    fn remember(&mut self, control: &Control, terms: &[u8], left: &[u8]) {
        if let Control::SendSender { .. } | Control::RegSend { .. } | Control::Send { .. } = control
            && let Some((head, _)) = terms.split_at_checked(terms.len().saturating_sub(left.len()))
        {
            self.last.extend_from_slice(head);
        }
    }

    /// A signal came by another way.
    pub(super) fn forget(&mut self) {
        self.last.clear();
    }

    /// The payload of a frame that has the control message of the one before, and fewer bytes than
    /// `limit`.
    #[inline]
    pub(super) fn repeated<'a>(&self, body: &'a [u8], limit: usize) -> Option<&'a [u8]> {
        let [VERSION, HEADER, 0, terms @ ..] = body else {
            return None;
        };
        let payload = terms.strip_prefix(&*self.last)?;
        let usual = !self.last.is_empty() && !payload.is_empty() && payload.len() < limit;
        usual.then_some(payload)
    }

    fn pass_through(&self, whole: &Bytes, body: &[u8]) -> Result<Signal, ConnectionError> {
        let (control, left) = self.control(whole, versioned(body)?, &[])?;
        let left = if left.is_empty() {
            left
        } else {
            versioned(left)?
        };
        signal(control, whole, left, None)
    }

    fn first_fragment(
        &mut self,
        whole: &Bytes,
        id: FragmentId,
        body: &[u8],
    ) -> Result<Option<Signal>, ConnectionError> {
        let (control, atoms, left) = self.headed(whole, body)?;
        if id.fragment == 1 {
            return signal(control, whole, left, atoms).map(Some);
        }
        let head = body.len().saturating_sub(left.len());
        let atoms = atoms.unwrap_or_default();
        self.fragments
            .first(id, (control, atoms, head), left, &self.limits)?;
        Ok(None)
    }

    /// Reads header and control message, which are never split.
    fn headed<'a>(
        &mut self,
        whole: &Bytes,
        body: &'a [u8],
    ) -> Result<(Control, Table, &'a [u8]), ConnectionError> {
        let mut reader = Reader::new(body);
        let atoms = self.cache.header(&mut reader, self.limits.atoms)?;
        let (control, left) = self.control(whole, reader.rest(), &atoms)?;
        let atoms = (!atoms.is_empty()).then(|| atoms.into());
        Ok((control, atoms, left))
    }

    /// The control message at the front of `terms`, which are some of `whole`, and what follows it.
    #[inline]
    fn control<'a>(
        &self,
        whole: &Bytes,
        terms: &'a [u8],
        header: &[Atom],
    ) -> Result<(Control, &'a [u8]), ConnectionError> {
        let known = &self.known;
        let mut reader = Reader::new(terms);
        let names = Names {
            header,
            known,
            last: None,
        };
        if let Some(control) = Control::hot(&mut reader, names) {
            return Ok((control, reader.rest()));
        }
        let mut decoder = Decoder::new(whole.slice_ref(terms), &self.limits.control).atoms(header);
        let tuple = decoder.term()?;
        let left = terms.get(decoder.used()..).unwrap_or_default();
        Ok((Control::from_term(&tuple)?, left))
    }
}

/// A message whose payload is in `left`, some of `whole`.
fn signal(
    control: Control,
    whole: &Bytes,
    left: &[u8],
    atoms: Table,
) -> Result<Signal, ConnectionError> {
    let payload = match (control.has_payload(), left.is_empty()) {
        (true, false) => {
            let bytes = whole.slice_ref(left);
            Some(match atoms {
                Some(atoms) => RawTerm::with_atoms(bytes, atoms),
                None => RawTerm::new(bytes),
            })
        }
        (false, true) => None,
        (true, true) => return Err(ConnectionError::NoPayload),
        (false, false) => return Err(ConnectionError::Trailing),
    };
    Ok(Signal {
        control,
        payload,
        lost: None,
    })
}

/// The term without its version byte.
fn versioned(body: &[u8]) -> Result<&[u8], ConnectionError> {
    match body.split_first() {
        Some((&VERSION, term)) => Ok(term),
        Some((&other, _)) => Err(ConnectionError::Term(DecodeError::Version(other))),
        None => Err(ConnectionError::Truncated),
    }
}
