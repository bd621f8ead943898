//! P5 and P6: a removal happens at its deadline, and never earlier.

use crate::time::{CENTRES, NEVER, SetClock, edge, ms, up};
use job_registry::{Job, JobRegistry, LookupError, ManualClock, RemoveError};
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// P5: a delay of `Duration::MAX` means never, even when the clock has reached its end.
#[test]
fn removal_after_duration_max_never_happens() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(SECOND)
        .build();
    let before_its_end = jobs.register(1).unwrap().detach();
    jobs.remove_after(before_its_end, Duration::MAX).unwrap();
    jobs.cancel(before_its_end).unwrap();
    let after_its_end = jobs.register(2).unwrap().detach();
    jobs.cancel(after_its_end).unwrap();
    jobs.remove_after(after_its_end, Duration::MAX).unwrap();
    let control = jobs.register(3).unwrap().detach();
    jobs.cancel(control).unwrap();

    for step in [SECOND, Duration::from_secs(1 << 40), Duration::MAX] {
        clock.advance(step);
        jobs.sweep();
    }
    assert_eq!(jobs.snapshot(control), Err(LookupError::Gone));
    for id in [before_its_end, after_its_end] {
        let record = jobs.get(id).unwrap();
        assert_eq!(record.times.removal, None);
    }
    // A later call replaces a delay of `Duration::MAX`.
    jobs.remove_after(after_its_end, Duration::ZERO).unwrap();
    jobs.sweep();
    assert_eq!(jobs.remove(before_its_end), Ok(1));
}

/// P5 and P6: a `retention` of `Duration::MAX` keeps ended jobs.
#[test]
fn retention_of_duration_max_keeps_ended_jobs() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(Duration::MAX)
        .build();
    let kept = jobs.register(1).unwrap().detach();
    let removed = jobs.register(2).unwrap().detach();
    jobs.remove_after(removed, SECOND).unwrap();
    for id in [kept, removed] {
        jobs.cancel(id).unwrap();
    }
    clock.advance(Duration::from_secs(1 << 40));
    assert_eq!(jobs.sweep().removed, 1);
    assert_eq!(jobs.get(kept).unwrap().times.removal, None);
    assert_eq!(jobs.snapshot(removed), Err(LookupError::Gone));
}

/// P5: the latest call wins, however often the deadline moves forward or back.
#[test]
fn latest_removal_call_wins_in_either_direction() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder().clock(clock.clone()).build();
    let id = jobs.register(()).unwrap().detach();
    jobs.cancel(id).unwrap();
    for secs in [5, 3, 9, 1, 4] {
        jobs.remove_after(id, Duration::from_secs(secs)).unwrap();
    }
    for _ in 0..3 {
        clock.advance(SECOND);
        assert_eq!(jobs.sweep().removed, 0);
    }
    // The deadline is still ahead of the sweep, and is postponed once more.
    jobs.remove_after(id, 2 * SECOND).unwrap();
    clock.advance(SECOND);
    assert_eq!(jobs.sweep().removed, 0);
    clock.advance(SECOND);
    assert_eq!(jobs.sweep().removed, 1);
    assert_eq!(jobs.remove_after(id, SECOND), Err(RemoveError::Gone));
}

/// P5: a delay with a fraction of a millisecond is rounded up.
#[test]
fn fractions_of_a_millisecond_are_never_rounded_down() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(Duration::from_nanos(1))
        .build();
    let id = jobs.register(()).unwrap().detach();
    jobs.cancel(id).unwrap();
    assert_eq!(jobs.sweep().removed, 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(jobs.sweep().removed, 1);
}

/// P5: the registry keeps milliseconds. An end within a millisecond makes no removal due early, by
/// retention or by call.
#[test]
fn deadline_between_two_milliseconds_is_not_early() {
    let clock = SetClock::default();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(Duration::from_millis(1))
        .build();
    clock.show(Duration::from_micros(900));
    let by_retention = jobs.register(()).unwrap().detach();
    jobs.cancel(by_retention).unwrap();
    let by_call = jobs.register(()).unwrap().detach();
    jobs.cancel(by_call).unwrap();
    jobs.remove_after(by_call, Duration::from_millis(1))
        .unwrap();
    clock.show(Duration::from_micros(1_899));
    assert_eq!(jobs.sweep().removed, 0, "a microsecond is missing");
    clock.show(Duration::from_millis(2));
    assert_eq!(jobs.sweep().removed, 2);
}

/// P5: a delay counts from the job's end if the clock has jumped back to before it.
#[test]
fn clock_that_goes_backward_brings_no_removal_forward() {
    let clock = SetClock::default();
    let jobs = JobRegistry::builder().clock(clock.clone()).build();
    clock.show(3 * SECOND);
    let id = jobs.register(()).unwrap().detach();
    jobs.cancel(id).unwrap();
    clock.show(SECOND);
    jobs.remove_after(id, SECOND).unwrap();
    clock.show(Duration::from_millis(3_999));
    assert_eq!(jobs.sweep().removed, 0);
    clock.show(Duration::from_millis(4_001));
    assert_eq!(jobs.sweep().removed, 1);
}

/// The ways of giving a job its delay.
#[derive(Clone, Copy, Debug)]
enum Way {
    Retention,
    BeforeTheEnd,
    AfterTheEnd,
    /// After the end, replacing a removal that was due earlier.
    PutOff,
}

/// Returns a job that has ended at `then` and is to be removed after `delay`.
fn ended(way: Way, then: u64, delay: Duration) -> (JobRegistry<()>, ManualClock, Job<()>) {
    let clock = ManualClock::new();
    let retention = match way {
        Way::Retention => delay,
        Way::PutOff => Duration::ZERO,
        Way::BeforeTheEnd | Way::AfterTheEnd => Duration::MAX,
    };
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(retention)
        .build();
    clock.advance(ms(then));
    let job = jobs.register(()).unwrap();
    if let Way::BeforeTheEnd = way {
        job.remove_after(delay).unwrap();
    }
    job.cancel().unwrap();
    if let Way::AfterTheEnd | Way::PutOff = way {
        job.remove_after(delay).unwrap();
    }
    (jobs, clock, job)
}

fn way() -> impl Strategy<Value = Way> {
    select(vec![
        Way::Retention,
        Way::BeforeTheEnd,
        Way::AfterTheEnd,
        Way::PutOff,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// P5 and P6: a removal happens at its millisecond or after it, and not a millisecond before. A
    /// removal without a deadline does not happen when the clock ends.
    #[test]
    fn removal_happens_at_its_millisecond(
        way in way(),
        then in prop_oneof![Just(0), 0..10_000u64, select(CENTRES.to_vec())],
        delay in prop_oneof![edge(), (0..100_000u64).prop_map(ms)],
    ) {
        // The clock ends at `u64::MAX`, which the registry counts as the millisecond before.
        let then = then.min(u64::MAX - 1);
        let due = up(delay).and_then(|delay| then.checked_add(delay)).filter(|due| *due < NEVER);
        let (jobs, clock, job) = ended(way, then, delay);
        let times = jobs.get(job.id()).unwrap().times;
        prop_assert_eq!(times.ended, Some(ms(then)));
        prop_assert_eq!(times.removal, due.map(ms));
        let Some(due) = due else {
            prop_assert_eq!(jobs.sweep().removed, 0);
            clock.advance(Duration::MAX);
            prop_assert_eq!(jobs.sweep().removed, 0, "it was removed at the end of time");
            return Ok(());
        };
        if due > then {
            clock.advance(ms(due - 1 - then));
            prop_assert_eq!(jobs.sweep().removed, 0, "a millisecond early");
            clock.advance(ms(1));
        }
        prop_assert_eq!(jobs.sweep().removed, 1);
        // Another job is removed after one leap, to the millisecond after its deadline.
        let (jobs, clock, _job) = ended(way, then, delay);
        clock.advance(ms(due + 1 - then));
        prop_assert_eq!(jobs.sweep().removed, 1);
    }
}

/// P5: a removal that was planned and then put off for ever does not happen at the end of the
/// clock.
#[test]
fn removal_put_off_for_ever_never_happens() {
    let (jobs, clock, job) = ended(Way::AfterTheEnd, 0, Duration::from_secs(1));
    job.remove_after(Duration::MAX).unwrap();
    clock.advance(Duration::MAX);
    assert_eq!(jobs.sweep().removed, 0);
    assert_eq!(jobs.get(job.id()).unwrap().times.removal, None);
}
