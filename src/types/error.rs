//! The errors: one small enum for each kind of call. A call that returns an error has not changed
//! the job.

use crate::types::progress::ProgressError;
use crate::types::status::Status;
use std::fmt;

/// Declares an error enum, with names and messages.
macro_rules! error_enum {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident $(($field:ident: $type:ty))? = $text:literal => $message:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$variant_meta])* $variant $(($type))?, )*
        }

        impl $name {
            /// Returns the error's name in lower case, for logs and labels. It never changes.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $( Self::$variant { .. } => $text, )*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $( Self::$variant $(($field))? => write!(f, $message), )*
                }
            }
        }

        impl std::error::Error for $name {}
    };
}

/// Declares the error of a text that does not parse, and its conversion to a variant of [`Error`].
macro_rules! parse_error {
    ($(#[$meta:meta])* $name:ident => $variant:ident = $text:literal => $message:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(());

        impl $name {
            /// Returns the error's name in lower case, for logs and labels. It never changes.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                $text
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($message)
            }
        }

        impl std::error::Error for $name {}

        impl From<$name> for crate::types::error::Error {
            fn from(_: $name) -> Self {
                Self::$variant
            }
        }
    };
}

pub(crate) use {error_enum, parse_error};

/// Declares the error enums of calls, and their conversions from the errors of a look-up.
macro_rules! errors {
    ($(
        $(#[$meta:meta])*
        $name:ident from [$($from:ident),*] {
            $( $(#[$variant_meta:meta])* $variant:ident $(($field:ident: $type:ty))? = $text:literal => $message:literal, )*
        }
    )*) => {$(
        error_enum! {
            $(#[$meta])*
            $name {
                $( $(#[$variant_meta])* $variant $(($field: $type))? = $text => $message, )*
            }
        }

        impl $name {
            /// Returns the status of the job, if that is the reason of the error.
            #[must_use]
            pub const fn status(&self) -> Option<Status> {
                match self {
                    $( $( Self::$variant($field) => Some(*$field), )? )*
                    #[allow(unreachable_patterns)] // an enum may have a status in every variant
                    _ => None,
                }
            }
        }

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

error_enum! {
    /// Reason why an id names no job.
    LookupError {
        /// No job of this registry ever had this id. For HTTP: 404.
        NotFound = "not_found" => "no job has this id",
        /// The job has been removed. For HTTP: 410.
        Gone = "gone" => "the job has been removed",
    }
}

/// Error of a thread that holds a job's lock and asks for another one, or for the same one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WouldDeadlock;

/// Reason why a state word admits no write of a caller: a [`LookupError`], or the fence.
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
    /// Reason why a step ([`start`], [`advance`], [`heartbeat`], [`complete`], [`fail`],
    /// [`cancel`]) was refused.
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
        /// The job has been removed.
        Gone = "gone" => "the job has been removed",
        /// The job is on a later attempt than the caller's handle.
        Superseded = "superseded" => "a later attempt of the job has begun",
        /// Only a started job advances and completes.
        NotStarted = "not_started" => "the job has not been started",
        /// Another call has started the job.
        AlreadyStarted = "already_started" => "the job has been started already",
        /// A stop has been requested: a stopping job does not advance, and is asked once.
        Stopping = "stopping" => "the job has been asked to stop",
        /// The job ended before this call, with this status.
        Ended(status: Status) = "ended" => "the job has already ended ({status})",
        /// This thread already holds a job's lock.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }

    /// Reason why a payload could not be locked.
    LockError from [Fenced] {
        /// No job of this registry ever had this id.
        NotFound = "not_found" => "no job has this id",
        /// The job has been removed.
        Gone = "gone" => "the job has been removed",
        /// The job is on a later attempt than the caller's handle.
        Superseded = "superseded" => "a later attempt of the job has begun",
        /// The job has ended, with this status. An ended job's payload is read, not locked.
        Ended(status: Status) = "ended" => "the job has already ended ({status})",
        /// Another thread holds the lock. Returned by `try_lock` only.
        Busy = "busy" => "another caller holds the job's lock",
        /// This thread already holds a job's lock.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }

    /// Reason why a job could not be read together with its payload.
    ReadError from [] {
        /// No job of this registry ever had this id.
        NotFound = "not_found" => "no job has this id",
        /// The job has been removed.
        Gone = "gone" => "the job has been removed",
        /// This thread already holds a job's lock.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }

    /// Reason why a job was not removed, or its removal not scheduled.
    RemoveError from [Fenced] {
        /// No job of this registry ever had this id.
        NotFound = "not_found" => "no job has this id",
        /// The job has been removed already.
        Gone = "gone" => "the job has been removed",
        /// The job is on a later attempt than the caller's handle.
        Superseded = "superseded" => "a later attempt of the job has begun",
        /// The job has not ended. Only an ended job is removed.
        Live = "live" => "the job has not ended",
        /// This thread already holds a job's lock.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }

    /// Reason why a job got no further attempt.
    RetryError from [Fenced] {
        /// No job of this registry ever had this id.
        NotFound = "not_found" => "no job has this id",
        /// The job has been removed.
        Gone = "gone" => "the job has been removed",
        /// The job is on a later attempt than the caller's handle.
        Superseded = "superseded" => "a later attempt of the job has begun",
        /// The job has completed, or is live and has not stalled.
        NotRetryable(status: Status) = "not_retryable" => "the job is {status}: only a failed, cancelled or stalled one is retried",
        /// The job has had all of its 65,535 attempts.
        AttemptsExhausted = "attempts_exhausted" => "the job has no attempts left",
        /// The registry has been [closed](crate::JobRegistry::close).
        Closed = "closed" => "the registry accepts no more jobs",
        /// This thread already holds a job's lock.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
    }
}

/// Reason why a payload was not registered. [`into_payload`] returns the payload.
///
/// [`into_payload`]: RegisterError::into_payload
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError<T> {
    /// The registry is at capacity. For HTTP: 429.
    ///
    /// A removed job counts until its hook has run and its payload has been dropped, which is a
    /// little after its id has become [`Gone`](LookupError::Gone).
    Full(T),
    /// The registry has been [closed](crate::JobRegistry::close). For HTTP: 503.
    Closed(T),
}

impl<T> RegisterError<T> {
    /// Returns the payload that was not registered.
    pub fn into_payload(self) -> T {
        match self {
            Self::Full(payload) | Self::Closed(payload) => payload,
        }
    }

    /// Returns the error's name in lower case, for logs and labels. It never changes.
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

// There is no bound `T: Debug`, so that `register(payload)?` and `unwrap` work for every payload.
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

errors! {
    /// Any error of the crate. `?` converts each of them, so that a function can make calls of
    /// several kinds.
    ///
    /// ```
    /// use job_registry::{Error, JobRegistry, Progress};
    ///
    /// fn start_half_done(jobs: &JobRegistry<&'static str>) -> Result<(), Error> {
    ///     let job = jobs.register("deck")?;
    ///     job.start()?;
    ///     job.advance(Progress::percent(50.0)?)?;
    ///     jobs.remove(job.id())?;
    ///     Ok(())
    /// }
    /// assert_eq!(start_half_done(&JobRegistry::new()), Err(Error::Live));
    /// ```
    Error from [Fenced] {
        /// No job of this registry ever had this id. For HTTP: 404.
        NotFound = "not_found" => "no job has this id",
        /// The job has been removed. For HTTP: 410.
        Gone = "gone" => "the job has been removed",
        /// The job is on a later attempt than the caller's handle.
        Superseded = "superseded" => "a later attempt of the job has begun",
        /// Only a started job advances and completes.
        NotStarted = "not_started" => "the job has not been started",
        /// Another call has started the job.
        AlreadyStarted = "already_started" => "the job has been started already",
        /// A stop has been requested: a stopping job does not advance, and is asked once.
        Stopping = "stopping" => "the job has been asked to stop",
        /// The job ended before this call, with this status.
        Ended(status: Status) = "ended" => "the job has already ended ({status})",
        /// Another thread holds the lock. Returned by `try_lock` only.
        Busy = "busy" => "another caller holds the job's lock",
        /// The job has not ended. Only an ended job is removed.
        Live = "live" => "the job has not ended",
        /// The job has completed, or is live and has not stalled.
        NotRetryable(status: Status) = "not_retryable" => "the job is {status}: only a failed, cancelled or stalled one is retried",
        /// The job has had all of its 65,535 attempts.
        AttemptsExhausted = "attempts_exhausted" => "the job has no attempts left",
        /// The registry is at capacity. For HTTP: 429.
        Full = "full" => "the registry is full",
        /// The registry has been [closed](crate::JobRegistry::close). For HTTP: 503.
        Closed = "closed" => "the registry accepts no more jobs",
        /// This thread already holds a job's lock.
        WouldDeadlock = "would_deadlock" => "this thread holds a job's lock already",
        /// The text is not a job id.
        NotAnId = "not_an_id" => "not a job id: expected 22 letters and digits",
        /// The text is not a version.
        NotAVersion = "not_a_version" => "not a version of a job",
        /// The text is not a cursor.
        NotACursor = "not_a_cursor" => "not a cursor: expected the text of one",
        /// The parts are not those of a job.
        NotAJob = "not_a_job" => "the parts are not those of a job",
        /// The progress is NaN.
        NotANumber = "not_a_number" => "progress is not a number",
        /// The progress is below 0 % or above 100 %, or infinite.
        OutOfRange = "out_of_range" => "progress is outside of 0 to 100 percent",
    }
}

/// Converts errors to [`Error`], each variant to the one of the same name.
macro_rules! conversions {
    ($($name:ident { $($variant:ident $(($field:ident))?),* })*) => {$(
        impl From<$name> for Error {
            fn from(error: $name) -> Self {
                match error {
                    $( $name::$variant $(($field))? => Self::$variant $(($field))?, )*
                }
            }
        }
    )*};
}

conversions! {
    StepError { NotFound, Gone, Superseded, NotStarted, AlreadyStarted, Stopping, Ended(status), WouldDeadlock }
    LockError { NotFound, Gone, Superseded, Ended(status), Busy, WouldDeadlock }
    ReadError { NotFound, Gone, WouldDeadlock }
    RemoveError { NotFound, Gone, Superseded, Live, WouldDeadlock }
    RetryError { NotFound, Gone, Superseded, NotRetryable(status), AttemptsExhausted, Closed, WouldDeadlock }
    ProgressError { NotANumber, OutOfRange }
}

/// The payload is dropped. [`RegisterError::into_payload`] keeps it.
impl<T> From<RegisterError<T>> for Error {
    fn from(error: RegisterError<T>) -> Self {
        match error {
            RegisterError::Full(_) => Self::Full,
            RegisterError::Closed(_) => Self::Closed,
        }
    }
}
