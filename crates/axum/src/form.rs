//! The forms in which a job is shown.

use crate::registry::WallClock;
use crate::time::Time;
use job_registry::{Counts, Details, JobId, Record, Snapshot, Status, Times, Version};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// The form of a job in answers and events.
///
/// Times are RFC 3339 in UTC, to the millisecond. The payload is the value that
/// [`JobRoutes::show`](crate::JobRoutes::show) returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Every field of a job under its own name: [`PlainJob`].
    #[default]
    Plain,
    /// A long-running operation of Google's APIs ([AIP-151](https://google.aip.dev/151)):
    /// [`Operation`].
    Operation,
    /// A task of the Model Context Protocol, of its revision 2025-11-25: [`McpTask`].
    McpTask,
}

/// A job as [`Form::Plain`] shows it.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Job))]
pub struct PlainJob {
    /// The job's id.
    #[serde(serialize_with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: JobId,
    /// Its status: `pending`, `running`, `stopping`, `completed`, `failed` or `cancelled`.
    pub status: &'static str,
    /// Progress in percent, from 0 to 100. It never falls within an attempt.
    pub progress: f64,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// Grows with every change that a client can see, but not with heartbeats. It is the `ETag`,
    /// and the `id:` of an event.
    #[serde(serialize_with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// The worker's latest note.
    #[serde(serialize_with = "shared")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub note: Option<Arc<str>>,
    /// Why the job failed, was cancelled, or is asked to stop.
    #[serde(serialize_with = "shared")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub reason: Option<Arc<str>>,
    /// When the job was registered.
    pub registered_at: Time,
    /// When its present attempt began.
    pub started_at: Option<Time>,
    /// When its present attempt ended.
    pub ended_at: Option<Time>,
    /// The earliest time of its removal. Null before its end, and for a job that is kept.
    pub removal_at: Option<Time>,
    /// Time of the last heartbeat.
    pub last_heartbeat: Time,
    /// The payload, if the service shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<Box<RawValue>>,
}

/// A job in a list of [`Form::Plain`], and in the event `removed`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobSummary {
    /// The job's id.
    #[serde(serialize_with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: JobId,
    /// Its status, as in [`PlainJob`].
    pub status: &'static str,
    /// Progress in percent.
    pub progress: f64,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// Its version.
    #[serde(serialize_with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// Time of the last heartbeat.
    pub last_heartbeat: Time,
}

/// A part of the list of all jobs, in [`Form::Plain`].
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobList {
    /// The jobs, each as it was when it was read.
    pub jobs: Vec<JobSummary>,
    /// The `cursor` of the next part; null after the last one.
    pub next: Option<String>,
    /// Number of jobs of each status. Null if the service shows a client only some of the jobs.
    pub counts: Option<StatusCounts>,
    /// The service's time, to which the times of jobs relate.
    pub now: Time,
}

/// Number of jobs of each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[allow(missing_docs, reason = "the statuses explain themselves")]
pub struct StatusCounts {
    pub pending: usize,
    pub running: usize,
    pub stopping: usize,
    pub completed: usize,
    pub failed: usize,
    pub cancelled: usize,
}

/// A job as [`Form::Operation`] shows it.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Operation {
    /// The path of the job, without the first slash.
    pub name: String,
    /// State, progress and times.
    pub metadata: OperationMetadata,
    /// Whether the job has ended.
    pub done: bool,
    /// Why it failed or was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
    /// The payload of a completed job, or an empty object if the service shows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub response: Option<Box<RawValue>>,
}

/// The member `metadata` of an [`Operation`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[allow(missing_docs, reason = "the fields are those of `PlainJob`")]
pub struct OperationMetadata {
    pub state: &'static str,
    pub progress_percent: f64,
    pub attempt: u32,
    #[serde(serialize_with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    #[serde(serialize_with = "shared")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub status_message: Option<Arc<str>>,
    pub create_time: Time,
    pub start_time: Option<Time>,
    pub end_time: Option<Time>,
    pub expire_time: Option<Time>,
    pub update_time: Time,
}

/// The member `error` of an [`Operation`]: a `google.rpc.Status`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationError {
    /// 1 (`CANCELLED`), or 2 (`UNKNOWN`) for a job that failed.
    pub code: u32,
    /// The reason, or the status if there is none.
    pub message: String,
}

/// A part of the list of all jobs, in [`Form::Operation`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationList {
    /// The jobs.
    pub operations: Vec<Operation>,
    /// The `cursor` of the next part; empty after the last one.
    pub next_page_token: String,
}

/// A job as [`Form::McpTask`] shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct McpTask {
    /// The job's id.
    #[serde(serialize_with = "text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub task_id: JobId,
    /// `working`, `completed`, `failed` or `cancelled`.
    pub status: &'static str,
    /// The reason of the end or the stop, otherwise the note.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub status_message: Option<Arc<str>>,
    /// When the job was registered.
    pub created_at: Time,
    /// The latest of its heartbeats, its start and its end.
    pub last_updated_at: Time,
    /// Milliseconds from the registration to the removal. Null if no removal is due.
    pub ttl: Option<u64>,
    /// Milliseconds between two polls.
    pub poll_interval: u64,
}

/// A part of the list of all jobs, in [`Form::McpTask`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct McpTaskList {
    /// The jobs.
    pub tasks: Vec<McpTask>,
    /// The `cursor` of the next part, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A job as one request sees it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) snapshot: Snapshot,
    times: Times,
    note: Option<Arc<str>>,
    reason: Option<Arc<str>>,
    payload: Option<Box<RawValue>>,
}

impl Seen {
    pub(crate) fn new<P>(record: &Record<&P>, payload: Option<Box<RawValue>>) -> Self {
        Self {
            snapshot: record.snapshot,
            times: record.times,
            note: record.note.clone(),
            reason: record.reason.clone(),
            payload,
        }
    }
}

impl From<Details> for Seen {
    fn from(details: Details) -> Self {
        Self {
            snapshot: details.snapshot,
            times: details.times,
            note: details.note,
            reason: details.reason,
            payload: None,
        }
    }
}

/// The form, and the options that it depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'a> {
    pub(crate) form: Form,
    pub(crate) base: &'a str,
    pub(crate) clock: WallClock,
    pub(crate) poll_interval: Duration,
}

impl Shape<'_> {
    pub(crate) fn at(&self, time: Duration) -> Time {
        self.clock.system_time(time).into()
    }

    /// Serializes a job.
    pub(crate) fn job(&self, seen: Seen) -> serde_json::Result<Vec<u8>> {
        let mut json = Vec::with_capacity(512);
        match self.form {
            Form::Plain => serde_json::to_writer(&mut json, &self.plain(seen)),
            Form::Operation => serde_json::to_writer(&mut json, &self.operation(seen)),
            Form::McpTask => serde_json::to_writer(&mut json, &self.mcp_task(seen)),
        }?;
        Ok(json)
    }

    pub(crate) fn plain(&self, seen: Seen) -> PlainJob {
        let (snapshot, times) = (seen.snapshot, seen.times);
        PlainJob {
            id: snapshot.id(),
            status: snapshot.status().as_str(),
            progress: snapshot.progress().as_percent(),
            attempt: snapshot.attempt(),
            version: snapshot.version(),
            note: seen.note,
            reason: seen.reason,
            registered_at: self.at(times.registered),
            started_at: times.started.map(|time| self.at(time)),
            ended_at: times.ended.map(|time| self.at(time)),
            removal_at: times.removal.map(|time| self.at(time)),
            last_heartbeat: self.at(snapshot.last_heartbeat()),
            payload: seen.payload,
        }
    }

    pub(crate) fn summary(&self, seen: &Snapshot) -> JobSummary {
        JobSummary {
            id: seen.id(),
            status: seen.status().as_str(),
            progress: seen.progress().as_percent(),
            attempt: seen.attempt(),
            version: seen.version(),
            last_heartbeat: self.at(seen.last_heartbeat()),
        }
    }

    pub(crate) fn plain_list(
        &self,
        jobs: &[Snapshot],
        next: Option<String>,
        counts: Option<Counts>,
    ) -> JobList {
        JobList {
            jobs: jobs.iter().map(|seen| self.summary(seen)).collect(),
            next,
            counts: counts.map(Into::into),
            now: self.clock.now().into(),
        }
    }

    pub(crate) fn operation(&self, seen: Seen) -> Operation {
        let (snapshot, times) = (seen.snapshot, seen.times);
        let status = snapshot.status();
        let empty = || serde_json::value::to_raw_value(&serde_json::json!({})).ok();
        let (mut error, mut response, mut message) = (None, None, seen.note);
        match status {
            Status::Completed => response = seen.payload.or_else(empty),
            Status::Failed | Status::Cancelled => {
                error = Some(OperationError {
                    code: if status == Status::Cancelled { 1 } else { 2 },
                    message: seen.reason.as_deref().unwrap_or(status.as_str()).to_owned(),
                });
            }
            _ => message = seen.reason.or(message),
        }
        Operation {
            name: format!("{}/{}", self.base.trim_start_matches('/'), snapshot.id()),
            metadata: OperationMetadata {
                state: status.as_str(),
                progress_percent: snapshot.progress().as_percent(),
                attempt: snapshot.attempt(),
                version: snapshot.version(),
                status_message: message,
                create_time: self.at(times.registered),
                start_time: times.started.map(|time| self.at(time)),
                end_time: times.ended.map(|time| self.at(time)),
                expire_time: times.removal.map(|time| self.at(time)),
                update_time: self.at(updated(&snapshot, &times)),
            },
            done: status.is_ended(),
            error,
            response,
        }
    }

    pub(crate) fn mcp_task(&self, seen: Seen) -> McpTask {
        let (snapshot, times) = (seen.snapshot, seen.times);
        let ttl = times
            .removal
            .map(|at| millis(at.saturating_sub(times.registered)));
        McpTask {
            task_id: snapshot.id(),
            status: match snapshot.status() {
                Status::Completed => "completed",
                Status::Failed => "failed",
                Status::Cancelled => "cancelled",
                _ => "working",
            },
            status_message: seen.reason.or(seen.note),
            created_at: self.at(times.registered),
            last_updated_at: self.at(updated(&snapshot, &times)),
            ttl,
            poll_interval: millis(self.poll_interval),
        }
    }
}

/// Time of the last change that has a time.
fn updated(snapshot: &Snapshot, times: &Times) -> Duration {
    let changes = [times.started, times.ended, Some(snapshot.last_heartbeat())];
    changes
        .into_iter()
        .flatten()
        .fold(times.registered, Duration::max)
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[allow(clippy::ref_option, reason = "serde gives a reference to the field")]
fn shared<S: Serializer>(value: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}

impl From<Counts> for StatusCounts {
    fn from(counts: Counts) -> Self {
        Self {
            pending: counts.pending,
            running: counts.running,
            stopping: counts.stopping,
            completed: counts.completed,
            failed: counts.failed,
            cancelled: counts.cancelled,
        }
    }
}
