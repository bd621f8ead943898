//! The address of a slot: a chunk and a position in it, computed from the index by shifts and one
//! multiplication. All chunks have the same size.

use crate::sync::MODELLED;

/// Binary logarithm of the number of slots in a chunk. Chunks are small under Miri, where building
/// a large one takes longer than the test that uses it.
pub(crate) const CHUNK_BITS: u32 = if MODELLED {
    1
} else if cfg!(miri) {
    4
} else {
    10
};
pub(crate) const SLOTS: usize = 1 << CHUNK_BITS;
/// Binary logarithm of the number of chunks in a group.
const GROUP_BITS: u32 = if !MODELLED {
    11
} else if cfg!(test) {
    1
} else {
    5
};
pub(crate) const CHUNKS: usize = 1 << GROUP_BITS;
/// Maximum number of chunks that a table lists directly. All others are reached through groups, by
/// one more indirection.
const MAX_DIRECT: usize = if MODELLED && cfg!(test) { 1 } else { CHUNKS };
/// Number of groups. It is small in models, where every execution builds and drops a table, and
/// smallest in this crate's own.
pub(crate) const GROUPS: usize = if !MODELLED {
    256
} else if cfg!(test) {
    3
} else {
    16
};
/// Maximum number of slots.
pub(crate) const MAX_SLOTS: usize = GROUPS * CHUNKS * SLOTS;

/// Returns the number of an index's chunk, and the position in the chunk.
#[inline(always)]
pub(crate) fn locate(index: u32) -> (usize, usize) {
    ((index >> CHUNK_BITS) as usize, permute(index))
}

/// Returns the number of a chunk's group, which may not exist, and the position in the group.
pub(crate) fn group(chunk: usize) -> (usize, usize) {
    (chunk >> GROUP_BITS, chunk % CHUNKS)
}

/// Returns the number of chunks to list directly.
pub(crate) fn direct_chunks(capacity: usize) -> usize {
    capacity.div_ceil(SLOTS).min(MAX_DIRECT)
}

/// Distance in memory of consecutive slots. Consecutive indices tend to be active concurrently, and
/// this stride keeps their words on different cache lines. Slots whose indices differ by 17 are
/// adjacent. A scan by index therefore walks along 17 sequential streams, which a processor can
/// prefetch.
const STRIDE: u32 = 241;
/// Inverse of the stride, modulo the size of a chunk.
const UNSTRIDE: u32 = 17;
const _: () = assert!(STRIDE * UNSTRIDE % (1 << CHUNK_BITS) == 1);

/// Returns the position of an index in its chunk.
#[inline(always)]
fn permute(index: u32) -> usize {
    index.wrapping_mul(STRIDE) as usize % SLOTS
}

/// Returns the offset in the chunk of the index at a position.
pub(crate) fn unpermute(position: u32) -> u32 {
    position.wrapping_mul(UNSTRIDE) % (1 << CHUNK_BITS)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::slots::slot_state::SlotState;

    #[test]
    fn chunks_tile_the_indices() {
        let mut expected = (0, 0, 0);
        for index in 0..5_000_000 {
            let (chunk, position) = locate(index);
            let (group, chunk) = group(chunk);
            let offset = unpermute(u32::try_from(position).unwrap());
            assert_eq!((group, chunk, offset), expected, "index {index}");
            expected.2 += 1;
            if expected.2 == 1 << CHUNK_BITS {
                expected = (expected.0, expected.1 + 1, 0);
            }
            if expected.1 == CHUNKS {
                expected = (expected.0 + 1, 0, 0);
            }
        }
        assert!(group(locate(u32::MAX).0).0 >= GROUPS);
    }

    /// A table lists as many chunks directly as its capacity needs, so that a small registry is
    /// small.
    #[test]
    fn direct_chunks_follow_the_capacity() {
        let expected = [
            (0, 0),
            (1, 1),
            (SLOTS, 1),
            (SLOTS + 1, 2),
            (MAX_SLOTS, CHUNKS),
        ];
        assert_eq!(
            expected.map(|(capacity, _)| direct_chunks(capacity)),
            expected.map(|(_, direct)| direct)
        );
    }

    /// Consecutive jobs do not share a cache line of 64 bytes.
    #[test]
    fn consecutive_slots_share_no_cache_line() {
        let lines = |index| {
            let (chunk, position) = locate(index);
            let first = position * size_of::<SlotState>();
            [first, first + size_of::<SlotState>() - 1].map(|byte| (chunk, byte / 64))
        };
        for index in 0..10_000 {
            for other in index + 1..index + 8 {
                let shared = lines(index).iter().any(|line| lines(other).contains(line));
                assert!(!shared, "{index} and {other}");
            }
        }
    }
}
