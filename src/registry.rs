//! [`JobRegistry`]: the calls by id. Each finds the job and leaves the rest to what is shared with the
//! owner's handle.

mod after;
mod look;
mod steps;

use crate::builder::Builder;
use crate::error::{LookupError, RegisterError, WouldDeadlock};
use crate::id::JobId;
use crate::inner::{Found, Shared};
use crate::job::Job;
use crate::observe::{Event, Refusal, refused, tell};
use crate::sync::Ordering;
use crate::thread::holds_lock;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, SystemTime};

/// A registry of long-running jobs. Cheap to clone; clones are the same registry.
///
/// Every call is synchronous and works from any thread, inside and outside of any runtime. See the
/// [crate docs](crate) for the invariants, and each call for the lock it takes.
///
/// When the last clone and the last [`Job`] are gone the registry is dropped with all payloads;
/// [watches](crate::Watch) finish.
pub struct JobRegistry<T> {
    pub(crate) inner: Shared<T>,
}

impl<T> Clone for JobRegistry<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<T: Send + 'static> JobRegistry<T> {
    /// A registry with the defaults of its [builder](JobRegistry::builder): up to 1 048 576 jobs,
    /// ended jobs are removed after an hour, no job counts as stalled.
    ///
    /// # Panics
    ///
    /// If the operating system's random generator fails.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A registry with other limits, another clock, or a removal hook.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// let jobs = JobRegistry::builder()
    ///     .capacity(1_000)
    ///     .retention(Duration::from_secs(300))
    ///     .stall_after(Duration::from_secs(30))
    ///     .on_remove(|record| println!("{} is gone", record.snapshot.id()))
    ///     .build();
    /// # let _ = jobs.register(()).unwrap();
    /// ```
    pub fn builder() -> Builder<T> {
        Builder::new()
    }

    /// Adds a job, pending, and returns its owner.
    ///
    /// Without a reaper, this also removes up to two jobs that are due, so that memory stays bounded
    /// where nobody calls [`sweep`](Self::sweep). At capacity it removes one more, if any job is due
    /// whose lock is free.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Full`] at capacity and [`RegisterError::Closed`] during shutdown. Both give the
    /// payload back. A job that another thread is removing counts until its payload has been dropped and its slot is
    /// free, which is after its id has begun to be gone.
    ///
    /// # Locking
    ///
    /// No job's lock; works under a guard.
    ///
    /// ```
    /// use job_registry::{JobRegistry, RegisterError};
    ///
    /// let jobs = JobRegistry::builder().capacity(1).build();
    /// let job = jobs.register("first").unwrap();
    /// assert_eq!(jobs.register("second").unwrap_err().into_payload(), "second");
    /// # drop(job);
    /// ```
    pub fn register(&self, payload: T) -> Result<Job<T>, RegisterError<T>> {
        let mut now = self.inner.now();
        // ORDERING: Relaxed. Whether a reaper has just come or gone makes no difference.
        let has_reaper = self.inner.reapers.load(Ordering::Relaxed) > 0;
        if !has_reaper && self.inner.sweep_a_little(now) {
            // Hooks and destructors may have taken long.
            now = self.inner.now();
        }
        let registered = self.inner.register(payload, now, has_reaper);
        let target = refused("register", None, registered)?;
        let job = Job::new(self.clone(), target);
        // If this panics, the job has an owner that goes.
        tell(|| Event::Registered { id: target.id() });
        Ok(job)
    }

    /// A call that takes no job's lock. If it is refused, that is told.
    #[inline(always)]
    pub(crate) fn call<'a, R, E>(
        &'a self,
        name: &'static str,
        id: JobId,
        f: impl FnOnce(&'a Shared<T>, Found<'a, T>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: Refusal + From<LookupError>,
    {
        let found = self.inner.find(id).map_err(E::from);
        refused(name, id, found.and_then(|found| f(&self.inner, found)))
    }

    /// A call that takes the job's lock. What never was is told from what this thread must not ask, and that from what is
    /// gone.
    #[inline(always)]
    pub(crate) fn call_to_lock<'a, R, E>(
        &'a self,
        name: &'static str,
        id: JobId,
        f: impl FnOnce(&'a Shared<T>, Found<'a, T>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: Refusal + From<LookupError> + From<WouldDeadlock>,
    {
        let found = match self.inner.find(id) {
            Err(LookupError::Gone) if holds_lock() => Err(WouldDeadlock.into()),
            found => found.map_err(E::from),
        };
        refused(name, id, found.and_then(|found| f(&self.inner, found)))
    }

    /// How many jobs there are, of those that [`capacity`](Self::capacity) allows: one that another thread is removing counts until
    /// its payload has been dropped.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.table.free().taken()
    }

    /// Whether there is no job.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most jobs there can be.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.inner.table.free().capacity()
    }

    /// The registry's time: since it was built. What [`Snapshot::last_heartbeat`](crate::Snapshot::last_heartbeat) and
    /// [`Times`](crate::Times) are to be compared with, by `saturating_sub`.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.inner.timeline.elapsed()
    }

    /// The wall-clock time of an instant of the registry, for display: what the system's clock said when
    /// the registry was built, plus `at`, or without it where the sum is more than a `SystemTime` can hold.
    #[must_use]
    pub fn system_time(&self, at: Duration) -> SystemTime {
        self.inner.timeline.system_time(at)
    }

    /// Number of removals in which the hook, the payload's drop, a waker or a subscriber panicked, since the
    /// registry was built.
    #[must_use]
    pub fn removal_panics(&self) -> u64 {
        // ORDERING: Relaxed. A count.
        self.inner.removal_panics.load(Ordering::Relaxed)
    }
}

impl<T: Send + 'static> Default for JobRegistry<T> {
    fn default() -> Self {
        Self::new()
    }
}

// A panic under a job's lock fails the job and nothing else: what is seen after a caught one is sound.
impl<T> UnwindSafe for JobRegistry<T> {}
impl<T> RefUnwindSafe for JobRegistry<T> {}

impl<T> fmt::Debug for JobRegistry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRegistry")
            .field("len", &self.inner.table.free().taken())
            .field("capacity", &self.inner.table.free().capacity())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::RemoveError;
    use crate::word::RETIRED;

    /// P4 and P6: the last job of a slot is gone for ever when it is removed, the slot is never used again,
    /// and the registry holds as many jobs as before.
    #[test]
    fn used_up_slot_is_retired_and_costs_no_room() {
        let jobs = JobRegistry::builder()
            .capacity(1)
            .first_generation(RETIRED - 1)
            .build();
        assert_eq!(jobs.capacity(), 1);
        assert_eq!(
            JobRegistry::<()>::builder().capacity(7).build().capacity(),
            7
        );
        let mut ids = Vec::new();
        for payload in 0..100 {
            let id = jobs.register(payload).unwrap().detach();
            assert!(!ids.contains(&id), "{id} was issued twice");
            assert!(jobs.register(payload).is_err());
            jobs.cancel(id).unwrap();
            assert_eq!(jobs.remove(id), Ok(payload));
            ids.push(id);
        }
        // Each job had a slot to itself, and was its last.
        let slots: std::collections::BTreeSet<_> = ids.iter().map(|id| id.slot).collect();
        assert_eq!(slots.len(), 100);
        for id in ids {
            assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
            assert_eq!(jobs.remove(id), Err(RemoveError::Gone));
        }
        assert!(jobs.is_empty());
    }

    /// P4: an id that the registry is going to issue is no id of it yet, and therefore not gone either.
    #[test]
    fn id_of_the_future_is_not_found() {
        let jobs = JobRegistry::new();
        let first = jobs.register(()).unwrap().id();
        let next = jobs.inner.mint.id(first.slot + 1, first.generation);
        assert_eq!(jobs.snapshot(next), Err(LookupError::NotFound));
        assert_eq!(jobs.remove(next), Err(RemoveError::NotFound));
        let second = jobs.register(()).unwrap();
        assert_eq!(second.id(), next);
        assert!(jobs.snapshot(next).is_ok());
    }
}
