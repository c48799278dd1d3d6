//! How a sender cuts and shortens.

/// What the sending half does where the peer leaves it the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sending {
    /// Payloads up to this many bytes go whole, if `FRAGMENTS` holds; all do where it does not.
    /// Default 256 KiB: a binary of 64 KiB, the most that OTP sends at once, arrives as one slice of
    /// one frame.
    pub whole: usize,
    /// Bytes of payload in one fragment, and what one sender's turn is worth. Default 256 KiB.
    pub piece: usize,
    /// The same while messages of others are about, which go between fragments, if that is less. Default 64 KiB, what OTP
    /// takes always: a small message waits for no more than that, and a large one has four times as many frames.
    pub shared_piece: usize,
    /// Whether atoms go through the cache, where `DIST_HDR_ATOM_CACHE` holds. Default no. No peer
    /// needs it, and messages are sent 1.4 to 1.5 times as slow with it, though half as long
    /// (`tests/atom_cache_cost.rs`: 304 ns and 213 bytes for a `gen_server` call without, 459 ns and
    /// 116 bytes with): it pays where the network is slower than 5 Gbit/s and busy.
    pub atom_cache: bool,
}

impl Sending {
    /// With another [`whole`](Self::whole).
    #[must_use]
    pub const fn with_whole(self, whole: usize) -> Self {
        Self { whole, ..self }
    }

    /// With another [`piece`](Self::piece); 0 is taken for 1.
    #[must_use]
    pub const fn with_piece(self, piece: usize) -> Self {
        let piece = if piece == 0 { 1 } else { piece };
        Self { piece, ..self }
    }

    /// With another [`shared_piece`](Self::shared_piece); 0 is taken for 1.
    #[must_use]
    pub const fn with_shared_piece(self, shared_piece: usize) -> Self {
        let shared_piece = if shared_piece == 0 { 1 } else { shared_piece };
        Self {
            shared_piece,
            ..self
        }
    }

    /// With another [`atom_cache`](Self::atom_cache).
    #[must_use]
    pub const fn with_atom_cache(self, atom_cache: bool) -> Self {
        Self { atom_cache, ..self }
    }
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            whole: 256 << 10,
            piece: 256 << 10,
            shared_piece: 64 << 10,
            atom_cache: false,
        }
    }
}
