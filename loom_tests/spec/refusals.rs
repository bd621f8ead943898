//! Conversions from the errors of the calls to the vocabulary of the specification.

use super::super::api::{LockError, LookupError, ReadError, RemoveError, RetryError, StepError};
use super::Refusal;

macro_rules! refusals {
    ($($error:ident: $($variant:ident $(($status:ident))?)*;)*) => {$(
        impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                match error {
                    $($error::$variant $(($status))? => Self::$variant $(($status))?,)*
                    // The errors are non-exhaustive for suites outside of the crate.
                    #[allow(unreachable_patterns)]
                    unknown => panic!("the specification does not know {unknown:?}"),
                }
            }
        }
    )*};
}

refusals! {
    LookupError: NotFound Gone;
    ReadError: NotFound Gone WouldDeadlock;
    StepError: NotFound Gone Superseded NotStarted AlreadyStarted Stopping Ended(status) WouldDeadlock;
    LockError: NotFound Gone Superseded Ended(status) Busy WouldDeadlock;
    RemoveError: NotFound Gone Superseded Live WouldDeadlock;
    RetryError: NotFound Gone Superseded NotRetryable(status) AttemptsExhausted WouldDeadlock;
}
