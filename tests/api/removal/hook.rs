//! P4 and P11, scenarios 31 and 40: the removal hook runs once for every removal, before the slot
//! is reused. A panic does not disable it.

use crate::watchdog::in_time;
use job_registry::{JobId, JobRegistry, LookupError, ManualClock, RegisterError, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// P11, scenario 40: a hook that panicked is called for the next removal, and every other job is
/// removed as usual.
#[test]
fn hook_that_panics_is_reported_and_called_again() {
    in_time(|| {
        let clock = ManualClock::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(Duration::ZERO)
            .on_remove({
                let seen = seen.clone();
                move |record: &job_registry::Record<u32>| {
                    seen.lock().unwrap().push(record.payload);
                    assert!(record.payload % 2 == 0, "odd: {}", record.payload);
                }
            })
            .build();
        for round in 0..2 {
            // All jobs end before any is due, so that `register` removes none.
            let ids: Vec<_> = (0..6)
                .map(|payload| {
                    let id = jobs.register(payload).unwrap().detach();
                    jobs.remove_after(id, Duration::from_secs(1)).unwrap();
                    jobs.cancel(id).unwrap();
                    id
                })
                .collect();
            clock.advance(Duration::from_secs(1));
            let mut swept = jobs.sweep();
            swept.panics.sort_by(|a, b| a.1.cmp(&b.1));
            assert_eq!((swept.removed, swept.busy), (6, 0));
            let expected = [1, 3, 5].map(|n| (ids[n], format!("odd: {n}")));
            assert_eq!(swept.panics, expected, "each panic with its job");
            assert_eq!(jobs.removal_panics(), 3 * (round + 1));
            assert!(jobs.is_empty());
            let mut seen = std::mem::take(&mut *seen.lock().unwrap());
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4, 5], "the hook saw each once");
        }
    });
}

/// P6 and P11: `remove` passes the hook's panic on. The job is removed, its payload dropped, and
/// its slot free.
#[test]
fn hook_that_panics_in_remove_does_not_keep_the_job() {
    in_time(|| {
        let jobs = JobRegistry::builder()
            .capacity(1)
            .on_remove(|_| panic!("in the hook"))
            .build();
        let payload = Arc::new(());
        let id = jobs.register(payload.clone()).unwrap().detach();
        jobs.cancel(id).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| jobs.remove(id))).is_err());
        assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
        assert_eq!(Arc::strong_count(&payload), 1);
        assert!(jobs.is_empty());
        let job = jobs.register(payload).unwrap();
        assert!(job.lock().is_ok());
    });
}

/// P4, scenario 31: while the hook runs, the removed job's id is gone and its slot is not free.
#[test]
fn hook_runs_before_the_slot_is_used_again() {
    for by_sweep in [true, false] {
        in_time(move || {
            let own = Arc::new(OnceLock::<JobRegistry<&str>>::new());
            let ran = Arc::new(Mutex::new(Vec::<JobId>::new()));
            let clock = ManualClock::new();
            let jobs = JobRegistry::builder()
                .capacity(1)
                .clock(clock.clone())
                .retention(Duration::ZERO)
                .on_remove({
                    let (own, ran) = (Arc::downgrade(&own), ran.clone());
                    move |record| {
                        let own = own.upgrade().expect("the test holds it");
                        let jobs = own.get().expect("is set before the first removal");
                        let id = record.snapshot.id();
                        assert_eq!(record.snapshot.status(), Status::Cancelled);
                        assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
                        assert_eq!(jobs.iter().count(), 0);
                        let refused = jobs.register("new").unwrap_err();
                        assert_eq!(
                            refused,
                            RegisterError::Full("new"),
                            "the slot is not free yet"
                        );
                        ran.lock().unwrap().push(id);
                    }
                })
                .build();
            own.set(jobs.clone()).unwrap();
            let id = jobs.register("old").unwrap().detach();
            jobs.cancel(id).unwrap();
            if by_sweep {
                clock.advance(Duration::from_millis(1));
                assert_eq!(jobs.sweep().panics, []);
            } else {
                assert_eq!(jobs.remove(id), Ok("old"));
            }
            assert_eq!(*ran.lock().unwrap(), [id]);
            let new = jobs.register("new").unwrap();
            assert_ne!(new.id(), id);
        });
    }
}

/// P4: the hook gets the job's last state, of the attempt that was removed.
#[test]
fn hook_sees_the_last_state() {
    let last = Arc::new(Mutex::new(None));
    let jobs = JobRegistry::builder()
        .on_remove({
            let last = last.clone();
            move |record: &job_registry::Record<Vec<u32>>| {
                *last.lock().unwrap() = Some(record.clone());
            }
        })
        .build();
    let job = jobs.register(vec![]).unwrap();
    job.fail("first").unwrap();
    let job = job.retry().unwrap();
    job.update(|pages| pages.push(7)).unwrap();
    job.fail("second").unwrap();
    let expected = jobs.get(job.id()).unwrap();
    assert_eq!(job.remove(), Ok(vec![7]));
    let last = last.lock().unwrap().take().expect("the hook ran");
    assert_eq!(last, expected);
    assert_eq!(
        (last.snapshot.attempt(), last.reason.as_deref()),
        (2, Some("second"))
    );
}
