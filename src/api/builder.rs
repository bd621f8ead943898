//! [`Builder`]: a registry's limits.

use crate::api::registry::JobRegistry;
use crate::core::registry_state::{Hook, RegistryState, Settings};
use crate::sync::Arc;
use crate::types::clock::{Clock, NEVER, Pace, SystemClock, Timeline, millis_up};
use crate::types::snapshot::Record;
use crate::types::when_full::WhenFull;
use std::fmt;
use std::time::Duration;

/// Builds a [`JobRegistry`]. Returned by [`JobRegistry::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<T> {
    capacity: usize,
    retention: Duration,
    stall_after: Option<Duration>,
    stop_grace: Duration,
    clock: Option<(Box<dyn Clock>, Pace)>,
    on_remove: Option<Hook<T>>,
    sweep_on_register: bool,
    when_full: WhenFull,
    first_generation: u32,
}

impl<T: Send + 'static> Builder<T> {
    pub(crate) fn new() -> Self {
        Self {
            capacity: 1 << 20,
            retention: Duration::from_secs(3600),
            stall_after: None,
            stop_grace: Duration::from_secs(30),
            clock: None,
            on_remove: None,
            sweep_on_register: false,
            when_full: WhenFull::default(),
            first_generation: 1, // 0 is the generation of a slot's heartbeat word before its first job
        }
    }

    /// Maximum number of jobs, including ended jobs not yet removed. Default 1,048,576; at most
    /// 536,870,912. A large capacity costs no memory until the jobs are registered.
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.capacity = jobs;
        self
    }

    /// Time from a job's end to its removal. Default one hour. Rounded up to milliseconds, so that
    /// `Duration::ZERO` may mean the next millisecond; `Duration::MAX` means for ever.
    /// [`remove_after`](JobRegistry::remove_after) overrides it for one job.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Age of the last heartbeat above which a running or stopping job counts as stalled. By
    /// default no job does. The [reaper](JobRegistry::spawn_reaper), or a call of
    /// [`fail_stalled`](JobRegistry::fail_stalled), fails a stalled job.
    pub fn stall_after(mut self, silence: Duration) -> Self {
        self.stall_after = Some(silence);
        self
    }

    /// Time that a job has to stop after [`request_stop`](JobRegistry::request_stop). The reaper,
    /// or a sweep, cancels the job after it. Default 30 seconds. Rounded up to milliseconds;
    /// `Duration::MAX` means for ever.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = grace;
        self
    }

    /// Source of the time. By default the operating system's monotonic clock.
    pub fn clock<C: Clock>(mut self, clock: C) -> Self {
        self.clock = Some((Box::new(clock), Pace::of::<C>()));
        self
    }

    /// Callback for every removed job, with its last state. It runs once, on the thread that
    /// removes the job, after the lock has been released and before the payload is dropped or
    /// returned. After a panic in it, later removals still call it.
    ///
    /// A registry that is dropped drops its payloads without calling the hook. A hook that holds a
    /// clone of the registry keeps the registry alive for ever.
    pub fn on_remove(mut self, hook: impl Fn(&Record<T>) + Send + Sync + 'static) -> Self {
        self.on_remove = Some(Box::new(hook));
        self
    }

    /// Whether [`register`](JobRegistry::register) also removes due jobs. Default `false`: a
    /// registration runs no hook and no payload's destructor, and [`sweep`](JobRegistry::sweep) and
    /// the reaper carry removals out.
    ///
    /// With `true`, each registration removes up to two due jobs. At capacity it removes one more,
    /// if a job is due whose lock is free. Memory then stays bounded without a reaper. The removal
    /// hook and the payloads' destructors run on the registering thread, under no lock of the
    /// registry. They must therefore take no lock that a thread holds while it registers. On a
    /// thread that holds a job's lock, and within a sweep of the same registry, a registration
    /// removes nothing.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// let jobs = JobRegistry::builder()
    ///     .retention(Duration::ZERO)
    ///     .sweep_on_register(true)
    ///     .build();
    /// jobs.register("first")?.cancel()?;
    /// std::thread::sleep(Duration::from_millis(2));
    /// let second = jobs.register("second")?;
    /// assert_eq!(jobs.len(), 1, "the first has been removed");
    /// # drop(second);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweep_on_register(mut self, sweeps: bool) -> Self {
        self.sweep_on_register = sweeps;
        self
    }

    /// What a registration does at capacity. By default it is refused with
    /// [`Full`](crate::RegisterError::Full).
    ///
    /// [`WhenFull::RemoveOldestEnded`] removes the ended job with the earliest end whose lock is
    /// free, and registers. The job's retention is ignored, also one of `Duration::MAX`. Ends in
    /// the same millisecond have no order. The registration is refused if no job has ended. A
    /// retried job counts from the end of its last attempt. A job that is locked when the registry
    /// looks for candidates may be passed over.
    ///
    /// The removal hook and the payload's destructor then run on the registering thread, under no
    /// lock of the registry, since that caller asked for room there and then. A panic of either is
    /// counted in [`removal_panics`](JobRegistry::removal_panics), and the registration goes on. On
    /// a thread that holds a job's lock, and within a sweep of the same registry, neither may run:
    /// a registration at capacity is refused there.
    ///
    /// One scan over all jobs collects the oldest sixteenth of the capacity, in 24 bytes for each.
    /// Later registrations take from these, and only then is there another scan. A registration
    /// that is refused because no job has ended has scanned all jobs.
    ///
    /// ```
    /// use job_registry::{JobRegistry, LookupError, WhenFull};
    ///
    /// let jobs = JobRegistry::builder()
    ///     .capacity(2)
    ///     .when_full(WhenFull::RemoveOldestEnded)
    ///     .build();
    /// let first = jobs.register("first")?.detach();
    /// let second = jobs.register("second")?;
    /// jobs.cancel(first)?;
    /// let third = jobs.register("third")?;
    /// assert_eq!(jobs.snapshot(first), Err(LookupError::Gone));
    /// assert!(jobs.register("fourth").is_err(), "both jobs are live");
    /// # drop((second, third));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Generation of new slots, for tests of what happens when generations run out.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn first_generation(mut self, generation: u32) -> Self {
        self.first_generation = generation;
        self
    }

    /// Builds the registry.
    ///
    /// # Panics
    ///
    /// If the operating system's random generator fails.
    #[must_use]
    pub fn build(self) -> JobRegistry<T> {
        let system = || (Box::new(SystemClock::new()) as Box<dyn Clock>, Pace::System);
        let (clock, pace) = self.clock.unwrap_or_else(system);
        let timeline = Timeline::new(clock, pace);
        let settings = Settings {
            retention: millis_up(self.retention),
            stall_after: self.stall_after.map_or(NEVER, millis_up),
            stop_grace: millis_up(self.stop_grace),
            on_remove: self.on_remove,
            sweep_on_register: self.sweep_on_register,
            when_full: self.when_full,
        };
        let state = RegistryState::new(self.capacity, self.first_generation, timeline, settings);
        JobRegistry {
            state: Arc::new(state),
        }
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("capacity", &self.capacity)
            .field("retention", &self.retention)
            .field("stall_after", &self.stall_after)
            .field("stop_grace", &self.stop_grace)
            .field("sweep_on_register", &self.sweep_on_register)
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}
