//! Values at the ends of their ranges.

use job_registry::{
    Clock, JobRegistry, LookupError, ManualClock, Progress, ProgressError, RemoveError, Status,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// P5: a delay of `Duration::MAX` means never, also at the end of time.
#[test]
fn removal_after_all_time_never_comes() {
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
    // Never is not for ever: the latest call wins.
    jobs.remove_after(after_its_end, Duration::ZERO).unwrap();
    jobs.sweep();
    assert_eq!(jobs.remove(before_its_end), Ok(1));
}

/// P5 and P6: `retention` likewise.
#[test]
fn retention_of_all_time_keeps_ended_jobs() {
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

/// P5: however often the deadline moves, forward or back, the latest call wins.
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
    // Still ahead of the sweep, and put off once more.
    jobs.remove_after(id, 2 * SECOND).unwrap();
    clock.advance(SECOND);
    assert_eq!(jobs.sweep().removed, 0);
    clock.advance(SECOND);
    assert_eq!(jobs.sweep().removed, 1);
    assert_eq!(jobs.remove_after(id, SECOND), Err(RemoveError::Gone));
}

/// P5: what is given in fractions of a millisecond is removed late rather than early.
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

/// P8: a `stall_after` of `Duration::MAX` is none.
#[test]
fn silence_of_all_time_is_no_stall() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(Duration::MAX)
        .build();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    clock.advance(Duration::MAX);
    assert_eq!((jobs.stalled(), jobs.fail_stalled()), (vec![], vec![]));
    assert_eq!(job.complete(), Ok(()));
}

/// P1 and P8: a clock at its end stops the times and nothing else.
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

/// A clock that shows what it is told to, in nanoseconds.
#[derive(Clone)]
struct Shown(Arc<AtomicU64>);

impl Clock for Shown {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

impl Shown {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn show(&self, now: Duration) {
        let now = u64::try_from(now.as_nanos()).unwrap();
        self.0.store(now, Ordering::SeqCst);
    }
}

/// P5: the registry keeps milliseconds; an end within one makes nothing due early, however it is asked for.
#[test]
fn deadline_between_two_milliseconds_is_not_early() {
    let clock = Shown::new();
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

/// P8: a clock that goes backward moves no beat backward.
#[test]
fn clock_that_goes_backward_moves_no_beat_backward() {
    let clock = Shown::new();
    clock.show(SECOND);
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(SECOND)
        .build();
    clock.show(3 * SECOND);
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    job.heartbeat().unwrap();
    for now in [2_000, 0, 2_999] {
        clock.show(Duration::from_millis(now));
        assert_eq!(job.heartbeat(), Ok(()));
        assert_eq!(job.snapshot().unwrap().last_heartbeat(), 2 * SECOND);
        assert_eq!(jobs.fail_stalled(), []);
    }
    clock.show(Duration::ZERO);
    job.fail("reason").unwrap();
    let again = job.retry().unwrap();
    assert!(again.snapshot().unwrap().last_heartbeat() >= 2 * SECOND);
}

/// P5: a delay counts from the job's end where the clock has jumped back to before it.
#[test]
fn clock_that_goes_backward_brings_no_removal_forward() {
    let clock = Shown::new();
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

/// P1: what is no progress cannot be reported; nothing is left of the attempt.
#[test]
fn progress_that_is_no_number_never_reaches_a_job() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    let before = job.snapshot();
    let report = |percent: f64| {
        let progress = Progress::percent(percent)?;
        job.advance(progress).expect("the job runs");
        Ok(())
    };
    assert_eq!(report(f64::NAN), Err(ProgressError::NotANumber));
    for bad in [f64::INFINITY, -1.0, 100.000_1, f64::MAX] {
        assert_eq!(report(bad), Err(ProgressError::OutOfRange), "{bad}");
    }
    assert_eq!(job.snapshot(), before);
    assert_eq!(report(100.0), Ok(()));
    // All of it is done, and yet the job has not ended.
    assert_eq!(job.snapshot().unwrap().status(), Status::Running);
}

/// P6: a registry for no jobs at all refuses each, and one for a single job takes them one by one.
#[test]
fn smallest_capacities_hold() {
    let none = JobRegistry::builder().capacity(0).build();
    assert_eq!(none.register(7).unwrap_err().into_payload(), 7);
    assert!(none.is_empty() && none.sweep().removed == 0);
    let one = JobRegistry::builder().capacity(1).build();
    for n in 0..10 {
        let job = one.register(n).unwrap();
        assert!(one.register(n).is_err());
        job.cancel().unwrap();
        assert!(
            one.register(n).is_err(),
            "an ended job takes its place still"
        );
        assert_eq!(job.remove(), Ok(n));
    }
}

/// P10: the longest reason is kept whole, the empty one as well.
#[test]
fn reasons_of_any_length_are_kept() {
    let jobs = JobRegistry::new();
    for reason in [String::new(), "é".repeat(1 << 20)] {
        let job = jobs.register(()).unwrap();
        job.fail(reason.clone()).unwrap();
        assert_eq!(jobs.get(job.id()).unwrap().error.as_deref(), Some(&*reason));
    }
}

/// P8: where heartbeats end, so does the silence that is held against a job.
#[test]
fn nobody_stalls_after_the_last_heartbeat_that_there_can_be() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(SECOND)
        .build();
    let silent = jobs.register(1).unwrap();
    silent.start().unwrap();
    clock.advance(Duration::from_secs(5 * 366 * 24 * 3600));
    let heard = jobs.register(2).unwrap();
    heard.start().unwrap();
    clock.advance(2 * SECOND);
    heard.heartbeat().unwrap();
    let stalled: Vec<_> = jobs
        .stalled()
        .iter()
        .map(job_registry::Snapshot::id)
        .collect();
    assert_eq!(stalled, [silent.id()]);
    assert_eq!(jobs.fail_stalled().len(), 1);
    heard.complete().unwrap();
}
