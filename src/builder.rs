//! [`Builder`]: a registry's limits.

use crate::apart::Apart;
use crate::body::NEVER;
use crate::clock::{Clock, SystemClock, Timeline, millis_up};
use crate::due::DueQueue;
use crate::id::Mint;
use crate::inner::{Inner, Settings};
use crate::registry::JobRegistry;
use crate::removal::Hook;
use crate::snapshot::Record;
use crate::sync::{Arc, AtomicU64, AtomicUsize};
use crate::table::Table;
use std::fmt;
use std::time::Duration;

/// Builds a [`JobRegistry`]. From [`JobRegistry::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<T> {
    capacity: usize,
    retention: Duration,
    stall_after: Option<Duration>,
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
            clock: None,
            on_remove: None,
            first_generation: 1, // 0 is the generation of a slot's beat before its first job
        }
    }

    /// The most jobs there can be, ended ones that have not been removed included; 1 048 576 unless set. At
    /// most 536 870 912. Costs nothing until the jobs are there.
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.capacity = jobs;
        self
    }

    /// How long an ended job stays before it is removed; an hour unless set. Times are rounded up to milliseconds: `Duration::ZERO`
    /// may mean the next one. `Duration::MAX` means for ever. [`remove_after`](JobRegistry::remove_after) overrules it for a job.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// A running job whose last heartbeat is older counts as stalled. Unless set, none does.
    pub fn stall_after(mut self, silence: Duration) -> Self {
        self.stall_after = Some(silence);
        self
    }

    /// Where the time comes from; the operating system's monotonic clock unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Called once for every removed job, with its last state, on the thread that removes it, after the
    /// lock has been released and before the payload is dropped or returned. A panic in it disables nothing.
    ///
    /// A registry that goes away drops its payloads without it. A hook that keeps a clone of the registry keeps the registry alive for ever.
    pub fn on_remove(mut self, hook: impl Fn(&Record<T>) + Send + Sync + 'static) -> Self {
        self.on_remove = Some(Box::new(hook));
        self
    }

    /// For tests of what happens when generations run out.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn first_generation(mut self, generation: u32) -> Self {
        self.first_generation = generation;
        self
    }

    /// The registry.
    ///
    /// # Panics
    ///
    /// If the operating system's random generator fails.
    #[must_use]
    pub fn build(self) -> JobRegistry<T> {
        let clock = self.clock.unwrap_or_else(|| Box::new(SystemClock::new()));
        let inner = Inner {
            table: Table::new(self.capacity, self.first_generation),
            due: Apart(DueQueue::new()),
            timeline: Timeline::new(clock),
            mint: Mint::new(),
            settings: Settings {
                retention: millis_up(self.retention),
                stall_after: self.stall_after.map_or(NEVER, millis_up),
                on_remove: self.on_remove,
            },
            removal_panics: AtomicU64::new(0),
            reapers: AtomicUsize::new(0),
            #[cfg(feature = "tokio")]
            tasks: crate::task::Tasks::default(),
        };
        JobRegistry {
            inner: Arc::new(inner),
        }
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("capacity", &self.capacity)
            .field("retention", &self.retention)
            .field("stall_after", &self.stall_after)
            .finish_non_exhaustive()
    }
}
