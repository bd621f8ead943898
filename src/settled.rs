//! Whether the two words of a slot agree; `words.rs` has the table of what it means if they do not.

use crate::beat::{Beat, DECISION_BITS};
use crate::word::Word;

/// One look at a table of bits: what a processor would guess of a job is of no use
/// for the next one.
#[inline(always)]
pub(crate) fn is_settled(word: Word, beat: Beat) -> bool {
    SETTLED >> (word.status_bits() << DECISION_BITS | beat.decision_bits()) & 1 != 0
}

/// A bit for each pair of a status and a decision.
const SETTLED: u64 = {
    let (mut settled, mut pair) = (0, 0);
    while pair < u64::BITS {
        let (status, decision) = (pair >> DECISION_BITS, pair & ((1 << DECISION_BITS) - 1));
        let (started, sealed) = Beat::decided(decision as u64);
        let agree = match status {
            0 => true,
            1 => !sealed && !started,
            2 => !sealed && started,
            _ => sealed,
        };
        settled |= (agree as u64) << pair;
        pair += 1;
    }
    settled
};
