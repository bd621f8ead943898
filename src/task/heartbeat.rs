//! `heartbeat_every`: one task for each runtime records the heartbeats that were begun there.

use crate::api::job::Job;
use crate::api::registry::JobRegistry;
use crate::core::heartbeat_queue::Timer;
use crate::core::registry_state::RegistryState;
use crate::slots::fenced_id::FencedId;
use crate::sync::panics::contain;
use crate::sync::rt::{Handle, Id, Instant, Notify, sleep, timeout_at, yield_now};
use crate::types::error::LookupError;
use crate::types::id::JobId;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Guard of a periodic heartbeat, which stops when the guard is dropped or the job's attempt ends.
/// Returned by [`Job::heartbeat_every`] and [`JobRegistry::heartbeat_every`].
#[must_use = "the heartbeat stops when this is dropped"]
pub struct Heartbeat {
    /// `None` if the job had already ended.
    timer: Option<(Weak<dyn Stop + Send + Sync>, Id, Timer)>,
}

/// A registry with any type of payload.
trait Stop {
    fn stop(&self, runtime: Id, timer: Timer);
}

impl<T: Send> Stop for RegistryState<T> {
    fn stop(&self, runtime: Id, timer: Timer) {
        let is_live = || self.job(timer.id()).is_live();
        self.tasks.heartbeats.stop(runtime, timer, is_live);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some((registry, runtime, timer)) = self.timer.take() {
            if let Some(registry) = registry.upgrade() {
                registry.stop(runtime, timer);
            }
        }
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> JobRegistry<T> {
    /// Records a heartbeat immediately and then once per `interval`, up to 1/64 early so that jobs
    /// share timer ticks. The heartbeats stop when the returned guard is dropped, or when the job's
    /// present attempt ends. Intervals are clamped to 1 ms at least and to 49 days at most.
    ///
    /// The heartbeats that are begun on one runtime share a task on that runtime. The task runs
    /// while there are heartbeats, holds no lock while it sleeps, and does not keep the registry
    /// alive. A heartbeat ends with its runtime. No other runtime delays it.
    ///
    /// A timer also keeps a hanging job alive. If that matters, call [`heartbeat`](Self::heartbeat)
    /// from the loop that does the work, or hold the guard only around calls that are known to be
    /// slow.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError::NotFound`] or [`LookupError::Gone`] if there is no such job. For an
    /// ended job, the guard does nothing.
    ///
    /// # Locking
    ///
    /// Takes no job's lock.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime, or on one without a timer, and the job exists.
    /// Nothing has been changed then.
    #[track_caller]
    pub fn heartbeat_every(&self, id: JobId, interval: Duration) -> Result<Heartbeat, LookupError> {
        let (id, seen) = self.call("heartbeat_every", id, |job| {
            Ok::<_, LookupError>((job.id, job.snapshot()?))
        })?;
        let attempt = Some(seen.word().attempt());
        Ok(self.heartbeat_attempt(FencedId { attempt, ..id }, interval))
    }

    /// Starts the heartbeat of one attempt.
    #[track_caller]
    fn heartbeat_attempt(&self, id: FencedId, interval: Duration) -> Heartbeat {
        let runtime = Handle::current();
        require_timer();
        if self.state.job(id).heartbeat().is_err() {
            return Heartbeat { timer: None };
        }
        let (timer, start) = self.state.tasks.heartbeats.add(runtime.id(), id, interval);
        if let Some(earlier) = start {
            let task = Task {
                registry: Arc::downgrade(&self.state),
                runtime: runtime.id(),
                has_finished: false,
            };
            // No lock is held here: a runtime that is shutting down drops the task immediately.
            runtime.spawn(task.run(earlier));
        }
        let registry: Weak<dyn Stop + Send + Sync> = Arc::downgrade(&self.state) as _;
        Heartbeat {
            timer: Some((registry, runtime.id(), timer)),
        }
    }
}

/// Panics if the present runtime has no timer.
#[track_caller]
pub(super) fn require_timer() {
    // The constructor asks for the timer. Nothing is registered before the first poll.
    drop(sleep(Duration::ZERO));
}

impl<T: Send + 'static> Job<T> {
    /// Calls [`JobRegistry::heartbeat_every`], fenced. After the end of the job, or of this
    /// attempt, the guard does nothing.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime, or on one without a timer. Nothing has been
    /// changed then.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// let heartbeat = job.heartbeat_every(Duration::from_millis(1));
    /// let before = job.snapshot()?.last_heartbeat();
    /// tokio::time::sleep(Duration::from_millis(50)).await;
    /// assert!(job.snapshot()?.last_heartbeat() > before);
    /// drop(heartbeat);
    /// # Ok::<(), job_registry::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn heartbeat_every(&self, interval: Duration) -> Heartbeat {
        self.registry()
            .heartbeat_attempt(self.fenced_id(), interval)
    }
}

/// The task of one registry on one runtime. It ends with the runtime's last timer, or with the
/// runtime, whose timers it then ends.
struct Task<T> {
    registry: Weak<RegistryState<T>>,
    runtime: Id,
    /// The task has returned and unregistered itself. Another one may be running already.
    has_finished: bool,
}

impl<T> Task<T> {
    async fn run(mut self, earlier: Arc<Notify>) {
        loop {
            // Created before the queue is read, so that a timer that is added meanwhile wakes the
            // task.
            let earlier = earlier.notified();
            let Some(next) = self.record_due() else { break };
            if next <= Instant::now() {
                // A timeout that has already passed would not yield to other tasks.
                yield_now().await;
            } else {
                let _ = timeout_at(next, earlier).await;
            }
        }
        self.has_finished = true;
    }

    /// Records the heartbeats that are due, and returns the time of the next. `None` ends the task.
    fn record_due(&self) -> Option<Instant> {
        let registry = self.registry.upgrade()?;
        let heartbeats = &registry.tasks.heartbeats;
        if let Some(mut due) = heartbeats.take_due(self.runtime) {
            // The clock is read once for all timers. If it panics, they are tried again at their
            // next heartbeat.
            let Some(now) = contain(|| registry.now()) else {
                drop(due);
                return heartbeats.next(self.runtime);
            };
            // The compare-exchanges would take their cache misses one after the other. Those of the
            // prefetches overlap.
            due.timers()
                .for_each(|timer| registry.table.prefetch_state(timer.id().slot));
            due.retain(|timer| {
                let mut id = timer.id();
                // The queue does not keep the nonce, and only events need it.
                if cfg!(feature = "tracing") {
                    id.nonce = registry.id_key.id(id.slot, id.generation).nonce;
                }
                let job = registry.job(id);
                let recorded = contain(|| job.heartbeat_at(|| now).is_ok());
                // A panic of a waker or a subscriber ends no timer of a live job.
                recorded.unwrap_or_else(|| job.is_live())
            });
        }
        heartbeats.next(self.runtime)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if self.has_finished {
            return;
        }
        if let Some(registry) = self.registry.upgrade() {
            registry.tasks.heartbeats.leave(self.runtime);
        }
    }
}
