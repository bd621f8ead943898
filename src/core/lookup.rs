//! [`JobRef`] and [`LockedJob`]: a job that a call has resolved, and one that it has locked.
//!
//! [`resolve`](RegistryState::resolve) loads the state word twice, and most calls load it again.
//! Lock-free calls by id have a fast path instead. It starts from
//! [`addressed`](RegistryState::addressed), and its own second load or compare-exchange is the
//! validation. Under contention, and for a missing job, the call falls back to `resolve`.

use crate::core::registry_state::RegistryState;
use crate::slots::fenced_id::FencedId;
use crate::slots::locked_slot::LockedSlot;
use crate::slots::slot::Slot;
use crate::sync::{Mark, Ordering};
use crate::types::error::{LookupError, WouldDeadlock};
use crate::types::id::JobId;
use crate::types::snapshot::{Record, Snapshot};
use std::ops::{Deref, DerefMut};

/// A slot, and the fenced id that it was resolved for.
pub(crate) struct JobRef<'a, T> {
    pub(crate) registry: &'a RegistryState<T>,
    pub(crate) slot: Slot<'a, T>,
    pub(crate) id: FencedId,
}

impl<T> Clone for JobRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for JobRef<'_, T> {}

/// A slot whose lock this thread holds, and the fenced id of the call that has locked it. Each
/// operation checks whether the slot still holds that job.
pub(crate) struct LockedJob<'a, T> {
    pub(crate) registry: &'a RegistryState<T>,
    pub(crate) id: FencedId,
    pub(crate) locked: LockedSlot<'a, T>,
}

impl<'a, T> Deref for LockedJob<'a, T> {
    type Target = LockedSlot<'a, T>;

    #[inline(always)]
    fn deref(&self) -> &LockedSlot<'a, T> {
        &self.locked
    }
}

impl<T> DerefMut for LockedJob<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.locked
    }
}

impl<T> RegistryState<T> {
    /// Returns the slot of an index that comes from an id or a handle of this registry.
    #[inline(always)]
    pub(crate) fn slot(&self, index: u32) -> Slot<'_, T> {
        self.table.get(index).expect("slots never go away")
    }

    /// Returns the job of a handle.
    #[inline(always)]
    pub(crate) fn job(&self, id: FencedId) -> JobRef<'_, T> {
        JobRef {
            registry: self,
            slot: self.slot(id.slot),
            id,
        }
    }

    /// Returns the slot that an id names, whichever job it holds.
    #[inline(always)]
    pub(crate) fn addressed(&self, id: JobId) -> Result<JobRef<'_, T>, LookupError> {
        Ok(JobRef {
            registry: self,
            slot: self.table.get(id.slot).ok_or(LookupError::NotFound)?,
            id: FencedId::of(id),
        })
    }

    /// Returns the job of an id. The job may be removed at any time after that, which each
    /// operation checks.
    #[inline(always)]
    pub(crate) fn resolve(&self, id: JobId) -> Result<JobRef<'_, T>, LookupError> {
        let mark = Mark::here();
        let job = self.addressed(id)?;
        let seen = job.slot.state();
        let is_here = seen.generation() == id.generation && !seen.is_vacant();
        // The nonce is loaded between two loads that see the job. It therefore belongs to the job,
        // and not to the previous or the next one. The second load needs only the generation: a
        // slot is vacant before its job, not after it.
        let is_present = is_here
            && job.slot.has_nonce_of(job.id)
            && job.slot.state().generation() == id.generation;
        mark.again("resolve", u64::from(is_present));
        if !is_present {
            return Err(self.missing(id.nonce, id.generation, id.slot));
        }
        Ok(job)
    }

    /// Returns the error for an id that the slot does not hold. The keyed hash distinguishes a
    /// removed job (`Gone`) from an id that was never issued (`NotFound`). It takes an id's parts,
    /// because the whole would be passed in memory.
    #[cold]
    fn missing(&self, nonce: u64, generation: u32, slot: u32) -> LookupError {
        let id = JobId {
            nonce,
            generation,
            slot,
        };
        if self.slot(slot).state().generation() > generation && self.id_key.has_issued(id) {
            LookupError::Gone
        } else {
            LookupError::NotFound
        }
    }

    /// Runs `call` on the job of an id, where a fast path has found contention or no job. It takes
    /// an id's parts, because the whole would be passed in memory.
    #[cold]
    pub(crate) fn resolve_and<R, E: From<LookupError>>(
        &self,
        mark: Mark,
        nonce: u64,
        generation: u32,
        slot: u32,
        call: impl FnOnce(JobRef<'_, T>) -> Result<R, E>,
    ) -> Result<R, E> {
        mark.again("resolve_and", 0);
        let id = JobId {
            nonce,
            generation,
            slot,
        };
        call(self.resolve(id)?)
    }

    /// Returns a snapshot by id without a lock.
    // The method itself is not a function for every lifetime.
    #[allow(clippy::redundant_closure_for_method_calls)]
    #[inline(always)]
    pub(crate) fn snapshot_by_id(&self, id: JobId) -> Result<Snapshot, LookupError> {
        let mark = Mark::here();
        let seen = self.addressed(id).ok().and_then(|job| {
            let (word, heartbeat, revision) = job.slot.load_all_of(job.id)?;
            Snapshot::new(id, word, heartbeat, revision)
        });
        // Every error comes from the cold function. An error that is stored here would make the
        // compiler copy the snapshot byte by byte.
        match seen {
            Some(snapshot) => Ok(snapshot),
            None => self.resolve_and(mark, id.nonce, id.generation, id.slot, |job| job.snapshot()),
        }
    }

    /// Returns the id of the job that a slot was seen to hold.
    pub(crate) fn id_in(&self, slot: Slot<'_, T>, generation: u32) -> JobId {
        // ORDERING: Acquire. A thread that loads the nonce of a later job then sees that this job
        // has gone.
        let nonce = slot.nonce.load(Ordering::Acquire);
        if slot.state().generation() == generation {
            JobId {
                nonce,
                generation,
                slot: slot.index,
            }
        } else {
            self.id_key.id(slot.index, generation)
        }
    }
}

impl<'a, T> JobRef<'a, T> {
    #[inline(always)]
    pub(crate) fn snapshot(self) -> Result<Snapshot, LookupError> {
        self.slot.snapshot(self.id)
    }

    /// Takes the job's lock, and waits for it.
    #[inline(always)]
    pub(crate) fn lock(self) -> Result<LockedJob<'a, T>, WouldDeadlock> {
        let locked = self.slot.lock()?;
        Ok(self.locked(locked))
    }

    /// Takes the job's lock. Returns `None` if another thread holds it.
    #[inline]
    pub(crate) fn try_lock(self) -> Result<Option<LockedJob<'a, T>>, WouldDeadlock> {
        let locked = self.slot.try_lock()?;
        Ok(locked.map(|locked| self.locked(locked)))
    }

    #[inline(always)]
    fn locked(self, locked: LockedSlot<'a, T>) -> LockedJob<'a, T> {
        LockedJob {
            registry: self.registry,
            id: self.id,
            locked,
        }
    }
}

impl<'a, T> LockedJob<'a, T> {
    /// Returns the job without its lock, for the operations that need none.
    #[inline(always)]
    pub(crate) fn job_ref(&self) -> JobRef<'a, T> {
        JobRef {
            registry: self.registry,
            slot: self.locked.slot,
            id: self.id,
        }
    }

    /// Returns the job and its payload, as they are at one instant.
    pub(crate) fn record(&self) -> Result<Record<&T>, LookupError> {
        let info = self.info();
        let snapshot = self.slot.snapshot(self.id)?;
        let payload = self.payload.as_ref().ok_or(LookupError::Gone)?;
        Ok(info.record(self.begun(), snapshot, payload))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::{JobRegistry, Progress, StepError};

    /// P4: an id whose generation does not fit the state word names no job, even if its slot and
    /// nonce are a job's.
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

    /// P4: a slot that is opened for its next job names no job before that job is published. This
    /// holds even for a caller that has guessed the id.
    #[test]
    fn no_id_is_accepted_before_its_job_is_published() {
        let jobs = JobRegistry::<()>::new();
        let slot = jobs.state.table.take().unwrap();
        let id = jobs.state.id_key.id(slot.index, slot.state().generation());
        slot.open(id.generation, 0);
        slot.nonce.store(id.nonce, Ordering::Release);
        let before = slot.heartbeat();
        assert_eq!(jobs.snapshot(id), Err(LookupError::NotFound));
        assert_eq!(jobs.heartbeat(id), Err(StepError::NotFound));
        assert_eq!(jobs.advance(id, Progress::DONE), Err(StepError::NotFound));
        assert_eq!(slot.heartbeat(), before);
    }
}
