//! [`Builder`]: a registry's limits.

use crate::api::registry::JobRegistry;
use crate::core::registry_state::{Hook, RegistryState, Settings};
use crate::sync::Arc;
use crate::types::clock::{Clock, NEVER, SystemClock, millis_up};
use crate::types::snapshot::Record;
use std::fmt;
use std::time::Duration;

/// Builds a [`JobRegistry`]. Returned by [`JobRegistry::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<T> {
    capacity: usize,
    retention: Duration,
    stall_after: Option<Duration>,
    stop_grace: Duration,
    clock: Option<Box<dyn Clock>>,
    on_remove: Option<Hook<T>>,
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
    /// default no job does.
    pub fn stall_after(mut self, silence: Duration) -> Self {
        self.stall_after = Some(silence);
        self
    }

    /// Time that a job has to stop after [`request_stop`](JobRegistry::request_stop). A sweep after
    /// it cancels the job. Default 30 seconds. Rounded up to milliseconds; `Duration::MAX` means for
    /// ever.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = grace;
        self
    }

    /// Source of the time. By default the operating system's monotonic clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
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
        let clock = self.clock.unwrap_or_else(|| Box::new(SystemClock::new()));
        let settings = Settings {
            retention: millis_up(self.retention),
            stall_after: self.stall_after.map_or(NEVER, millis_up),
            stop_grace: millis_up(self.stop_grace),
            on_remove: self.on_remove,
        };
        let state = RegistryState::new(self.capacity, self.first_generation, clock, settings);
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
            .finish_non_exhaustive()
    }
}
