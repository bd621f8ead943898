//! `shutdown`: closes the registry, cancels its jobs, and removes them.

use crate::api::registry::JobRegistry;
use crate::core::lookup::JobRef;
use crate::core::registry_state::RegistryState;
use crate::sync::panics::{contain, despite_panics};
use crate::types::error::StepError;
use crate::types::state_word::Ending;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Interval at which a shutdown retries jobs that were locked.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Report of a [`shutdown`](JobRegistry::shutdown).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Number of pending and running jobs that were cancelled.
    pub cancelled: usize,
    /// Number of jobs that were not cancelled in time because their lock was held.
    pub live: usize,
    /// Number of spawned tasks that had not returned in time.
    pub tasks: usize,
}

impl Shutdown {
    /// Returns whether all jobs and tasks ended within the deadline.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.live == 0 && self.tasks == 0
    }
}

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cancelled,
            live,
            tasks,
        } = self;
        write!(
            f,
            "{cancelled} cancelled, {live} still live, {tasks} tasks still running"
        )
    }
}

impl<T: Send + 'static> JobRegistry<T> {
    /// Closes the registry to new jobs and retries, and cancels all pending and running jobs. Then
    /// waits up to `deadline` for two things: every task of [`spawn`](Self::spawn) and
    /// [`spawn_blocking`](Self::spawn_blocking) has returned, and every job's lock has been
    /// released. Finally removes, on a blocking thread, every ended job whose lock is free.
    ///
    /// To let running jobs finish first, wait for them before the call (see
    /// [`counts`](Self::counts)).
    ///
    /// # Locking
    ///
    /// Never waits for a job's lock: a locked job is retried until the deadline.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime. Nothing has been changed then.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the registry stays closed and some jobs are cancelled. Call it
    /// again to continue.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let jobs = JobRegistry::new();
    /// jobs.spawn("deck", async |_job| std::future::pending().await)?;
    /// let report = jobs.shutdown(Duration::from_secs(5)).await;
    /// assert!(report.is_clean() && report.cancelled == 1);
    /// assert!(jobs.register("another").is_err() && jobs.is_empty());
    /// # Ok::<(), job_registry::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn shutdown(&self, deadline: Duration) -> Shutdown {
        let runtime = Handle::current();
        self.state.table.free().close();
        let mut cancelled = 0;
        let mut running = self.state.tasks.running.subscribe();
        let drained = async {
            // The scan is repeated: a job may be locked, or about to be published by a `register`
            // in progress. An ended job may also be about to be retried. Once a scan has found its
            // lock free after the close, it cannot be.
            let mut ended_are_final = false;
            loop {
                let unfinished = self.state.cancel_all(&mut cancelled, ended_are_final);
                ended_are_final |= unfinished == 0;
                if unfinished == 0 && *running.borrow_and_update() == 0 {
                    break;
                }
                let _ = timeout(RETRY_INTERVAL, running.changed()).await;
            }
        };
        // A `spawn` that is rejected after this point briefly raises the task count, and is not
        // reported as running.
        let (live, tasks) = if timeout(deadline, drained).await.is_ok() {
            (0, 0)
        } else {
            let live = self.iter().filter(|seen| !seen.status().is_ended());
            (live.count(), *running.borrow())
        };
        let state = self.state.clone();
        // An error means that the runtime is shutting down.
        let _ = runtime.spawn_blocking(move || state.remove_all()).await;
        Shutdown {
            cancelled,
            live,
            tasks,
        }
    }
}

impl<T> RegistryState<T> {
    /// Cancels all live jobs whose lock is free. Returns the number of slots that are not
    /// quiescent: their job is live or locked, or is being registered or removed. If
    /// `ended_are_final`, an ended job is quiescent even if it is locked.
    fn cancel_all(self: &Arc<Self>, cancelled: &mut usize, ended_are_final: bool) -> usize {
        let mut quiescent = 0;
        let scanned = despite_panics(self.snapshots(), |seen| {
            if ended_are_final && seen.status().is_ended() {
                quiescent += 1;
                return;
            }
            let Ok(job) = self.resolve(seen.id()) else {
                return;
            };
            // A panic affects no other job. A panic of a waker or a subscriber comes after the
            // cancel, and one of the clock before it.
            let (is_cancelled, is_quiescent) = match contain(|| cancel_unless_locked(job)) {
                Some(Some(Ok(()))) => (true, true),
                Some(Some(Err(_))) => (false, true),
                Some(None) => (false, false),
                None => (!job.is_live(), !job.is_live()),
            };
            *cancelled += usize::from(is_cancelled);
            quiescent += usize::from(is_quiescent);
        });
        // The job whose waker panicked is counted in the next round.
        drop(scanned);
        self.table.free().taken().saturating_sub(quiescent)
    }
}

/// Cancels a job. Returns `None` while another thread holds its lock.
fn cancel_unless_locked<T>(job: JobRef<'_, T>) -> Option<Result<(), StepError>> {
    match job.try_lock() {
        Ok(Some(mut job)) => Some(job.end(Ending::Cancelled, None)),
        Ok(None) | Err(_) => None,
    }
}
