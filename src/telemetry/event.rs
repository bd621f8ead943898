//! [`Event`]: a change of a job, or an action of a registry.
//!
//! Subscribers and recorders are user code. An event is emitted immediately if the thread holds no
//! job's lock, and otherwise when it releases the lock.

use crate::types::error::{
    LockError, LookupError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
use crate::types::id::JobId;
use crate::types::progress::Progress;
use crate::types::status::Status;
use std::sync::Arc;
use std::time::Duration;

/// Whether a feature is enabled that consumes events.
pub(crate) const ON: bool = cfg!(any(feature = "tracing", feature = "metrics"));

/// A change of a job, or an action of a registry.
#[cfg_attr(
    not(all(feature = "tracing", feature = "metrics")),
    allow(dead_code, reason = "each feature emits only some of the fields")
)]
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Registered {
        id: JobId,
    },
    Started {
        id: JobId,
        attempt: u16,
        /// Time for which the attempt was pending.
        pending: Duration,
    },
    Advanced {
        id: JobId,
        attempt: u16,
        progress: Progress,
    },
    Heartbeat {
        id: JobId,
        attempt: u16,
        /// Number of heartbeats of this attempt, including this one.
        count: u32,
    },
    Noted {
        id: JobId,
        attempt: u16,
        note: Arc<str>,
    },
    StopRequested {
        id: JobId,
        attempt: u16,
        reason: Arc<str>,
        /// Time for which the job was running.
        took: Duration,
    },
    Ended {
        id: JobId,
        attempt: u16,
        status: Status,
        progress: Progress,
        reason: Option<Arc<str>>,
        /// The previous status, and the time in it.
        before: (Status, Duration),
        /// Whether the stall verdict ended the job.
        stalled: bool,
    },
    Retried {
        id: JobId,
        attempt: u16,
        /// The status of the previous attempt, and the time since its end.
        before: (Status, Duration),
    },
    Removed {
        id: JobId,
        status: Status,
        /// Time between the job's end and its removal.
        kept: Duration,
    },
    /// Emitted once for a removal in which user code panicked.
    RemovalPanicked {
        id: JobId,
        /// The text of the first panic.
        error: Arc<str>,
    },
    /// Emitted once for a removal that the reaper has been carrying out for more than a second.
    RemovalHangs {
        id: JobId,
        since: Duration,
    },
    Swept {
        removed: usize,
        expired: usize,
        cancelled: usize,
        busy: usize,
        panics: usize,
        took: Duration,
    },
    Refused {
        call: &'static str,
        id: Option<JobId>,
        reason: &'static str,
    },
}

impl Event {
    /// Passes the event to the subscriber and the recorder.
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    pub(crate) fn dispatch(&self) {
        // The recorder gets the event even if the subscriber panics.
        let mut panics = crate::sync::panics::Panics::default();
        #[cfg(feature = "tracing")]
        panics.catch(|| super::tracing::emit(self));
        #[cfg(feature = "metrics")]
        panics.catch(|| super::metrics::emit(self));
        panics.resume();
    }
}

/// Emits an event now, or when this thread releases the job's lock that it holds.
#[inline]
pub(crate) fn emit(event: impl FnOnce() -> Event) {
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    {
        let event = event();
        crate::sync::deferred::defer_run(move || event.dispatch());
    }
    #[cfg(not(any(feature = "tracing", feature = "metrics")))]
    drop(event);
}

/// Emits an event if a call was refused. Returns its result.
#[inline(always)]
pub(crate) fn refused<R, E: Refusal>(
    call: &'static str,
    id: impl Into<Option<JobId>>,
    result: Result<R, E>,
) -> Result<R, E> {
    if ON {
        if let Err(error) = &result {
            let (id, reason) = (id.into(), error.reason());
            emit(|| Event::Refused { call, id, reason });
        }
    }
    result
}

/// An error of a call.
pub(crate) trait Refusal {
    /// Returns the name of the error, for a label.
    fn reason(&self) -> &'static str;
}

macro_rules! refusals {
    ($($error:ty),*) => {$(
        impl Refusal for $error {
            fn reason(&self) -> &'static str {
                self.name()
            }
        }
    )*};
}

refusals!(
    LookupError,
    StepError,
    LockError,
    ReadError,
    RemoveError,
    RetryError
);

impl<T> Refusal for RegisterError<T> {
    fn reason(&self) -> &'static str {
        self.name()
    }
}
