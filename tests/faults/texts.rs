//! What is printed: errors say what is wrong, and no value prints as nothing.

use job_registry::{
    JobId, JobRegistry, LockError, LookupError, ManualClock, Progress, ProgressError, ReadError,
    RegisterError, RemoveError, RetryError, Status, StepError,
};
use std::error::Error;
use std::time::Duration;

/// An error's text is about its own cause, without the name of a variant in it.
#[test]
fn errors_say_what_is_wrong() {
    let bad_id = "?".parse::<JobId>().unwrap_err();
    let errors: [(&dyn Error, &str); 17] = [
        (&LookupError::NotFound, "no job has this id"),
        (&LookupError::Gone, "removed"),
        (&StepError::NotFound, "no job has this id"),
        (&StepError::Superseded, "later attempt"),
        (&StepError::NotStarted, "not been started"),
        (&StepError::AlreadyStarted, "started already"),
        (&StepError::Ended(Status::Cancelled), "(cancelled)"),
        (&StepError::WouldDeadlock, "holds a job's lock"),
        (&LockError::Busy, "another thread"),
        (&ReadError::Gone, "removed"),
        (&RemoveError::Live, "not ended"),
        (&RetryError::NotRetryable(Status::Running), "is running"),
        (&RegisterError::Full(()), "is full"),
        (&RegisterError::Closed(()), "accepts no more jobs"),
        (&ProgressError::NotANumber, "not a number"),
        (&ProgressError::OutOfRange, "outside"),
        (&bad_id, "22 letters and digits"),
    ];
    for (error, expected) in errors {
        let text = error.to_string();
        assert!(text.contains(expected), "{error:?} says {text:?}");
    }
}

/// A payload that cannot be printed does not keep `unwrap` from saying why it was not registered.
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

/// Logs are read by people: each handle prints as what it is, with what tells it from others.
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

/// What a sweep did, in a line for the log.
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
    // The first was swept when the second was registered.
    assert_eq!(jobs.sweep().to_string(), "1 removed, 0 busy, 1 panicked");
}

/// Every status counts once.
#[test]
fn counts_add_up() {
    let jobs = JobRegistry::new();
    for n in 0..7 {
        let job = jobs.register(()).unwrap();
        if n > 0 {
            job.start().unwrap();
        }
        match n {
            0 => {}
            1 => job.complete().unwrap(),
            2 => job.fail("no ink").unwrap(),
            3 => job.cancel().unwrap(),
            _ => assert_eq!(job.snapshot().unwrap().status(), Status::Running),
        }
        let _ = job.detach();
    }
    let counts = jobs.counts();
    assert_eq!((counts.pending, counts.running, counts.total()), (1, 3, 7));
}

/// A status prints as its word, and keeps to a column's width.
#[test]
fn statuses_print_as_words() {
    let all = [
        Status::Pending,
        Status::Running,
        Status::Completed,
        Status::Failed,
        Status::Cancelled,
    ];
    let texts = all.map(|status| status.to_string());
    assert_eq!(
        texts,
        ["pending", "running", "completed", "failed", "cancelled"]
    );
    assert_eq!(format!("{:>10}|", Status::Failed), "    failed|");
}
