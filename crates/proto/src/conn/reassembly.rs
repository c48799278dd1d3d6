//! A large fragment that is being read to the end of its message.

use core::fmt;

use bytes::BytesMut;

use super::fragments::{FragmentId, Fragments};

/// The fragment of which bytes are missing.
#[derive(Clone)]
pub(super) struct Reassembly {
    id: FragmentId,
    /// Bytes that are neither in the message nor in the window.
    missing: usize,
    /// Memory right behind the message, as much as is missing at most: what is read into it is
    /// already where it belongs.
    window: BytesMut,
}

impl Reassembly {
    pub(super) fn new(id: FragmentId, missing: usize) -> Self {
        Self {
            id,
            missing,
            window: BytesMut::new(),
        }
    }

    /// How many bytes have not come yet.
    pub(super) fn missing(&self) -> usize {
        self.missing.saturating_sub(self.window.len())
    }

    /// How many of its bytes count as held and have not come yet: none of a message that is lost.
    pub(super) fn due(&self, fragments: &Fragments) -> usize {
        if fragments.keeps(self.id) {
            self.missing()
        } else {
            0
        }
    }

    /// Where to read into, at most `max` bytes.
    pub(super) fn read_buf(&mut self, fragments: &mut Fragments, max: usize) -> &mut BytesMut {
        let missing = self.missing();
        if self.window.len() == self.window.capacity() && missing > 0 {
            self.missing = missing;
            let read = core::mem::take(&mut self.window);
            let wanted = missing.min(max).saturating_add(NEXT_HEAD);
            if let Some(payload) = fragments.payload(self.id) {
                payload.unsplit(read);
            }
            self.window = match fragments.room(self.id, wanted) {
                Some(payload) => window(payload, wanted),
                // A message that nobody keeps.
                None => BytesMut::with_capacity(wanted),
            };
        }
        &mut self.window
    }

    /// Moves what was read to the message; what is beyond the fragment goes to `beyond`. The
    /// fragment's number when nothing is missing any more.
    pub(super) fn take(
        &mut self,
        fragments: &mut Fragments,
        beyond: &mut BytesMut,
    ) -> Option<FragmentId> {
        let mut read = core::mem::take(&mut self.window);
        if read.len() > self.missing {
            beyond.extend_from_slice(&read.split_off(self.missing));
        }
        self.missing = self.missing.saturating_sub(read.len());
        if let Some(payload) = fragments.payload(self.id) {
            payload.unsplit(read);
        }
        (self.missing == 0).then_some(self.id)
    }
}

/// What goes before the bytes of another fragment. It is read together with the end of the one before
/// it, so that those bytes too are read to where they belong.
const NEXT_HEAD: usize = 4 + 2 + 16;

/// The `len` bytes of memory behind `payload`.
fn window(payload: &mut BytesMut, len: usize) -> BytesMut {
    let mut window = payload.split_off(payload.len());
    drop(window.split_off(len));
    window
}

/// It is somebody's message: its size only.
impl fmt::Debug for Reassembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reassembly")
            .field("id", &self.id)
            .field("missing", &self.missing)
            .field("read", &self.window.len())
            .finish()
    }
}
