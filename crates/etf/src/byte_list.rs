//! [`ByteList`]: a list of bytes, which is how Erlang writes text in a list.

use alloc::boxed::Box;

use once_cell::race::OnceBox;
use triomphe::{Arc, HeaderSlice};

use crate::{Term, items::Items, term::Repr};

/// A list of 1 to 65,535 small integers, kept as bytes as `STRING_EXT` brings it: a byte for an element instead of 24.
/// Whoever wants the elements as terms gets them from the first time on.
///
/// Every proper list that can be one is one, so that equal terms have the same form.
#[derive(Clone)]
pub(crate) struct ByteList(Arc<HeaderSlice<OnceBox<Items>, [u8]>>);

impl ByteList {
    /// The longest that `STRING_EXT` carries.
    pub(crate) const MAX: usize = u16::MAX as usize;

    /// `None` when there are none or too many.
    #[inline]
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        (1..=Self::MAX)
            .contains(&bytes.len())
            .then(|| Self(Arc::from_header_and_slice(OnceBox::new(), bytes)))
    }

    /// The same from the elements of a list; `None` when one of them is no byte.
    #[inline]
    pub(crate) fn of(items: &[Term]) -> Option<Self> {
        // What most lists begin with decides.
        byte(items.first()?)?;
        Self::of_bytes(items)
    }

    fn of_bytes(items: &[Term]) -> Option<Self> {
        if items.len() > Self::MAX || !items.iter().all(|item| byte(item).is_some()) {
            return None;
        }
        let bytes = items.iter().map(|item| byte(item).unwrap_or_default());
        Some(Self(Arc::from_header_and_iter(OnceBox::new(), bytes)))
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.slice
    }

    /// The elements.
    pub(crate) fn items(&self) -> &Items {
        self.0.header.get_or_init(|| {
            let items = self.bytes().iter().map(|byte| Term::from(*byte));
            Box::new(items.collect())
        })
    }
}

#[inline]
fn byte(item: &Term) -> Option<u8> {
    match item.0 {
        Repr::Int(value) => u8::try_from(value).ok(),
        _ => None,
    }
}
