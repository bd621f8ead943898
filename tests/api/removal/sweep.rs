//! P5 and P6, scenario 26: the clock advances during a sweep, and jobs become due or are postponed
//! meanwhile.

use crate::time::TickingClock;
use crate::watchdog::in_time;
use job_registry::{JobId, JobRegistry, ManualClock, Record};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// More jobs than one batch of a sweep holds.
const MANY: usize = 300;

/// P5 and P6, scenario 26: a sweep during which jobs become due removes none early and forgets
/// none. It calls the hook for each job that it counts.
#[test]
fn job_that_becomes_due_during_a_sweep_is_removed_whole_or_left() {
    in_time(|| {
        let clock = TickingClock::default();
        let gone = Arc::new(Mutex::new(HashSet::new()));
        let hook = {
            let (clock, gone) = (clock.clone(), gone.clone());
            move |record: &Record<()>| {
                let due = record.times.removal.expect("it was due");
                assert!(due <= clock.last_reading(), "{record:?} was early");
                // The hook takes a millisecond.
                clock.skip(1);
                assert!(gone.lock().unwrap().insert(record.snapshot.id()));
            }
        };
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(Duration::from_millis(100))
            .on_remove(hook)
            .build();
        let ids: Vec<_> = (0..MANY)
            .map(|_| {
                let id = jobs.register(()).unwrap().detach();
                jobs.cancel(id).unwrap();
                id
            })
            .collect();
        let mut sweeps = 0;
        while !jobs.is_empty() {
            let before = jobs.len();
            let swept = jobs.sweep();
            assert!(swept.panics.is_empty(), "{swept:?}");
            assert_eq!(before - jobs.len(), swept.removed);
            assert_eq!(MANY - jobs.len(), gone.lock().unwrap().len());
            sweeps += 1;
        }
        assert!(sweeps > 1, "none became due during a sweep");
        assert!(ids.iter().all(|id| gone.lock().unwrap().contains(id)));
    });
}

/// P5, scenario 26: a sweep checks each job again before it removes it. A job postponed since it
/// was listed stays until its new deadline.
#[test]
fn job_postponed_during_a_sweep_stays() {
    in_time(|| {
        let clock = ManualClock::new();
        let others = Arc::new(OnceLock::<(JobRegistry<()>, Vec<JobId>)>::new());
        let hook = {
            let others = others.clone();
            move |_: &Record<()>| {
                let (jobs, ids) = others.get().unwrap();
                for &id in ids {
                    // The job that is being removed is gone.
                    let _ = jobs.remove_after(id, MINUTE);
                }
            }
        };
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(MINUTE)
            .on_remove(hook)
            .build();
        let ids: Vec<_> = (0..10)
            .map(|_| {
                let id = jobs.register(()).unwrap().detach();
                jobs.cancel(id).unwrap();
                id
            })
            .collect();
        others.set((jobs.clone(), ids)).unwrap();
        clock.advance(MINUTE);
        assert_eq!(jobs.sweep().removed, 1, "the first puts off all others");
        clock.advance(MINUTE.checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!(jobs.sweep().removed, 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(jobs.sweep().removed, 1);
        assert_eq!(jobs.len(), 8);
    });
}

/// P5, scenario 26: a sweep removes the jobs that were due when it began. A job that becomes due
/// while a hook runs stays for the next sweep, even if its entry is in the current batch. Otherwise
/// a sweep with slow hooks might never return.
#[test]
fn sweep_removes_what_was_due_when_it_began() {
    in_time(|| {
        let clock = ManualClock::new();
        let slow = clock.clone();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .on_remove(move |_| slow.advance(Duration::from_secs(1)))
            .build();
        let ended = |delay| {
            let id = jobs.register(()).unwrap().detach();
            jobs.cancel(id).unwrap();
            jobs.remove_after(id, Duration::from_millis(delay)).unwrap();
            id
        };
        let due = ended(9_000);
        // The due queue has these some milliseconds before their deadlines.
        let later: Vec<_> = (10_000..10_100).map(ended).collect();
        clock.advance(Duration::from_millis(9_999));
        assert_eq!(jobs.sweep().removed, 1, "only {due} was due");
        assert!(later.iter().all(|id| jobs.snapshot(*id).is_ok()));
        // The hook has taken a second, after which all are due.
        assert_eq!(jobs.sweep().removed, later.len());
    });
}

/// P5, scenario 26: a job that a hook postpones stays, even if its new deadline passes during the
/// same sweep.
#[test]
fn job_postponed_during_a_sweep_stays_however_long_the_sweep_takes() {
    in_time(|| {
        let clock = ManualClock::new();
        let others = Arc::new(OnceLock::<(JobRegistry<()>, Vec<JobId>)>::new());
        let hook = {
            let (others, clock) = (others.clone(), clock.clone());
            move |_: &Record<()>| {
                let (jobs, ids) = others.get().unwrap();
                clock.advance(MINUTE);
                for &id in &ids[..5] {
                    // The job may be gone.
                    let _ = jobs.remove_after(id, Duration::from_secs(1));
                }
            }
        };
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(MINUTE)
            .on_remove(hook)
            .build();
        let ids: Vec<_> = (0..10)
            .map(|_| {
                let id = jobs.register(()).unwrap().detach();
                jobs.cancel(id).unwrap();
                id
            })
            .collect();
        others.set((jobs.clone(), ids.clone())).unwrap();
        clock.advance(MINUTE);
        let swept = jobs.sweep().removed;
        let kept = ids[..5].iter().filter(|id| jobs.snapshot(**id).is_ok());
        // One of the five may be the first job, whose hook postpones the rest.
        assert!(kept.count() >= 4, "a deadline within the sweep was used");
        assert!(swept == 5 || swept == 6, "{swept} removed");
    });
}
