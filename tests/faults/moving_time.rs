//! P5 and P6, scenario 26: time goes on while a sweep is at work, and so do those who plan removals.

use crate::watchdog::in_time;
use job_registry::{Clock, Job, JobId, JobRegistry, ManualClock, Record, Status};
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// More than a sweep takes in hand at once.
const MANY: usize = 300;

/// A millisecond passes with every reading.
#[derive(Clone, Default)]
struct Hasty(Arc<AtomicU64>);

impl Hasty {
    fn skip(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    fn last_reading(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for Hasty {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::SeqCst).wrapping_add(1))
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
            move |record: &Record<()>| {
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
            move |_: &Record<()>| {
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

/// P5, scenario 26: a sweep removes the jobs that were due when it began. A job that becomes due while a hook runs stays for
/// the next sweep, also if the sweep has its entry in hand already. Otherwise a sweep with slow hooks might never return.
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

/// P5, scenario 26: a job that a hook puts off stays, also if its new deadline passes during the same sweep.
#[test]
fn job_that_is_put_off_during_a_sweep_stays_however_long_the_sweep_takes() {
    in_time(|| {
        let clock = ManualClock::new();
        let others = Arc::new(OnceLock::<(JobRegistry<()>, Vec<JobId>)>::new());
        let hook = {
            let (others, clock) = (others.clone(), clock.clone());
            move |_: &Record<()>| {
                let (jobs, ids) = others.get().unwrap();
                clock.advance(MINUTE);
                for &id in &ids[..5] {
                    // It may be gone.
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
        // One of the five may be the first, whose hook puts off the rest.
        assert!(kept.count() >= 4, "a deadline within the sweep was used");
        assert!(swept == 5 || swept == 6, "{swept} removed");
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

/// The delay of a removal that was planned before the end.
type Keep = Option<Duration>;

/// What a test does to its one job.
#[derive(Clone, Debug)]
enum Act {
    Skip(u64),
    Start,
    Heartbeat,
    Complete,
    Fail,
    Cancel,
    FailStalled,
    Retry,
    RemoveAfter(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0u64..60).prop_map(Act::Skip),
        4 => Just(Act::Start),
        2 => Just(Act::Heartbeat),
        1 => Just(Act::Complete),
        1 => Just(Act::Fail),
        1 => Just(Act::Cancel),
        4 => Just(Act::FailStalled),
        3 => Just(Act::Retry),
        2 => (0u64..500).prop_map(Act::RemoveAfter),
    ];
    prop::collection::vec(act, 1..60)
}

const RETENTION: Duration = Duration::from_millis(300);
const STALL_AFTER: Duration = Duration::from_millis(20);

proptest! {
    /// P5 and P8: all times that a call writes are of one instant within the call, although the clock never stands still: the
    /// start is the heartbeat, the removal counts from the end, and the text of a stall verdict is about the time of the end.
    #[test]
    fn times_of_one_call_are_of_one_instant(acts in acts()) {
        // A registry counts from its first reading, which is 0 here.
        let clock = Hasty(Arc::new(AtomicU64::new(u64::MAX)));
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(RETENTION)
            .stall_after(STALL_AFTER)
            .build();
        let mut job = jobs.register(()).unwrap();
        let mut keep: Keep = None;
        for act in acts {
            let (before, began) = (jobs.get(job.id()).unwrap(), clock.last_reading());
            match act {
                Act::Skip(millis) => clock.skip(millis),
                Act::RemoveAfter(millis) => {
                    let delay = Duration::from_millis(millis);
                    job.remove_after(delay).unwrap();
                    let after = jobs.get(job.id()).unwrap();
                    if let Some(removal) = after.times.removal {
                        let called = removal.saturating_sub(delay);
                        prop_assert!(began < called && called <= clock.last_reading(), "{after:?}");
                    } else {
                        keep = Some(delay);
                    }
                    continue;
                }
                Act::Retry => {
                    if let Ok(next) = job.retry() {
                        (job, keep) = (next, None);
                    }
                }
                other => step(&jobs, &job, &other),
            }
            check_one_instant(&before, &jobs.get(job.id()).unwrap(), began, &clock, keep)?;
        }
    }
}

fn step(jobs: &JobRegistry<()>, job: &Job<()>, act: &Act) {
    // What is refused writes no times.
    let _ = match act {
        Act::Start => job.start(),
        Act::Heartbeat => job.heartbeat(),
        Act::Complete => job.complete(),
        Act::Fail => job.fail("reason"),
        Act::Cancel => job.cancel(),
        _ => {
            jobs.fail_stalled();
            Ok(())
        }
    };
}

/// `after` is the job after one call, which began after the reading `began`.
fn check_one_instant(
    before: &Record<()>,
    after: &Record<()>,
    began: Duration,
    clock: &Hasty,
    keep: Keep,
) -> Result<(), TestCaseError> {
    let within = |time: Duration| began < time && time <= clock.last_reading();
    let beat = after.snapshot.last_heartbeat();
    if let (None, Some(started)) = (before.times.started, after.times.started) {
        prop_assert!(within(started) && started == beat, "{after:?}");
    }
    if after.snapshot.attempt() > before.snapshot.attempt() {
        let last = before.snapshot.last_heartbeat();
        prop_assert!(within(beat) && beat > last, "{after:?}");
    }
    if let (None, Some(ended)) = (before.times.ended, after.times.ended) {
        prop_assert!(within(ended), "{after:?} since {began:?}");
        prop_assert_eq!(after.times.removal, Some(ended + keep.unwrap_or(RETENTION)));
        let stalled = after
            .error
            .as_deref()
            .and_then(|why| why.strip_prefix("stalled: no heartbeat for "));
        if let Some(silence) = stalled {
            prop_assert_eq!(after.snapshot.status(), Status::Failed);
            let judged = ended.saturating_sub(beat);
            prop_assert!(judged > STALL_AFTER, "{after:?}");
            prop_assert_eq!(silence, format!("{judged:?}"));
        }
    }
    Ok(())
}
