//! `shutdown`: no more jobs, an end to those there are, and nothing left behind.

use crate::core::lookup::JobRef;
use crate::core::registry_state::RegistryState;
use crate::sync::panics::{contain, despite_panics};
use crate::types::state_word::Ending;
use crate::{JobRegistry, StepError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How often a shutdown looks again at jobs that were locked.
const PAUSE: Duration = Duration::from_millis(5);

/// What a [`shutdown`](JobRegistry::shutdown) came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Jobs that were pending or running and have been cancelled.
    pub cancelled: usize,
    /// Jobs that could not be cancelled in time because somebody held their lock.
    pub live: usize,
    /// Spawned tasks that had not returned in time.
    pub tasks: usize,
}

impl Shutdown {
    /// Whether everything ended within the deadline.
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
    /// Stops accepting jobs and retries, cancels those that are pending or running, and waits up to `deadline` until
    /// every task of [`spawn`](Self::spawn) and [`spawn_blocking`](Self::spawn_blocking) has returned, and whoever held a
    /// job's lock has let it go. Then every ended job is removed, with its hook and its payload's drop, on a blocking thread.
    ///
    /// To let running jobs come to their own end first, wait for that (see [`counts`](Self::counts)) before the call.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, before anything is changed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the registry closed and some jobs cancelled; call it again to go on.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let jobs = JobRegistry::new();
    /// jobs.spawn("deck", async |_job| std::future::pending::<Result<(), String>>().await).unwrap();
    /// let report = jobs.shutdown(Duration::from_secs(5)).await;
    /// assert!(report.is_clean() && report.cancelled == 1);
    /// assert!(jobs.register("another").is_err() && jobs.is_empty());
    /// # });
    /// ```
    pub async fn shutdown(&self, deadline: Duration) -> Shutdown {
        let runtime = Handle::current();
        self.state.table.free().close();
        let mut cancelled = 0;
        let mut running = self.state.tasks.running.subscribe();
        let drained = async {
            // Again and again: a job may be locked, or about to be published by a `register` that was under way. And one that has
            // ended may be in the hands of a retry that was: whose lock has been free since the close is retried no more.
            let mut ended_stay_so = false;
            loop {
                let restless = self.state.cancel_all(&mut cancelled, ended_stay_so);
                ended_stay_so |= restless == 0;
                if restless == 0 && *running.borrow_and_update() == 0 {
                    break;
                }
                let _ = timeout(PAUSE, running.changed()).await;
            }
        };
        // What is refused after the drain comes and goes in the count of tasks, and is no concern of it.
        let (live, tasks) = if timeout(deadline, drained).await.is_ok() {
            (0, 0)
        } else {
            let live = self.iter().filter(|seen| !seen.status().is_ended());
            (live.count(), *running.borrow())
        };
        let state = self.state.clone();
        // An error means that the runtime is going away.
        let _ = runtime.spawn_blocking(move || state.remove_all()).await;
        Shutdown {
            cancelled,
            live,
            tasks,
        }
    }
}

impl<T> RegistryState<T> {
    /// Cancels what is live and not locked; returns how many slots are not at rest: a job that is still live, or one that
    /// is on its way in or out, or locked, unless ended jobs are known to stay so.
    fn cancel_all(self: &Arc<Self>, cancelled: &mut usize, ended_stay_so: bool) -> usize {
        let mut quiescent = 0;
        let walked = despite_panics(self.snapshots(), |seen| {
            if ended_stay_so && seen.status().is_ended() {
                quiescent += 1;
                return;
            }
            let Ok(job) = self.resolve(seen.id()) else {
                return;
            };
            // A panic reaches no other job. A waker's or a subscriber's comes after the cancel, a clock's before it.
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
        drop(walked);
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
