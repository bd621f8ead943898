//! A monitor that has looked at a job acts on it when it may have changed. P2 and P8.

use crate::watchdog::in_time;
use crate::{SECOND, rounds};
use job_registry::{JobRegistry, ManualClock, RetryError, Status, StepError};
use std::sync::Barrier;
use std::thread;

/// P2 and P8, scenarios 12 and 14: whichever comes first, a completion or the verdict, the job has that end and no other, and
/// whoever came second is told.
#[test]
fn completion_and_verdict_make_one_ending() {
    in_time(|| {
        for _ in 0..rounds(500) {
            let clock = ManualClock::new();
            let jobs = JobRegistry::builder()
                .clock(clock.clone())
                .stall_after(SECOND)
                .build();
            let job = jobs.register(()).unwrap();
            job.start().unwrap();
            clock.advance(2 * SECOND);
            let together = Barrier::new(2);
            let (completed, verdict) = thread::scope(|s| {
                let worker = s.spawn(|| {
                    together.wait();
                    job.complete()
                });
                let monitor = s.spawn(|| {
                    together.wait();
                    jobs.fail_stalled()
                });
                (worker.join().unwrap(), monitor.join().unwrap())
            });
            let end = job.snapshot().unwrap();
            match completed {
                Ok(()) => {
                    assert_eq!((end.status(), verdict), (Status::Completed, vec![]));
                }
                Err(error) => {
                    assert_eq!(error, StepError::Ended(Status::Failed));
                    assert_eq!(verdict, [end]);
                }
            }
        }
    });
}

/// P2, scenario 12: a rescuer whose list is old can neither fail nor run again what has completed since.
#[test]
fn rescuer_with_an_old_list_does_not_touch_a_completed_job() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(SECOND)
        .build();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    clock.advance(2 * SECOND);
    let list = jobs.stalled();
    assert_eq!(list.len(), 1);
    job.complete().unwrap();
    let end = jobs.get(job.id()).unwrap();

    let id = list[0].id();
    let told = StepError::Ended(Status::Completed);
    assert_eq!(jobs.fail(id, "lost"), Err(told));
    assert_eq!(jobs.cancel(id), Err(told));
    let not_again = RetryError::NotRetryable(Status::Completed);
    assert_eq!(jobs.retry(id).unwrap_err(), not_again);
    assert_eq!(jobs.fail_stalled(), []);
    let now = jobs.get(id).unwrap();
    assert_eq!((now.snapshot, now.times), (end.snapshot, end.times));
    assert_eq!(now.error, None);
}
