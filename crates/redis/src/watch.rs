//! [`Watch`]: following one job.

use crate::follow::{Followed, Reading, Seen};
use job_registry::{JobId, Snapshot, Status, Version};
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch::Receiver;

/// Follows one job. Returned by [`JobRegistry::watch`](crate::JobRegistry::watch).
///
/// The first item is the job as it was when the watch began, or later. After that, an item comes
/// when the job's version has changed. A reader that is slower than the changes gets the latest.
/// The job's end is the last item, also if the job has been removed less than a minute ago.
///
/// The store's messages are hints: after each of them, after each reconnect, and at least every 7.5
/// seconds, the job is read. All watches of a job in one process share a reader. While the store is
/// not reached, a watch waits.
///
/// A version falls if the store has lost changes that it had acknowledged; see the
/// [claims](crate#claims). The watch then shows what the store has.
#[must_use = "a watch does nothing unless it is polled"]
pub struct Watch {
    id: JobId,
    /// `None` before the first item.
    first: Option<Snapshot>,
    seen: Option<Version>,
    receiver: Receiver<Reading>,
    /// Number of readings that began before this watch had its first item. They may show what was
    /// there before it.
    before: u64,
    through_retries: bool,
    finished: bool,
    /// Keeps the reader of the job.
    _followed: Arc<Followed>,
}

impl Watch {
    pub(crate) fn new(first: Snapshot, followed: Arc<Followed>) -> Self {
        Self {
            id: first.id(),
            first: Some(first),
            seen: None,
            receiver: followed.receiver(),
            before: followed.begun(),
            through_retries: false,
            finished: false,
            _followed: followed,
        }
    }

    /// Makes the watch go on after a failed or cancelled attempt. It finishes when the job
    /// completes or is removed.
    pub fn through_retries(mut self) -> Self {
        self.through_retries = true;
        self
    }

    /// Returns the next snapshot: at once if there is one that has not been returned, otherwise
    /// when the job changes. Returns `None` after the end, and when the registry has been dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Snapshot> {
        loop {
            if self.finished {
                return None;
            }
            let Reading { number, seen } = *self.receiver.borrow_and_update();
            let first = self.first.take();
            let known = first.map(|first| first.version()).or(self.seen);
            let is_old = |seen: Snapshot| number <= self.before && known > Some(seen.version());
            let latest = match seen {
                Seen::Nothing => first,
                Seen::Present(seen) if is_old(seen) => first,
                Seen::Present(seen) => Some(seen),
                Seen::Removed(last) => {
                    self.finished = true;
                    last.or(first)
                }
            };
            if let Some(latest) = latest.filter(|latest| self.seen != Some(latest.version())) {
                self.seen = Some(latest.version());
                self.finished |= self.is_last(latest.status());
                return Some(latest);
            }
            if !self.finished && self.receiver.changed().await.is_err() {
                self.finished = true;
            }
        }
    }

    fn is_last(&self, status: Status) -> bool {
        status == Status::Completed || (status.is_ended() && !self.through_retries)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("id", &self.id)
            .field("seen", &self.seen)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
