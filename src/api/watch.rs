//! [`Watch`]: following one job.

use crate::core::lookup::JobRef;
use crate::core::registry_state::RegistryState;
use crate::slots::fenced_id::FencedId;
use crate::slots::watchers::Registration;
use crate::sync::block_on::block_on;
use crate::sync::{Arc, Mark, Weak};
use crate::types::error::LookupError;
use crate::types::snapshot::Snapshot;
use crate::types::status::Status;
use crate::types::version::Version;
use futures_core::Stream;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Follows one job: a [`Stream`] of its latest snapshots. Returned by [`JobRegistry::watch`].
///
/// The first item is the job as it is. After that, an item comes when the job's version has grown.
/// A reader that is slower than the changes gets the latest, and no memory grows for it. The job's
/// end is always the last item, even if the job has been removed before the reader polls. A stream
/// that finishes without an ended item means that the registry has been dropped.
///
/// If a retry follows an end before the reader polls, the reader sees the next attempt. A reader
/// that has seen the end has finished, unless the watch goes on
/// [through retries](Self::through_retries).
///
/// A `Watch` does not keep its registry alive. The thread that makes a change wakes it, under any
/// executor.
///
/// [`JobRegistry::watch`]: crate::JobRegistry::watch
///
/// ```
/// use job_registry::{JobRegistry, Progress, Status};
///
/// let jobs = JobRegistry::new();
/// let job = jobs.register("deck")?;
/// let mut watch = jobs.watch(job.id())?;
/// let worker = std::thread::spawn(move || {
///     job.start()?;
///     job.advance(Progress::percent(50.0).unwrap())?;
///     job.complete()
/// });
///
/// let mut last = None;
/// while let Some(snapshot) = pollster::block_on(watch.changed()) {
///     last = Some(snapshot.status());
/// }
/// assert_eq!(last, Some(Status::Completed));
/// worker.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a watch does nothing unless it is polled"]
pub struct Watch<T> {
    registry: Weak<RegistryState<T>>,
    id: FencedId,
    registration: Registration,
    seen: Option<Version>,
    through_retries: bool,
    finished: bool,
}

impl<T> Watch<T> {
    pub(crate) fn new(
        registry: &Arc<RegistryState<T>>,
        job: JobRef<'_, T>,
    ) -> Result<Self, LookupError> {
        // Registered before the load: a removal after the load finds the registration.
        let watch = Self::registered(registry, job.id, None);
        job.id.admit_reader(job.slot.state())?;
        Ok(watch)
    }

    fn registered(registry: &Arc<RegistryState<T>>, id: FencedId, seen: Option<Version>) -> Self {
        Self {
            registry: Arc::downgrade(registry),
            id,
            registration: registry.table.watchers().enter(id.slot, id.generation),
            seen,
            through_retries: false,
            finished: false,
        }
    }

    /// Returns a watch that has seen a version.
    #[cfg(all(test, environment, not(any(loom, shuttle))))]
    pub(crate) fn at(registry: &Arc<RegistryState<T>>, id: FencedId, version: Version) -> Self {
        Self::registered(registry, id, Some(version))
    }

    /// Makes the watch go on after a failed or cancelled attempt. It finishes when the job completes
    /// or is removed. The last item is then the job's last state.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Status};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// let mut watch = jobs.watch(job.id())?.through_retries();
    /// job.fail("renderer crashed")?;
    /// assert_eq!(watch.wait().map(|seen| seen.status()), Some(Status::Failed));
    /// let second = job.retry()?;
    /// assert_eq!(watch.wait().map(|seen| seen.attempt()), Some(2));
    /// # drop(second);
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub fn through_retries(mut self) -> Self {
        self.through_retries = true;
        self
    }

    /// Waits for the next snapshot as [`changed`](Self::changed) does, and blocks the thread. It
    /// needs no executor.
    ///
    /// # Locking
    ///
    /// Takes no job's lock. On a thread that holds the guard of the watched job, it waits for ever
    /// if only this thread would end the job.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Progress};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// let mut watch = jobs.watch(job.id())?;
    /// let worker = std::thread::spawn(move || {
    ///     job.start()?;
    ///     job.complete()
    /// });
    /// while let Some(seen) = watch.wait() {
    ///     println!("{}: {}", seen.status(), seen.progress());
    /// }
    /// worker.join().unwrap()?;
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub fn wait(&mut self) -> Option<Snapshot> {
        block_on(|cx| self.poll_changed(cx))
    }

    /// Returns the next snapshot: at once if there is one that has not been returned, otherwise
    /// when the job changes. Returns `None` after the end, and when the registry has been dropped.
    ///
    /// When a job is removed, its id is gone first and its watchers are woken next. In between,
    /// this may still wait.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. Dropping the future loses nothing: the next call returns the snapshot that was
    /// not returned.
    pub async fn changed(&mut self) -> Option<Snapshot> {
        poll_fn(|cx| self.poll_changed(cx)).await
    }

    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Snapshot>> {
        if self.finished {
            return Poll::Ready(None);
        }
        let Some(registry) = self.registry.upgrade() else {
            self.finished = true;
            return Poll::Ready(None);
        };
        let slot = registry.slot(self.id.slot);
        let mut waiting = false;
        let mark = Mark::here();
        loop {
            mark.again("poll_changed", waiting.into());
            let snapshot = slot.snapshot(self.id);
            match snapshot {
                Ok(snapshot) if self.seen != Some(snapshot.version()) => {
                    self.seen = Some(snapshot.version());
                    self.finished = self.is_last(snapshot.status());
                    return Poll::Ready(Some(snapshot));
                }
                // Seen already, and the waker is registered: wait, unless the job has moved on.
                Ok(snapshot) if waiting => {
                    // The revision is loaded after the watched bit has been set.
                    if slot.watch_from(snapshot.word()) && slot.is_revision(snapshot.revision()) {
                        return Poll::Pending;
                    }
                }
                // Removed: the remover has the waker, or will find it.
                Err(_) if waiting => return Poll::Pending,
                _ => {
                    if let Some(last) = slot.watchers.wait(self.registration, cx.waker()) {
                        self.finished = true;
                        // A watch through retries may have seen the last state already.
                        let is_new = self.seen != Some(last.version());
                        return Poll::Ready(is_new.then_some(last));
                    }
                    waiting = true;
                }
            }
        }
    }
}

impl<T> Watch<T> {
    /// Returns whether a snapshot with this status is the last item.
    fn is_last(&self, status: Status) -> bool {
        status == Status::Completed || (status.is_ended() && !self.through_retries)
    }
}

impl<T> Stream for Watch<T> {
    type Item = Snapshot;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Snapshot>> {
        self.poll_changed(cx)
    }
}

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.table.watchers().leave(self.registration);
        }
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("id", &self.id.id())
            .field("seen", &self.seen)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
