//! P5 and P6, scenario 26: time goes on while a sweep is at work, and so do those who plan removals.

use crate::watchdog::in_time;
use job_registry::{Clock, JobId, JobRegistry, ManualClock};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// More than a sweep takes in hand at once.
const MANY: usize = 300;

/// A millisecond passes with every look at it.
#[derive(Clone, Default)]
struct Hasty(Arc<AtomicU64>);

impl Hasty {
    fn last_reading(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for Hasty {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

/// P5 and P6, scenario 26: a sweep during which jobs become due removes none before its time, leaves none behind, and shows
/// each that it counts to the hook.
#[test]
fn job_that_becomes_due_during_a_sweep_is_removed_whole_or_left() {
    in_time(|| {
        let clock = Hasty::default();
        let gone = Arc::new(Mutex::new(HashSet::new()));
        let hook = {
            let (clock, gone) = (clock.clone(), gone.clone());
            move |record: &job_registry::Record<()>| {
                let due = record.times.removal.expect("it was due");
                assert!(due <= clock.last_reading(), "{record:?} was early");
                // Whatever the hook does takes its time.
                clock.0.fetch_add(1, Ordering::SeqCst);
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

/// P5, scenario 26: a sweep looks at each job once more before it removes it. What has been put off since it was listed
/// stays, and goes when its new time has come.
#[test]
fn job_that_is_put_off_during_a_sweep_stays() {
    in_time(|| {
        let clock = ManualClock::new();
        let others = Arc::new(OnceLock::<(JobRegistry<()>, Vec<JobId>)>::new());
        let hook = {
            let others = others.clone();
            move |_: &job_registry::Record<()>| {
                let (jobs, ids) = others.get().unwrap();
                for &id in ids {
                    // The one that is being removed is gone.
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

/// A registration that makes room first counts the job's time from when it has made it.
#[test]
fn job_is_registered_when_what_makes_room_for_it_has_ended() {
    in_time(|| {
        let clock = ManualClock::new();
        let slow = clock.clone();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(MINUTE)
            .on_remove(move |_| slow.advance(MINUTE))
            .build();
        let old = jobs.register(()).unwrap().detach();
        jobs.cancel(old).unwrap();
        clock.advance(MINUTE);
        let new = jobs.register(()).unwrap();
        let registered = jobs
            .read(new.id(), |record| record.times.registered)
            .unwrap();
        assert_eq!(registered, 2 * MINUTE, "{old} has not been removed");
    });
}
