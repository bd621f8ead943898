//! A slot: the two words of a job, and its body behind a lock.
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

use crate::beat::Beat;
use crate::body::Body;
use crate::error::Fenced;
use crate::settled::is_settled;
use crate::sync::{AtomicU64, AtomicWord, MODELLED, Mutex, Ordering};
use crate::target::Target;
use crate::word::{Ending, Word};
use std::ops::Deref;

/// How long a writer leaves the word to another that was faster: a few hundred cycles.
const SPINS: u32 = 16;

/// What of a slot every call reads: small, and apart from the bodies, so that looking at all jobs reads little memory.
#[derive(Debug)]
pub(crate) struct Words {
    state: AtomicWord,
    beat: AtomicWord,
    /// The unguessable half of the present job's id. A filter only: an id that does not match is
    /// compared with what the registry's key says about it.
    pub(crate) nonce: AtomicU64,
    /// Heartbeats of this attempt, for those who listen. Nothing depends on it: not modelled.
    #[cfg(feature = "tracing")]
    beats: std::sync::atomic::AtomicU32,
}

impl Words {
    pub(crate) fn new(generation: u32) -> Self {
        Self {
            state: AtomicWord::new(Word::vacant(generation).bits()),
            beat: AtomicWord::new(Beat::vacant().bits()),
            nonce: AtomicU64::new(0),
            #[cfg(feature = "tracing")]
            beats: std::sync::atomic::AtomicU32::new(0),
        }
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

/// The two parts of a slot, as the table has them.
#[derive(Debug)]
pub(crate) struct Slot<'a, T> {
    pub(crate) index: u32,
    words: &'a Words,
    pub(crate) body: &'a Mutex<Body<T>>,
}

impl<T> Clone for Slot<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<'_, T> {}

impl<'a, T> Slot<'a, T> {
    #[inline(always)]
    pub(crate) fn new(index: u32, words: &'a Words, body: &'a Mutex<Body<T>>) -> Self {
        Self { index, words, body }
    }

    #[cfg(all(loom, test))]
    pub(crate) fn words(&self) -> &'a Words {
        self.words
    }
}

impl<T> Deref for Slot<'_, T> {
    type Target = Words;

    #[inline]
    fn deref(&self) -> &Words {
        self.words
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

    /// Makes one step on the state word: `next` says where from `word` it leads, which must be upward,
    /// `Err` that it is refused and `Ok(None)` that nothing is to be done. Returns the word before and
    /// after. The caller wakes the watchers where the word before was watched.
    #[inline(always)]
    pub(crate) fn step<E>(
        &self,
        mut next: impl FnMut(Word) -> Result<Option<Word>, E>,
    ) -> Result<(Word, Word), E> {
        let mut word = self.state();
        loop {
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

    /// Both words as they were at one instant. The second value is whether watchers are to be woken,
    /// because something was settled on the way.
    #[inline(always)]
    pub(crate) fn observe(&self) -> (Word, Beat, bool) {
        match self.both() {
            Some((word, beat)) if is_settled(word, beat) => (word, beat, false),
            _ => self.observe_later(),
        }
    }

    /// Both words, if nobody is writing and the job is the one that is meant: its half of the id is read between two looks
    /// at the beat word, which is opened for a later job before that one's half is there.
    #[inline(always)]
    pub(crate) fn observe_as(&self, target: Target) -> Option<(Word, Beat)> {
        let beat = self.beat();
        let word = self.state();
        let is_meant = word.generation() == target.generation
            && self.is_of(target)
            && self.beat() == beat
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
        (self.beat() == beat).then_some((word, beat))
    }

    /// Beside a writer.
    #[cold]
    fn observe_later(&self) -> (Word, Beat, bool) {
        let mut wake = false;
        loop {
            let Some((word, beat)) = self.both() else {
                continue;
            };
            if is_settled(word, beat) {
                return (word, beat, wake);
            }
            wake |= self.settle(beat);
        }
    }

    /// Carries out what `beat` has decided, unless somebody else has. Returns whether watchers are to
    /// be woken.
    pub(crate) fn settle(&self, beat: Beat) -> bool {
        loop {
            let word = self.state();
            let to = match beat.verdict() {
                Some(ending) => word.end(ending),
                None if beat.is_started() => word.start(),
                None => word.retry(),
            };
            // Read after the state word: an old decision must not be carried out on what came later.
            let Some(to) = to.filter(|_| self.beat() == beat) else {
                return false;
            };
            if self.swap_state(word, to).is_ok() {
                return word.is_watched();
            }
        }
    }

    /// Records a beat for `target`, unless the job has ended: the word that is returned tells. The flag
    /// is whether watchers are to be woken, because something was settled on the way.
    #[inline(always)]
    pub(crate) fn record_beat(
        &self,
        target: Target,
        now: impl FnOnce() -> u64,
    ) -> Result<(Word, bool), Fenced> {
        let mut now = LazyNow::Unread(now);
        let mut wake = false;
        loop {
            let (word, beat, woken) = self.observe();
            wake |= woken;
            target.admit(word)?;
            if beat.verdict().is_some() {
                return Ok((word, wake));
            }
            // A seal changes the word, and so does the retry after it: if the exchange succeeds, the
            // job has been live, and on the attempt that was admitted, the whole time.
            let recorded = match beat.at(now.read()) {
                None => true,
                Some(to) => self.swap_beat(beat, to).is_ok(),
            };
            if recorded {
                return Ok((word, wake));
            }
        }
    }

    /// The same in one look, for a live job that is meant and that nobody else writes to.
    #[inline(always)]
    pub(crate) fn record_beat_as(&self, target: Target, now: impl FnOnce() -> u64) -> Option<Word> {
        let (word, beat) = self.observe_as(target)?;
        if beat.verdict().is_some() {
            return None;
        }
        if let Some(to) = beat.at(now()) {
            self.swap_beat(beat, to).ok()?;
        }
        Some(word)
    }

    /// Decides a start, at `now`. Only the holder of the lock may, after it has seen a pending job under
    /// it; and it settles before it lets go.
    pub(crate) fn begin(&self, now: u64) -> Beat {
        loop {
            let beat = self.beat();
            let started = beat.started(now);
            if self.swap_beat(beat, started).is_ok() {
                return started;
            }
        }
    }

    /// Decides an ending. Only the holder of the lock may, as with `begin`, of a live job.
    pub(crate) fn seal(&self, ending: Ending) -> Beat {
        loop {
            let beat = self.beat();
            if self.seal_exactly(beat, ending).is_ok() {
                return beat.sealed(ending);
            }
        }
    }

    /// Like `seal`, but refuses if the job has been heard of since `beat` was read.
    pub(crate) fn seal_exactly(&self, beat: Beat, ending: Ending) -> Result<Beat, Beat> {
        let sealed = beat.sealed(ending);
        self.swap_beat(beat, sealed).map(|()| sealed)
    }

    /// Decides a retry. Only the holder of the lock may, as with `begin`, of an ended job.
    pub(crate) fn reopen(&self, now: u64) -> Beat {
        let open = self.beat().reopened(now);
        self.forget_beats();
        // A sealed word has no writer but the holder of the lock.
        self.beat.swap(open.bits(), Ordering::SeqCst);
        open
    }

    /// Counts a heartbeat that was accepted; says how many there have been, or 0 where nobody wants to know.
    #[cfg_attr(not(feature = "tracing"), allow(clippy::unused_self))]
    pub(crate) fn count_beat(&self) -> u32 {
        #[cfg(feature = "tracing")]
        // ORDERING: Relaxed. A count.
        return self.beats.fetch_add(1, Ordering::Relaxed) + 1;
        #[cfg(not(feature = "tracing"))]
        0
    }

    /// None has been counted of a new attempt.
    #[cfg_attr(not(feature = "tracing"), allow(clippy::unused_self))]
    fn forget_beats(&self) {
        #[cfg(feature = "tracing")]
        // ORDERING: Relaxed. A count.
        self.beats.store(0, Ordering::Relaxed);
    }

    /// Prepares an empty slot's beat for the job that is about to be published.
    pub(crate) fn open(&self, generation: u32, now: u64) {
        self.forget_beats();
        self.beat
            .swap(Beat::open(generation, now).bits(), Ordering::SeqCst);
    }
}

/// A clock costs more than the step it times: it is read once, and only when it is needed.
enum LazyNow<F> {
    Unread(F),
    Read(u64),
}

impl<F: FnOnce() -> u64> LazyNow<F> {
    #[inline]
    fn read(&mut self) -> u64 {
        if let Self::Read(now) = self {
            return *now;
        }
        let Self::Unread(read) = std::mem::replace(self, Self::Read(0)) else {
            unreachable!("checked above")
        };
        let now = read();
        *self = Self::Read(now);
        now
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "slot_tests.rs"]
mod tests;
