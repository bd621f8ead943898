//! P7, scenarios 4 and 34: a thread that holds a job's lock is refused every other one, at once.

use crate::watchdog::in_time;
use job_registry::{Job, JobId, JobRegistry, LockError, Progress, ReadError, Status, StepError};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

type Refusals = Vec<(&'static str, String)>;

fn refusal<R, E: Debug>(call: &'static str, result: Result<R, E>) -> (&'static str, String) {
    let text = match result {
        Ok(_) => "Ok".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    (call, text)
}

/// Every locking call there is by id.
fn calls_by_id(jobs: &JobRegistry<u32>, id: JobId) -> Refusals {
    vec![
        refusal("lock", jobs.lock(id)),
        refusal("try_lock", jobs.try_lock(id)),
        refusal("update", jobs.update(id, |_| ())),
        refusal("read", jobs.read(id, |_| ())),
        refusal("get", jobs.get(id)),
        refusal("start", jobs.start(id)),
        refusal("complete", jobs.complete(id)),
        refusal("fail", jobs.fail(id, "reason")),
        refusal("cancel", jobs.cancel(id)),
        refusal("remove_after", jobs.remove_after(id, Duration::ZERO)),
        refusal("remove", jobs.remove(id)),
        refusal("retry", jobs.retry(id)),
    ]
}

/// Every locking call there is by the owner's handle.
fn calls_by_handle(job: &Job<u32>) -> Refusals {
    vec![
        refusal("Job::lock", job.lock()),
        refusal("Job::try_lock", job.try_lock()),
        refusal("Job::update", job.update(|_| ())),
        refusal("Job::start", job.start()),
        refusal("Job::complete", job.complete()),
        refusal("Job::fail", job.fail("reason")),
        refusal("Job::cancel", job.cancel()),
        refusal("Job::remove_after", job.remove_after(Duration::ZERO)),
        refusal("Job::remove", job.remove()),
        refusal("Job::retry", job.retry()),
    ]
}

fn assert_all_refused(job: &Job<u32>) {
    let before = job.snapshot().unwrap();
    let by_id = calls_by_id(job.registry(), job.id());
    for (call, result) in by_id.into_iter().chain(calls_by_handle(job)) {
        assert_eq!(
            result, "WouldDeadlock",
            "{call} of a job that is {before:?}"
        );
    }
    assert_eq!(job.snapshot(), Ok(before), "a refused call changes nothing");
}

/// A job of each status.
fn one_of_each(jobs: &JobRegistry<u32>) -> [Job<u32>; 5] {
    let all: [Job<u32>; 5] = std::array::from_fn(|_| jobs.register(0).unwrap());
    let [_pending, running, completed, failed, cancelled] = &all;
    running.start().unwrap();
    completed.start().unwrap();
    completed.complete().unwrap();
    failed.fail("reason").unwrap();
    cancelled.cancel().unwrap();
    all
}

/// P7, scenarios 4 and 34: of the same job, of another in whatever state, and of another registry's.
#[test]
fn every_locking_call_under_a_guard_would_deadlock() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let elsewhere = JobRegistry::new();
        let held = jobs.register(0).unwrap();
        let others = one_of_each(&jobs);
        let foreigners = one_of_each(&elsewhere);

        let guard = held.lock().unwrap();
        assert_all_refused(&held);
        others.iter().for_each(assert_all_refused);
        foreigners.iter().for_each(assert_all_refused);
        drop(guard);

        // A guard of the other registry counts for this one.
        let guard = foreigners[0].lock().unwrap();
        assert_all_refused(&held);
        drop(guard);
        held.update(|count| *count += 1).unwrap();
    });
}

/// P7, scenario 4: the same from the closures that run under a lock.
#[test]
fn every_locking_call_in_a_closure_would_deadlock() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let held = jobs.register(0).unwrap();
        let others = one_of_each(&jobs);
        held.update(|_| {
            assert_all_refused(&held);
            others.iter().for_each(assert_all_refused);
        })
        .unwrap();
        jobs.read(held.id(), |_| {
            assert_all_refused(&held);
            others.iter().for_each(assert_all_refused);
        })
        .unwrap();
    });
}

/// P7: the closure of a refused call does not run.
#[test]
fn refused_closures_do_not_run() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(0).unwrap();
        let guard = job.lock().unwrap();
        let update = jobs.update(job.id(), |_| panic!("update ran"));
        let read = jobs.read(job.id(), |_| panic!("read ran"));
        assert_eq!(update, Err(LockError::WouldDeadlock));
        assert_eq!(read, Err(ReadError::WouldDeadlock));
        drop(guard);
    });
}

/// P7: whichever way a guard goes, its thread may lock again.
#[test]
fn thread_may_lock_again_however_the_guard_went() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let probe = jobs.register(0).unwrap();
        let may_lock = |after: &str| {
            let result = probe.lock().map(drop);
            assert_eq!(result, Ok(()), "after {after}");
        };
        let running = || {
            let job = jobs.register(0).unwrap();
            job.start().unwrap();
            job
        };

        drop(probe.lock().unwrap());
        may_lock("a drop");
        running().lock().unwrap().complete().unwrap();
        may_lock("complete");
        let pending = jobs.register(0).unwrap();
        assert_eq!(
            pending.lock().unwrap().complete(),
            Err(StepError::NotStarted)
        );
        may_lock("a complete that was refused");
        running().lock().unwrap().fail("reason");
        may_lock("fail");
        running().lock().unwrap().cancel();
        may_lock("cancel");

        let early_return = || -> Result<(), StepError> {
            let mut guard = probe.lock().expect("is free");
            guard.start()?;
            guard.start()?;
            unreachable!("a job starts once")
        };
        assert_eq!(early_return(), Err(StepError::AlreadyStarted));
        may_lock("an early return");

        let job = running();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _guard = job.lock();
            panic!("under a guard");
        }));
        assert!(panic.is_err());
        may_lock("a panic under a guard");
        let panic = catch_unwind(AssertUnwindSafe(|| {
            running().update(|_| panic!("in update"))
        }));
        assert!(panic.is_err());
        may_lock("a panic in update");
        let panic = catch_unwind(AssertUnwindSafe(|| {
            jobs.read(job.id(), |_| panic!("in read"))
        }));
        assert!(panic.is_err());
        may_lock("a panic in read");
    });
}

/// P7: a call that found no lock to take, or one it may not have, leaves none behind.
#[test]
fn thread_may_lock_again_after_a_refusal() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let probe = jobs.register(0).unwrap();
        let ended = jobs.register(0).unwrap();
        ended.cancel().unwrap();
        let gone = jobs.register(0).unwrap();
        gone.cancel().unwrap();
        gone.remove().unwrap();
        let foreign = JobRegistry::new().register(0).unwrap();
        for id in [ended.id(), gone.id(), foreign.id()] {
            // `remove` comes late in the list, so that all but `retry` find the job as it is.
            for (call, result) in calls_by_id(&jobs, id) {
                assert_ne!(result, "WouldDeadlock", "{call}");
                assert_eq!(probe.lock().map(drop), Ok(()), "after {call}: {result}");
            }
        }
    });
}

/// P7: what another thread holds is waited for or `Busy`, but never taken for this thread's own.
#[test]
fn lock_of_another_thread_is_busy_and_not_a_deadlock() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(0).unwrap();
        let guard = job.lock().unwrap();
        std::thread::scope(|s| {
            s.spawn(|| {
                assert_eq!(job.try_lock().unwrap_err(), LockError::Busy);
                let other = jobs.register(0).unwrap();
                other.update(|count| *count += 1).unwrap();
            });
        });
        assert_eq!(job.try_lock().unwrap_err(), LockError::WouldDeadlock);
        drop(guard);
        assert!(job.try_lock().is_ok());
    });
}

/// P7: whoever wants to lock an ended job is told that it has ended, and does not wait for its readers first.
#[test]
fn lock_of_an_ended_job_is_refused_while_it_is_read() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let id = jobs.register(0).unwrap().detach();
        jobs.cancel(id).unwrap();
        let refused = jobs.read(id, |_| {
            std::thread::scope(|s| {
                let both = s.spawn(|| {
                    [jobs.lock(id), jobs.try_lock(id)].map(|result| result.map(drop).unwrap_err())
                });
                both.join().unwrap()
            })
        });
        assert_eq!(refused, Ok([LockError::Ended(Status::Cancelled); 2]));
    });
}

/// P7: under a guard the steps of the same job go through the guard, which has all of them.
#[test]
fn guard_has_every_step_of_its_own_job() {
    let jobs = JobRegistry::new();
    let job = jobs.register(0).unwrap();
    let half = Progress::percent(50.0).unwrap();
    let mut guard = job.lock().unwrap();
    assert_eq!(guard.advance(half), Err(StepError::NotStarted));
    guard.start().unwrap();
    guard.heartbeat().unwrap();
    assert_eq!(guard.advance(half), Ok(half));
    assert_eq!(guard.snapshot(), job.snapshot().unwrap());
    *guard += 1;
    guard.complete().unwrap();
    let record = jobs.get(job.id()).unwrap();
    assert_eq!(
        (record.snapshot.status(), record.payload),
        (Status::Completed, 1)
    );
}
