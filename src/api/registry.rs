//! [`JobRegistry`]: the calls by id.

use crate::api::builder::Builder;
use crate::api::guard::JobGuard;
use crate::api::job::Job;
use crate::api::watch::Watch;
use crate::core::lookup::JobRef;
use crate::core::registry_state::RegistryState;
use crate::core::removal::Swept;
use crate::sync::deferred::holds_lock;
use crate::sync::{Arc, Ordering};
use crate::telemetry::{Event, Refusal, emit, refused};
use crate::types::cursor::{Cursor, Page};
use crate::types::error::{
    LockError, LookupError, ReadError, RegisterError, RemoveError, RetryError, StepError,
    WouldDeadlock,
};
use crate::types::id::JobId;
use crate::types::note::Note;
use crate::types::options::Options;
use crate::types::progress::Progress;
use crate::types::snapshot::{Counts, Details, Record, Snapshot};
use crate::types::state_word::Ending;
use crate::types::status::Status;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, SystemTime};

/// A registry of long-running jobs. It is cheap to clone, and its clones are the same registry.
///
/// Every call is synchronous and works from any thread, inside and outside of any runtime. The
/// [crate docs](crate) have the invariants. Each call documents the lock that it takes.
///
/// The registry is dropped, with all payloads, when its last clone and its last [`Job`] are
/// dropped. [Watches](Watch) then finish.
pub struct JobRegistry<T> {
    pub(crate) state: Arc<RegistryState<T>>,
}

impl<T> Clone for JobRegistry<T> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
        }
    }
}

/// Building, registering, counting.
impl<T: Send + 'static> JobRegistry<T> {
    /// Builds a registry with the defaults of its [builder](JobRegistry::builder). It holds at most
    /// 1,048,576 jobs, removes ended jobs after an hour, and counts no job as stalled.
    ///
    /// # Panics
    ///
    /// If the operating system's random generator fails.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder, for other limits, another clock, or a removal hook.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// let jobs = JobRegistry::builder()
    ///     .capacity(1_000)
    ///     .retention(Duration::from_secs(300))
    ///     .stall_after(Duration::from_secs(30))
    ///     .on_remove(|record| println!("{} is gone", record.snapshot.id()))
    ///     .build();
    /// # let _ = jobs.register(())?;
    /// # Ok::<(), job_registry::RegisterError<()>>(())
    /// ```
    pub fn builder() -> Builder<T> {
        Builder::new()
    }

    /// Registers a pending job and returns its owner.
    ///
    /// It removes no job, and runs no hook and no destructor, unless
    /// [`sweep_on_register`](Builder::sweep_on_register) or [`when_full`](Builder::when_full) asks
    /// for it. Ended jobs count against the capacity until [`sweep`](Self::sweep), the reaper or
    /// [`remove`](Self::remove) removes them.
    ///
    /// # Errors
    ///
    /// Returns [`RegisterError::Full`] at capacity and [`RegisterError::Closed`] after
    /// [`close`](Self::close). Both return the payload. A job that another thread is removing
    /// counts until its payload has been dropped and its slot is free. Its id is gone before that.
    ///
    /// # Locking
    ///
    /// Takes no job's lock, and works under a guard.
    ///
    /// ```
    /// use job_registry::{JobRegistry, RegisterError};
    ///
    /// let jobs = JobRegistry::builder().capacity(1).build();
    /// let job = jobs.register("first")?;
    /// assert_eq!(jobs.register("second").unwrap_err().into_payload(), "second");
    /// # drop(job);
    /// # Ok::<(), RegisterError<&str>>(())
    /// ```
    pub fn register(&self, payload: T) -> Result<Job<T>, RegisterError<T>> {
        self.register_with(payload, Options::new())
    }

    /// Registers a pending job with limits of its own, as [`register`](Self::register) does.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    ///
    /// # Locking
    ///
    /// As [`register`](Self::register).
    pub fn register_with(&self, payload: T, options: Options) -> Result<Job<T>, RegisterError<T>> {
        let id = refused("register", None, self.state.register(payload, options))?;
        let job = Job::new(self.clone(), id);
        // If this panics, the job has an owner, whose drop fails it.
        emit(|| Event::Registered { id: id.id() });
        Ok(job)
    }

    /// Runs a call that takes no job's lock. Emits an event if it is refused.
    #[inline(always)]
    pub(crate) fn call<'a, R, E>(
        &'a self,
        name: &'static str,
        id: JobId,
        f: impl FnOnce(JobRef<'a, T>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: Refusal + From<LookupError>,
    {
        let job = self.state.resolve(id).map_err(E::from);
        refused(name, id, job.and_then(f))
    }

    /// Runs a call that takes the job's lock. Error precedence: `NotFound`, `WouldDeadlock`,
    /// `Gone`.
    #[inline(always)]
    fn call_to_lock<'a, R, E>(
        &'a self,
        name: &'static str,
        id: JobId,
        f: impl FnOnce(JobRef<'a, T>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: Refusal + From<LookupError> + From<WouldDeadlock>,
    {
        let job = match self.state.resolve(id) {
            Err(LookupError::Gone) if holds_lock() => Err(WouldDeadlock.into()),
            job => job.map_err(E::from),
        };
        refused(name, id, job.and_then(f))
    }

    /// Returns the number of jobs that count against the [`capacity`](Self::capacity). A job that
    /// another thread is removing counts until its payload has been dropped.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.table.free().taken()
    }

    /// Returns whether there are no jobs.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the maximum number of jobs; see [`Builder::capacity`].
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.state.table.free().capacity()
    }

    /// Returns the time since the registry was built, by its clock. Compare
    /// [`Snapshot::last_heartbeat`] and [`Times`](crate::Times) with it, by `saturating_sub`.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.state.timeline.elapsed()
    }

    /// Converts a time of the registry into wall-clock time, for display. It is the system's time
    /// when the registry was built plus `at`, or without `at` if the sum does not fit a
    /// `SystemTime`.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn system_time(&self, at: Duration) -> SystemTime {
        self.state.timeline.system_time(at)
    }

    /// Returns the number of removals, and of endings by a sweep, in which the hook, the payload's
    /// destructor, a waker or a subscriber panicked. Every one of them removed or ended its job.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn removal_panics(&self) -> u64 {
        // ORDERING: Relaxed. A count.
        self.state.removal_panics.load(Ordering::Relaxed)
    }
}

/// The steps of a live job, and its lock.
impl<T: Send + 'static> JobRegistry<T> {
    /// Moves a pending job to running. Exactly one of several starters succeeds. A start counts as
    /// a heartbeat.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::AlreadyStarted`] for a running or stopping job and
    /// [`StepError::Ended`] for an ended one. Like every call by id, it returns [`NotFound`](StepError::NotFound) or
    /// [`Gone`](StepError::Gone) if there is no such job.
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. Returns [`StepError::WouldDeadlock`] on a thread that holds a
    /// job's lock; use the guard's [`start`](JobGuard::start) there.
    pub fn start(&self, id: JobId) -> Result<(), StepError> {
        self.call_to_lock("start", id, |job| job.lock()?.start())
    }

    /// Raises the progress of a running job and returns the progress that it has then. A smaller
    /// value leaves the progress as it is.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::NotStarted`] for a pending job, [`StepError::Stopping`] once a stop has
    /// been requested, and [`StepError::Ended`] for an ended job.
    ///
    /// # Locking
    ///
    /// None: it never waits, not even while the job's lock is held.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Progress};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(())?;
    /// job.start()?;
    /// jobs.advance(job.id(), Progress::ratio(6, 10)?)?;
    /// // A late update does not lower it.
    /// let reached = jobs.advance(job.id(), Progress::ratio(5, 10)?)?;
    /// assert_eq!(reached, Progress::ratio(6, 10)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn advance(&self, id: JobId, progress: Progress) -> Result<Progress, StepError> {
        refused("advance", id, self.state.advance_by_id(id, progress))
    }

    /// Records that the job is alive now.
    ///
    /// A heartbeat that returned `Ok` before a stall verdict prevents it. A heartbeat after the
    /// verdict is refused. A heartbeat from the loop that does the work shows that the work goes
    /// on. A heartbeat from a timer shows only that the timer runs.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::Ended`] once the job has ended, and records nothing.
    ///
    /// # Locking
    ///
    /// None.
    pub fn heartbeat(&self, id: JobId) -> Result<(), StepError> {
        refused("heartbeat", id, self.state.heartbeat_by_id(id))
    }

    /// Replaces the note of a live job: a text for clients, such as `rendering slide 3 of 12`. A
    /// note longer than 1 KiB is cut at a character and ends in `…`. [`details`](Self::details) and
    /// [`get`](Self::get) return it, until a retry.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::Ended`] once the job has ended.
    ///
    /// # Locking
    ///
    /// As [`complete`](Self::complete); use the guard's [`note`](JobGuard::note) under a guard.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// job.note("waiting for a renderer")?;
    /// let details = jobs.details(job.id())?;
    /// assert_eq!(details.note.as_deref(), Some("waiting for a renderer"));
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub fn note(&self, id: JobId, text: impl Into<String>) -> Result<(), StepError> {
        self.call_to_lock("note", id, |job| {
            let note = Note::new(text);
            job.lock()?.note(note)
        })
    }

    /// Raises the progress of a running job as [`advance`](Self::advance) does, and replaces its
    /// note, both at one instant. A smaller progress leaves
    /// the progress as it is, and the note is replaced all the same.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance). A refused report changes neither.
    ///
    /// # Locking
    ///
    /// As [`note`](Self::note).
    ///
    /// ```
    /// use job_registry::{JobRegistry, Progress};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// job.start()?;
    /// for slide in 1..=12 {
    ///     job.report(Progress::of(slide, 12), format!("rendering slide {slide} of 12"))?;
    /// }
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub fn report(
        &self,
        id: JobId,
        progress: Progress,
        text: impl Into<String>,
    ) -> Result<(), StepError> {
        self.call_to_lock("report", id, |job| {
            let note = Note::new(text);
            job.lock()?.report(progress, note)
        })
    }

    /// Completes a running job, at 100 %. Exactly the first of several endings wins.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::NotStarted`] for a pending job and [`StepError::Ended`] if another
    /// ending won.
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. Returns [`StepError::WouldDeadlock`] on a thread that holds a
    /// job's lock; use the guard's [`complete`](JobGuard::complete) there.
    pub fn complete(&self, id: JobId) -> Result<(), StepError> {
        self.call_to_lock("complete", id, |job| {
            job.lock()?.end(Ending::Completed, None)
        })
    }

    /// Fails a live job, for a reason. Its progress stays as it is.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::Ended`] if another ending won.
    ///
    /// # Locking
    ///
    /// As [`complete`](Self::complete).
    pub fn fail(&self, id: JobId, reason: impl Into<String>) -> Result<(), StepError> {
        self.call_to_lock("fail", id, |job| {
            // Before the lock: `into` is user code.
            let reason = reason.into();
            job.lock()?.end(Ending::Failed, Some(reason))
        })
    }

    /// Asks a job to stop, for a reason. A pending job is cancelled. A running one becomes
    /// [`Stopping`](Status::Stopping): `advance` is refused from then on, so that its worker's loop
    /// ends, while `update`, `note`, `heartbeat`, `complete` and `fail` still work, to clean up.
    /// Returns the status that the job has then.
    ///
    /// The worker ends the job. The reaper, or a [`sweep`](Self::sweep), cancels a job that still
    /// lives when the [`stop_grace`](crate::Builder::stop_grace) is over. An ending that came first
    /// stands.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::Stopping`] if a stop was requested before, and [`StepError::Ended`] for
    /// an ended job.
    ///
    /// # Locking
    ///
    /// As [`complete`](Self::complete).
    ///
    /// ```
    /// use job_registry::{JobRegistry, Progress, Status, StepError};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(vec!["intro.png"])?;
    /// job.start()?;
    /// assert_eq!(jobs.request_stop(job.id(), "the user left")?, Status::Stopping);
    /// // The worker's next step is refused. It cleans up and ends the job.
    /// assert_eq!(job.advance(Progress::of(1, 2)), Err(StepError::Stopping));
    /// job.update(|files| files.clear())?;
    /// job.cancel()?;
    /// let details = jobs.details(job.id())?;
    /// assert_eq!(details.reason.as_deref(), Some("the user left"));
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub fn request_stop(&self, id: JobId, reason: impl Into<String>) -> Result<Status, StepError> {
        self.call_to_lock("request_stop", id, |job| {
            // Before the lock: `into` is user code.
            let reason = reason.into();
            job.lock()?.request_stop(reason)
        })
    }

    /// Cancels a live job at once, without a reason; a stopping job keeps the reason of its stop.
    /// Its worker learns of it from the `Ended` error of its next
    /// step. A task of [`spawn`](Self::spawn) is dropped at its next `await`.
    ///
    /// # Errors
    ///
    /// Returns [`StepError::Ended`] if another ending won.
    ///
    /// # Locking
    ///
    /// As [`complete`](Self::complete).
    pub fn cancel(&self, id: JobId) -> Result<(), StepError> {
        self.call_to_lock("cancel", id, |job| job.lock()?.end(Ending::Cancelled, None))
    }

    /// Cancels a live job as [`cancel`](Self::cancel) does, for a reason.
    ///
    /// # Errors
    ///
    /// As [`cancel`](Self::cancel).
    ///
    /// # Locking
    ///
    /// As [`complete`](Self::complete).
    pub fn cancel_because(&self, id: JobId, reason: impl Into<String>) -> Result<(), StepError> {
        self.call_to_lock("cancel_because", id, |job| {
            // Before the lock: `into` is user code.
            let reason = reason.into();
            job.lock()?.end(Ending::Cancelled, Some(reason))
        })
    }

    /// Takes the lock of a live job, for exclusive access to its payload. No other call ends,
    /// retries or removes the job while the guard is held.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::Ended`] for an ended job, whose payload can be [read](Self::read).
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. Returns [`LockError::WouldDeadlock`] at once on a thread that
    /// holds the lock of this or any other job of any registry.
    ///
    /// ```
    /// use job_registry::{JobRegistry, LockError};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(vec![1])?;
    /// let mut numbers = jobs.lock(job.id())?;
    /// numbers.push(2);
    /// assert_eq!(jobs.lock(job.id()).unwrap_err(), LockError::WouldDeadlock);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock(&self, id: JobId) -> Result<JobGuard<'_, T>, LockError> {
        self.call_to_lock("lock", id, |job| job.lock_live().map(JobGuard::new))
    }

    /// Takes the lock of a live job as [`lock`](Self::lock) does, but never waits.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::Busy`] while another thread holds the lock.
    ///
    /// # Locking
    ///
    /// Takes this job's lock if it is free.
    pub fn try_lock(&self, id: JobId) -> Result<JobGuard<'_, T>, LockError> {
        self.call_to_lock("try_lock", id, |job| job.try_lock_live().map(JobGuard::new))
    }

    /// Runs `f` on the payload of a live job, under its lock, as one step.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Locking
    ///
    /// As [`lock`](Self::lock). `f` runs under the job's lock: keep it short.
    ///
    /// # Panics
    ///
    /// If `f` panics: the job fails with the panic's message, the lock is released, and the panic
    /// is passed on.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(Vec::new())?;
    /// let pages = jobs.update(job.id(), |pages| {
    ///     pages.push("intro.png");
    ///     pages.len()
    /// })?;
    /// assert_eq!(pages, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update<R>(&self, id: JobId, f: impl FnOnce(&mut T) -> R) -> Result<R, LockError> {
        self.call_to_lock("update", id, |job| Ok(job.lock_live()?.update(f)))
    }
}

/// Reading one job, following it, and scanning them all.
impl<T: Send + 'static> JobRegistry<T> {
    /// Returns the vital state of a job, all of one instant.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError::NotFound`] for an id that this registry never issued and
    /// [`LookupError::Gone`] for a job that has been removed.
    ///
    /// # Locking
    ///
    /// None: it never waits, not even while the job's lock is held.
    pub fn snapshot(&self, id: JobId) -> Result<Snapshot, LookupError> {
        refused("snapshot", id, self.state.snapshot_by_id(id))
    }

    /// Returns the job with its times and texts, all of one instant, without the payload.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot).
    ///
    /// # Locking
    ///
    /// Takes no job's lock, and waits for no user code: it works while a worker holds the job's
    /// lock, and under a guard.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// let guard = job.lock()?;
    /// let details = jobs.details(job.id())?;
    /// assert_eq!((details.note, details.times.started), (None, None));
    /// # drop(guard);
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    pub fn details(&self, id: JobId) -> Result<Details, LookupError> {
        self.call("details", id, |job| job.slot.details(job.id))
    }

    /// Returns the job with a clone of its payload, all of one instant.
    ///
    /// # Errors
    ///
    /// Returns [`ReadError::NotFound`] or [`ReadError::Gone`] if there is no such job.
    ///
    /// # Locking
    ///
    /// Waits for this job's lock, and clones the payload under it. Returns
    /// [`ReadError::WouldDeadlock`] on a thread that holds a job's lock.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Status};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register("deck")?;
    /// job.fail("renderer crashed")?;
    /// let record = jobs.get(job.id())?;
    /// assert_eq!(record.snapshot.status(), Status::Failed);
    /// assert_eq!(record.reason.as_deref(), Some("renderer crashed"));
    /// assert!(record.times.ended.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// As [`get`](Self::get). `f` runs under the job's lock.
    ///
    /// # Panics
    ///
    /// If `f` panics. The panic changes nothing, because `f` has only read the job.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(vec!["intro.png"])?;
    /// let first = jobs.read(job.id(), |record| record.payload[0])?;
    /// assert_eq!(first, "intro.png");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read<R>(&self, id: JobId, f: impl FnOnce(Record<&T>) -> R) -> Result<R, ReadError> {
        self.read_for("read", id, f)
    }

    /// Reads a job for the call whose name a refusal has.
    #[inline(always)]
    fn read_for<R>(
        &self,
        call: &'static str,
        id: JobId,
        f: impl FnOnce(Record<&T>) -> R,
    ) -> Result<R, ReadError> {
        self.call_to_lock(call, id, |job| {
            let locked = job.lock()?;
            let record = locked.record()?;
            Ok(f(record))
        })
    }

    /// Returns a [`Watch`], which follows the job.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError::NotFound`] or [`LookupError::Gone`] if there is no such job.
    ///
    /// # Locking
    ///
    /// Takes no job's lock.
    pub fn watch(&self, id: JobId) -> Result<Watch<T>, LookupError> {
        self.call("watch", id, |job| Watch::new(&self.state, job))
    }

    /// Returns an iterator over all jobs. Each is read when the iterator reaches it. A job that is
    /// registered or removed meanwhile may or may not be seen; every other job is seen exactly
    /// once, in no particular order.
    ///
    /// # Locking
    ///
    /// None.
    pub fn iter(&self) -> impl Iterator<Item = Snapshot> {
        self.state.snapshots()
    }

    /// Returns up to `n` jobs from a cursor on, and the cursor of the next page. A walk begins at
    /// `Cursor::default()` and ends with a page without a next one.
    ///
    /// A job that is there throughout the walk comes exactly once, and every job at most once. A
    /// job that is registered or removed during the walk may or may not come. Each is read when the
    /// walk reaches it. The order is that of the registry's slots, which is not the order of
    /// registration. Nothing is stored between the calls: a cursor stays valid for the registry's
    /// life.
    ///
    /// A page may have fewer than `n` jobs only if it is the last. The last page may be empty. With
    /// an `n` of 0, the page is empty and its next cursor is `cursor`. A cursor of another registry,
    /// or one that a client made up, gives some of the jobs, or an empty last page.
    ///
    /// # Locking
    ///
    /// None. The call passes over free slots, and thus takes the time of an [`iter`](Self::iter) at
    /// most.
    ///
    /// ```
    /// use job_registry::{Cursor, JobRegistry};
    ///
    /// let jobs = JobRegistry::new();
    /// for name in ["intro", "deck", "outro"] {
    ///     let _ = jobs.register(name)?.detach();
    /// }
    /// let first = jobs.page(Cursor::default(), 2);
    /// assert_eq!(first.jobs.len(), 2);
    /// // The client sends the cursor back as text.
    /// let text = first.next.expect("there is a third job").to_string();
    /// let last = jobs.page(text.parse()?, 2);
    /// assert_eq!((last.jobs.len(), last.next), (1, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn page(&self, cursor: Cursor, n: usize) -> Page {
        self.state.page(cursor, n)
    }

    /// Counts the jobs of each status by a scan, as [`iter`](Self::iter) does.
    ///
    /// # Locking
    ///
    /// None.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let statuses = self.state.pairs().filter_map(|(_, word, _)| word.status());
        statuses.for_each(|status| counts.add(status));
        counts
    }

    /// Sets the gauge `job_registry_jobs` for each status from [`counts`](Self::counts). Call it
    /// before metrics are scraped.
    ///
    /// # Locking
    ///
    /// None.
    #[cfg(feature = "metrics")]
    pub fn publish_counts(&self) {
        crate::telemetry::set_jobs(&self.counts());
    }
}

/// After an attempt: removal, retry, and the verdict on stalled jobs.
impl<T: Send + 'static> JobRegistry<T> {
    /// Schedules the job's removal for `delay` after it ends, or after this call if it has already
    /// ended. The most recent call wins, also over the builder's `retention`. `Duration::MAX` means
    /// never.
    ///
    /// [`sweep`](Self::sweep) and the reaper carry removals out.
    ///
    /// # Errors
    ///
    /// Returns [`RemoveError::NotFound`] or [`RemoveError::Gone`] if there is no such job.
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. Returns [`RemoveError::WouldDeadlock`] on a thread that holds a
    /// job's lock.
    pub fn remove_after(&self, id: JobId, delay: Duration) -> Result<(), RemoveError> {
        self.call_to_lock("remove_after", id, |job| job.lock()?.remove_after(delay))
    }

    /// Removes an ended job now and returns its payload. The removal hook has run when it returns.
    ///
    /// # Errors
    ///
    /// Returns [`RemoveError::Live`] for a live job.
    ///
    /// # Locking
    ///
    /// As [`remove_after`](Self::remove_after). The hook runs after the lock has been released.
    ///
    /// # Panics
    ///
    /// If the hook, a waker or a subscriber panics. The job is removed all the same, its payload is
    /// dropped, and the panic is counted in [`removal_panics`](Self::removal_panics).
    pub fn remove(&self, id: JobId) -> Result<T, RemoveError> {
        self.call_to_lock("remove", id, |job| job.lock()?.remove())
    }

    /// Carries out what is due when the sweep begins. It removes ended jobs whose removal is due,
    /// fails live jobs whose [deadline](Options::deadline) has passed, and cancels stopping jobs
    /// whose [grace](Builder::stop_grace) is over. Payloads are dropped and the hook runs on this
    /// thread.
    ///
    /// A panic of the hook, of a payload's destructor, of a waker or of a subscriber is caught,
    /// reported in [`Swept`] and counted in [`removal_panics`](Self::removal_panics). The sweep
    /// goes on. In a model under loom or shuttle, the sweep passes the panic on, so that a failed
    /// assertion in a hook fails the model.
    ///
    /// # Locking
    ///
    /// Never waits for a job's lock: a locked job is left for the next sweep. Hooks and destructors
    /// run under no lock, so a sweep removes nothing on a thread that holds a job's lock. It also
    /// removes nothing when a hook or a destructor calls it within a sweep of the same registry:
    /// the outer sweep goes on.
    ///
    /// ```
    /// use job_registry::{JobRegistry, LookupError, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let jobs = JobRegistry::builder()
    ///     .clock(clock.clone())
    ///     .retention(Duration::from_secs(60))
    ///     .build();
    /// let id = jobs.register("deck")?.detach();
    /// jobs.cancel(id)?;
    /// assert_eq!(jobs.sweep().removed, 0);
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(jobs.sweep().removed, 1);
    /// assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::must_use_candidate)] // few callers need the report
    pub fn sweep(&self) -> Swept {
        self.state.sweep()
    }

    /// Starts the next attempt of a failed, cancelled or [stalled](Self::stalled) job: pending, at
    /// 0 %, with the payload as it is. Writers of the old attempt get `Superseded` from now on, and
    /// its scheduled removal is void. A stalled job is failed first, as
    /// [`fail_stalled`](Self::fail_stalled) does it, and may be seen failed for an instant.
    ///
    /// # Errors
    ///
    /// Returns [`RetryError::NotRetryable`] for a completed job and for a live one that has not
    /// stalled. Returns [`RetryError::AttemptsExhausted`] after 65,535 attempts and
    /// [`RetryError::Closed`] after [`close`](Self::close).
    ///
    /// # Locking
    ///
    /// Waits for this job's lock. Returns [`RetryError::WouldDeadlock`] on a thread that holds a
    /// job's lock.
    ///
    /// ```
    /// use job_registry::{JobRegistry, StepError};
    ///
    /// let jobs = JobRegistry::new();
    /// let first = jobs.register("deck")?;
    /// first.fail("renderer crashed")?;
    /// let second = jobs.retry(first.id())?;
    /// second.start()?;
    /// assert_eq!(first.heartbeat(), Err(StepError::Superseded));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry(&self, id: JobId) -> Result<Job<T>, RetryError> {
        self.call_to_lock("retry", id, |job| {
            job.lock()?.retry(|id| Job::new(self.clone(), id))
        })
    }

    /// Returns the running and stopping jobs whose last heartbeat is older than the limit: the
    /// job's own, or the builder's `stall_after`. Without a limit, no job stalls. A pending job
    /// never does.
    ///
    /// # Locking
    ///
    /// Takes no job's lock.
    #[must_use]
    pub fn stalled(&self) -> Vec<Snapshot> {
        let mut stalled = Vec::new();
        // `for_each` instead of `collect`: internal iteration is twice as fast.
        self.state.stalled().for_each(|seen| stalled.push(seen));
        stalled
    }

    /// Fails the [stalled](Self::stalled) jobs (`stalled: no heartbeat for …`) and returns them as
    /// they ended.
    ///
    /// The verdict is exact: a heartbeat that returned `Ok` before it prevents it, and a heartbeat
    /// after it is refused. A [reaper](Self::spawn_reaper) makes this call when it is time.
    ///
    /// # Locking
    ///
    /// Never waits: a locked job is left for the next call. Does nothing on a thread that holds a
    /// job's lock.
    ///
    /// ```
    /// use job_registry::{JobRegistry, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let jobs = JobRegistry::builder()
    ///     .clock(clock.clone())
    ///     .stall_after(Duration::from_secs(30))
    ///     .build();
    /// let job = jobs.register("deck")?;
    /// job.start()?;
    /// clock.advance(Duration::from_secs(31));
    /// assert_eq!(jobs.stalled().len(), 1);
    /// job.heartbeat()?; // before the verdict
    /// assert!(jobs.fail_stalled().is_empty());
    /// clock.advance(Duration::from_secs(31));
    /// assert_eq!(jobs.fail_stalled().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::must_use_candidate)] // some callers want only the verdict
    pub fn fail_stalled(&self) -> Vec<Snapshot> {
        self.state.fail_stalled()
    }
}

impl<T: Send + 'static> Default for JobRegistry<T> {
    fn default() -> Self {
        Self::new()
    }
}

// A panic under a job's lock fails that job and nothing else: the registry is sound after a caught
// panic.
impl<T> UnwindSafe for JobRegistry<T> {}
impl<T> RefUnwindSafe for JobRegistry<T> {}

impl<T> fmt::Debug for JobRegistry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRegistry")
            .field("len", &self.state.table.free().taken())
            .field("capacity", &self.state.table.free().capacity())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::types::state_word::RETIRED;

    /// P4 and P6: the last job of a slot is gone for ever when it is removed, and the slot is never
    /// used again. The registry still holds as many jobs as before.
    #[test]
    fn used_up_slot_is_retired_and_costs_no_capacity() {
        let jobs = JobRegistry::builder()
            .capacity(1)
            .first_generation(RETIRED - 1)
            .build();
        assert_eq!(jobs.capacity(), 1);
        assert_eq!(
            JobRegistry::<()>::builder().capacity(7).build().capacity(),
            7
        );
        let mut ids = Vec::new();
        for payload in 0..100 {
            let id = jobs.register(payload).unwrap().detach();
            assert!(!ids.contains(&id), "{id} was issued twice");
            assert!(jobs.register(payload).is_err());
            jobs.cancel(id).unwrap();
            assert_eq!(jobs.remove(id), Ok(payload));
            ids.push(id);
        }
        // Each job had its own slot, and was the slot's last.
        let slots: std::collections::BTreeSet<_> = ids.iter().map(|id| id.slot).collect();
        assert_eq!(slots.len(), 100);
        for id in ids {
            assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
            assert_eq!(jobs.remove(id), Err(RemoveError::Gone));
        }
        assert!(jobs.is_empty());
    }

    /// P4: an id that the registry has not issued yet is not found, and therefore not gone either.
    #[test]
    fn id_that_is_not_issued_yet_is_not_found() {
        let jobs = JobRegistry::new();
        let first = jobs.register(()).unwrap().id();
        let next = jobs.state.id_key.id(first.slot + 1, first.generation);
        assert_eq!(jobs.snapshot(next), Err(LookupError::NotFound));
        assert_eq!(jobs.remove(next), Err(RemoveError::NotFound));
        let second = jobs.register(()).unwrap();
        assert_eq!(second.id(), next);
        assert!(jobs.snapshot(next).is_ok());
    }
}
