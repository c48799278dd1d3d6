//! Whether large messages have the connection for themselves, and what follows from that.
//!
//! Two things pull in opposite directions. A stream of large messages is fastest in few and large writes: each write
//! ends in a segment that is not full, and costs a way through the system. A small message of somebody else waits for
//! what was taken to be written, and for the frame that has begun. So pieces are small while small messages are about,
//! and several pieces leave at once when none has been for long.

use super::Sending;

/// After so many bytes of fragments between which nothing of others ever went, nothing is expected to.
const UNDISTURBED: usize = 32 << 20;

/// The same where something went between. It is more than the two systems hold for one connection (Linux lets a receive
/// buffer grow to 32 MiB), several times: the answer to what went between comes behind all that, and whoever waits for it
/// before he says the next thing would be taken for gone each time.
const UNDISTURBED_AGAIN: usize = 256 << 20;

/// So many whole messages before a large one say that there are more to come. A call is two or three.
const ABOUT: u32 = 16;

/// What is taken to be written at once when nobody waits to go between: a quarter of a millisecond within one host.
const PORTION: usize = 1 << 20;

/// What passed lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bulk {
    /// Bytes of fragments since a whole message went between two of them.
    alone: usize,
    /// One did, and it is not long ago.
    disturbed: bool,
    /// Whole messages since there were that many.
    whole: u32,
}

impl Bulk {
    /// So many bytes of a message in fragments are next.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.alone = self.alone.saturating_add(bytes);
        if self.is_alone() {
            self.whole = 0;
            self.disturbed = false;
        }
    }

    /// A whole message was queued; `between` fragments of others, or not.
    pub(super) fn whole(&mut self, between: bool) {
        if between {
            *self = Self {
                alone: 0,
                disturbed: true,
                whole: ABOUT,
            };
        } else {
            self.whole = self.whole.saturating_add(1);
        }
    }

    /// Whether nobody goes between fragments.
    pub(super) const fn is_alone(self) -> bool {
        let enough = if self.disturbed {
            UNDISTURBED_AGAIN
        } else {
            UNDISTURBED
        };
        self.alone >= enough
    }

    /// Bytes of payload in a fragment of a message that comes now, and what a turn is worth.
    pub(super) fn piece(self, sending: &Sending) -> usize {
        let piece = if self.whole >= ABOUT {
            sending.piece.min(sending.shared_piece)
        } else {
            sending.piece
        };
        piece.max(1)
    }

    /// How much is made ready to be written at once.
    pub(super) fn portion(self, sending: &Sending) -> usize {
        let piece = self.piece(sending);
        if self.is_alone() {
            piece.max(PORTION)
        } else {
            piece
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_goes_between_makes_pieces_small_for_long() {
        let sending = Sending::default();
        let mut bulk = Bulk::default();
        assert_eq!(bulk.piece(&sending), 256 << 10);
        assert_eq!(bulk.portion(&sending), 256 << 10);
        bulk.moved(UNDISTURBED - 1);
        assert!(!bulk.is_alone());
        bulk.moved(1);
        assert_eq!(bulk.portion(&sending), PORTION);
        bulk.whole(true);
        assert!(!bulk.is_alone());
        assert_eq!(bulk.piece(&sending), 64 << 10);
        assert_eq!(bulk.portion(&sending), 64 << 10);
        bulk.moved(UNDISTURBED_AGAIN - 1);
        assert_eq!(bulk.piece(&sending), 64 << 10, "not for long enough");
        assert!(!bulk.is_alone());
        bulk.moved(1);
        assert_eq!(bulk.piece(&sending), 256 << 10);
        assert!(bulk.is_alone());
        bulk.moved(1);
        assert!(bulk.is_alone(), "for good");
    }

    #[test]
    fn many_small_messages_before_a_large_one_make_its_pieces_small() {
        let sending = Sending::default();
        let mut bulk = Bulk::default();
        for _ in 1..ABOUT {
            bulk.whole(false);
        }
        assert_eq!(bulk.piece(&sending), 256 << 10, "some calls");
        bulk.whole(false);
        assert_eq!(bulk.piece(&sending), 64 << 10);
        // They do not go between.
        bulk.moved(UNDISTURBED);
        bulk.whole(false);
        assert!(bulk.is_alone());
    }

    #[test]
    fn pieces_are_never_larger_than_was_asked_for() {
        let sending = Sending::default().with_piece(1000).with_shared_piece(0);
        let mut bulk = Bulk::default();
        assert_eq!(bulk.piece(&sending), 1000);
        bulk.whole(true);
        assert_eq!(bulk.piece(&sending), 1);
        let sending = sending.with_shared_piece(5000);
        assert_eq!(bulk.piece(&sending), 1000);
    }
}
