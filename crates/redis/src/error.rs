//! [`Error`]: the library's own, and those of a store that is elsewhere.

use job_registry::JobId;
use std::borrow::Cow;
use std::fmt;

/// Error of a call. A call for a single job that returns anything but [`Unavailable::Unknown`] has
/// not changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The registry refused the call, for the reason that a registry in memory gives.
    Refused(job_registry::Error),
    /// The server was not reached, or its answer was lost.
    Unavailable(Unavailable),
    /// The server was reached and refused the call, with this message: it is out of memory, the
    /// user lacks a permission, or a key has another type.
    Rejected(String),
    /// The lease of the [guard](crate::JobGuard) is over, or another caller has it. Nothing was
    /// stored.
    LockLost,
    /// The payload was not stored or not read.
    Payload(PayloadError),
    /// The server or the namespace cannot be used. Returned by `connect`, and by calls after a
    /// reconnect.
    Unusable(String),
}

/// How far a call came that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The call was not sent, or only read. It has no effect.
    NotSent,
    /// The call was sent, and it cannot be told whether it took effect. It takes effect at most
    /// once, and not after the next call of this process has been answered.
    Unknown,
}

/// Reason why a payload was not stored or not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadError {
    /// The encoded payload has more bytes than the limit. Nothing was sent.
    TooLarge {
        /// Bytes of the payload.
        size: usize,
        /// The limit that the builder set.
        limit: usize,
    },
    /// The codec failed to encode the payload, with this message. Nothing was sent.
    Encode(String),
    /// The payload was stored by another codec, or the codec failed to decode it, with this
    /// message. The job can still be read by `snapshot` and `details`, and stepped.
    Decode(String),
}

impl Error {
    /// Returns the error's name in lower case, for logs and labels. It never changes. An error of
    /// the library keeps its own name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.name(),
            Self::Unavailable(Unavailable::NotSent) => "not_sent",
            Self::Unavailable(Unavailable::Unknown) => "unknown",
            Self::Rejected(_) => "rejected",
            Self::LockLost => "lock_lost",
            Self::Payload(PayloadError::TooLarge { .. }) => "payload_too_large",
            Self::Payload(PayloadError::Encode(_)) => "payload_not_encoded",
            Self::Payload(PayloadError::Decode(_)) => "payload_not_decoded",
            Self::Unusable(_) => "unusable",
        }
    }

    /// Returns the library's error, if the registry refused the call.
    #[must_use]
    pub fn refusal(&self) -> Option<job_registry::Error> {
        match self {
            Self::Refused(error) => Some(*error),
            _ => None,
        }
    }

    /// Returns the error of a job whose keys are not those of a job.
    pub(crate) fn unreadable(id: JobId) -> Self {
        Self::Rejected(format!("the keys of {id:?} are not those of a job"))
    }

    /// Returns the error of an answer that no script of this version gives.
    pub(crate) fn strange(answer: impl fmt::Debug) -> Self {
        Self::Rejected(format!("an answer that is not understood: {answer:?}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Cow<'_, str> = match self {
            Self::Refused(error) => error.to_string().into(),
            Self::Unavailable(Unavailable::NotSent) => "the store was not reached".into(),
            Self::Unavailable(Unavailable::Unknown) => {
                "the store's answer was lost: the call may have taken effect".into()
            }
            Self::Rejected(message) => format!("the store rejected the call: {message}").into(),
            Self::LockLost => "the lock was lost: its lease is over".into(),
            Self::Payload(PayloadError::TooLarge { size, limit }) => {
                format!("the payload has {size} bytes, and the limit is {limit}").into()
            }
            Self::Payload(PayloadError::Encode(message)) => {
                format!("the payload was not encoded: {message}").into()
            }
            Self::Payload(PayloadError::Decode(message)) => {
                format!("the payload was not decoded: {message}").into()
            }
            Self::Unusable(message) => message.into(),
        };
        f.write_str(&text)
    }
}

impl std::error::Error for Error {}

/// Converts the library's errors.
macro_rules! refusals {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Refused(error.into())
            }
        }
    )*};
}

refusals! {
    job_registry::Error, job_registry::LookupError, job_registry::StepError,
    job_registry::ProgressError, job_registry::ParseIdError, job_registry::ParseVersionError,
    job_registry::ParseCursorError, job_registry::PartsError
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

impl From<PayloadError> for Error {
    fn from(error: PayloadError) -> Self {
        Self::Payload(error)
    }
}
