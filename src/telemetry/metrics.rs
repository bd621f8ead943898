//! The events' counters and histograms, and the gauge of jobs, for `metrics`.

use super::Event;
use crate::types::snapshot::Counts;
use crate::types::status::Status;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

const TRANSITIONS: &str = "job_registry_transitions_total";
const REFUSED: &str = "job_registry_refused_total";
const HEARTBEATS: &str = "job_registry_heartbeats_total";
const STALLS: &str = "job_registry_stalls_total";
const REMOVED: &str = "job_registry_removed_total";
const PANICS: &str = "job_registry_removal_panics_total";
const HANGS: &str = "job_registry_removal_hangs_total";
const IN_STATUS: &str = "job_registry_time_in_status_seconds";
const SWEEP: &str = "job_registry_sweep_seconds";
const JOBS: &str = "job_registry_jobs";

/// Describes all metrics of this crate, with texts and units, to the installed recorder.
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `job_registry_transitions_total` | counter | `status`: the new status; `pending` counts registrations and retries |
/// | `job_registry_refused_total` | counter | `call`, `reason`: calls that returned an error, by its `name()` |
/// | `job_registry_heartbeats_total` | counter | |
/// | `job_registry_stalls_total` | counter | |
/// | `job_registry_removed_total` | counter | |
/// | `job_registry_removal_panics_total` | counter | |
/// | `job_registry_removal_hangs_total` | counter | |
/// | `job_registry_time_in_status_seconds` | histogram | `status`: the status that the job left |
/// | `job_registry_sweep_seconds` | histogram | |
/// | `job_registry_jobs` | gauge | `status`; set by [`publish_counts`](crate::JobRegistry::publish_counts) |
///
/// No label contains an id. All registries of a process are counted together.
pub fn describe_metrics() {
    describe_counter!(TRANSITIONS, "Status changes of jobs.");
    describe_counter!(REFUSED, "Calls that were refused.");
    describe_counter!(HEARTBEATS, "Heartbeats that were accepted.");
    describe_counter!(STALLS, "Jobs that were failed by the stall verdict.");
    describe_counter!(REMOVED, "Jobs that were removed.");
    describe_counter!(PANICS, "Removals in which user code panicked.");
    describe_counter!(HANGS, "Removals that took the reaper more than a second.");
    describe_histogram!(
        IN_STATUS,
        Unit::Seconds,
        "Time that jobs spent in a status."
    );
    describe_histogram!(
        SWEEP,
        Unit::Seconds,
        "Duration of sweeps that removed or ended a job, or found one locked."
    );
    describe_gauge!(JOBS, "Number of jobs.");
}

/// Sets the gauge of jobs for each status.
pub(crate) fn set_jobs(counts: &Counts) {
    let by_status = [
        (Status::Pending, counts.pending),
        (Status::Running, counts.running),
        (Status::Stopping, counts.stopping),
        (Status::Completed, counts.completed),
        (Status::Failed, counts.failed),
        (Status::Cancelled, counts.cancelled),
    ];
    for (status, count) in by_status {
        // The conversion is exact up to 2⁵³.
        #[allow(clippy::cast_precision_loss)]
        gauge!(JOBS, "status" => status.as_str()).set(count as f64);
    }
}

fn count_transition(status: Status) {
    counter!(TRANSITIONS, "status" => status.as_str()).increment(1);
}

pub(super) fn emit(event: &Event) {
    let time_in = |status: Status| histogram!(IN_STATUS, "status" => status.as_str());
    match event {
        Event::Registered { .. } => count_transition(Status::Pending),
        Event::Retried {
            before: (before, ago),
            ..
        } => {
            count_transition(Status::Pending);
            time_in(*before).record(*ago);
        }
        Event::Started { pending, .. } => {
            count_transition(Status::Running);
            time_in(Status::Pending).record(*pending);
        }
        Event::Advanced { .. } | Event::Noted { .. } => {}
        Event::StopRequested { took, .. } => {
            count_transition(Status::Stopping);
            time_in(Status::Running).record(*took);
        }
        Event::Heartbeat { .. } => counter!(HEARTBEATS).increment(1),
        Event::Ended {
            status,
            before: (before, took),
            stalled,
            ..
        } => {
            count_transition(*status);
            time_in(*before).record(*took);
            if *stalled {
                counter!(STALLS).increment(1);
            }
        }
        Event::Removed { status, kept, .. } => {
            counter!(REMOVED).increment(1);
            time_in(*status).record(*kept);
        }
        Event::RemovalPanicked { .. } => counter!(PANICS).increment(1),
        Event::RemovalHangs { .. } => counter!(HANGS).increment(1),
        Event::Swept { took, .. } => histogram!(SWEEP).record(*took),
        Event::Refused { call, reason, .. } => {
            counter!(REFUSED, "call" => *call, "reason" => *reason).increment(1);
        }
    }
}
