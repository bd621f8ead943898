//! The JSON that describes presentations.

use crate::jobs::Presentation;
use job_registry::{Counts, JobId, JobRegistry, ReadError, Snapshot};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One presentation. Times are RFC 3339, in UTC.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Number of slides.
    pub slides: usize,
    /// `pending`, `running`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// Progress in percent.
    pub progress: f64,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// Grows with every change that a client can see, but not with heartbeats. A
    /// string, as in `ETag` and in the `id:` of an event.
    pub version: String,
    /// When it was submitted.
    pub registered_at: String,
    /// When drawing began.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// The earliest instant at which it and its files are removed, once it has ended.
    pub removal_at: Option<String>,
    /// Time of the last heartbeat.
    pub last_heartbeat: String,
    /// Why it failed.
    pub error: Option<String>,
    /// Path of its file, if it has one.
    pub file: Option<String>,
}

impl View {
    /// Returns everything about one presentation, read at one instant.
    ///
    /// # Errors
    ///
    /// Returns the registry's [`ReadError`].
    pub fn of(registry: &JobRegistry<Presentation>, id: JobId) -> Result<Self, ReadError> {
        let at = |time| instant(registry, time);
        registry.read(id, |record| {
            let snapshot = record.snapshot;
            let completed = snapshot.status() == job_registry::Status::Completed;
            Self {
                id: id.to_string(),
                title: record.payload.title().to_owned(),
                slides: record.payload.slides(),
                status: snapshot.status().to_string(),
                progress: snapshot.progress().as_percent(),
                attempt: snapshot.attempt(),
                version: snapshot.version().to_string(),
                registered_at: at(record.times.registered),
                started_at: record.times.started.map(at),
                ended_at: record.times.ended.map(at),
                removal_at: record.times.removal.map(at),
                last_heartbeat: at(snapshot.last_heartbeat()),
                error: record.reason.map(|reason| reason.to_string()),
                file: completed.then(|| format!("/api/presentations/{id}/file")),
            }
        })
    }
}

/// An instant of the registry, in RFC 3339.
fn instant(registry: &JobRegistry<Presentation>, time: Duration) -> String {
    // A time after the format's last year is never, for a client.
    let latest = Duration::from_secs(200 * 365 * 24 * 3600);
    humantime::format_rfc3339_millis(registry.system_time(time.min(latest))).to_string()
}

/// All presentations, in short form.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listing {
    /// Start of the service. A different value means that it was restarted and has lost earlier
    /// presentations.
    pub since: String,
    /// The time of the service's clock, to which the times of presentations relate.
    pub now: String,
    /// Whether the service accepts decks; `false` while it is shutting down.
    pub open: bool,
    /// Maximum number of presentations.
    pub capacity: usize,
    /// Number of presentations of each status.
    pub counts: ByStatus,
    /// An entry for each presentation; `GET` its id for the rest.
    pub presentations: Vec<Line>,
}

/// Numbers of presentations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByStatus {
    /// Not begun.
    pub pending: usize,
    /// Being drawn.
    pub running: usize,
    /// With a file.
    pub completed: usize,
    /// With an error.
    pub failed: usize,
    /// Cancelled by a client.
    pub cancelled: usize,
}

/// One presentation in a [`Listing`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: String,
    /// Progress in percent.
    pub progress: f64,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// Its version.
    pub version: String,
    /// Time of the last heartbeat.
    pub last_heartbeat: String,
}

impl Listing {
    /// Iterates over the registry without a job's lock, so that a listing delays no other call.
    #[must_use]
    pub fn of(registry: &JobRegistry<Presentation>, open: bool) -> Self {
        let line = |snapshot| Line::of(registry, &snapshot);
        Self {
            since: instant(registry, Duration::ZERO),
            now: instant(registry, registry.now()),
            open,
            capacity: registry.capacity(),
            counts: registry.counts().into(),
            presentations: registry.iter().map(line).collect(),
        }
    }
}

impl From<Counts> for ByStatus {
    fn from(counts: Counts) -> Self {
        Self {
            pending: counts.pending,
            running: counts.running,
            completed: counts.completed,
            failed: counts.failed,
            cancelled: counts.cancelled,
        }
    }
}

impl Line {
    /// Returns the entry of a snapshot.
    #[must_use]
    pub fn of(registry: &JobRegistry<Presentation>, snapshot: &Snapshot) -> Self {
        Self {
            id: snapshot.id().to_string(),
            status: snapshot.status().to_string(),
            progress: snapshot.progress().as_percent(),
            attempt: snapshot.attempt(),
            version: snapshot.version().to_string(),
            last_heartbeat: instant(registry, snapshot.last_heartbeat()),
        }
    }
}
