//! The state that handlers share: the registry, the painters, the limits.

use crate::deck::DeckLimits;
use crate::files::Trash;
use crate::jobs::Presentation;
use crate::metrics::Metrics;
use crate::painters::{Painters, Workshop};
use crate::render::Studio;
use crate::views::Shown;
use job_registry::{JobRegistry, KeyLife, Keys};
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
    /// Interval at which undeleted directories are tried again.
    pub delete_again: Duration,
    /// Maximum number of presentations that are drawn at a time; the others wait.
    pub painters: usize,
    /// Parent of the directories of the files.
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
#[derive(Clone)]
pub struct AppState {
    /// The presentations.
    pub registry: JobRegistry<Presentation>,
    /// The presentations of repeated submissions.
    pub keys: Keys<Presentation>,
    /// The routes to poll, follow, stop and retry presentations.
    pub routes: JobRoutes<JobRegistry<Presentation>>,
    /// The threads that draw presentations.
    pub painters: Painters,
    /// The directories that could not be deleted.
    pub trash: Trash,
    /// Cancelled when the service is told to stop, for the open event streams.
    pub stopping: CancellationToken,
    /// The metrics, if they are recorded.
    pub metrics: Option<Metrics>,
    /// The limits.
    pub config: Arc<Config>,
}

impl std::fmt::Debug for AppState {
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
    /// Panics outside a tokio runtime, like [`Painters::start`].
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
        let workshop = Workshop {
            studio,
            files: config.files.clone(),
            trash: trash.clone(),
            heartbeat: config.heartbeat,
        };
        let painters = Painters::start(config.painters, &workshop);
        let stopping = CancellationToken::new();
        let draw = painters.clone();
        let routes = JobRoutes::new(registry.clone(), BASE)
            .show(|record| Shown::of(record, BASE))
            .retry(move |job| draw.draw(job))
            .keep_alive(config.heartbeat)
            .announce(stopping.clone());
        Self {
            keys: Keys::new(registry.clone(), KeyLife::UntilRemoved),
            routes,
            painters,
            trash,
            stopping,
            metrics: None,
            config: Arc::new(config),
            registry,
        }
    }
}
