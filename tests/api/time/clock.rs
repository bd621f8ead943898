//! P1, P5 and P8: the times that a registry reads, keeps and converts.

use super::{SetClock, TickingClock, edge, ms, up};
use job_registry::{Clock, Job, JobRegistry, LookupError, ManualClock, Progress, Record, Status};
use proptest::prelude::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// P1 and P8: a clock that has reached its end stops the times and nothing else.
#[test]
fn registry_works_at_the_end_of_time() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(SECOND)
        .build();
    clock.advance(Duration::MAX);
    let mut job = jobs.register(0).unwrap();
    for attempt in 1..50 {
        job.start().unwrap();
        job.heartbeat().unwrap();
        job.advance(Progress::DONE).unwrap();
        job.update(|count| *count += 1).unwrap();
        let seen = job.snapshot().unwrap();
        assert_eq!((seen.attempt(), seen.progress()), (attempt, Progress::DONE));
        job.fail("reason").unwrap();
        job = job.retry().unwrap();
    }
    job.cancel().unwrap();
    let id = job.id();
    assert_eq!(job.remove(), Ok(49));
    assert_eq!(jobs.snapshot(id), Err(LookupError::Gone));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A manual clock advances by whole milliseconds, and stands still at its end.
    #[test]
    fn manual_clock_only_goes_forward(leaps in prop::collection::vec(edge(), 1..6)) {
        let clock = ManualClock::new();
        let mut expected = 0u64;
        for leap in leaps {
            clock.advance(leap);
            expected = u64::try_from(leap.as_millis()).map_or(u64::MAX, |leap| expected.saturating_add(leap));
            prop_assert_eq!(clock.now(), ms(expected));
        }
    }

    /// P1, P5 and P8: a clock that leaps to any edge, forward or back, moves no heartbeat back and
    /// makes no removal early.
    #[test]
    fn leaping_clock_keeps_heartbeats_and_deadlines(
        origin in edge(),
        readings in prop::collection::vec(edge(), 1..12),
        delay in edge(),
    ) {
        let clock = SetClock::default();
        clock.show(origin);
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(delay)
            .stall_after(ms(10))
            .build();
        let mut job = jobs.register(()).unwrap();
        let mut last = Duration::ZERO;
        for reading in readings {
            clock.show(reading);
            // The job may have been started or ended already.
            let _ = job.start();
            let _ = job.heartbeat();
            let heartbeat = job.snapshot().unwrap().last_heartbeat();
            prop_assert!(heartbeat >= last, "{heartbeat:?} after {last:?}");
            jobs.fail_stalled();
            let _ = job.fail("reason");
            let times = jobs.get(job.id()).unwrap().times;
            prop_assert!(times.started.is_some() && times.ended.is_some(), "{times:?}");
            if let Some(removal) = times.removal {
                let earliest = times.ended.unwrap() + ms(up(delay).expect("not never"));
                prop_assert!(removal >= earliest, "{times:?}");
            }
            let is_due = times.removal.is_some_and(|removal| removal <= jobs.now());
            prop_assert_eq!(jobs.sweep().removed, usize::from(is_due), "{:?} at {:?}", times, jobs.now());
            if is_due {
                return Ok(());
            }
            last = job.snapshot().unwrap().last_heartbeat();
            job = job.retry().unwrap();
            prop_assert!(job.snapshot().unwrap().last_heartbeat() > last);
        }
    }

    /// Every time of a registry converts to wall-clock time.
    #[test]
    fn every_time_converts_to_system_time(at in edge()) {
        let jobs = JobRegistry::<()>::new();
        let start = jobs.system_time(Duration::ZERO);
        let shown = jobs.system_time(at);
        prop_assert!(shown == start.checked_add(at).unwrap_or(start));
    }
}

/// The delay of a removal that was planned before the end.
type Keep = Option<Duration>;

/// A call on the one job of a test, or a leap of the clock.
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
    /// P5 and P8: a call writes all its times from one reading of the clock, although the clock
    /// advances at every reading. The start is the heartbeat, the removal counts from the end, and
    /// the text of a stall verdict states the silence at the end.
    #[test]
    fn times_of_one_call_are_of_one_instant(acts in acts()) {
        // A registry counts from its first reading, which is 0 here.
        let clock = TickingClock::from_zero();
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
    // A refused call writes no times.
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

/// Checks the times that one call has written. The call began after the reading `began`.
fn check_one_instant(
    before: &Record<()>,
    after: &Record<()>,
    began: Duration,
    clock: &TickingClock,
    keep: Keep,
) -> Result<(), TestCaseError> {
    let within = |time: Duration| began < time && time <= clock.last_reading();
    let heartbeat = after.snapshot.last_heartbeat();
    if let (None, Some(started)) = (before.times.started, after.times.started) {
        prop_assert!(within(started) && started == heartbeat, "{after:?}");
    }
    if after.snapshot.attempt() > before.snapshot.attempt() {
        let last = before.snapshot.last_heartbeat();
        prop_assert!(within(heartbeat) && heartbeat > last, "{after:?}");
    }
    if let (None, Some(ended)) = (before.times.ended, after.times.ended) {
        prop_assert!(within(ended), "{after:?} since {began:?}");
        prop_assert_eq!(after.times.removal, Some(ended + keep.unwrap_or(RETENTION)));
        let stalled = after
            .reason
            .as_deref()
            .and_then(|why| why.strip_prefix("stalled: no heartbeat for "));
        if let Some(silence) = stalled {
            prop_assert_eq!(after.snapshot.status(), Status::Failed);
            let judged = ended.saturating_sub(heartbeat);
            prop_assert!(judged > STALL_AFTER, "{after:?}");
            prop_assert_eq!(silence, format!("{judged:?}"));
        }
    }
    Ok(())
}
