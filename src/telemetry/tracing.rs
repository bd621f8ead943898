//! The events for `tracing`.

use super::Event;
use crate::types::id::JobId;
use crate::types::status::Status;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::field::display;
use tracing::{debug, info, trace, warn};

pub(crate) const TARGET: &str = "job_registry";

static FULL_IDS: AtomicBool = AtomicBool::new(false);

/// Chooses whether the spans and events of this process have full ids. By default they have the
/// [short](JobId::short) form, because everyone with a full id can reach its job.
///
/// ```
/// job_registry::log_full_ids(true);
/// ```
pub fn log_full_ids(full: bool) {
    // ORDERING: Relaxed. A setting.
    FULL_IDS.store(full, Ordering::Relaxed);
}

/// Returns the text of an id in spans and events.
pub(crate) fn logged(id: JobId) -> String {
    // ORDERING: Relaxed. A setting.
    if FULL_IDS.load(Ordering::Relaxed) {
        id.to_string()
    } else {
        id.short().to_string()
    }
}

pub(super) fn emit(event: &Event) {
    match event {
        Event::Registered { id } => {
            info!(target: TARGET, id = %logged(*id), attempt = 1, status = %Status::Pending, "status update");
        }
        Event::Started {
            id,
            attempt,
            pending,
        } => {
            let status = Status::Running;
            info!(target: TARGET, id = %logged(*id), attempt, %status, ?pending, "status update");
        }
        Event::Advanced {
            id,
            attempt,
            progress,
        } => {
            let percent = progress.as_percent();
            debug!(target: TARGET, id = %logged(*id), attempt, percent, "status update");
        }
        Event::Noted { id, attempt, note } => {
            debug!(target: TARGET, id = %logged(*id), attempt, %note, "note");
        }
        Event::StopRequested {
            id,
            attempt,
            reason,
            took,
        } => {
            let status = Status::Stopping;
            info!(target: TARGET, id = %logged(*id), attempt, %status, %reason, ?took, "status update");
        }
        Event::Heartbeat { id, attempt, count } => {
            trace!(target: TARGET, id = %logged(*id), attempt, count, "heartbeat");
        }
        Event::Ended {
            id,
            attempt,
            status,
            progress,
            reason,
            before: (_, took),
            stalled,
        } => {
            let (percent, reason) = (progress.as_percent(), reason.as_deref().map(display));
            if *status == Status::Failed {
                warn!(target: TARGET, id = %logged(*id), attempt, %status, percent, reason, ?took, stalled, "status update");
            } else {
                info!(target: TARGET, id = %logged(*id), attempt, %status, percent, reason, ?took, "status update");
            }
        }
        Event::Retried { id, attempt, .. } => {
            info!(target: TARGET, id = %logged(*id), attempt, status = %Status::Pending, "status update");
        }
        Event::Removed { id, status, kept } => {
            info!(target: TARGET, id = %logged(*id), %status, ?kept, "cleanup");
        }
        Event::RemovalPanicked { id, error } => {
            warn!(target: TARGET, id = %logged(*id), %error, "removal panicked");
        }
        Event::RemovalHangs { id, since } => {
            warn!(target: TARGET, id = %logged(*id), ?since, "removal hangs");
        }
        Event::Swept {
            removed,
            expired,
            cancelled,
            busy,
            panics,
            took,
        } if *panics > 0 => {
            warn!(target: TARGET, removed, expired, cancelled, busy, panics, ?took, "cleanup");
        }
        Event::Swept {
            removed,
            expired,
            cancelled,
            busy,
            panics: _,
            took,
        } => {
            debug!(target: TARGET, removed, expired, cancelled, busy, ?took, "cleanup");
        }
        Event::Refused {
            call,
            id: Some(id),
            reason,
        } => {
            debug!(target: TARGET, call, id = %logged(*id), reason, "refused");
        }
        Event::Refused {
            call,
            id: None,
            reason,
        } => {
            debug!(target: TARGET, call, reason, "refused");
        }
    }
}
