//! The shared secret of a cluster.

use alloc::vec::Vec;
use core::fmt;

use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// MD5 over cookie and challenge, as the handshake sends it.
pub type Digest = [u8; 16];

/// The cookie: what both ends of a connection must know. Wiped when dropped, absent from `Debug`,
/// compared in constant time. OTP takes it as an atom, hence at most 255 characters.
#[derive(Clone)]
pub struct Cookie(Zeroizing<Vec<u8>>);

impl Cookie {
    /// Takes the bytes as they are, a trailing newline included, as the BEAM does.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, CookieError> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.is_empty() {
            return Err(CookieError::Empty);
        }
        let chars = core::str::from_utf8(&bytes).map_or(bytes.len(), |text| text.chars().count());
        if chars > 255 {
            return Err(CookieError::TooLong);
        }
        Ok(Self(bytes))
    }

    /// The digest that proves knowledge of this cookie for `challenge`:
    /// MD5(cookie ++ challenge in decimal), `erl_dist_protocol` "send_challenge_reply".
    pub fn digest(&self, challenge: u32) -> Digest {
        let mut md5 = Md5::new();
        md5.update(&*self.0);
        md5.update(alloc::format!("{challenge}").as_bytes());
        md5.finalize().into()
    }

    /// Whether `digest` proves knowledge of this cookie for `challenge`.
    pub fn verify(&self, challenge: u32, digest: &Digest) -> bool {
        self.digest(challenge).ct_eq(digest).into()
    }

    /// The secret itself, for the places that must write it (a release's environment, a cookie
    /// file). Name the variable that holds it so that a reader sees it is secret.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Cookie {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Cookie {}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(…)")
    }
}

/// Why some bytes are no cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CookieError {
    /// There is nothing in it.
    #[error("the cookie is empty")]
    Empty,
    /// It would not fit into an atom.
    #[error("the cookie is longer than 255 characters")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_it() {
        let cookie = Cookie::new("hush-hush").unwrap();
        assert!(!alloc::format!("{cookie:?}").contains("hush"));
    }

    #[test]
    fn digest_depends_on_cookie_and_challenge() {
        let cookie = Cookie::new("secret").unwrap();
        let digest = cookie.digest(7);
        assert!(cookie.verify(7, &digest));
        assert!(!cookie.verify(8, &digest));
        assert!(!Cookie::new("secret\n").unwrap().verify(7, &digest));
    }
}
