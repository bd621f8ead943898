//! `WhenFull::RemoveOldestEnded`: room at capacity.

use crate::watchdog::in_time;
use job_registry::{
    Builder, JobId, JobRegistry, LookupError, ManualClock, RegisterError, Status, WhenFull,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

/// Builds a registry that removes its oldest ended job at capacity and nothing else.
fn registry<T: Send + 'static>(
    capacity: usize,
    build: impl FnOnce(Builder<T>) -> Builder<T>,
) -> (JobRegistry<T>, ManualClock) {
    let clock = ManualClock::new();
    let builder = JobRegistry::builder()
        .capacity(capacity)
        .clock(clock.clone())
        .retention(Duration::MAX)
        .when_full(WhenFull::RemoveOldestEnded);
    (build(builder).build(), clock)
}

fn detached<T: Send + 'static>(jobs: &JobRegistry<T>, payload: T) -> JobId {
    jobs.register(payload).unwrap().detach()
}

/// P6: the jobs go in the order of their ends, and not of their registrations or slots. Their
/// retention is ignored.
#[test]
fn jobs_make_room_in_the_order_of_their_ends() {
    in_time(|| {
        // More than a scan collects, so that there are several scans.
        const CAPACITY: usize = 100;
        let (jobs, clock) = registry(CAPACITY, |it| it);
        let ids: Vec<_> = (0..CAPACITY).map(|n| detached(&jobs, n)).collect();
        let in_order: Vec<_> = (0..CAPACITY).map(|n| ids[n * 37 % CAPACITY]).collect();
        for id in &in_order {
            clock.advance(MILLI);
            jobs.cancel(*id).unwrap();
        }
        for (n, id) in in_order.iter().enumerate() {
            assert!(jobs.snapshot(*id).is_ok(), "job {n} went early");
            let _ = detached(&jobs, CAPACITY + n);
            assert_eq!(jobs.snapshot(*id), Err(LookupError::Gone), "job {n}");
            assert_eq!(jobs.len(), CAPACITY);
        }
        let refused = jobs.register(7).unwrap_err();
        assert!(matches!(refused, RegisterError::Full(7)), "all are live");
    });
}

/// P6: below capacity, no job is removed. By default, none is removed at capacity either.
#[test]
fn only_a_full_registry_makes_room() {
    let (jobs, _) = registry(2, |it| it);
    let first = detached(&jobs, 1);
    jobs.cancel(first).unwrap();
    let second = detached(&jobs, 2);
    assert!(jobs.snapshot(first).is_ok());
    jobs.cancel(second).unwrap();

    let (refusing, _) = registry(1, |it| it.when_full(WhenFull::Refuse));
    refusing.cancel(detached(&refusing, 1)).unwrap();
    let refused = refusing.register(2).unwrap_err();
    assert!(matches!(refused, RegisterError::Full(2)), "{refused:?}");
}

/// P6: the smallest capacities. Without room for any job, every registration is refused.
#[test]
fn smallest_capacities_make_room() {
    in_time(|| {
        let (none, _) = registry(0, |it| it);
        assert_eq!(none.register(7).unwrap_err().into_payload(), 7);
        let (one, _) = registry(1, |it| it);
        for n in 0..100 {
            let id = detached(&one, n);
            assert_eq!(one.register(n).unwrap_err().into_payload(), n);
            one.cancel(id).unwrap();
        }
        assert_eq!(one.len(), 1);
    });
}

/// P10: a job that has been retried since the scan stays, also if it has ended again.
#[test]
fn retried_job_is_not_taken_for_the_attempt_that_the_scan_saw() {
    in_time(|| {
        let (jobs, clock) = registry(40, |it| it);
        let ids: Vec<_> = (0..40).map(|n| detached(&jobs, n)).collect();
        for id in &ids[..4] {
            clock.advance(MILLI);
            jobs.cancel(*id).unwrap();
        }
        // This scan collects the jobs 0 and 1.
        let _ = detached(&jobs, 40);
        assert_eq!(jobs.snapshot(ids[0]), Err(LookupError::Gone));
        let retried = jobs.retry(ids[1]).unwrap();
        let _ = detached(&jobs, 41);
        assert_eq!(retried.snapshot().unwrap().status(), Status::Pending);
        assert_eq!(jobs.snapshot(ids[2]), Err(LookupError::Gone));
        // The next candidate is job 3. It ends again, later than job 1.
        let again = jobs.retry(ids[3]).unwrap();
        clock.advance(MILLI);
        retried.cancel().unwrap();
        clock.advance(MILLI);
        again.cancel().unwrap();
        let _ = detached(&jobs, 42);
        assert_eq!(jobs.snapshot(ids[1]), Err(LookupError::Gone));
        assert!(again.snapshot().is_ok());
    });
}

/// P4: a job that has been removed since the scan leaves its slot to another, which stays. The
/// other ended jobs still make room.
#[test]
fn next_job_in_a_candidates_slot_stays() {
    in_time(|| {
        let (jobs, clock) = registry(40, |it| it);
        let ids: Vec<_> = (0..40).map(|n| detached(&jobs, n)).collect();
        for id in &ids[..4] {
            clock.advance(MILLI);
            jobs.cancel(*id).unwrap();
        }
        let _ = detached(&jobs, 40);
        assert_eq!(jobs.remove(ids[1]), Ok(1));
        let next = detached(&jobs, 41);
        clock.advance(MILLI);
        jobs.cancel(next).unwrap();
        for (gone, n) in [(ids[2], 42), (ids[3], 43)] {
            let _ = detached(&jobs, n);
            assert_eq!(jobs.snapshot(gone), Err(LookupError::Gone));
            assert!(jobs.snapshot(next).is_ok());
        }
        let _ = detached(&jobs, 44);
        assert_eq!(jobs.snapshot(next), Err(LookupError::Gone));
        assert_eq!(jobs.register(45).unwrap_err().into_payload(), 45);
    });
}

/// P7: a job that another thread reads is passed over without a wait. It makes room once it is
/// free.
#[test]
fn locked_job_is_passed_over() {
    in_time(|| {
        let (jobs, clock) = registry(2, |it| it);
        let [old, new] = [0, 1].map(|n| detached(&jobs, n));
        jobs.cancel(old).unwrap();
        clock.advance(MILLI);
        jobs.cancel(new).unwrap();
        let (begun, begins) = channel();
        let (done, until) = channel::<()>();
        let reader = std::thread::spawn({
            let jobs = jobs.clone();
            move || {
                jobs.read(old, |_| {
                    begun.send(()).unwrap();
                    let _ = until.recv();
                })
            }
        });
        begins.recv().unwrap();
        let _ = detached(&jobs, 2);
        assert_eq!(jobs.snapshot(new), Err(LookupError::Gone));
        assert_eq!(jobs.register(3).unwrap_err().into_payload(), 3);
        drop(done);
        reader.join().unwrap().unwrap();
        let _ = detached(&jobs, 4);
        assert_eq!(jobs.snapshot(old), Err(LookupError::Gone));
    });
}

/// P7: under a guard, hooks and destructors must not run, so that the registration is refused.
#[test]
fn no_room_is_made_under_a_guard() {
    in_time(|| {
        let (jobs, _) = registry(2, |it| it.on_remove(|_| ()));
        let held = jobs.register(0).unwrap();
        let ended = detached(&jobs, 1);
        jobs.cancel(ended).unwrap();
        let guard = held.lock().unwrap();
        assert_eq!(jobs.register(2).unwrap_err().into_payload(), 2);
        assert!(jobs.snapshot(ended).is_ok());
        drop(guard);
        let _ = detached(&jobs, 2);
        assert_eq!(jobs.snapshot(ended), Err(LookupError::Gone));
    });
}

/// P7 and P11: a hook that registers at capacity is refused, and the removal that called it makes
/// room once. So does a hook that a sweep calls.
#[test]
fn hooks_that_register_make_no_nested_room() {
    in_time(|| {
        let own = Arc::new(Mutex::new(None::<JobRegistry<usize>>));
        let refused = Arc::new(AtomicUsize::new(0));
        let (jobs, clock) = registry(3, |builder| {
            let (own, refused) = (own.clone(), refused.clone());
            builder.on_remove(move |_| {
                let jobs = own.lock().unwrap().clone().unwrap();
                let full = jobs.register(7).unwrap_err();
                assert!(matches!(full, RegisterError::Full(7)));
                refused.fetch_add(1, Ordering::SeqCst);
            })
        });
        *own.lock().unwrap() = Some(jobs.clone());
        let end = |n| jobs.cancel(detached(&jobs, n)).unwrap();
        (0..3).for_each(end);
        end(3);
        assert_eq!((jobs.len(), refused.load(Ordering::SeqCst)), (3, 1));
        let last = jobs.iter().last().unwrap().id();
        jobs.remove_after(last, Duration::ZERO).unwrap();
        clock.advance(MILLI);
        let swept = jobs.sweep();
        assert_eq!((swept.removed, swept.panics.len()), (1, 0), "{swept:?}");
        assert_eq!(refused.load(Ordering::SeqCst), 2);
        assert_eq!(jobs.removal_panics(), 0);
        *own.lock().unwrap() = None;
    });
}

/// P11: a panic of the hook or of the removed payload is counted. The new job is registered, and no
/// slot is lost.
#[test]
fn panics_of_the_removal_lose_neither_slot_nor_payload() {
    struct Payload(&'static str);

    impl Drop for Payload {
        fn drop(&mut self) {
            assert!(self.0 != "bad", "in a payload's drop");
        }
    }

    in_time(|| {
        let (jobs, _) = registry(2, |builder| {
            builder.on_remove(|record: &job_registry::Record<Payload>| {
                assert!(record.payload.0 != "hooked", "in the hook");
            })
        });
        for (payload, panics) in [("hooked", 1), ("bad", 2), ("good", 2)] {
            let old = detached(&jobs, Payload(payload));
            jobs.cancel(old).unwrap();
            let kept = detached(&jobs, Payload("kept"));
            let new = detached(&jobs, Payload("new"));
            assert_eq!(jobs.snapshot(old), Err(LookupError::Gone));
            assert_eq!(jobs.removal_panics(), panics);
            let name = jobs.read(new, |record| record.payload.0);
            assert_eq!(name, Ok("new"));
            for id in [kept, new] {
                jobs.cancel(id).unwrap();
                drop(jobs.remove(id).unwrap());
            }
            assert!(jobs.is_empty());
        }
    });
}

/// The time of the registration is read after the removal that makes room.
#[test]
fn registration_time_is_after_the_removal() {
    let slow = Arc::new(Mutex::new(None::<ManualClock>));
    let (jobs, clock) = registry(1, |builder| {
        let slow = slow.clone();
        builder.on_remove(move |_| slow.lock().unwrap().as_ref().unwrap().advance(60 * MILLI))
    });
    *slow.lock().unwrap() = Some(clock);
    jobs.cancel(detached(&jobs, 1)).unwrap();
    let id = detached(&jobs, 2);
    let registered = jobs.read(id, |record| record.times.registered).unwrap();
    assert_eq!(registered, 60 * MILLI);
}

#[derive(Clone, Debug)]
enum Step {
    Register,
    End(usize),
    Retry(usize),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Register),
        4 => (0usize..64).prop_map(Step::End),
        1 => (0usize..64).prop_map(Step::Retry),
        1 => (0usize..64).prop_map(Step::Remove),
    ]
}

proptest! {
    /// P6: at each registration, a full registry loses exactly the job that ended first, in any
    /// order of registrations, ends, retries and removals.
    #[test]
    fn oldest_ended_job_makes_room(
        capacity in 0usize..40,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let (jobs, clock) = registry(capacity, |it| it);
        // The end of each job that is there, or `None` while it is live.
        let mut expected = BTreeMap::<JobId, Option<usize>>::new();
        for (now, step) in steps.into_iter().enumerate() {
            clock.advance(MILLI);
            let nth = |n: usize| expected.keys().nth(n % expected.len().max(1)).copied();
            match step {
                Step::Register => {
                    let ended = expected.iter().filter_map(|(id, end)| Some(((*end)?, *id)));
                    let oldest = ended.min();
                    let registered = jobs.register(now).map(job_registry::Job::detach);
                    let has_room = expected.len() < capacity || oldest.is_some();
                    prop_assert_eq!(registered.is_ok(), has_room);
                    if let Ok(id) = registered {
                        if expected.len() == capacity {
                            expected.remove(&oldest.unwrap().1);
                        }
                        expected.insert(id, None);
                    }
                }
                Step::End(n) => if let Some(id) = nth(n) {
                    if jobs.cancel(id).is_ok() {
                        expected.insert(id, Some(now));
                    }
                }
                Step::Retry(n) => if let Some(id) = nth(n) {
                    if let Ok(job) = jobs.retry(id) {
                        expected.insert(job.detach(), None);
                    }
                }
                Step::Remove(n) => if let Some(id) = nth(n) {
                    if jobs.remove(id).is_ok() {
                        expected.remove(&id);
                    }
                }
            }
            let mut there: Vec<_> = jobs.iter().map(|seen| seen.id()).collect();
            there.sort_unstable();
            prop_assert!(there.iter().eq(expected.keys()));
        }
    }
}
