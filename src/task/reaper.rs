//! The reaper: a task that sweeps.

use crate::JobRegistry;
use crate::core::registry_state::RegistryState;
use crate::sync::Ordering;
use crate::sync::panics::contain;
use std::sync::Weak;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

impl<T: Send + 'static> JobRegistry<T> {
    /// Spawns a task that [sweeps](Self::sweep) every `period` (at least a millisecond), on one of the runtime's
    /// blocking threads, where hooks and payload drops may take their time. A due job is therefore removed
    /// within `period` and the time that a sweep takes.
    ///
    /// The task does not keep the registry alive. It ends when its next period begins after the registry has gone, and goes on
    /// after a [`shutdown`](Self::shutdown). Abort the returned handle to stop it earlier. While it runs, [`register`](Self::register) leaves sweeping to it.
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
    /// let jobs = JobRegistry::builder().retention(Duration::ZERO).build();
    /// jobs.spawn_reaper(Duration::from_millis(1));
    /// let id = jobs.register("deck").unwrap().detach();
    /// jobs.cancel(id).unwrap();
    /// while !jobs.is_empty() {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    /// }
    /// # });
    /// ```
    #[allow(clippy::must_use_candidate)] // dropping the handle is the usual thing
    pub fn spawn_reaper(&self, period: Duration) -> JoinHandle<()> {
        let runtime = tokio::runtime::Handle::current();
        // ORDERING: Relaxed; see `register`.
        self.state.reapers.fetch_add(1, Ordering::Relaxed);
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
            // A clock or a subscriber that panics costs this round and no other.
            if contain(|| registry.due.is_due(registry.now())) != Some(true) {
                continue;
            }
            let sweep = move || {
                let registry = registry;
                registry.sweep();
            };
            // An error means that the runtime is going away.
            let _ = tokio::task::spawn_blocking(|| contain(sweep)).await;
        }
    }
}

impl<T> Drop for Reaper<T> {
    fn drop(&mut self) {
        if let Some(registry) = self.0.upgrade() {
            // ORDERING: Relaxed; see `register`.
            registry.reapers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
