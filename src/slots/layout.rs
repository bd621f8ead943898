//! Where a slot lies: in a chunk of slots, all of one size, found by index with shifts and a multiplication.

use crate::sync::MODELLED;

/// Slots of a chunk, as a power of two.
/// Few under Miri, where making a chunk would take longer than what a test does with it.
pub(crate) const CHUNK_BITS: u32 = if MODELLED {
    1
} else if cfg!(miri) {
    4
} else {
    10
};
pub(crate) const SLOTS: usize = 1 << CHUNK_BITS;
/// Chunks of a group, as a power of two.
const WIDTH: u32 = if !MODELLED {
    11
} else if cfg!(test) {
    1
} else {
    5
};
pub(crate) const CHUNKS: usize = 1 << WIDTH;
/// The most chunks that are listed in a registry from the start. The others are a step farther away, in groups.
const NEAREST: usize = if MODELLED && cfg!(test) { 1 } else { CHUNKS };
/// Few in models, where every table is made and dropped in every execution; fewest in this crate's own.
pub(crate) const GROUPS: usize = if !MODELLED {
    256
} else if cfg!(test) {
    3
} else {
    16
};
/// The most slots there can be.
pub(crate) const MOST: usize = GROUPS * CHUNKS * SLOTS;

/// The chunk of an index, by number, and the place in it.
#[inline(always)]
pub(crate) fn locate(index: u32) -> (usize, usize) {
    ((index >> CHUNK_BITS) as usize, permute(index))
}

/// The group of a chunk, which there need not be, and where in it.
pub(crate) fn group(chunk: usize) -> (usize, usize) {
    (chunk >> WIDTH, chunk % CHUNKS)
}

/// How many chunks to list from the start.
pub(crate) fn near(capacity: usize) -> usize {
    capacity.div_ceil(SLOTS).min(NEAREST)
}

/// Neighbours by index are jobs that work at the same time. They are this many slots apart, counted round, so that their
/// words are on lines of their own; and the seventeenth after a job is beside it, so that who walks by index walks along 17
/// lines that the processor can foresee.
const STRIDE: u32 = 241;
/// What takes the stride back: together they are 1, in the arithmetic of a chunk.
const UNSTRIDE: u32 = 17;
const _: () = assert!(STRIDE * UNSTRIDE % (1 << CHUNK_BITS) == 1);

/// Where in its chunk the slot of an index lies.
#[inline(always)]
fn permute(index: u32) -> usize {
    index.wrapping_mul(STRIDE) as usize % SLOTS
}

/// The offset in the chunk of the slot that lies there.
pub(crate) fn unpermute(place: u32) -> u32 {
    place.wrapping_mul(UNSTRIDE) % (1 << CHUNK_BITS)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::slots::slot_state::SlotState;

    #[test]
    fn chunks_tile_the_indices() {
        let mut expected = (0, 0, 0);
        for index in 0..5_000_000 {
            let (chunk, place) = locate(index);
            let (group, chunk) = group(chunk);
            let offset = unpermute(u32::try_from(place).unwrap());
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

    /// As many as the capacity needs, so that a small registry is small.
    #[test]
    fn near_chunks_are_those_of_the_capacity() {
        let expected = [(0, 0), (1, 1), (SLOTS, 1), (SLOTS + 1, 2), (MOST, CHUNKS)];
        assert_eq!(
            expected.map(|(capacity, _)| near(capacity)),
            expected.map(|(_, near)| near)
        );
    }

    /// Jobs that were registered one after the other do not share a cache line of 64 bytes.
    #[test]
    fn neighbours_are_on_lines_of_their_own() {
        let lines = |index| {
            let (chunk, place) = locate(index);
            let first = place * size_of::<SlotState>();
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
