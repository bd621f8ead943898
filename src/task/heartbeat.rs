//! `heartbeat_every`: one task beats for all jobs of a registry.

use crate::inner::Inner;
use crate::slot::Target;
use crate::{Job, JobId, JobRegistry, LookupError};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Shorter intervals are taken as this.
const SHORTEST: Duration = Duration::from_millis(1);
/// So many beats at a time, before other tasks get their turn.
const BATCH: usize = 1024;

/// Beats for a job until it is dropped or the job ends. From [`Job::heartbeat_every`] and
/// [`JobRegistry::heartbeat_every`].
#[must_use = "the heartbeat stops when this is dropped"]
pub struct Heartbeat {
    stop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> JobRegistry<T> {
    /// Records a heartbeat for the job now and then every `interval` (at least a millisecond), until the returned
    /// guard is dropped or the job's present attempt has ended.
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
        let target = self.inner.find(id)?;
        let attempt = self.inner.snapshot(target)?.word().attempt();
        Ok(self.beat(
            Target {
                attempt: Some(attempt),
                ..target
            },
            interval,
        ))
    }

    fn beat(&self, target: Target, interval: Duration) -> Heartbeat {
        let runtime = Handle::current();
        if self.inner.heartbeat(target).is_err() {
            return Heartbeat { stop: None };
        }
        let interval = interval.max(SHORTEST);
        let beats = &self.inner.tasks.beats;
        let key = beats.add(Ticking { target, interval });
        beats.ensure_task(&runtime, &self.inner);
        let inner = Arc::downgrade(&self.inner);
        let stop = move || {
            if let Some(inner) = inner.upgrade() {
                inner.tasks.beats.remove(key);
            }
        };
        Heartbeat {
            stop: Some(Box::new(stop)),
        }
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

/// The heartbeats of one registry.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    state: Mutex<State>,
    earlier: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    by_time: BTreeMap<(Instant, u64), Ticking>,
    /// Every heartbeat that goes on, and the time under which it stands in `by_time`, unless the task has
    /// it in hand.
    going: HashMap<u64, Instant>,
    next_key: u64,
    /// The runtimes with a task at work. One, unless a registry is used from several; each can go away
    /// without the others' jobs falling silent.
    runtimes: HashSet<Id>,
}

#[derive(Clone, Copy, Debug)]
struct Ticking {
    target: Target,
    interval: Duration,
}

impl Beats {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, ticking: Ticking) -> u64 {
        let mut state = self.lock();
        let key = state.next_key;
        state.next_key += 1;
        let Some(at) = Instant::now().checked_add(ticking.interval) else {
            return key; // never
        };
        let is_first = state
            .by_time
            .first_key_value()
            .is_none_or(|((first, _), _)| at < *first);
        state.by_time.insert((at, key), ticking);
        state.going.insert(key, at);
        drop(state);
        if is_first {
            self.earlier.notify_waiters();
        }
        key
    }

    fn remove(&self, key: u64) {
        let mut state = self.lock();
        if let Some(at) = state.going.remove(&key) {
            state.by_time.remove(&(at, key));
        }
    }

    fn ensure_task<T: Send + 'static>(&self, runtime: &Handle, inner: &Arc<Inner<T>>) {
        let is_new = self.lock().runtimes.insert(runtime.id());
        // Not under the lock: a runtime that is going away drops the task right here.
        if is_new {
            let task = Task {
                inner: Arc::downgrade(inner),
                runtime: runtime.id(),
                is_over: false,
            };
            runtime.spawn(task.run(self.earlier.clone()));
        }
    }

    /// Takes the entries in hand whose time has come, at most a batch.
    fn take_due(&self, now: Instant) -> Vec<(Instant, u64, Ticking)> {
        let mut state = self.lock();
        let mut due = Vec::new();
        while let Some(first) = state
            .by_time
            .first_entry()
            .filter(|first| first.key().0 <= now)
        {
            let ((at, key), ticking) = first.remove_entry();
            due.push((at, key, ticking));
            if due.len() == BATCH {
                break;
            }
        }
        due
    }

    /// Puts an entry back for its next time, `None` if there is none.
    fn put_back(&self, key: u64, next: Option<(Instant, Ticking)>) {
        let mut state = self.lock();
        match next {
            // Unless the guard was dropped meanwhile.
            Some((at, ticking)) if state.going.contains_key(&key) => {
                state.going.insert(key, at);
                state.by_time.insert((at, key), ticking);
            }
            Some(_) => {}
            None => drop(state.going.remove(&key)),
        }
    }

    /// When to come next; `None` ends the task, which the next heartbeat starts anew.
    fn next(&self, runtime: Id) -> Option<Instant> {
        let mut state = self.lock();
        let next = state.by_time.first_key_value().map(|((at, _), _)| *at);
        if next.is_none() {
            state.runtimes.remove(&runtime);
        }
        next
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
            // Either is a reason to look again.
            let _ = timeout_at(next, earlier).await;
        }
        self.is_over = true;
    }

    fn beat(&self) -> Option<Instant> {
        let inner = self.inner.upgrade()?;
        let beats = &inner.tasks.beats;
        let now = Instant::now();
        for (at, key, ticking) in beats.take_due(now) {
            let alive = inner.heartbeat(ticking.target).is_ok();
            // Where the task could not keep up, beats are left out, not made up for.
            let from = if at + ticking.interval > now { at } else { now };
            let next = from.checked_add(ticking.interval).filter(|_| alive);
            beats.put_back(key, next.map(|next| (next, ticking)));
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
            inner.tasks.beats.lock().runtimes.remove(&self.runtime);
        }
    }
}
