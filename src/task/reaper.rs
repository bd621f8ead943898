//! The reaper: a task that sweeps periodically.

use crate::api::registry::JobRegistry;
use crate::core::registry_state::RegistryState;
use crate::sync::panics::contain;
use std::sync::Weak;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

impl<T: Send + 'static> JobRegistry<T> {
    /// Spawns a task that [sweeps](Self::sweep) every `period`, and at least a millisecond apart.
    /// Sweeps run on the runtime's blocking threads, where hooks and destructors may block. A due
    /// job is removed within `period`, plus the wait for a blocking thread and the time of the
    /// sweep.
    ///
    /// The task does not keep the registry alive. It ends at its first period after the registry
    /// has been dropped, and continues after a [`shutdown`](Self::shutdown). Abort the returned
    /// handle to stop it earlier.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use std::time::Duration;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
    /// jobs.spawn_reaper(Duration::from_millis(1));
    /// let id = jobs.register("deck")?.detach();
    /// jobs.cancel(id)?;
    /// while !jobs.is_empty() {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    /// }
    /// # Ok::<(), job_registry::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::must_use_candidate)] // most callers drop the handle
    pub fn spawn_reaper(&self, period: Duration) -> JoinHandle<()> {
        let runtime = tokio::runtime::Handle::current();
        let reaper = Reaper(std::sync::Arc::downgrade(&self.state));
        runtime.spawn(reaper.run(period.max(Duration::from_millis(1))))
    }
}

struct Reaper<T>(Weak<RegistryState<T>>);

impl<T: Send + 'static> Reaper<T> {
    async fn run(self, period: Duration) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(registry) = self.0.upgrade() else {
                return;
            };
            // A panic of the clock or of a subscriber skips one period.
            if contain(|| registry.due.is_due(registry.now())) != Some(true) {
                continue;
            }
            let sweep = move || {
                let registry = registry;
                registry.sweep();
            };
            // An error means that the runtime is shutting down.
            let _ = tokio::task::spawn_blocking(|| contain(sweep)).await;
        }
    }
}
