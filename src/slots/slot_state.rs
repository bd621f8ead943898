//! [`SlotState`]: the words of a slot, and the protocol between them.
//!
//! The heartbeat word leads and the state word follows. A start, an ending and a retry are
//! *decided* on the heartbeat word by the holder of the slot's lock. They are then *settled* on the
//! state word, which is the instant at which the job changes for all threads. Between the two, the
//! words contradict each other. A thread that has to read both settles the decision instead of
//! waiting for it:
//!
//! | heartbeat word  | status  | meaning                                                     |
//! |-----------------|---------|-------------------------------------------------------------|
//! | open, unstarted | pending | a pending job                                               |
//! | open, started   | running | a running job                                               |
//! | open, started   | stopping | a job that is asked to stop                                |
//! | sealed          | ended   | an ended job                                                |
//! | open, started   | pending | a start has been decided: the state word becomes running    |
//! | sealed          | live    | an ending has been decided: the state word becomes ended    |
//! | open, unstarted | ended   | a retry has been decided: the state word becomes pending    |
//! | any             | vacant  | no job                                                      |
//!
//! The holder of the lock settles before it releases the lock. At most one decision is therefore
//! outstanding. A heartbeat word never holds a value twice. If it is the same before and after a
//! load of the state word, the two words are of one instant.
//!
//! A third word, the *revision*, counts the visible changes that the two words do not show: of the
//! payload, of a note, of the time of the removal. Each job of a slot counts from the value of its
//! generation, so that the word never holds a value twice. The holder of the lock increases it before it
//! releases the lock, and then wakes the watchers if the state word is watched. A watcher sets the
//! watched bit before it loads the revision for the last time. In the order of all accesses, one
//! of the two sees the other.

use crate::slots::fenced_id::FencedId;
use crate::sync::{AtomicNonce, AtomicRevision, AtomicWord, MODELLED, Mark, Ordering};
use crate::types::heartbeat_word::{DECISION_BITS, HeartbeatWord};
use crate::types::state_word::{Ending, StateWord};
use crate::types::version::first_revision;

/// Number of spins after a failed compare-exchange: a few hundred cycles.
const SPINS: u32 = 16;

/// The part of a slot that every call reads. It is small and separate from the body, so that a scan
/// of all jobs reads little memory.
#[derive(Debug)]
pub(crate) struct SlotState {
    state: AtomicWord,
    heartbeat: AtomicWord,
    revision: AtomicRevision,
    /// The unguessable part of the present job's id. It is a filter only: an id that does not match
    /// is checked against the registry's key.
    pub(crate) nonce: AtomicNonce,
    /// Number of heartbeats of this attempt, for telemetry. Nothing depends on it, so it is not
    /// modelled.
    #[cfg(feature = "tracing")]
    heartbeats: std::sync::atomic::AtomicU32,
}

impl SlotState {
    pub(crate) fn new(generation: u32) -> Self {
        Self {
            state: AtomicWord::new(StateWord::vacant(generation).bits()),
            heartbeat: AtomicWord::new(HeartbeatWord::vacant().bits()),
            revision: AtomicRevision::new(first_revision(generation)),
            nonce: AtomicNonce::new(0),
            #[cfg(feature = "tracing")]
            heartbeats: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// Returns the name under which the record of an execution knows these words.
    #[cfg(all(test, any(loom, shuttle)))]
    pub(crate) fn recorded(&self) -> crate::sync::facade::record::Slot {
        self.state.slot()
    }

    /// Returns the addresses under which the environment checker knows state word, heartbeat word,
    /// nonce and revision.
    #[cfg(all(test, environment, not(any(loom, shuttle))))]
    pub(crate) fn addresses(&self) -> [usize; 4] {
        [&self.state, &self.heartbeat, &self.nonce, &self.revision]
            .map(crate::sync::AtomicU64::address)
    }

    #[cfg(all(loom, test))]
    pub(crate) fn take_turn(&self) {
        self.state.take_turn();
    }

    #[cfg(all(loom, test))]
    pub(crate) fn take_turns(&self) {
        self.state.take_turns();
    }

    // ORDERING: every access to the three words is SeqCst, which puts them all in one order. With
    // Acquire and Release alone, one observer could see only a step, and another only a concurrent
    // heartbeat. No order of the two would explain both. The instructions are the same on x86-64
    // and AArch64.

    #[inline]
    pub(crate) fn state(&self) -> StateWord {
        StateWord::from_bits(self.state.load(Ordering::SeqCst))
    }

    #[inline]
    pub(crate) fn heartbeat(&self) -> HeartbeatWord {
        HeartbeatWord::from_bits(self.heartbeat.load(Ordering::SeqCst))
    }

    #[inline]
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// Returns whether the revision still has this value.
    #[inline(always)]
    pub(crate) fn is_revision(&self, revision: u64) -> bool {
        #[cfg(all(test, environment, not(any(loom, shuttle))))]
        if let Some(is_revision) = self.revision.is(revision) {
            return is_revision;
        }
        self.revision() == revision
    }

    /// Increases the revision. The caller holds the lock. Returns whether there are watchers to
    /// wake.
    #[must_use]
    pub(super) fn revise(&self) -> bool {
        // The holder of the lock is the only writer.
        let revision = self.revision();
        self.revision
            .swap(revision.wrapping_add(1), Ordering::SeqCst);
        self.state().is_watched()
    }

    /// Returns whether the heartbeat word still has this value.
    #[inline(always)]
    fn is_still(&self, heartbeat: HeartbeatWord) -> bool {
        #[cfg(all(test, environment, not(any(loom, shuttle))))]
        if let Some(is_still) = self.heartbeat.is(heartbeat.bits()) {
            return is_still;
        }
        self.heartbeat() == heartbeat
    }

    /// Makes one step on the state word. `next` returns the word that follows, which must be
    /// greater, `Ok(None)` if nothing is to be done, or `Err` if the step is refused. Returns the
    /// word before and after. The caller has the duty to wake if the word before was watched.
    #[inline(always)]
    pub(crate) fn step<E>(
        &self,
        mut next: impl FnMut(StateWord) -> Result<Option<StateWord>, E>,
    ) -> Result<(StateWord, StateWord), E> {
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

    /// Spins after a lost compare-exchange, which found `now`. Leaving the cache line to the winner
    /// for a while costs both threads less than taking it back for each step.
    #[inline(always)]
    fn contended(&self, now: StateWord) -> StateWord {
        if MODELLED {
            return now;
        }
        (0..SPINS).for_each(|_| std::hint::spin_loop());
        self.state()
    }

    #[inline]
    fn swap_state(&self, from: StateWord, to: StateWord) -> Result<(), StateWord> {
        self.state
            .compare_exchange(from.bits(), to.bits(), Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(StateWord::from_bits)
    }

    #[inline]
    pub(super) fn swap_heartbeat(
        &self,
        from: HeartbeatWord,
        to: HeartbeatWord,
    ) -> Result<(), HeartbeatWord> {
        self.heartbeat
            .compare_exchange(from.bits(), to.bits(), Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(HeartbeatWord::from_bits)
    }

    /// Sets the watched bit, so that the next writer wakes the watchers. Returns `false` if the job
    /// has moved on from `seen`.
    pub(crate) fn watch_from(&self, seen: StateWord) -> bool {
        let word = self.state();
        !seen.grows_to(word) && self.watch(word)
    }

    /// Sets the watched bit on `word`. Returns `false` if the state word has changed.
    pub(crate) fn watch(&self, word: StateWord) -> bool {
        word.is_watched() || self.swap_state(word, word.watched()).is_ok()
    }

    /// Loads both words for the job that `id` means. Returns `None` under contention and if the
    /// slot holds another job. The nonce is read between two loads of the heartbeat word, which is
    /// opened for the next job before that job's nonce is stored.
    #[inline(always)]
    pub(crate) fn load_pair_of(&self, id: FencedId) -> Option<(StateWord, HeartbeatWord)> {
        let heartbeat = self.heartbeat();
        let word = self.state();
        // A slot that is opened for its next job and not yet published is vacant and has the next
        // nonce.
        let is_meant = word.generation() == id.generation
            && self.has_nonce_of(id)
            && self.is_still(heartbeat)
            && is_settled_job(word, heartbeat);
        is_meant.then_some((word, heartbeat))
    }

    /// Loads both words and the revision for the job that `id` means, as `load_pair_of` does.
    #[inline(always)]
    pub(crate) fn load_all_of(&self, id: FencedId) -> Option<(StateWord, HeartbeatWord, u64)> {
        let revision = self.revision();
        let (word, heartbeat) = self.load_pair_of(id)?;
        self.is_revision(revision)
            .then_some((word, heartbeat, revision))
    }

    /// Returns whether the nonce is that of `id`. It is the job's nonce if a load before it and a
    /// load after it see the job.
    #[inline(always)]
    pub(crate) fn has_nonce_of(&self, id: FencedId) -> bool {
        // ORDERING: Acquire pairs with the Release in `register`: a thread that sees a job's nonce
        // also sees that the job before has gone.
        self.nonce.load(Ordering::Acquire) == id.nonce
    }

    /// Loads both words. Returns `None` if the heartbeat word has changed meanwhile.
    #[inline(always)]
    pub(super) fn load_both(&self) -> Option<(StateWord, HeartbeatWord)> {
        let heartbeat = self.heartbeat();
        let word = self.state();
        self.is_still(heartbeat).then_some((word, heartbeat))
    }

    /// Settles what `heartbeat` has decided, unless another thread has. Returns whether there are
    /// watchers to wake; [`Slot::settle`](super::slot::Slot::settle) makes a duty of it.
    #[must_use]
    #[inline]
    pub(super) fn settle(&self, heartbeat: HeartbeatWord) -> bool {
        let mark = Mark::here();
        loop {
            mark.again("settle", heartbeat.bits());
            let word = self.state();
            let to = match heartbeat.verdict() {
                Some(ending) => word.end(ending),
                None if heartbeat.is_started() => word.start(),
                None => word.retry(),
            };
            // Loaded after the state word: an old decision must not be carried out on a later
            // attempt.
            let Some(to) = to.filter(|_| self.is_still(heartbeat)) else {
                return false;
            };
            if self.swap_state(word, to).is_ok() {
                return word.is_watched();
            }
        }
    }

    /// Records a heartbeat in one attempt, for a live job and without contention.
    #[inline(always)]
    pub(crate) fn record_heartbeat_of(
        &self,
        id: FencedId,
        now: impl FnOnce() -> u64,
    ) -> Option<StateWord> {
        let (word, heartbeat) = self.load_pair_of(id)?;
        if heartbeat.verdict().is_some() {
            return None;
        }
        if let Some(to) = heartbeat.at(now()) {
            self.swap_heartbeat(heartbeat, to).ok()?;
        }
        Some(word)
    }

    /// Decides a start at `now`. The caller holds the lock, has seen a pending job under it, and
    /// settles before it releases the lock.
    #[inline]
    pub(crate) fn decide_start(&self, now: u64) -> HeartbeatWord {
        let mark = Mark::here();
        loop {
            mark.again("decide_start", now);
            let heartbeat = self.heartbeat();
            let started = heartbeat.started(now);
            if self.swap_heartbeat(heartbeat, started).is_ok() {
                return started;
            }
        }
    }

    /// Decides an ending. The caller holds the lock of a live job and settles before it releases
    /// the lock.
    #[inline]
    pub(crate) fn decide_end(&self, ending: Ending) -> HeartbeatWord {
        let mark = Mark::here();
        loop {
            mark.again("decide_end", ending as u64);
            let heartbeat = self.heartbeat();
            if self.decide_end_from(heartbeat, ending).is_ok() {
                return heartbeat.sealed(ending);
            }
        }
    }

    /// Decides an ending as `decide_end` does, unless a heartbeat was recorded after `heartbeat`
    /// was loaded.
    #[inline]
    pub(crate) fn decide_end_from(
        &self,
        heartbeat: HeartbeatWord,
        ending: Ending,
    ) -> Result<HeartbeatWord, HeartbeatWord> {
        let sealed = heartbeat.sealed(ending);
        self.swap_heartbeat(heartbeat, sealed).map(|()| sealed)
    }

    /// Decides a retry. The caller holds the lock of an ended job and settles before it releases
    /// the lock.
    pub(crate) fn decide_retry(&self, now: u64) -> HeartbeatWord {
        let open = self.heartbeat().reopened(now);
        self.reset_heartbeat_count();
        // A sealed word has no writer but the holder of the lock.
        self.heartbeat.swap(open.bits(), Ordering::SeqCst);
        open
    }

    /// Prepares the heartbeat word and the revision of a vacant slot for the job that is about to be
    /// published.
    #[inline]
    pub(crate) fn open(&self, generation: u32, now: u64) {
        self.reset_heartbeat_count();
        self.revision
            .swap(first_revision(generation), Ordering::SeqCst);
        self.heartbeat.swap(
            HeartbeatWord::open(generation, now).bits(),
            Ordering::SeqCst,
        );
    }

    /// Counts an accepted heartbeat. Returns the count of this attempt, or 0 without the feature
    /// `tracing`.
    #[cfg_attr(not(feature = "tracing"), allow(clippy::unused_self))]
    pub(crate) fn count_heartbeat(&self) -> u32 {
        #[cfg(feature = "tracing")]
        // ORDERING: Relaxed. A count.
        return self.heartbeats.fetch_add(1, Ordering::Relaxed) + 1;
        #[cfg(not(feature = "tracing"))]
        0
    }

    #[cfg_attr(not(feature = "tracing"), allow(clippy::unused_self))]
    fn reset_heartbeat_count(&self) {
        #[cfg(feature = "tracing")]
        // ORDERING: Relaxed. A count.
        self.heartbeats.store(0, Ordering::Relaxed);
    }
}

/// Returns whether the two words agree, by a bit-table lookup instead of branches: during a scan,
/// one job's status does not predict the next.
#[inline(always)]
pub(super) fn is_settled(word: StateWord, heartbeat: HeartbeatWord) -> bool {
    has_bit(SETTLED, word, heartbeat)
}

/// Returns whether the slot is not vacant and the two words agree.
#[inline(always)]
fn is_settled_job(word: StateWord, heartbeat: HeartbeatWord) -> bool {
    const VACANT: u64 = (1 << (1 << DECISION_BITS)) - 1;
    has_bit(SETTLED & !VACANT, word, heartbeat)
}

#[inline(always)]
fn has_bit(table: u64, word: StateWord, heartbeat: HeartbeatWord) -> bool {
    table >> (word.status_bits() << DECISION_BITS | heartbeat.decision_bits()) & 1 != 0
}

/// A bit for each pair of a status and a decision.
const SETTLED: u64 = {
    let (mut settled, mut pair) = (0, 0);
    while pair < u64::BITS {
        let (status, decision) = (pair >> DECISION_BITS, pair & ((1 << DECISION_BITS) - 1));
        let (started, sealed) = HeartbeatWord::decided(decision as u64);
        let agree = match status {
            0 => true,
            1 => !sealed && !started,
            2 | 3 => !sealed && started,
            _ => sealed,
        };
        settled |= (agree as u64) << pair;
        pair += 1;
    }
    settled
};

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "slot_state_tests.rs"]
mod tests;
