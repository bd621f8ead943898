//! The errors: one small enum for each kind of call. A call that returns one has changed nothing.

use crate::Status;
use std::fmt;

/// Declares an error enum, its messages, and the conversions from what a look-up can refuse.
macro_rules! errors {
    ($(
        $(#[$meta:meta])*
        $name:ident from [$($from:ident),*] {
            $( $(#[$variant_meta:meta])* $variant:ident $(($field:ident: $type:ty))? = $text:literal => $message:literal, )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$variant_meta])* $variant $(($type))?, )*
        }

        impl $name {
            /// The error's name in lower case, for logs and labels. It never changes.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $( Self::$variant { .. } => $text, )*
                }
            }

            /// The status of the job, where that is the reason.
            #[must_use]
            pub const fn status(&self) -> Option<Status> {
                match self {
                    $( $( Self::$variant($field) => Some(*$field), )? )*
                    #[allow(unreachable_patterns)] // where every variant has one
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $( Self::$variant $(($field))? => write!(f, $message), )*
                }
            }
        }

        impl std::error::Error for $name {}

        impl From<LookupError> for $name {
            fn from(error: LookupError) -> Self {
                match error {
                    LookupError::NotFound => Self::NotFound,
                    LookupError::Gone => Self::Gone,
                }
            }
        }

        impl From<WouldDeadlock> for $name {
            fn from(WouldDeadlock: WouldDeadlock) -> Self {
                Self::WouldDeadlock
            }
        }

        $(errors!(@from $from $name);)*
    )*};
    (@from Fenced $name:ident) => {
        impl From<Fenced> for $name {
            fn from(error: Fenced) -> Self {
                match error {
                    Fenced::NotFound => Self::NotFound,
                    Fenced::Gone => Self::Gone,
                    Fenced::Superseded => Self::Superseded,
                }
            }
        }
    };
}

/// Why there is no job to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupError {
    /// No job of this registry ever had this id. For HTTP: 404.
    NotFound,
    /// The job was here and has been removed. For HTTP: 410.
    Gone,
}

impl LookupError {
    /// The error's name in lower case, for logs and labels. It never changes.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Gone => "gone",
        }
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no job has this id",
            Self::Gone => "the job has been removed",
        })
    }
}

impl std::error::Error for LookupError {}

/// A thread that holds a job's lock asked for another, or for the same one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WouldDeadlock;

/// Why a word admits no write of a caller: what [`LookupError`] has, and the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fenced {
    NotFound,
    Gone,
    Superseded,
}

impl From<LookupError> for Fenced {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NotFound => Self::NotFound,
            LookupError::Gone => Self::Gone,
        }
    }
}

errors! {
    /// Why a step ([`start`], [`advance`], [`heartbeat`], [`complete`], [`fail`], [`cancel`]) was refused.
    ///
    /// [`start`]: crate::JobRegistry::start
    /// [`advance`]: crate::JobRegistry::advance
    /// [`heartbeat`]: crate::JobRegistry::heartbeat
    /// [`complete`]: crate::JobRegistry::complete
    /// [`fail`]: crate::JobRegistry::fail
    /// [`cancel`]: crate::JobRegistry::cancel
    StepError from [Fenced] {
        /// No job of this registry ever had this id.
        NotFound = "not_found" => "no job has this id",
        /// The job was here and has been removed.
        Gone = "gone" => "the job has been removed",
        /// The job is on a later attempt than the caller's handle.
        Superseded = "superseded" => "a later attempt of the job has begun",
        /// Only a started job advances and completes.
        NotStarted = "not_started" => "the job has not been started",
        /// Somebody else started the job.
        AlreadyStarted = "already_started" => "the job has been started already",
        /// The job ended before this call, in this way.
        Ended(status: Status) = "ended" => "the job has already ended ({status})",
        /// This thread holds the lock of a job.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }

    /// Why a payload could not be locked.
    LockError from [Fenced] {
        /// No job of this registry ever had this id.
        NotFound = "not_found" => "no job has this id",
        /// The job was here and has been removed.
        Gone = "gone" => "the job has been removed",
        /// The job is on a later attempt than the caller's handle.
        Superseded = "superseded" => "a later attempt of the job has begun",
        /// The job has ended, in this way. An ended job is read, not locked.
        Ended(status: Status) = "ended" => "the job has already ended ({status})",
        /// Another thread holds the lock; from `try_lock` only.
        Busy = "busy" => "another thread holds the job's lock",
        /// This thread holds the lock of a job.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }

    /// Why a job could not be read together with its payload.
    ReadError from [] {
        /// No job of this registry ever had this id.
        NotFound = "not_found" => "no job has this id",
        /// The job was here and has been removed.
        Gone = "gone" => "the job has been removed",
        /// This thread holds the lock of a job.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }

    /// Why a job was not removed, or its removal not scheduled.
    RemoveError from [Fenced] {
        /// No job of this registry ever had this id.
        NotFound = "not_found" => "no job has this id",
        /// The job has been removed before.
        Gone = "gone" => "the job has been removed",
        /// The job is on a later attempt than the caller's handle.
        Superseded = "superseded" => "a later attempt of the job has begun",
        /// Only an ended job is removed, and this one is pending or running.
        Live = "live" => "the job has not ended",
        /// This thread holds the lock of a job.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }

    /// Why a job got no further attempt.
    RetryError from [Fenced] {
        /// No job of this registry ever had this id.
        NotFound = "not_found" => "no job has this id",
        /// The job was here and has been removed.
        Gone = "gone" => "the job has been removed",
        /// The job is on a later attempt than the caller's handle.
        Superseded = "superseded" => "a later attempt of the job has begun",
        /// The job has completed, or is alive and not stalled.
        NotRetryable(status: Status) = "not_retryable" => "the job is {status}: only a failed, cancelled or stalled one is retried",
        /// The job has had all of its 65 535 attempts.
        AttemptsExhausted = "attempts_exhausted" => "the job has no attempts left",
        /// The registry is shutting down.
        Closed = "closed" => "the registry accepts no more jobs",
        /// This thread holds the lock of a job.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }
}

/// Why a payload was not registered. It comes back to the caller: [`into_payload`].
///
/// [`into_payload`]: RegisterError::into_payload
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError<T> {
    /// The registry holds as many jobs as it may. For HTTP: 429.
    ///
    /// A removed job's place is free when its hook has run and its payload has been dropped, a little
    /// after its id has become [`Gone`](LookupError::Gone).
    Full(T),
    /// The registry is shutting down. For HTTP: 503.
    Closed(T),
}

impl<T> RegisterError<T> {
    /// The payload that was not registered.
    pub fn into_payload(self) -> T {
        match self {
            Self::Full(payload) | Self::Closed(payload) => payload,
        }
    }

    /// The error's name in lower case, for logs and labels. It never changes.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::Closed(_) => "closed",
        }
    }

    fn as_str(&self) -> &'static str {
        match self {
            Self::Full(_) => "the registry is full",
            Self::Closed(_) => "the registry accepts no more jobs",
        }
    }
}

// Without `T: Debug`, so that `register(payload)?` and `unwrap` work for every payload.
impl<T> fmt::Debug for RegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for RegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T> std::error::Error for RegisterError<T> {}
