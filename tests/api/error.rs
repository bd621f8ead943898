//! `Error`: every error of the crate converts to it, with the same name, status and text.

use job_registry::{
    Error, JobId, JobRegistry, LockError, LookupError, Progress, ReadError, RegisterError,
    RemoveError, RetryError, Status, StepError, Version,
};

macro_rules! same {
    ($($error:expr),* $(,)?) => {$({
        let error = $error;
        let (name, text) = (error.name(), error.to_string());
        let any = Error::from(error);
        assert_eq!((any.name(), any.to_string()), (name, text));
    })*};
}

#[test]
fn every_error_converts_with_its_name_and_text() {
    same!(LookupError::NotFound, LookupError::Gone);
    same!(
        StepError::NotFound,
        StepError::Gone,
        StepError::Superseded,
        StepError::NotStarted,
        StepError::AlreadyStarted,
        StepError::Stopping,
        StepError::Ended(Status::Failed),
        StepError::WouldDeadlock,
    );
    same!(
        LockError::NotFound,
        LockError::Gone,
        LockError::Superseded,
        LockError::Ended(Status::Cancelled),
        LockError::Busy,
        LockError::WouldDeadlock,
    );
    same!(
        ReadError::NotFound,
        ReadError::Gone,
        ReadError::WouldDeadlock
    );
    same!(
        RemoveError::NotFound,
        RemoveError::Gone,
        RemoveError::Superseded,
        RemoveError::Live,
        RemoveError::WouldDeadlock,
    );
    same!(
        RetryError::NotFound,
        RetryError::Gone,
        RetryError::Superseded,
        RetryError::NotRetryable(Status::Completed),
        RetryError::AttemptsExhausted,
        RetryError::Closed,
        RetryError::WouldDeadlock,
    );
    same!(RegisterError::Full("deck"), RegisterError::Closed("deck"));
    same!(
        Progress::percent(f64::NAN).unwrap_err(),
        Progress::percent(101.0).unwrap_err(),
        "deck".parse::<JobId>().unwrap_err(),
        "deck".parse::<Version>().unwrap_err(),
    );
    for status in [Status::Pending, Status::Running, Status::Completed] {
        assert_eq!(Error::from(StepError::Ended(status)).status(), Some(status));
        let refused = Error::from(RetryError::NotRetryable(status));
        assert_eq!(refused.status(), Some(status));
    }
    assert_eq!(Error::Live.status(), None);
}

/// Makes a call of each kind, so that each error converts by `?`.
fn lifecycle(jobs: &JobRegistry<u32>, total: u64) -> Result<u32, Error> {
    let job = jobs.register(1)?;
    let id: JobId = job.id().to_string().parse()?;
    job.start()?;
    job.update(|pages| *pages += 1)?;
    job.advance(Progress::ratio(1, total)?)?;
    assert_eq!(jobs.get(id)?.payload, 2);
    drop(jobs.watch(id)?);
    job.fail("reason")?;
    let retried = jobs.retry(id)?;
    retried.start()?;
    retried.lock()?.complete()?;
    Ok(jobs.remove(id)?)
}

#[test]
fn one_function_makes_calls_of_every_kind() {
    let jobs = JobRegistry::new();
    assert_eq!(lifecycle(&jobs, 2), Ok(2));
    assert_eq!(lifecycle(&jobs, 0), Err(Error::OutOfRange));
    let full = JobRegistry::builder().capacity(1).build();
    let _occupied = full.register(0).unwrap();
    assert_eq!(lifecycle(&full, 2), Err(Error::Full));
}
