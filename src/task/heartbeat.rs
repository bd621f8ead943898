//! `heartbeat_every`: one task beats for all jobs of a registry.

use crate::core::heartbeat_queue::{HeartbeatQueue, Timer};
use crate::core::registry_state::RegistryState;
use crate::slots::fenced_id::FencedId;
use crate::sync::panics::contain;
use crate::{Job, JobId, JobRegistry, LookupError};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

/// HeartbeatQueue for a job until it is dropped or the job ends. From [`Job::heartbeat_every`] and
/// [`JobRegistry::heartbeat_every`].
#[must_use = "the heartbeat stops when this is dropped"]
pub struct Heartbeat {
    /// `None` where there was nothing to do.
    of: Option<(Weak<dyn Stop + Send + Sync>, Timer)>,
}

/// A registry, of whatever payload.
trait Stop {
    fn stop(&self, timer: Timer);
}

impl<T: Send> Stop for RegistryState<T> {
    fn stop(&self, timer: Timer) {
        let is_live = || self.job(timer.id()).is_live();
        self.tasks.heartbeats.stop(timer, is_live);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some((registry, timer)) = self.of.take() {
            if let Some(registry) = registry.upgrade() {
                registry.stop(timer);
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
    /// Records a heartbeat for the job now and then every `interval`, or less than a 64th earlier so that jobs are beaten for
    /// together, until the returned guard is dropped or the job's present attempt has ended. Intervals are from a
    /// millisecond to 49 days: shorter and longer ones are taken as these.
    ///
    /// All heartbeats of a registry share one task (of each runtime), which runs while there is one. It holds no lock while it
    /// sleeps and does not keep the registry alive.
    ///
    /// A timer keeps a job alive that hangs. Where that matters, call [`heartbeat`](Self::heartbeat) from
    /// the loop that does the work instead, or hold the guard only around calls that are known to be slow.
    ///
    /// # Errors
    ///
    /// [`LookupError::NotFound`], [`LookupError::Gone`]. For a job that has ended there is nothing to do.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn heartbeat_every(&self, id: JobId, interval: Duration) -> Result<Heartbeat, LookupError> {
        let (id, seen) = self.call("heartbeat_every", id, |job| {
            Ok::<_, LookupError>((job.id, job.snapshot()?))
        })?;
        let attempt = Some(seen.word().attempt());
        Ok(self.heartbeat_attempt(FencedId { attempt, ..id }, interval))
    }

    /// For one attempt.
    fn heartbeat_attempt(&self, id: FencedId, interval: Duration) -> Heartbeat {
        let runtime = Handle::current();
        if self.state.job(id).heartbeat().is_err() {
            return Heartbeat { of: None };
        }
        let heartbeats = &self.state.tasks.heartbeats;
        let timer = heartbeats.add(id, interval);
        ensure_task(heartbeats, &runtime, &self.state);
        let registry: Weak<dyn Stop + Send + Sync> = Arc::downgrade(&self.state) as _;
        Heartbeat {
            of: Some((registry, timer)),
        }
    }
}

fn ensure_task<T: Send + 'static>(
    heartbeats: &HeartbeatQueue,
    runtime: &Handle,
    registry: &Arc<RegistryState<T>>,
) {
    // Not under a lock: a runtime that is going away drops the task right here.
    if heartbeats.enter(runtime.id()) {
        let task = Task {
            registry: Arc::downgrade(registry),
            runtime: runtime.id(),
            is_over: false,
        };
        runtime.spawn(task.run(heartbeats.earlier.clone()));
    }
}

impl<T: Send + 'static> Job<T> {
    /// [`JobRegistry::heartbeat_every`], fenced.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck").unwrap();
    /// let heartbeat = job.heartbeat_every(Duration::from_millis(1));
    /// let before = job.snapshot().unwrap().last_heartbeat();
    /// tokio::time::sleep(Duration::from_millis(50)).await;
    /// assert!(job.snapshot().unwrap().last_heartbeat() > before);
    /// drop(heartbeat);
    /// # });
    /// ```
    pub fn heartbeat_every(&self, interval: Duration) -> Heartbeat {
        self.registry()
            .heartbeat_attempt(self.fenced_id(), interval)
    }
}

/// The task of one registry, on one runtime. If its runtime goes away with entries left and there is no other,
/// the next heartbeat starts one that takes them over.
struct Task<T> {
    registry: Weak<RegistryState<T>>,
    runtime: Id,
    /// Came to its own end, and has said so: another may be at work already.
    is_over: bool,
}

impl<T> Task<T> {
    async fn run(mut self, earlier: Arc<Notify>) {
        loop {
            // Before the look, so that what comes after it is noticed.
            let earlier = earlier.notified();
            let Some(next) = self.record_due() else { break };
            if next <= Instant::now() {
                // Other tasks get their turn, which a wait that is over already would not give them.
                yield_now().await;
            } else {
                // Either is a reason to look again.
                let _ = timeout_at(next, earlier).await;
            }
        }
        self.is_over = true;
    }

    fn record_due(&self) -> Option<Instant> {
        let registry = self.registry.upgrade()?;
        let heartbeats = &registry.tasks.heartbeats;
        if let Some(mut hand) = heartbeats.take_due() {
            // Once for all of them. Where the clock panics, their next beat is the next chance.
            let Some(now) = contain(|| registry.now()) else {
                drop(hand);
                return heartbeats.next(self.runtime);
            };
            // The compare-exchanges would wait for memory one after the other; the prefetches wait together.
            hand.jobs()
                .for_each(|timer| registry.table.fetch_state(timer.id().slot));
            hand.retain(|timer| {
                let mut id = timer.id();
                // The queue does not keep the nonce, and only events need it.
                if cfg!(feature = "tracing") {
                    id.nonce = registry.id_key.id(id.slot, id.generation).nonce;
                }
                let job = registry.job(id);
                let recorded = contain(|| job.heartbeat_at(|| now).is_ok());
                // A waker or a subscriber that panics silences neither its own job nor the others.
                recorded.unwrap_or_else(|| job.is_live())
            });
        }
        heartbeats.next(self.runtime)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Some(registry) = self.registry.upgrade() {
            registry.tasks.heartbeats.leave(self.runtime);
        }
    }
}
