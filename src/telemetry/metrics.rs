//! Numbers for `metrics`.

use super::Event;
use crate::types::snapshot::{Counts, Status};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

const TRANSITIONS: &str = "job_registry_transitions_total";
const REFUSED: &str = "job_registry_refused_total";
const HEARTBEATS: &str = "job_registry_heartbeats_total";
const STALLS: &str = "job_registry_stalls_total";
const REMOVED: &str = "job_registry_removed_total";
const PANICS: &str = "job_registry_removal_panics_total";
const IN_STATUS: &str = "job_registry_time_in_status_seconds";
const SWEEP: &str = "job_registry_sweep_seconds";
const JOBS: &str = "job_registry_jobs";

/// Gives the installed recorder the texts and units of all of the crate's metrics.
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `job_registry_transitions_total` | counter | `status`: what jobs came to be (`pending` counts registrations and retries) |
/// | `job_registry_refused_total` | counter | `call`, `reason`: calls that returned an error, by its `name()` |
/// | `job_registry_heartbeats_total` | counter | |
/// | `job_registry_stalls_total` | counter | |
/// | `job_registry_removed_total` | counter | |
/// | `job_registry_removal_panics_total` | counter | |
/// | `job_registry_time_in_status_seconds` | histogram | `status`: what jobs were, until they left it |
/// | `job_registry_sweep_seconds` | histogram | |
/// | `job_registry_jobs` | gauge | `status`; set by [`publish_counts`](crate::JobRegistry::publish_counts) |
///
/// No label has an id. The registries of a process share them.
pub fn describe_metrics() {
    describe_counter!(TRANSITIONS, "What jobs came to be.");
    describe_counter!(REFUSED, "Calls that were refused.");
    describe_counter!(HEARTBEATS, "Heartbeats that were accepted.");
    describe_counter!(STALLS, "Jobs that were failed for their silence.");
    describe_counter!(REMOVED, "Jobs that were removed.");
    describe_counter!(PANICS, "Hooks and payloads that panicked in a removal.");
    describe_histogram!(
        IN_STATUS,
        Unit::Seconds,
        "How long jobs were in a status before they left it."
    );
    describe_histogram!(
        SWEEP,
        Unit::Seconds,
        "How long sweeps took that found something to do."
    );
    describe_gauge!(JOBS, "How many jobs there are.");
}

/// Sets the gauge of jobs for each status.
pub(crate) fn set_jobs(counts: &Counts) {
    let by_status = [
        (Status::Pending, counts.pending),
        (Status::Running, counts.running),
        (Status::Completed, counts.completed),
        (Status::Failed, counts.failed),
        (Status::Cancelled, counts.cancelled),
    ];
    for (status, count) in by_status {
        // Exact up to 2⁵³.
        #[allow(clippy::cast_precision_loss)]
        gauge!(JOBS, "status" => status.as_str()).set(count as f64);
    }
}

fn became(status: Status) {
    counter!(TRANSITIONS, "status" => status.as_str()).increment(1);
}

pub(super) fn emit(event: &Event) {
    let was = |status: Status| histogram!(IN_STATUS, "status" => status.as_str());
    match event {
        Event::Registered { .. } => became(Status::Pending),
        Event::Retried {
            before: (before, ago),
            ..
        } => {
            became(Status::Pending);
            was(*before).record(*ago);
        }
        Event::Started { pending, .. } => {
            became(Status::Running);
            was(Status::Pending).record(*pending);
        }
        Event::Advanced { .. } => {}
        Event::Heartbeat { .. } => counter!(HEARTBEATS).increment(1),
        Event::Ended {
            status,
            before: (before, took),
            stalled,
            ..
        } => {
            became(*status);
            was(*before).record(*took);
            if *stalled {
                counter!(STALLS).increment(1);
            }
        }
        Event::Removed { status, kept, .. } => {
            counter!(REMOVED).increment(1);
            was(*status).record(*kept);
        }
        Event::RemovalPanicked { .. } => counter!(PANICS).increment(1),
        Event::Swept { took, .. } => histogram!(SWEEP).record(*took),
        Event::Refused { call, reason, .. } => {
            counter!(REFUSED, "call" => *call, "reason" => *reason).increment(1);
        }
    }
}
