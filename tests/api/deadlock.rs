//! P7, scenarios 4 and 34: a thread that holds a job's lock is refused every other lock at once.

use crate::watchdog::in_time;
use job_registry::{Job, JobId, JobRegistry, LockError, Progress, ReadError, Status};
use std::fmt::Debug;
use std::time::Duration;

type Refusals = Vec<(&'static str, String)>;

fn refusal<R, E: Debug>(call: &'static str, result: Result<R, E>) -> (&'static str, String) {
    let text = match result {
        Ok(_) => "Ok".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    (call, text)
}

/// Makes every call by id that takes the lock.
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
        refusal("cancel_because", jobs.cancel_because(id, "reason")),
        refusal("request_stop", jobs.request_stop(id, "reason")),
        refusal("note", jobs.note(id, "note")),
        refusal("report", jobs.report(id, Progress::DONE, "note")),
        refusal("remove_after", jobs.remove_after(id, Duration::ZERO)),
        refusal("remove", jobs.remove(id)),
        refusal("retry", jobs.retry(id)),
    ]
}

/// Makes every call by the owner's handle that takes the lock.
fn calls_by_handle(job: &Job<u32>) -> Refusals {
    vec![
        refusal("Job::lock", job.lock()),
        refusal("Job::try_lock", job.try_lock()),
        refusal("Job::update", job.update(|_| ())),
        refusal("Job::start", job.start()),
        refusal("Job::complete", job.complete()),
        refusal("Job::fail", job.fail("reason")),
        refusal("Job::cancel", job.cancel()),
        refusal("Job::cancel_because", job.cancel_because("reason")),
        refusal("Job::request_stop", job.request_stop("reason")),
        refusal("Job::note", job.note("note")),
        refusal("Job::report", job.report(Progress::DONE, "note")),
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

/// Registers a job of each status.
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

/// P7, scenarios 4 and 34: the refusals cover the locked job, other jobs of every status, and jobs
/// of another registry.
#[test]
fn every_locking_call_under_a_guard_would_deadlock() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let elsewhere = JobRegistry::new();
        let held = jobs.register(0).unwrap();
        let others = one_of_each(&jobs);
        let in_other = one_of_each(&elsewhere);

        let guard = held.lock().unwrap();
        assert_all_refused(&held);
        others.iter().for_each(assert_all_refused);
        in_other.iter().for_each(assert_all_refused);
        drop(guard);

        // A guard of the other registry counts for this one.
        let guard = in_other[0].lock().unwrap();
        assert_all_refused(&held);
        drop(guard);
        held.update(|count| *count += 1).unwrap();
    });
}

/// P7, scenario 4: closures that run under a lock are refused like calls under a guard.
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

/// P7: a call that found no lock, or was refused one, leaves no lock behind.
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
        let unknown = JobRegistry::new().register(0).unwrap();
        for id in [ended.id(), gone.id(), unknown.id()] {
            // `remove` is called after all others but `retry`, so that they find the job present.
            for (call, result) in calls_by_id(&jobs, id) {
                assert_ne!(result, "WouldDeadlock", "{call}");
                assert_eq!(probe.lock().map(drop), Ok(()), "after {call}: {result}");
            }
        }
    });
}

/// P7: a lock that another thread holds is awaited or `Busy`, but never taken for this thread's
/// own.
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

/// P7: a call that locks an ended job returns `Ended` without waiting for the job's readers.
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
