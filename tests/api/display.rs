//! Printed texts: every error states its cause, and every value prints as something.

use job_registry::{
    JobId, JobRegistry, LockError, LookupError, ManualClock, Progress, ProgressError, ReadError,
    RegisterError, RemoveError, RetryError, Status, StepError, Version,
};
use std::error::Error;
use std::time::Duration;

/// An error's text states its cause, and does not contain the name of a variant.
#[test]
fn errors_say_what_is_wrong() {
    let bad_id = "?".parse::<JobId>().unwrap_err();
    let bad_version = "?".parse::<Version>().unwrap_err();
    let errors: [(&dyn Error, &str); 19] = [
        (&LookupError::NotFound, "no job has this id"),
        (&LookupError::Gone, "removed"),
        (&StepError::NotFound, "no job has this id"),
        (&StepError::Superseded, "later attempt"),
        (&StepError::NotStarted, "not been started"),
        (&StepError::AlreadyStarted, "started already"),
        (&StepError::Stopping, "asked to stop"),
        (&StepError::Ended(Status::Cancelled), "(cancelled)"),
        (&StepError::WouldDeadlock, "holds a job's lock"),
        (&LockError::Busy, "another caller"),
        (&ReadError::Gone, "removed"),
        (&RemoveError::Live, "not ended"),
        (&RetryError::NotRetryable(Status::Running), "is running"),
        (&RegisterError::Full(()), "is full"),
        (&RegisterError::Closed(()), "accepts no more jobs"),
        (&ProgressError::NotANumber, "not a number"),
        (&ProgressError::OutOfRange, "outside"),
        (&bad_id, "22 letters and digits"),
        (&bad_version, "not a version"),
    ];
    for (error, expected) in errors {
        let text = error.to_string();
        assert!(text.contains(expected), "{error:?} says {text:?}");
    }
}

/// A payload without `Debug` does not prevent `unwrap` from stating why the job was not registered.
#[test]
fn register_errors_print_without_their_payload() {
    struct Unprintable;
    assert_eq!(
        format!("{:?}", RegisterError::Full(Unprintable)),
        "Full(..)"
    );
    assert_eq!(
        format!("{:?}", RegisterError::Closed(Unprintable)),
        "Closed(..)"
    );
}

/// Each handle prints its type and the fields that distinguish it from other handles in a log.
#[test]
fn handles_print_what_they_are() {
    let builder = JobRegistry::builder()
        .capacity(7)
        .clock(ManualClock::new())
        .retention(Duration::from_secs(11));
    let text = format!("{builder:?}");
    assert!(
        text.starts_with("Builder") && text.contains("11s"),
        "{text}"
    );
    let jobs = builder.build();
    let job = jobs.register("deck").unwrap();
    let id = job.id();
    job.start().unwrap();
    job.advance(Progress::percent(12.5).unwrap()).unwrap();

    let text = format!("{jobs:?}");
    assert!(
        text.starts_with("JobRegistry") && text.contains("capacity: 7"),
        "{text}"
    );
    assert_eq!(format!("{id:?}"), format!("JobId({id})"));
    let text = format!("{job:?}");
    assert!(
        text.starts_with("Job") && text.contains(&id.to_string()),
        "{text}"
    );
    let text = format!("{:?}", job.snapshot().unwrap());
    assert!(
        text.starts_with("Snapshot") && text.contains("Running"),
        "{text}"
    );
    let text = format!("{:?}", job.watch().unwrap());
    assert!(
        text.starts_with("Watch") && text.contains("finished: false"),
        "{text}"
    );
    let text = format!("{:?}", job.lock().unwrap());
    assert!(
        text.starts_with("JobGuard") && text.contains("deck"),
        "{text}"
    );
}

/// A sweep prints as one line for the log.
#[test]
fn sweeps_print_their_counts() {
    let jobs = JobRegistry::builder()
        .clock(ManualClock::new())
        .retention(Duration::ZERO)
        .on_remove(|record| assert!(record.payload != "bad"))
        .build();
    for payload in ["good", "bad"] {
        let id = jobs.register(payload).unwrap().detach();
        jobs.cancel(id).unwrap();
    }
    assert_eq!(
        jobs.sweep().to_string(),
        "2 removed, 0 expired, 0 cancelled, 0 busy, 1 panicked"
    );
}

/// A status prints as its word, and respects the width of a column.
#[test]
fn statuses_print_as_words() {
    let all = [
        Status::Pending,
        Status::Running,
        Status::Stopping,
        Status::Completed,
        Status::Failed,
        Status::Cancelled,
    ];
    let texts = all.map(|status| status.to_string());
    assert_eq!(
        texts,
        [
            "pending",
            "running",
            "stopping",
            "completed",
            "failed",
            "cancelled"
        ]
    );
    assert_eq!(format!("{:>10}|", Status::Failed), "    failed|");
}
