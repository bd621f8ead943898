//! The JSON of the service: what it adds to the answers of `job-registry-axum`, and those answers as
//! a client reads them.

use crate::store::Contents;
use job_registry::{Record, Status};
use job_registry_axum::Time;
use serde::{Deserialize, Serialize};

/// The payload of a presentation, as clients see it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Presentation)]
pub struct Shown {
    /// Its title.
    pub title: String,
    /// Number of slides.
    pub slides: usize,
    /// Path of its file, if it is completed.
    pub file: Option<String>,
    /// Deviations from the deck, such as characters that no font has.
    pub warnings: Vec<String>,
}

impl Shown {
    /// Returns what clients see of a presentation.
    #[must_use]
    pub fn of(record: &Record<&impl Contents>, base: &str) -> Self {
        let (id, status) = (record.snapshot.id(), record.snapshot.status());
        let completed = status == Status::Completed;
        Self {
            title: record.payload.title().to_owned(),
            slides: record.payload.slides(),
            file: completed.then(|| format!("{base}/{id}/file")),
            warnings: record.payload.warnings().to_vec(),
        }
    }
}

/// The service itself.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct About {
    /// Start of the service. A different value means that it was restarted and has lost earlier
    /// presentations. It is `null` with a shared store, which loses none.
    pub since: Option<Time>,
    /// Whether the service accepts decks; `false` while it is shutting down.
    pub open: bool,
    /// Maximum number of presentations.
    pub capacity: usize,
}

/// One presentation, as a client reads it. Times are RFC 3339, in UTC.
#[derive(Debug, Clone, Deserialize)]
#[allow(
    missing_docs,
    reason = "`job_registry_axum::PlainJob` explains the fields"
)]
pub struct View {
    pub id: String,
    pub status: String,
    pub progress: f64,
    pub attempt: u32,
    pub version: String,
    pub note: Option<String>,
    pub reason: Option<String>,
    pub registered_at: String,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub removal_at: Option<String>,
    pub last_heartbeat: String,
    pub payload: Shown,
}

/// All presentations, as a client reads them.
#[derive(Debug, Clone, Deserialize)]
#[allow(
    missing_docs,
    reason = "`job_registry_axum::JobList` explains the fields"
)]
pub struct Listing {
    pub jobs: Vec<Line>,
    pub next: Option<String>,
    pub counts: ByStatus,
    pub now: String,
}

/// Numbers of presentations, as a client reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the statuses explain themselves")]
pub struct ByStatus {
    pub pending: usize,
    pub running: usize,
    pub stopping: usize,
    pub completed: usize,
    pub failed: usize,
    pub cancelled: usize,
}

/// One presentation in a [`Listing`].
#[derive(Debug, Clone, Deserialize)]
#[allow(
    missing_docs,
    reason = "`job_registry_axum::JobSummary` explains the fields"
)]
pub struct Line {
    pub id: String,
    pub status: String,
    pub progress: f64,
    pub attempt: u32,
    pub version: String,
    pub last_heartbeat: String,
}
