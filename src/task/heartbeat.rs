//! `heartbeat_every`: one task beats for all jobs of a registry.

use super::beats::{Beats, Ticking};
use crate::inner::Inner;
use crate::target::Target;
use crate::thread::contain;
use crate::{Job, JobId, JobRegistry, LookupError};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

/// Beats for a job until it is dropped or the job ends. From [`Job::heartbeat_every`] and
/// [`JobRegistry::heartbeat_every`].
#[must_use = "the heartbeat stops when this is dropped"]
pub struct Heartbeat {
    /// `None` where there was nothing to do.
    of: Option<(Weak<dyn Stop + Send + Sync>, Ticking)>,
}

/// A registry, of whatever payload.
trait Stop {
    fn stop(&self, ticking: Ticking);
}

impl<T: Send> Stop for Inner<T> {
    fn stop(&self, ticking: Ticking) {
        self.tasks
            .beats
            .stop(ticking, || self.is_live(ticking.target()));
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some((inner, ticking)) = self.of.take() {
            if let Some(inner) = inner.upgrade() {
                inner.stop(ticking);
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
        let (target, seen) = self.call("heartbeat_every", id, |_, (slot, target)| {
            Ok::<_, LookupError>((target, slot.snapshot(target)?))
        })?;
        let attempt = Some(seen.word().attempt());
        Ok(self.beat(Target { attempt, ..target }, interval))
    }

    /// For one attempt.
    fn beat(&self, target: Target, interval: Duration) -> Heartbeat {
        let runtime = Handle::current();
        if self.inner.heartbeat(self.inner.at(target)).is_err() {
            return Heartbeat { of: None };
        }
        let beats = &self.inner.tasks.beats;
        let ticking = beats.add(target, interval);
        ensure_task(beats, &runtime, &self.inner);
        let inner: Weak<dyn Stop + Send + Sync> = Arc::downgrade(&self.inner) as _;
        Heartbeat {
            of: Some((inner, ticking)),
        }
    }
}

fn ensure_task<T: Send + 'static>(beats: &Beats, runtime: &Handle, inner: &Arc<Inner<T>>) {
    // Not under a lock: a runtime that is going away drops the task right here.
    if beats.enter(runtime.id()) {
        let task = Task {
            inner: Arc::downgrade(inner),
            runtime: runtime.id(),
            is_over: false,
        };
        runtime.spawn(task.run(beats.earlier.clone()));
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
        self.registry().beat(self.target(), interval)
    }
}

/// The task of one registry, on one runtime. If its runtime goes away with entries left and there is no other,
/// the next heartbeat starts one that takes them over.
struct Task<T> {
    inner: Weak<Inner<T>>,
    runtime: Id,
    /// Came to its own end, and has said so: another may be at work already.
    is_over: bool,
}

impl<T> Task<T> {
    async fn run(mut self, earlier: Arc<Notify>) {
        loop {
            // Before the look, so that what comes after it is noticed.
            let earlier = earlier.notified();
            let Some(next) = self.beat() else { break };
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

    fn beat(&self) -> Option<Instant> {
        let inner = self.inner.upgrade()?;
        let beats = &inner.tasks.beats;
        if let Some(mut hand) = beats.take_due() {
            // Once for all of them. Where the clock panics, their next beat is the next chance.
            let Some(now) = contain(|| inner.now()) else {
                drop(hand);
                return beats.next(self.runtime);
            };
            // The exchanges wait for memory one after the other, these looks all together.
            hand.jobs()
                .for_each(|ticking| inner.table.fetch_words(ticking.target().slot));
            hand.retain(|ticking| {
                let mut target = ticking.target();
                // The queue does not keep it, and nobody else asks for it.
                if cfg!(feature = "tracing") {
                    target.nonce = inner.mint.id(target.slot, target.generation).nonce;
                }
                let beaten = contain(|| inner.slot(target.slot).heartbeat(target, || now).is_ok());
                // A waker or a subscriber that panics silences neither its own job nor the others.
                beaten.unwrap_or_else(|| inner.is_live(target))
            });
        }
        beats.next(self.runtime)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Some(inner) = self.inner.upgrade() {
            inner.tasks.beats.leave(self.runtime);
        }
    }
}
