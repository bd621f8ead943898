//! [`Watch`]: following one job.

use crate::inner::{Found, Inner};
use crate::sync::{Arc, Mark, Weak};
use crate::target::Target;
use crate::watchers::Seat;
use crate::{LookupError, Snapshot};
use futures_core::Stream;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Follows one job: a [`Stream`] of its latest snapshots. From [`JobRegistry::watch`].
///
/// The first item is the job as it is. After that an item comes when the job's version has grown; a
/// reader that is slower than the changes gets the latest, not each of them, and no memory grows behind it.
/// The job's end is always an item, and the last, also if the job has been removed before the reader came
/// to see it. A stream that finishes without an ended item means that the registry is gone.
///
/// A retry that follows an end before the reader looks is seen as the next attempt; a reader that has seen the
/// end has finished.
///
/// A `Watch` does not keep its registry alive, and it is woken by whichever thread makes the change,
/// under any executor.
///
/// [`JobRegistry::watch`]: crate::JobRegistry::watch
///
/// ```
/// use job_registry::{JobRegistry, Progress, Status};
///
/// let jobs = JobRegistry::new();
/// let job = jobs.register("deck").unwrap();
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
    registry: Weak<Inner<T>>,
    target: Target,
    seat: Seat,
    seen: Option<u64>,
    finished: bool,
}

impl<T> Watch<T> {
    /// `target` comes from an id of this registry.
    pub(crate) fn new(
        inner: &Arc<Inner<T>>,
        (slot, target): Found<'_, T>,
    ) -> Result<Self, LookupError> {
        // First the seat and then the look: a removal after the look finds the seat.
        let watch = Self {
            registry: Arc::downgrade(inner),
            target,
            seat: inner.table.watchers().enter(target.slot, target.generation),
            seen: None,
            finished: false,
        };
        target.admit_reader(slot.state())?;
        Ok(watch)
    }

    /// A watch that has seen a version.
    #[cfg(all(test, environment, not(any(loom, shuttle))))]
    pub(crate) fn at(inner: &Arc<Inner<T>>, target: Target, version: u64) -> Self {
        Self {
            registry: Arc::downgrade(inner),
            target,
            seat: inner.table.watchers().enter(target.slot, target.generation),
            seen: Some(version),
            finished: false,
        }
    }

    /// The next snapshot: at once if there is one that has not been seen, otherwise when the job changes.
    /// `None` after the end, and when the registry is gone.
    ///
    /// When the job is removed, its id is gone first and its watchers are told next. In between, this may still wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: what was not returned is returned by the next call.
    pub async fn changed(&mut self) -> Option<Snapshot> {
        poll_fn(|cx| self.poll_changed(cx)).await
    }

    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Snapshot>> {
        if self.finished {
            return Poll::Ready(None);
        }
        let Some(inner) = self.registry.upgrade() else {
            self.finished = true;
            return Poll::Ready(None);
        };
        let found = inner.at(self.target);
        let mut waiting = false;
        let mark = Mark::here();
        loop {
            mark.again("poll_changed", waiting.into());
            let snapshot = found.0.snapshot(found.1);
            match snapshot {
                Ok(snapshot) if self.seen != Some(snapshot.version()) => {
                    self.seen = Some(snapshot.version());
                    self.finished = snapshot.status().is_ended();
                    return Poll::Ready(Some(snapshot));
                }
                // Seen already, and the waker is in: wait, unless the job moves on under our hands.
                Ok(snapshot) if waiting => {
                    if found.0.watch_from(snapshot.word()) {
                        return Poll::Pending;
                    }
                }
                // Removed, and the remover has our waker, or will find it.
                Err(_) if waiting => return Poll::Pending,
                _ => {
                    if let Some(last) = inner.table.watchers().wait(self.seat, cx.waker()) {
                        self.finished = true;
                        return Poll::Ready(Some(last));
                    }
                    waiting = true;
                }
            }
        }
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
        if let Some(inner) = self.registry.upgrade() {
            inner.table.watchers().leave(self.seat);
        }
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("id", &self.target.id())
            .field("seen", &self.seen)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
