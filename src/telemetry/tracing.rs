//! The events for `tracing`.

use super::Event;
use crate::types::status::Status;
use tracing::field::display;
use tracing::{debug, info, trace, warn};

pub(crate) const TARGET: &str = "job_registry";

pub(super) fn emit(event: &Event) {
    match event {
        Event::Registered { id } => {
            info!(target: TARGET, %id, attempt = 1, status = %Status::Pending, "status update");
        }
        Event::Started {
            id,
            attempt,
            pending,
        } => {
            let status = Status::Running;
            info!(target: TARGET, %id, attempt, %status, ?pending, "status update");
        }
        Event::Advanced {
            id,
            attempt,
            progress,
        } => {
            let percent = progress.as_percent();
            debug!(target: TARGET, %id, attempt, percent, "status update");
        }
        Event::Noted { id, attempt, note } => {
            debug!(target: TARGET, %id, attempt, %note, "note");
        }
        Event::StopRequested {
            id,
            attempt,
            reason,
        } => {
            let status = Status::Stopping;
            info!(target: TARGET, %id, attempt, %status, %reason, "status update");
        }
        Event::Heartbeat { id, attempt, count } => {
            trace!(target: TARGET, %id, attempt, count, "heartbeat");
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
                warn!(target: TARGET, %id, attempt, %status, percent, reason, ?took, stalled, "status update");
            } else {
                info!(target: TARGET, %id, attempt, %status, percent, reason, ?took, "status update");
            }
        }
        Event::Retried { id, attempt, .. } => {
            info!(target: TARGET, %id, attempt, status = %Status::Pending, "status update");
        }
        Event::Removed { id, status, kept } => {
            info!(target: TARGET, %id, %status, ?kept, "cleanup");
        }
        Event::RemovalPanicked { id, error } => {
            warn!(target: TARGET, %id, %error, "removal panicked");
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
            debug!(target: TARGET, call, %id, reason, "refused");
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
