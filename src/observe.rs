//! What the features `tracing` and `metrics` tell of a registry. Without them, nothing of it is compiled.
//!
//! Subscribers and recorders are foreign code: they are told at once where the thread holds no job's lock, and
//! otherwise as soon as it lets go.

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::describe_metrics;

use crate::error::{
    LockError, LookupError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
use crate::{JobId, Progress, Status};
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
    pub(crate) fn emit(&self) {
        // A subscriber that panics keeps nothing from the recorder.
        let mut panics = crate::thread::Panics::default();
        #[cfg(feature = "tracing")]
        panics.catch(|| tracing::emit(self));
        #[cfg(feature = "metrics")]
        panics.catch(|| metrics::emit(self));
        panics.resume();
    }
}

/// Tells of an event, now or when this thread lets go of the job's lock it holds.
#[inline]
pub(crate) fn tell(event: impl FnOnce() -> Event) {
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    crate::thread::defer([crate::thread::Effect::Tell(event())]);
    #[cfg(not(any(feature = "tracing", feature = "metrics")))]
    drop(event);
}

/// Tells of a call that was refused.
#[inline(always)]
pub(crate) fn refused<R, E: Refusal>(
    call: &'static str,
    id: impl Into<Option<JobId>>,
    result: Result<R, E>,
) -> Result<R, E> {
    if ON {
        if let Err(error) = &result {
            let (id, reason) = (id.into(), error.reason());
            tell(|| Event::Refused { call, id, reason });
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
