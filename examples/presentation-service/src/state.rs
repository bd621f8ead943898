//! The state that handlers share: the presentations, the routes, the limits.

use crate::deck::DeckLimits;
use crate::files::Trash;
use crate::jobs::Presentation;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::render::Studio;
use crate::replica::{Replica, Sharing};
use crate::store::Store;
use crate::views::Shown;
use job_registry::JobRegistry;
use job_registry_axum::JobRoutes;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Path of the presentations.
pub const BASE: &str = "/api/presentations";

/// Limits and intervals of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Maximum number of presentations, including ended ones that are not yet removed.
    pub capacity: usize,
    /// How long an ended presentation and its files are kept.
    pub retention: Duration,
    /// Interval of a running presentation's heartbeats.
    pub heartbeat: Duration,
    /// Interval at which undeleted directories are tried again, and files in a shared folder are
    /// compared with the presentations in the store.
    pub delete_again: Duration,
    /// Maximum number of presentations that are drawn at a time; the others wait.
    pub painters: usize,
    /// Parent of the directories of the files. Replicas share it.
    pub files: PathBuf,
    /// Limits of a deck.
    pub deck: DeckLimits,
    /// Maximum number of bytes in a request's body.
    pub body: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capacity: 64,
            retention: Duration::from_secs(5 * 60),
            heartbeat: Duration::from_secs(5),
            delete_again: Duration::from_secs(10),
            painters: 8,
            files: std::env::temp_dir(),
            deck: DeckLimits::default(),
            body: 1 << 20,
        }
    }
}

/// The state that handlers share. The registry has all state of the presentations.
pub struct AppState<S: Store = Memory> {
    /// The registry of the presentations.
    pub registry: S::Registry,
    /// The presentations, with their painters and files.
    pub store: S,
    /// The routes to poll, follow, stop and retry presentations.
    pub routes: JobRoutes<S::Registry>,
    /// The directories of presentations in memory that could not be deleted.
    pub trash: Trash,
    /// Cancelled when the service is told to stop, for the open event streams.
    pub stopping: CancellationToken,
    /// The metrics, if they are recorded.
    pub metrics: Option<Metrics>,
    /// The limits.
    pub config: Arc<Config>,
}

impl<S: Store> Clone for AppState<S> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            store: self.store.clone(),
            routes: self.routes.clone(),
            trash: self.trash.clone(),
            stopping: self.stopping.clone(),
            metrics: self.metrics.clone(),
            config: Arc::clone(&self.config),
        }
    }
}

impl<S: Store> std::fmt::Debug for AppState<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl AppState {
    /// Returns the state of a service without presentations, and starts the painters.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, which the painters need, and if the system cannot start a
    /// thread.
    #[must_use]
    pub fn new(config: Config, studio: Arc<dyn Studio>) -> Self {
        let registry = JobRegistry::builder()
            .capacity(config.capacity)
            .retention(config.retention)
            .build();
        Self::with_registry(registry, config, studio)
    }

    /// Returns the state of a service with a registry of its own options.
    ///
    /// # Panics
    ///
    /// Like [`new`](Self::new).
    #[must_use]
    pub fn with_registry(
        registry: JobRegistry<Presentation>,
        config: Config,
        studio: Arc<dyn Studio>,
    ) -> Self {
        let trash = Trash::default();
        let store = Memory::new(registry, &config, studio, &trash);
        Self::with_store(store, config, trash)
    }
}

impl AppState<Replica> {
    /// Connects a replica to the shared store.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is not reached or cannot be used.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    pub async fn connect(
        sharing: Sharing,
        config: Config,
        studio: Arc<dyn Studio>,
    ) -> Result<Self, job_registry_redis::Error> {
        let store = Replica::connect(sharing, &config, studio).await?;
        let mut state = Self::with_store(store, config, Trash::default());
        // A stream may belong to a job of another replica, which does not end with this one.
        state.routes = state.routes.end_streams(state.stopping.clone());
        Ok(state)
    }
}

impl<S: Store> AppState<S> {
    fn with_store(store: S, config: Config, trash: Trash) -> Self {
        let stopping = CancellationToken::new();
        let (registry, draw) = (store.registry().clone(), store.clone());
        let routes = JobRoutes::new(registry.clone(), BASE)
            .show(|record| Shown::of(record, BASE))
            .retry(move |job| draw.draw(job))
            .keep_alive(config.heartbeat)
            .announce(stopping.clone());
        Self {
            registry,
            store,
            routes,
            trash,
            stopping,
            metrics: None,
            config: Arc::new(config),
        }
    }
}
