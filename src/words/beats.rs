//! What is written to the beat word: heartbeats, and what the holder of the slot's lock decides.

use super::Words;
use crate::beat::Beat;
use crate::error::Fenced;
use crate::slot::Slot;
use crate::sync::{Mark, Ordering};
use crate::target::Target;
use crate::word::{Ending, Word};

impl<T> Slot<'_, T> {
    /// Records a heartbeat for `target`, unless the job has ended: the word that is returned tells.
    #[inline(always)]
    pub(crate) fn record_beat(
        self,
        target: Target,
        now: impl FnOnce() -> u64,
    ) -> Result<Word, Fenced> {
        let mut now = LazyNow::Unread(now);
        let mark = Mark::here();
        loop {
            mark.again("record_beat", 0);
            let (word, beat) = self.observe();
            target.admit(word)?;
            if beat.verdict().is_some() {
                return Ok(word);
            }
            // A seal changes the word, and so does the retry after it: if the exchange succeeds, the
            // job has been live, and on the attempt that was admitted, the whole time.
            let recorded = match beat.at(now.read()) {
                None => true,
                Some(to) => self.swap_beat(beat, to).is_ok(),
            };
            if recorded {
                return Ok(word);
            }
        }
    }
}

impl Words {
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
        let mark = Mark::here();
        loop {
            mark.again("begin", now);
            let beat = self.beat();
            let started = beat.started(now);
            if self.swap_beat(beat, started).is_ok() {
                return started;
            }
        }
    }

    /// Decides an ending. Only the holder of the lock may, as with `begin`, of a live job.
    pub(crate) fn seal(&self, ending: Ending) -> Beat {
        let mark = Mark::here();
        loop {
            mark.again("seal", ending as u64);
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
