//! The calls by id that take no lock: the job is found and looked at, or moved, in one.
//!
//! [`find`](Inner::find) looks twice at the state word, and who uses what it found looks again. Here one look serves both:
//! what proves that the job was there the whole time is the second look at the beat word, or the exchange, which the call
//! needs anyway. What is not plain, beside a writer or of a job that is not there, goes the long way.

use crate::error::{LookupError, StepError};
use crate::inner::{Found, Inner};
use crate::steps::{advanced, beaten};
use crate::sync::Mark;
use crate::target::Target;
use crate::{JobId, Progress, Snapshot};

impl<T> Inner<T> {
    #[inline(always)]
    pub(crate) fn snapshot_by_id(&self, id: JobId) -> Result<Snapshot, LookupError> {
        let (slot, target) = self.named(id)?;
        let mark = Mark::here();
        let seen = slot.observe_as(target);
        match seen.and_then(|(word, beat)| Snapshot::new(id, word, beat)) {
            Some(seen) => Ok(seen),
            None => self.snapshot_found(mark, id.nonce, id.generation, id.slot),
        }
    }

    #[inline(always)]
    pub(crate) fn advance_by_id(
        &self,
        id: JobId,
        progress: Progress,
    ) -> Result<Progress, StepError> {
        let (slot, target) = self.named(id)?;
        let mark = Mark::here();
        let stepped = slot.step(|word| {
            // Who forges an id may write a generation that no word has room for.
            let is_here = word.generation() == id.generation;
            if !(is_here && target.runs(word) && slot.is_of(target)) {
                return Err(());
            }
            match word.advance(progress) {
                // Where there is nothing to exchange, one more look has to do.
                None if slot.state().generation() != id.generation => Err(()),
                next => Ok(next),
            }
        });
        match stepped {
            Ok((before, after)) => Ok(advanced((slot, target), before, after)),
            Err(()) => self.advance_found(mark, id.nonce, id.generation, id.slot, progress),
        }
    }

    #[inline(always)]
    pub(crate) fn heartbeat_by_id(&self, id: JobId) -> Result<(), StepError> {
        let (slot, target) = self.named(id)?;
        let mark = Mark::here();
        match slot.record_beat_as(target, || self.now()) {
            Some(word) => {
                beaten((slot, target), word);
                Ok(())
            }
            None => self.heartbeat_found(mark, id.nonce, id.generation, id.slot),
        }
    }

    /// The slot that an id names, whoever lives there.
    #[inline(always)]
    fn named(&self, id: JobId) -> Result<Found<'_, T>, LookupError> {
        let slot = self.table.get(id.slot).ok_or(LookupError::NotFound)?;
        Ok((slot, Target::of(id)))
    }

    // The long way. Of an id its parts, because the whole would have to go through memory.

    #[cold]
    fn snapshot_found(
        &self,
        mark: Mark,
        nonce: u64,
        generation: u32,
        slot: u32,
    ) -> Result<Snapshot, LookupError> {
        mark.again("the long way", 0);
        let id = JobId {
            nonce,
            generation,
            slot,
        };
        let (slot, target) = self.find(id)?;
        slot.snapshot(target)
    }

    #[cold]
    fn advance_found(
        &self,
        mark: Mark,
        nonce: u64,
        generation: u32,
        slot: u32,
        progress: Progress,
    ) -> Result<Progress, StepError> {
        mark.again("the long way", 0);
        let id = JobId {
            nonce,
            generation,
            slot,
        };
        let (slot, target) = self.find(id)?;
        slot.advance(target, progress)
    }

    #[cold]
    fn heartbeat_found(
        &self,
        mark: Mark,
        nonce: u64,
        generation: u32,
        slot: u32,
    ) -> Result<(), StepError> {
        mark.again("the long way", 0);
        let id = JobId {
            nonce,
            generation,
            slot,
        };
        self.heartbeat(self.find(id)?)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::JobRegistry;

    /// P4: an id with a generation that no word has room for names nobody, also where the rest of it is that of a job.
    #[test]
    fn no_id_has_a_second_form() {
        let jobs = JobRegistry::new();
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        let generation = job.id().generation | 1 << 24;
        let forged = JobId {
            generation,
            ..job.id()
        };
        assert_eq!(jobs.snapshot(forged), Err(LookupError::NotFound));
        assert_eq!(jobs.heartbeat(forged), Err(StepError::NotFound));
        assert_eq!(
            jobs.advance(forged, Progress::DONE),
            Err(StepError::NotFound)
        );
        assert_eq!(job.snapshot().unwrap().progress(), Progress::ZERO);
    }

    /// P4: a slot that is opened for its next job names nobody before that job is published, not even
    /// to a caller who has guessed the id.
    #[test]
    fn no_id_is_accepted_before_its_job_is_published() {
        let jobs = JobRegistry::<()>::new();
        let slot = jobs.inner.table.take().unwrap();
        let id = jobs.inner.mint.id(slot.index, slot.state().generation());
        slot.open(id.generation, 0);
        slot.nonce.store(id.nonce, crate::sync::Ordering::Release);
        let before = slot.beat();
        assert_eq!(jobs.snapshot(id), Err(LookupError::NotFound));
        assert_eq!(jobs.heartbeat(id), Err(StepError::NotFound));
        assert_eq!(jobs.advance(id, Progress::DONE), Err(StepError::NotFound));
        assert_eq!(slot.beat(), before);
    }
}
