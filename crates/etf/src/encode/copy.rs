//! Copies of a few bytes: `memcpy` for an unknown length has to find out as much, and has to be called.

/// The most that are copied so.
pub(super) const SHORT: usize = 64;

/// Copies all of these bytes, `SHORT` at most, to the beginning of a place, by pieces of a fixed size that overlap. What follows
/// them there stays.
#[inline(always)]
pub(super) fn copy(bytes: &[u8], place: &mut [u8; SHORT]) {
    let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) else {
        return few(bytes, place);
    };
    // Four pieces, whatever the length: where the second, third and fourth begin.
    let fourth = bytes.len().wrapping_sub(16).min(48);
    let (second, third) = (fourth.min(16), fourth.min(32));
    let piece = |from: usize| bytes.get(from..).and_then(<[u8]>::first_chunk::<16>);
    part(place, 0, first);
    if let Some(two) = piece(second) {
        part(place, second, two);
    }
    if let Some(three) = piece(third) {
        part(place, third, three);
    }
    part(place, fourth, last);
}

/// Up to 15 bytes.
#[inline(always)]
fn few(bytes: &[u8], place: &mut [u8; SHORT]) {
    let length = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        part(place, 0, first);
        part(place, length.wrapping_sub(8), last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        part(place, 0, first);
        part(place, length.wrapping_sub(4), last);
    } else if let ([first, ..], [.., last]) = (bytes, bytes) {
        // One to three.
        let half = length.wrapping_shr(1);
        part(place, 0, &[*first]);
        part(place, half, &[bytes.get(half).copied().unwrap_or_default()]);
        part(place, length.wrapping_sub(1), &[*last]);
    }
}

#[inline(always)]
fn part<const N: usize>(place: &mut [u8; SHORT], from: usize, bytes: &[u8; N]) {
    if let Some(place) = place.get_mut(from..).and_then(<[u8]>::first_chunk_mut) {
        *place = *bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_and_nothing_else() {
        let bytes: [u8; SHORT] =
            core::array::from_fn(|at| u8::try_from(at).unwrap().wrapping_add(1));
        for length in 0..=SHORT {
            let mut place = [200; SHORT];
            copy(&bytes[..length], &mut place);
            assert_eq!(place[..length], bytes[..length], "{length}");
            assert!(place[length..].iter().all(|byte| *byte == 200), "{length}");
        }
    }
}
