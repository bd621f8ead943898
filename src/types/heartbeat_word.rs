//! The beat word: when a job was last heard of, and what has been decided about it.
//!
//! ```text
//!  63        40 39          3  2  1      0
//! +------------+-------------+---+---------+
//! | generation | milliseconds| s | verdict |
//! |   24 bits  |   37 bits   |   | 2 bits  |
//! +------------+-------------+---+---------+
//! ```
//!
//! It only grows, like the state word, and therefore never holds the same value twice. An *open* word
//! (verdict 0) takes beats. An ending is decided by sealing it with its verdict: from that
//! instruction on a beat is refused, so a beat that was accepted came before the ending, and the stall
//! verdict, which seals by compare-and-exchange from the very value it judged, cannot overlook one. A
//! start is decided by setting *s* together with its own beat. A retry opens the word again, unstarted, at a later
//! millisecond than the sealed one.
//!
//! The state word follows what this one has decided; see `slots/slot_state.rs`.

use crate::types::state_word::Ending;

const VERDICT_MASK: u64 = 3;
const STARTED: u64 = 1 << 2;
const MILLIS_SHIFT: u32 = 3;
/// What lies below the time.
pub(crate) const DECISION_BITS: u32 = MILLIS_SHIFT;
const GENERATION_SHIFT: u32 = 40;
const MILLIS_MASK: u64 = (1 << 37) - 1;

/// The latest time a beat records, 4.3 years after the registry was built. Every retry needs one more
/// millisecond than the attempt before, so the room of all attempts stays free above it.
pub(crate) const LATEST: u64 = MILLIS_MASK - u16::MAX as u64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeartbeatWord(u64);

impl HeartbeatWord {
    /// The beat of an empty slot: sealed, so that nothing can be recorded before there is a job.
    pub(crate) fn vacant() -> Self {
        Self(VERDICT_MASK)
    }

    pub(crate) fn open(generation: u32, millis: u64) -> Self {
        Self(u64::from(generation) << GENERATION_SHIFT | millis.min(LATEST) << MILLIS_SHIFT)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    #[inline]
    pub(crate) fn millis(self) -> u64 {
        self.0 >> MILLIS_SHIFT & MILLIS_MASK
    }

    /// `None` while the word is open.
    #[inline]
    pub(crate) fn verdict(self) -> Option<Ending> {
        match self.0 & VERDICT_MASK {
            0 => None,
            1 => Some(Ending::Completed),
            2 => Some(Ending::Failed),
            _ => Some(Ending::Cancelled),
        }
    }

    #[inline]
    pub(crate) fn is_started(self) -> bool {
        self.0 & STARTED != 0
    }

    /// Verdict and start, without the time.
    #[inline]
    pub(crate) fn decision_bits(self) -> u64 {
        self.0 & (STARTED | VERDICT_MASK)
    }

    /// Of such bits: whether they say started, and whether sealed.
    pub(crate) const fn decided(bits: u64) -> (bool, bool) {
        (bits & STARTED != 0, bits & VERDICT_MASK != 0)
    }

    #[inline]
    fn with_millis(self, millis: u64) -> Self {
        Self(self.0 & !(MILLIS_MASK << MILLIS_SHIFT) | millis << MILLIS_SHIFT)
    }

    /// A beat at `millis`; `None` where one at least as late stands already.
    #[inline]
    pub(crate) fn at(self, millis: u64) -> Option<Self> {
        debug_assert!(self.verdict().is_none());
        let millis = millis.min(LATEST);
        (millis > self.millis()).then(|| self.with_millis(millis))
    }

    /// A start at `millis`, which is a beat as well.
    pub(crate) fn started(self, millis: u64) -> Self {
        let beaten = self.at(millis).unwrap_or(self);
        Self(beaten.0 | STARTED)
    }

    pub(crate) fn sealed(self, ending: Ending) -> Self {
        debug_assert!(self.verdict().is_none());
        let verdict = match ending {
            Ending::Completed => 1,
            Ending::Failed => 2,
            Ending::Cancelled => 3,
        };
        Self(self.0 | verdict)
    }

    /// Open again for the next attempt, at `millis` or just after the sealed time.
    pub(crate) fn reopened(self, millis: u64) -> Self {
        debug_assert!(self.verdict().is_some());
        let millis = millis.min(LATEST).max(self.millis() + 1);
        Self(u64::from(self.generation()) << GENERATION_SHIFT | millis << MILLIS_SHIFT)
    }
}

impl std::fmt::Debug for HeartbeatWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let started = if self.is_started() { " started" } else { "" };
        write!(f, "g{} {} ms{started}", self.generation(), self.millis())?;
        match self.verdict() {
            None => Ok(()),
            Some(ending) => write!(f, " sealed {ending:?}"),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endings() -> impl Strategy<Value = Ending> {
        prop_oneof![
            Just(Ending::Completed),
            Just(Ending::Failed),
            Just(Ending::Cancelled)
        ]
    }

    proptest! {
        /// P8: beating, sealing and reopening each make the word larger, at every value it can hold.
        #[test]
        fn every_step_grows_the_beat(
            generation in 0u32..crate::types::state_word::RETIRED,
            start in prop_oneof![0..=LATEST, LATEST - 2..=LATEST],
            then in any::<u64>(),
            ending in endings(),
        ) {
            let open = HeartbeatWord::open(generation, start);
            prop_assert_eq!((open.generation(), open.millis(), open.verdict()), (generation, start, None));
            if let Some(next) = open.at(then) {
                prop_assert!(next.bits() > open.bits());
                prop_assert_eq!((next.generation(), next.millis()), (generation, then.min(LATEST)));
            } else {
                prop_assert!(then.min(LATEST) <= start);
            }
            let started = open.started(then);
            prop_assert!(started.bits() > open.bits() && started.is_started());
            prop_assert_eq!(started.millis(), then.min(LATEST).max(start));
            prop_assert!(started.started(then).is_started());
            if let Some(next) = started.at(u64::MAX) {
                prop_assert!(next.bits() > started.bits() && next.is_started());
            }
            let sealed = started.sealed(ending);
            prop_assert!(sealed.bits() > started.bits() && sealed.is_started());
            let sealed = open.sealed(ending);
            prop_assert!(sealed.bits() > open.bits());
            prop_assert_eq!((sealed.generation(), sealed.millis(), sealed.verdict()), (generation, start, Some(ending)));
            let reopened = sealed.reopened(then);
            prop_assert!(reopened.bits() > sealed.bits());
            prop_assert_eq!((reopened.generation(), reopened.verdict(), reopened.is_started()), (generation, None, false));
            prop_assert!(started.sealed(ending).reopened(then).bits() > started.sealed(ending).bits());
            prop_assert!(HeartbeatWord::open(generation + 1, 0).bits() > reopened.bits());
        }
    }

    /// P8: for more than four years a beat is what the clock said.
    #[test]
    fn beats_of_four_years_are_exact() {
        let four_years = 4 * 366 * 24 * 3_600_000;
        assert_eq!(HeartbeatWord::open(7, four_years).millis(), four_years);
    }

    /// P8: a clock at the end of its range leaves room for every attempt.
    #[test]
    fn every_attempt_can_reopen_at_the_end_of_time() {
        let mut beat = HeartbeatWord::open(7, u64::MAX);
        for _ in 0..u16::MAX {
            let next = beat.sealed(Ending::Failed).reopened(u64::MAX);
            assert!(
                next.bits() > beat.bits() && next.generation() == 7,
                "{next:?} does not follow {beat:?}"
            );
            beat = next;
        }
    }

    /// Failures of models and of property tests are read by these texts.
    #[test]
    fn beats_print_their_fields() {
        let started = HeartbeatWord::open(7, 3).started(5);
        assert_eq!(format!("{started:?}"), "g7 5 ms started");
        let sealed = started.sealed(Ending::Failed);
        assert_eq!(format!("{sealed:?}"), "g7 5 ms started sealed Failed");
    }
}
