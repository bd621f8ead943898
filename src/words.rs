//! The two words of a job.
//!
//! The beat word leads and the state word follows. A start, an ending and a retry are *decided* on the
//! beat word, by the holder of the slot's lock, and then *settled* on the state word, which is the
//! instant at which the job changes for everybody. Between the two, the words contradict each other,
//! and whoever has to read both settles what was decided instead of waiting for it:
//!
//! | beat            | status  | meaning                                                |
//! |-----------------|---------|--------------------------------------------------------|
//! | open, unstarted | pending | a pending job                                          |
//! | open, started   | running | a running job                                          |
//! | sealed          | ended   | an ended job                                           |
//! | open, started   | pending | a start has been decided: the state word goes there    |
//! | sealed          | live    | an ending has been decided: likewise                   |
//! | open, unstarted | ended   | a retry has been decided: likewise                     |
//! | any             | vacant  | no job                                                 |
//!
//! The holder of the lock settles before it lets go, so that there is never more than one decision
//! outstanding, and a beat word never holds a value twice. Therefore "the state word was `s` while
//! the beat word was `b`" can be checked by reading `b`, `s`, `b`.

mod beats;

use crate::beat::Beat;
use crate::settled::is_settled;
use crate::slot::Slot;
use crate::sync::{AtomicNonce, AtomicWord, MODELLED, Mark, Ordering};
use crate::target::Target;
use crate::watchers::{WakeDuty, Watchers};
use crate::word::Word;

/// How long a writer leaves the word to another that was faster: a few hundred cycles.
const SPINS: u32 = 16;

/// What of a slot every call reads: small, and apart from the bodies, so that looking at all jobs reads little memory.
#[derive(Debug)]
pub(crate) struct Words {
    state: AtomicWord,
    beat: AtomicWord,
    /// The unguessable half of the present job's id. A filter only: an id that does not match is
    /// compared with what the registry's key says about it.
    pub(crate) nonce: AtomicNonce,
    /// Heartbeats of this attempt, for those who listen. Nothing depends on it: not modelled.
    #[cfg(feature = "tracing")]
    beats: std::sync::atomic::AtomicU32,
}

impl Words {
    pub(crate) fn new(generation: u32) -> Self {
        Self {
            state: AtomicWord::new(Word::vacant(generation).bits()),
            beat: AtomicWord::new(Beat::vacant().bits()),
            nonce: AtomicNonce::new(0),
            #[cfg(feature = "tracing")]
            beats: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// The slot that the record of an execution knows these words by.
    #[cfg(all(test, any(loom, shuttle)))]
    pub(crate) fn recorded(&self) -> crate::sync::record::Slot {
        self.state.slot()
    }

    /// Where the checker of `environment_tests` knows the state word, the beat word and the nonce.
    #[cfg(all(test, environment, not(any(loom, shuttle))))]
    pub(crate) fn addresses(&self) -> [usize; 3] {
        [&self.state, &self.beat, &self.nonce].map(crate::sync::AtomicU64::address)
    }

    #[cfg(all(loom, test))]
    pub(crate) fn take_turn(&self) {
        self.state.take_turn();
    }

    #[cfg(all(loom, test))]
    pub(crate) fn take_turns(&self) {
        self.state.take_turns();
    }
}

impl Words {
    // ORDERING, of every access to the two words: SeqCst, which puts them all in one order. With Acquire and Release
    // alone, of a step and a beat at the same time one observer could see only the step and another only the beat, and
    // no order of the two would explain both. The instructions are the same on x86-64 and AArch64.

    #[inline]
    pub(crate) fn state(&self) -> Word {
        Word::from_bits(self.state.load(Ordering::SeqCst))
    }

    #[inline]
    pub(crate) fn beat(&self) -> Beat {
        Beat::from_bits(self.beat.load(Ordering::SeqCst))
    }

    /// Whether the beat word still has this value.
    #[inline(always)]
    fn is_still(&self, beat: Beat) -> bool {
        #[cfg(all(test, environment, not(any(loom, shuttle))))]
        if let Some(is_still) = self.beat.is(beat.bits()) {
            return is_still;
        }
        self.beat() == beat
    }

    /// Makes one step on the state word: `next` says where from `word` it leads, which must be upward,
    /// `Err` that it is refused and `Ok(None)` that nothing is to be done. Returns the word before and
    /// after. The caller wakes the watchers where the word before was watched.
    #[inline(always)]
    pub(crate) fn step<E>(
        &self,
        mut next: impl FnMut(Word) -> Result<Option<Word>, E>,
    ) -> Result<(Word, Word), E> {
        let mark = Mark::here();
        let mut word = self.state();
        loop {
            mark.again("step", word.bits());
            let Some(to) = next(word)? else {
                return Ok((word, word));
            };
            debug_assert!(word.grows_to(to), "{word:?} does not grow to {to:?}");
            match self.swap_state(word, to) {
                Ok(()) => return Ok((word, to)),
                Err(now) => word = self.contended(now),
            }
        }
    }

    /// Another writer was faster, with `now`. Letting it have the cache line for a while costs both less than taking the
    /// line back for each step.
    #[inline(always)]
    fn contended(&self, now: Word) -> Word {
        if MODELLED {
            return now;
        }
        (0..SPINS).for_each(|_| std::hint::spin_loop());
        self.state()
    }

    #[inline]
    fn swap_state(&self, from: Word, to: Word) -> Result<(), Word> {
        self.state
            .compare_exchange(from.bits(), to.bits(), Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(Word::from_bits)
    }

    #[inline]
    fn swap_beat(&self, from: Beat, to: Beat) -> Result<(), Beat> {
        self.beat
            .compare_exchange(from.bits(), to.bits(), Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(Beat::from_bits)
    }

    /// Asks the next writer to wake watchers, unless the job has moved on from `seen`.
    pub(crate) fn watch_from(&self, seen: Word) -> bool {
        let word = self.state();
        !seen.grows_to(word) && self.watch(word)
    }

    /// Sets the watched bit on `word`, if the job has not moved on.
    pub(crate) fn watch(&self, word: Word) -> bool {
        word.is_watched() || self.swap_state(word, word.watched()).is_ok()
    }

    /// Both words, if nobody is writing and the job is the one that is meant: its half of the id is read between two looks
    /// at the beat word, which is opened for a later job before that one's half is there.
    #[inline(always)]
    pub(crate) fn observe_as(&self, target: Target) -> Option<(Word, Beat)> {
        let beat = self.beat();
        let word = self.state();
        // A slot that is opened for its next job, and not yet published, is vacant and holds the next id.
        let is_meant = word.generation() == target.generation
            && !word.is_vacant()
            && self.is_of(target)
            && self.is_still(beat)
            && is_settled(word, beat);
        is_meant.then_some((word, beat))
    }

    /// Whether the half of the id that stands here is the target's. It is the job's if a look before and one
    /// after it see the job.
    #[inline(always)]
    pub(crate) fn is_of(&self, target: Target) -> bool {
        // ORDERING: Acquire pairs with the Release in `register`: whoever sees a job's half of the id also sees that the
        // one before has gone.
        self.nonce.load(Ordering::Acquire) == target.nonce
    }

    /// Both words, unless the beat word has changed meanwhile.
    #[inline(always)]
    fn both(&self) -> Option<(Word, Beat)> {
        let beat = self.beat();
        let word = self.state();
        self.is_still(beat).then_some((word, beat))
    }
}

impl<'a, T> Slot<'a, T> {
    /// Reads both words as they were at one instant. A decision that is not yet settled is settled on
    /// the way, and its watchers are woken before this returns, or when this thread releases its lock.
    #[inline(always)]
    pub(crate) fn observe(self) -> (Word, Beat) {
        let mark = Mark::here();
        match self.both() {
            Some((word, beat)) if is_settled(word, beat) => (word, beat),
            _ => {
                mark.again("observe", 0);
                observe_later(self.words(), self.watchers, self.index)
            }
        }
    }

    /// Carries out what `beat` has decided, unless another thread has. Whoever does has the duty to wake:
    /// the holder of the lock emits the event of its decision first.
    #[inline(always)]
    pub(crate) fn settle(self, beat: Beat) -> WakeDuty<'a> {
        let watched = self.words().settle(beat);
        self.wake_duty(watched)
    }
}

/// Observes under contention. It takes a slot's parts, because the whole would have to go through memory.
#[cold]
fn observe_later(words: &Words, watchers: &Watchers, index: u32) -> (Word, Beat) {
    let mark = Mark::here();
    loop {
        mark.again("observe_later", 0);
        let Some((word, beat)) = words.both() else {
            continue;
        };
        if is_settled(word, beat) {
            return (word, beat);
        }
        // Here, because a caller that is refused next would forget it.
        drop(WakeDuty::new(watchers, index, words.settle(beat)));
    }
}

impl Words {
    /// Settles, and returns whether there are watchers to wake: for the two callers that make a duty of it.
    #[must_use]
    fn settle(&self, beat: Beat) -> bool {
        let mark = Mark::here();
        loop {
            mark.again("settle", beat.bits());
            let word = self.state();
            let to = match beat.verdict() {
                Some(ending) => word.end(ending),
                None if beat.is_started() => word.start(),
                None => word.retry(),
            };
            // Read after the state word: an old decision must not be carried out on what came later.
            let Some(to) = to.filter(|_| self.is_still(beat)) else {
                return false;
            };
            if self.swap_state(word, to).is_ok() {
                return word.is_watched();
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "words_tests.rs"]
mod tests;
