//! Seeing one job, following it, and seeing them all.

use super::JobRegistry;
use crate::error::{LookupError, ReadError};
use crate::observe::refused;
use crate::{Counts, JobId, Record, Snapshot, Watch};

impl<T: Send + 'static> JobRegistry<T> {
    /// The vital state of a job, all of one instant.
    ///
    /// # Errors
    ///
    /// [`LookupError::NotFound`] for an id that this registry never issued, [`LookupError::Gone`] for
    /// a job that has been removed.
    ///
    /// # Locking
    ///
    /// None: it never waits, not even while the job's lock is held.
    pub fn snapshot(&self, id: JobId) -> Result<Snapshot, LookupError> {
        refused("snapshot", id, self.inner.snapshot_by_id(id))
    }

    /// The job with a clone of its payload, all of one instant.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotFound`], [`ReadError::Gone`].
    ///
    /// # Locking
    ///
    /// Waits for this job's lock, and clones the payload under it. [`ReadError::WouldDeadlock`] on a
    /// thread that holds a job's lock.
    pub fn get(&self, id: JobId) -> Result<Record<T>, ReadError>
    where
        T: Clone,
    {
        self.read_for("get", id, |record| record.map(T::clone))
    }

    /// Runs `f` on the job and its payload, live or ended, all of one instant.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Locking
    ///
    /// As there; `f` runs under the job's lock. A panic in `f` goes on to the caller and changes
    /// nothing: `f` has only seen the job.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(vec!["intro.png"]).unwrap();
    /// let first = jobs.read(job.id(), |record| record.payload[0])?;
    /// assert_eq!(first, "intro.png");
    /// # Ok::<(), job_registry::ReadError>(())
    /// ```
    pub fn read<R>(&self, id: JobId, f: impl FnOnce(Record<&T>) -> R) -> Result<R, ReadError> {
        self.read_for("read", id, f)
    }

    /// Reads for a call, which is the one that a refusal names.
    #[inline(always)]
    fn read_for<R>(
        &self,
        call: &'static str,
        id: JobId,
        f: impl FnOnce(Record<&T>) -> R,
    ) -> Result<R, ReadError> {
        self.call_to_lock(call, id, |_, (slot, target)| {
            let locked = slot.lock()?;
            let record = locked.record(target)?;
            Ok(f(record))
        })
    }

    /// Follows a job: see [`Watch`].
    ///
    /// # Errors
    ///
    /// [`LookupError::NotFound`], [`LookupError::Gone`].
    ///
    /// # Locking
    ///
    /// None of a job.
    pub fn watch(&self, id: JobId) -> Result<Watch<T>, LookupError> {
        self.call("watch", id, Watch::new)
    }

    /// All jobs, each as it is when the walk comes by: a job that comes or goes meanwhile may or may not
    /// be seen, every other exactly once. The order means nothing.
    ///
    /// # Locking
    ///
    /// None.
    pub fn iter(&self) -> impl Iterator<Item = Snapshot> {
        self.inner.snapshots()
    }

    /// How many jobs there are of each status, by a [walk](Self::iter).
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let statuses = self
            .inner
            .observed()
            .filter_map(|(_, word, _)| word.status());
        statuses.for_each(|status| counts.add(status));
        counts
    }
}
