//! `Job::run`: work on the calling thread. P2, P7 and P11.

use crate::watchdog::in_time;
use job_registry::{Failure, Job, JobRegistry, Progress, Status, StepError};
use std::borrow::Cow;
use std::error::Error;
use std::panic::panic_any;
use std::sync::Arc;
use std::thread;

/// Returns the status and the reason of a job that has run `work`.
fn ran(work: impl FnOnce(&Job<u8>) -> Result<(), Failure>) -> (Status, Option<String>) {
    let jobs = JobRegistry::new();
    let job = jobs.register(1).unwrap();
    let id = job.id();
    job.run(work).unwrap();
    let details = jobs.details(id).unwrap();
    let reason = details.reason.map(|reason| reason.to_string());
    (details.snapshot.status(), reason)
}

/// P2: the job ends by the result of its work.
#[test]
fn work_ends_its_job_by_its_result() {
    assert_eq!(ran(|_| Ok(())), (Status::Completed, None));
    let failed = ran(|job| {
        job.advance(Progress::DONE)?;
        Err("disk full".into())
    });
    assert_eq!(failed, (Status::Failed, Some("disk full".to_owned())));
    let stopped = ran(|job| {
        job.request_stop("moved")?;
        job.advance(Progress::DONE)?;
        Ok(())
    });
    assert_eq!(stopped, (Status::Cancelled, Some("moved".to_owned())));
}

type Panic = Box<dyn FnOnce() + Send>;

/// P11: a panic fails the job with its text, whatever the type of its value.
#[test]
fn panic_of_any_type_keeps_its_text() {
    let error = || -> Box<dyn Error + Send + Sync> { "page 7".parse::<u8>().unwrap_err().into() };
    let panics: [(Panic, &str); 9] = [
        (Box::new(|| panic!("page 7")), "page 7"),
        (Box::new(|| panic!("page {}", 7)), "page 7"),
        (Box::new(|| panic_any(Box::<str>::from("page 7"))), "page 7"),
        (Box::new(|| panic_any(Arc::<str>::from("page 7"))), "page 7"),
        (Box::new(|| panic_any(Cow::Borrowed("page 7"))), "page 7"),
        (Box::new(|| panic_any(Failure::from("page 7"))), "page 7"),
        (
            Box::new(move || panic_any(error())),
            "invalid digit found in string",
        ),
        (Box::new(|| panic_any(7)), "no message"),
        (
            Box::new(|| {
                let page: Result<(), _> = "page 7".parse::<u8>().map(drop);
                page.expect("drawn");
            }),
            "drawn: ParseIntError { kind: InvalidDigit }",
        ),
    ];
    for (panic, text) in panics {
        let seen = ran(|_| {
            panic();
            Ok(())
        });
        assert_eq!(seen, (Status::Failed, Some(format!("panicked: {text}"))));
    }
}

/// P2: a job that has ended before is not run, and one that ends meanwhile keeps its end.
#[test]
fn ended_job_is_not_run() {
    let jobs = JobRegistry::new();
    let job = jobs.register(1).unwrap();
    job.cancel().unwrap();
    let refused = job.run(|_| unreachable!("the job has ended"));
    assert_eq!(refused, Err(StepError::Ended(Status::Cancelled)));

    let job = jobs.register(1).unwrap();
    let id = job.id();
    let late = job.run(|job| Ok(job.registry().cancel(job.id())?));
    assert_eq!(late, Err(StepError::Ended(Status::Cancelled)));
    assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Cancelled);
}

/// P7: under a guard of this thread, the call is refused, and the job fails when the guard has been
/// released.
#[test]
fn run_under_a_guard_is_refused() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let held = jobs.register(1).unwrap();
        let guard = held.lock().unwrap();
        let job = jobs.register(2).unwrap();
        let id = job.id();
        let refused = job.run(|_| unreachable!("the thread holds a lock"));
        assert_eq!(refused, Err(StepError::WouldDeadlock));
        drop(guard);
        let reason = jobs.details(id).unwrap().reason;
        assert_eq!(reason.as_deref(), Some("abandoned"));
    });
}

/// P10: a retry is run in the same way, and the first worker is superseded.
#[test]
fn retry_is_run() {
    let jobs = JobRegistry::new();
    let job = jobs.register(1).unwrap();
    let id = job.id();
    job.run(|_| Err("disk full".into())).unwrap();
    let retried = jobs.retry(id).unwrap();
    assert_eq!(retried.attempt(), 2);
    thread::spawn(move || retried.run(|_| Ok(())))
        .join()
        .unwrap()
        .unwrap();
    assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Completed);
}
