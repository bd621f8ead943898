//! P7: calls without a lock work under the thread's own guard, and deferred work runs once the
//! guard is released.

use crate::watchdog::in_time;
use job_registry::{JobRegistry, ManualClock, Progress, Status, StepError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// P7: the guard offers every step of its own job.
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

/// P7: a thread may lock again after every way of releasing a guard.
#[test]
fn thread_may_lock_again_after_every_release() {
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

/// P7, scenario 34: the calls concern the locked job itself, and other jobs.
#[test]
fn calls_without_a_lock_work_under_a_guard() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(0).unwrap();
        job.start().unwrap();
        let guard = job.lock().unwrap();
        let ten = Progress::percent(10.0).unwrap();

        assert_eq!(job.advance(ten), Ok(ten));
        assert_eq!(jobs.advance(job.id(), Progress::ZERO), Ok(ten));
        assert_eq!(job.heartbeat(), Ok(()));
        assert_eq!(jobs.heartbeat(job.id()), Ok(()));
        assert_eq!(job.snapshot().unwrap().progress(), ten);
        assert_eq!(jobs.snapshot(job.id()).unwrap(), guard.snapshot());

        let second = jobs.register(1).unwrap();
        assert_eq!(second.snapshot().unwrap().status(), Status::Pending);
        assert_eq!((jobs.len(), jobs.counts().total()), (2, 2));
        assert_eq!(jobs.iter().count(), 2);
        let mut watch = jobs.watch(job.id()).unwrap();
        let seen = pollster::block_on(watch.changed());
        assert_eq!(seen, Some(guard.snapshot()));
        drop(guard);
    });
}

/// P6 and P7: hooks and destructors must not run under a lock, so a sweep under a guard removes
/// nothing. It forgets nothing either.
#[test]
fn sweep_under_a_guard_removes_nothing() {
    in_time(|| {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(Duration::ZERO)
            .stall_after(Duration::ZERO)
            .sweep_on_register(true)
            .on_remove(|_| ())
            .build();
        let held = jobs.register(0).unwrap();
        let ended = jobs.register(1).unwrap();
        let silent = jobs.register(2).unwrap();
        ended.cancel().unwrap();
        silent.start().unwrap();
        clock.advance(Duration::from_secs(1));

        let guard = held.lock().unwrap();
        let swept = jobs.sweep();
        assert_eq!((swept.removed, swept.busy), (0, 0), "no job is examined");
        assert_eq!(jobs.fail_stalled(), []);
        // `register` does not sweep here either.
        let late = jobs.register(3).unwrap();
        assert_eq!(jobs.stalled().len(), 1);
        assert_eq!(jobs.len(), 4);
        drop(guard);

        assert_eq!(jobs.fail_stalled().len(), 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(jobs.sweep().removed, 2);
        assert_eq!(jobs.len(), 2);
        drop(late);
    });
}

/// P2 and P7, scenario 36: an owner that is dropped under another job's guard fails its job once
/// the guard is released.
#[test]
fn owner_dropped_under_a_guard_abandons_its_job_afterwards() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let held = jobs.register(0).unwrap();
        let owned = jobs.register(1).unwrap();
        let id = owned.id();
        let guard = held.lock().unwrap();
        drop(owned);
        assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Pending);
        drop(guard);
        let record = jobs.get(id).unwrap();
        assert_eq!(record.snapshot.status(), Status::Failed);
        assert_eq!(record.reason.as_deref(), Some("abandoned"));
    });
}

/// P7: the guard locks the very job whose owner is dropped.
#[test]
fn owner_dropped_under_its_own_guard_abandons_its_job_afterwards() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let owned = jobs.register(0).unwrap();
        let mut guard = jobs.lock(owned.id()).unwrap();
        drop(owned);
        *guard = 1;
        let id = guard.id();
        drop(guard);
        let record = jobs.get(id).unwrap();
        assert_eq!(
            (record.snapshot.status(), record.payload),
            (Status::Failed, 1)
        );

        // The job is not abandoned if the guard has ended it first.
        let owned = jobs.register(0).unwrap();
        let mut guard = jobs.lock(owned.id()).unwrap();
        let id = guard.id();
        drop(owned);
        guard.start().unwrap();
        guard.complete().unwrap();
        assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Completed);
    });
}

/// P2 and P7: an owner is dropped in a closure, and while the thread unwinds out of a closure.
#[test]
fn owner_dropped_in_a_closure_abandons_its_job_afterwards() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let held = jobs.register(0).unwrap();
        let first = jobs.register(1).unwrap();
        let second = jobs.register(2).unwrap();
        let (first_id, second_id) = (first.id(), second.id());

        jobs.read(held.id(), |_| drop(first)).unwrap();
        assert_eq!(jobs.snapshot(first_id).unwrap().status(), Status::Failed);

        let panic = catch_unwind(AssertUnwindSafe(|| {
            held.update(|_| {
                let _second = second;
                panic!("with an owner on the stack");
            })
        }));
        assert!(panic.is_err());
        let record = jobs.get(second_id).unwrap();
        assert_eq!(record.snapshot.status(), Status::Failed);
        assert!(record.reason.unwrap().starts_with("panicked"));
    });
}

/// P10: a deferred abandonment is fenced, because the job may have its next attempt by then.
#[test]
fn owner_deferred_under_a_guard_does_not_fail_the_next_attempt() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let held = jobs.register(0).unwrap();
        let first = jobs.register(1).unwrap();
        let id = first.id();
        let guard = held.lock().unwrap();
        drop(first);
        let second = std::thread::scope(|s| {
            s.spawn(|| {
                jobs.cancel(id).unwrap();
                jobs.retry(id).unwrap()
            })
            .join()
            .unwrap()
        });
        drop(guard);
        assert_eq!(second.start(), Ok(()));
    });
}

/// P7: the last handle of a registry is dropped while the thread holds another registry's lock.
#[test]
fn registry_dropped_under_anothers_guard_does_not_hang() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let held = jobs.register(0).unwrap();
        let other = JobRegistry::new();
        let payload = std::sync::Arc::new(());
        let owned = other.register(payload.clone()).unwrap();
        drop(other);
        let guard = held.lock().unwrap();
        drop(owned);
        drop(guard);
        assert_eq!(std::sync::Arc::strong_count(&payload), 1);
    });
}
