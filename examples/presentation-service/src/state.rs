//! What every handler has: the registry, the painters, the limits.

use crate::deck::DeckLimits;
use crate::errors::ApiError;
use crate::files::Trash;
use crate::jobs::Presentation;
use crate::metrics::Metrics;
use crate::painters::{Painters, Workshop};
use crate::render::Studio;
use job_registry::JobRegistry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the service allows and how it works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Presentations at a time, ended ones included until they are removed.
    pub capacity: usize,
    /// How long an ended presentation and its files stay.
    pub retention: Duration,
    /// How often a running presentation tells that it lives.
    pub heartbeat: Duration,
    /// How often removed presentations are looked for.
    pub sweep: Duration,
    /// How often a directory is tried again that could not be deleted.
    pub delete_again: Duration,
    /// Presentations that are drawn at a time; the others wait.
    pub painters: usize,
    /// Where the directories of the files are made.
    pub files: PathBuf,
    /// What a deck may be.
    pub deck: DeckLimits,
    /// Bytes in a request's body.
    pub body: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capacity: 64,
            retention: Duration::from_secs(5 * 60),
            heartbeat: Duration::from_secs(5),
            sweep: Duration::from_millis(500),
            delete_again: Duration::from_secs(10),
            painters: 8,
            files: std::env::temp_dir(),
            deck: DeckLimits::default(),
            body: 1 << 20,
        }
    }
}

/// What every handler has. All that is known of presentations is in the registry.
#[derive(Clone)]
pub struct AppState {
    /// The presentations.
    pub registry: JobRegistry<Presentation>,
    /// The threads that draw them.
    pub painters: Painters,
    /// The directories that could not be deleted.
    pub trash: Trash,
    /// Cancelled when the service is told to stop.
    pub stopping: CancellationToken,
    /// What is counted, where something is.
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
    /// The state of a service without presentations. Starts the painters.
    ///
    /// # Panics
    ///
    /// As [`Painters::start`]: outside of a tokio runtime.
    #[must_use]
    pub fn new(config: Config, studio: Arc<dyn Studio>) -> Self {
        let registry = JobRegistry::builder()
            .capacity(config.capacity)
            .retention(config.retention)
            .build();
        let trash = Trash::default();
        let workshop = Workshop {
            studio,
            files: config.files.clone(),
            trash: trash.clone(),
            heartbeat: config.heartbeat,
        };
        Self {
            registry,
            painters: Painters::start(config.painters, &workshop),
            trash,
            stopping: CancellationToken::new(),
            metrics: None,
            config: Arc::new(config),
        }
    }

    /// Refuses what is new once the service is stopping: during a drain the registry itself would
    /// still take it.
    pub(crate) fn accepts(&self) -> Result<(), ApiError> {
        if self.stopping.is_cancelled() {
            return Err(ApiError::closed());
        }
        Ok(())
    }
}
