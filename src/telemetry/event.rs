//! [`Event`]: what has happened to a job or a registry.
//!
//! Subscribers and recorders are user code: an event is emitted at once if the thread holds no job's lock, and
//! otherwise when it releases the lock.

use crate::types::error::{
    LockError, LookupError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
use crate::types::id::JobId;
use crate::types::progress::Progress;
use crate::types::snapshot::Status;
use std::sync::Arc;
use std::time::Duration;

/// Whether anything is compiled that could be told.
pub(crate) const ON: bool = cfg!(any(feature = "tracing", feature = "metrics"));

/// Something that has happened to a job or to the registry.
#[cfg_attr(
    not(all(feature = "tracing", feature = "metrics")),
    allow(dead_code, reason = "each of the features tells its part")
)]
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Registered {
        id: JobId,
    },
    Started {
        id: JobId,
        attempt: u16,
        /// How long it was pending.
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
        /// Of this attempt, from 1.
        count: u32,
    },
    Ended {
        id: JobId,
        attempt: u16,
        status: Status,
        progress: Progress,
        error: Option<Arc<str>>,
        /// The status before, and for how long.
        before: (Status, Duration),
        /// Whether it was the verdict on its silence.
        stalled: bool,
    },
    Retried {
        id: JobId,
        attempt: u16,
        /// How the attempt before had ended, and how long ago.
        before: (Status, Duration),
    },
    Removed {
        id: JobId,
        status: Status,
        /// How long it was kept after its end.
        kept: Duration,
    },
    /// Once for each removal, whatever panicked in it.
    RemovalPanicked {
        id: JobId,
        /// The text of the first panic.
        error: Arc<str>,
    },
    Swept {
        removed: usize,
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
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    pub(crate) fn dispatch(&self) {
        // A subscriber that panics keeps nothing from the recorder.
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
    /// Its name, for a label.
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
