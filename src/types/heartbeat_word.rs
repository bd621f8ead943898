//! The heartbeat word: the time of a job's last heartbeat, and the decision about the job.
//!
//! ```text
//!  63        40 39          3  2  1      0
//! +------------+-------------+---+---------+
//! | generation | milliseconds| s | verdict |
//! |   24 bits  |   37 bits   |   | 2 bits  |
//! +------------+-------------+---+---------+
//! ```
//!
//! The word only grows, like the state word, and therefore never holds a value twice. An *open*
//! word (verdict 0) takes heartbeats. An ending is decided by sealing the word with its verdict,
//! and a sealed word takes none. An accepted heartbeat therefore precedes the ending.
//!
//! The stall verdict seals by a compare-exchange from the very value that it judged, so that it
//! cannot miss a heartbeat. A start is decided by setting *s*, together with a heartbeat. A retry
//! opens the word again, unstarted, at a later millisecond than the sealed one.
//!
//! The state word follows the decisions made here; see [`slot_state`](crate::slots::slot_state).

use crate::types::state_word::Ending;

const VERDICT_MASK: u64 = 3;
const STARTED: u64 = 1 << 2;
const MILLIS_SHIFT: u32 = 3;
/// Number of bits below the time.
pub(crate) const DECISION_BITS: u32 = MILLIS_SHIFT;
const GENERATION_SHIFT: u32 = 40;
const MILLIS_MASK: u64 = (1 << 37) - 1;

/// The latest time that a heartbeat records, 4.3 years after the registry was built. A retry may
/// need a millisecond more than the attempt before it, so the range above stays free for all
/// retries.
pub(crate) const LATEST: u64 = MILLIS_MASK - u16::MAX as u64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeartbeatWord(u64);

impl HeartbeatWord {
    /// Returns the word of an empty slot. It is sealed, so that nothing is recorded before there is
    /// a job.
    pub(crate) fn vacant() -> Self {
        Self(VERDICT_MASK)
    }

    #[inline]
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

    /// Returns the verdict, or `None` while the word is open.
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

    /// Returns the verdict and the start bit, without the time.
    #[inline]
    pub(crate) fn decision_bits(self) -> u64 {
        self.0 & (STARTED | VERDICT_MASK)
    }

    /// Returns whether decision bits are those of a started and of a sealed word.
    pub(crate) const fn decided(bits: u64) -> (bool, bool) {
        (bits & STARTED != 0, bits & VERDICT_MASK != 0)
    }

    #[inline]
    fn with_millis(self, millis: u64) -> Self {
        Self(self.0 & !(MILLIS_MASK << MILLIS_SHIFT) | millis << MILLIS_SHIFT)
    }

    /// Returns the word after a heartbeat at `millis`, or `None` if it already records that time or
    /// a later one.
    #[inline]
    pub(crate) fn at(self, millis: u64) -> Option<Self> {
        debug_assert!(self.verdict().is_none());
        let millis = millis.min(LATEST);
        (millis > self.millis()).then(|| self.with_millis(millis))
    }

    /// Returns the word after a start at `millis`, which counts as a heartbeat.
    #[inline]
    pub(crate) fn started(self, millis: u64) -> Self {
        let recorded = self.at(millis).unwrap_or(self);
        Self(recorded.0 | STARTED)
    }

    #[inline]
    pub(crate) fn sealed(self, ending: Ending) -> Self {
        debug_assert!(self.verdict().is_none());
        let verdict = match ending {
            Ending::Completed => 1,
            Ending::Failed => 2,
            Ending::Cancelled => 3,
        };
        Self(self.0 | verdict)
    }

    /// Returns the open word of the next attempt, at `millis` or just after the sealed time.
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
        /// P8: a heartbeat, a start, a seal and a reopening each make the word larger, at every
        /// value.
        #[test]
        fn every_step_grows_the_heartbeat_word(
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

    /// P8: for more than four years, a heartbeat records the time of the clock exactly.
    #[test]
    fn heartbeats_of_four_years_are_exact() {
        let four_years = 4 * 366 * 24 * 3_600_000;
        assert_eq!(HeartbeatWord::open(7, four_years).millis(), four_years);
    }

    /// P8: a clock at the end of its range leaves room for every attempt.
    #[test]
    fn every_attempt_can_reopen_at_the_end_of_time() {
        let mut word = HeartbeatWord::open(7, u64::MAX);
        for _ in 0..u16::MAX {
            let next = word.sealed(Ending::Failed).reopened(u64::MAX);
            assert!(
                next.bits() > word.bits() && next.generation() == 7,
                "{next:?} does not follow {word:?}"
            );
            word = next;
        }
    }

    /// Failures of models and property tests print these texts.
    #[test]
    fn heartbeat_words_print_their_fields() {
        let started = HeartbeatWord::open(7, 3).started(5);
        assert_eq!(format!("{started:?}"), "g7 5 ms started");
        let sealed = started.sealed(Ending::Failed);
        assert_eq!(format!("{sealed:?}"), "g7 5 ms started sealed Failed");
    }
}
