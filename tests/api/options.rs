//! Options: limits of a single job, which its registry's other jobs do not have.

use crate::watchdog::in_time;
use job_registry::{Job, JobRegistry, ManualClock, Options, RegisterError, Status, Swept};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn registry() -> (JobRegistry<u32>, ManualClock) {
    let clock = ManualClock::new();
    let builder = JobRegistry::builder().clock(clock.clone());
    (
        builder.retention(ms(100)).stall_after(ms(20)).build(),
        clock,
    )
}

fn with(jobs: &JobRegistry<u32>, options: Options) -> Job<u32> {
    jobs.register_with(0, options).unwrap()
}

fn end_of(job: &Job<u32>) -> (Status, Option<String>) {
    let details = job.details().unwrap();
    let reason = details.reason.as_deref().map(str::to_owned);
    (details.snapshot.status(), reason)
}

fn exceeded(deadline: Duration) -> (Status, Option<String>) {
    let reason = format!("deadline exceeded after {deadline:?}");
    (Status::Failed, Some(reason))
}

/// P13: a sweep fails a pending, a running and a stopping job whose deadline has passed, and none
/// before.
#[test]
fn a_sweep_fails_live_jobs_at_their_deadline() {
    let (jobs, clock) = registry();
    let deadline = ms(10);
    clock.advance(ms(5));
    let late: Vec<_> = (0..4)
        .map(|_| with(&jobs, Options::new().deadline(deadline)))
        .collect();
    let [_pending, running, stopping, ended] = &late[..] else {
        unreachable!("there are four")
    };
    let other = jobs.register(0).unwrap();
    running.start().unwrap();
    stopping.start().unwrap();
    stopping.request_stop("the user left").unwrap();
    ended.cancel_because("the user left").unwrap();
    clock.advance(ms(9));
    running.heartbeat().unwrap();
    assert_eq!(jobs.sweep(), Swept::default());
    clock.advance(ms(1));
    let swept = jobs.sweep();
    assert_eq!((swept.expired, swept.cancelled, swept.removed), (3, 0, 0));
    for job in &late[..3] {
        assert_eq!(end_of(job), exceeded(deadline));
        assert_eq!(job.details().unwrap().times.ended, Some(ms(15)));
    }
    assert_eq!(end_of(ended).0, Status::Cancelled);
    assert_eq!(end_of(&other).0, Status::Pending);
    assert_eq!(jobs.sweep(), Swept::default());
    // The ended jobs are removed as all others are.
    clock.advance(ms(100));
    assert_eq!(jobs.sweep().removed, 4);
}

/// P13: deadlines of zero, one that is rounded up, and one that never comes.
#[test]
fn deadlines_of_any_length_are_kept() {
    for (deadline, after) in [
        (Duration::ZERO, Some(0)),
        (Duration::from_nanos(1), Some(1)),
        (Duration::from_micros(1_500), Some(2)),
        (ms(7), Some(7)),
        (Duration::MAX, None),
        (ms(u64::MAX), None),
    ] {
        let (jobs, clock) = registry();
        let job = with(&jobs, Options::new().deadline(deadline));
        for now in 0..10 {
            let is_over = after.is_some_and(|after| after <= now);
            jobs.sweep();
            let expected = if is_over {
                exceeded(deadline)
            } else {
                (Status::Pending, None)
            };
            assert_eq!(end_of(&job), expected, "{deadline:?} after {now} ms");
            clock.advance(ms(1));
        }
    }
}

/// P13: the deadline of a later attempt counts from its retry.
#[test]
fn a_retry_gets_the_whole_time_again() {
    let (jobs, clock) = registry();
    let deadline = ms(10);
    let mut job = with(&jobs, Options::new().deadline(deadline));
    for _ in 0..5 {
        job.start().unwrap();
        clock.advance(ms(6));
        job.fail("no ink").unwrap();
        clock.advance(ms(3));
        job = job.retry().unwrap();
        assert_eq!(jobs.sweep(), Swept::default());
    }
    clock.advance(ms(9));
    assert_eq!(jobs.sweep(), Swept::default());
    clock.advance(ms(1));
    assert_eq!(jobs.sweep().expired, 1);
    assert_eq!(end_of(&job), exceeded(deadline));
    // A failed attempt can be retried, also after its deadline.
    let next = job.retry().unwrap();
    assert_eq!(jobs.sweep(), Swept::default());
    clock.advance(deadline);
    assert_eq!(jobs.sweep().expired, 1);
    assert_eq!(end_of(&next), exceeded(deadline));
}

/// P2: an ending before the sweep stands, even if the deadline has passed.
#[test]
fn an_ending_after_the_deadline_and_before_the_sweep_stands() {
    let (jobs, clock) = registry();
    let options = Options::new().deadline(ms(10));
    let completed = with(&jobs, options);
    let failed = with(&jobs, options);
    completed.start().unwrap();
    clock.advance(ms(50));
    completed.complete().unwrap();
    failed.fail("no ink").unwrap();
    assert_eq!(jobs.sweep(), Swept::default());
    assert_eq!(end_of(&completed), (Status::Completed, None));
    assert_eq!(end_of(&failed), (Status::Failed, Some("no ink".to_owned())));
}

/// P13: if the grace of a stop and the deadline are both over, the stop is what ends the job.
#[test]
fn the_earlier_of_grace_and_deadline_ends_a_stopping_job() {
    for (grace, status) in [
        (5, Status::Cancelled),
        (10, Status::Cancelled),
        (11, Status::Failed),
    ] {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .stop_grace(ms(grace))
            .build();
        let job = with(&jobs, Options::new().deadline(ms(10)));
        job.start().unwrap();
        job.request_stop("the user left").unwrap();
        clock.advance(ms(10));
        let swept = jobs.sweep();
        assert_eq!(swept.cancelled + swept.expired, 1);
        assert_eq!(end_of(&job).0, status, "with a grace of {grace} ms");
    }
}

/// P13: a locked job is busy for a sweep, and is failed by the next.
#[test]
fn a_locked_job_is_failed_by_the_next_sweep() {
    in_time(|| {
        let (jobs, _clock) = registry();
        let job = with(&jobs, Options::new().deadline(Duration::ZERO));
        let guard = job.lock().unwrap();
        let swept = std::thread::scope(|scope| scope.spawn(|| jobs.sweep()).join().unwrap());
        assert_eq!((swept.expired, swept.busy), (0, 1));
        drop(guard);
        let swept = jobs.sweep();
        assert_eq!((swept.expired, swept.busy), (1, 0));
    });
}

/// P13: a locked job is one busy job, although the deadline of its earlier attempt is queued for the
/// same time.
#[test]
fn a_locked_job_is_busy_once_after_a_retry() {
    in_time(|| {
        let clock = ManualClock::new();
        let builder = JobRegistry::builder().clock(clock.clone());
        let jobs = builder.retention(Duration::ZERO).build();
        let deadline = Options::new().deadline(Duration::from_nanos(1));
        let job = jobs.register_with((), deadline).unwrap();
        job.fail("no fonts").unwrap();
        let job = job.retry().unwrap();
        // The sweep takes the entry of the removal, which the retry has prevented.
        assert_eq!(jobs.sweep(), Swept::default());
        clock.advance(Duration::from_millis(1));
        let guard = job.lock().unwrap();
        let swept = std::thread::scope(|scope| scope.spawn(|| jobs.sweep()).join().unwrap());
        assert_eq!((swept.expired, swept.busy), (0, 1));
        drop(guard);
        assert_eq!(jobs.sweep().expired, 1);
    });
}

/// P13: a job that is locked while a sweep comes early is failed at its deadline. A distant deadline
/// is queued somewhat before its time.
#[test]
fn a_job_that_is_locked_before_its_deadline_is_failed_at_it() {
    in_time(|| {
        let (jobs, clock) = registry();
        let job = with(&jobs, Options::new().deadline(ms(1_015)));
        for _ in 0..1_015 {
            let guard = job.lock().unwrap();
            let swept = std::thread::scope(|scope| scope.spawn(|| jobs.sweep()).join().unwrap());
            assert_eq!(swept, Swept::default());
            drop(guard);
            clock.advance(ms(1));
        }
        assert_eq!(jobs.sweep().expired, 1);
        assert_eq!(end_of(&job), exceeded(ms(1_015)));
    });
}

/// P5: a job is kept for its own retention, in every attempt, and the other jobs for the builder's.
#[test]
fn a_job_is_kept_for_its_own_retention() {
    for (own, kept) in [
        (Duration::ZERO, Some(0)),
        (Duration::from_nanos(1), Some(1)),
        (ms(7), Some(7)),
        (ms(200), Some(200)),
        (Duration::MAX, None),
    ] {
        let (jobs, clock) = registry();
        let job = with(&jobs, Options::new().retention(own));
        let other = jobs.register(0).unwrap();
        job.cancel().unwrap();
        let job = job.retry().unwrap();
        clock.advance(ms(3));
        job.cancel().unwrap();
        other.cancel().unwrap();
        let removal = |job: &Job<u32>| job.details().unwrap().times.removal;
        assert_eq!(removal(&job), kept.map(|kept| ms(3 + kept)));
        assert_eq!(removal(&other), Some(ms(103)));
        if let Some(kept) = kept.filter(|kept| *kept < 100) {
            clock.advance(ms(kept));
            assert_eq!(jobs.sweep().removed, 1);
            assert!(job.details().is_err() && other.details().is_ok());
        }
    }
}

/// P5: `remove_after` overrides the job's own retention, before its end and after.
#[test]
fn remove_after_overrides_the_own_retention() {
    let (jobs, _clock) = registry();
    let job = with(&jobs, Options::new().retention(ms(7)));
    job.remove_after(ms(50)).unwrap();
    job.cancel().unwrap();
    let removal = || job.details().unwrap().times.removal;
    assert_eq!(removal(), Some(ms(50)));
    job.remove_after(ms(9)).unwrap();
    assert_eq!(removal(), Some(ms(9)));
    let next = job.retry().unwrap();
    next.cancel().unwrap();
    assert_eq!(removal(), Some(ms(7)));
}

/// P8: a job stalls after its own limit, in every attempt, and the other jobs after the builder's.
#[test]
fn a_job_stalls_after_its_own_limit() {
    for (own, limit) in [
        (Duration::ZERO, Some(0)),
        (Duration::from_nanos(1), Some(1)),
        (ms(5), Some(5)),
        (ms(40), Some(40)),
        (Duration::MAX, None),
    ] {
        let (jobs, clock) = registry();
        let first = with(&jobs, Options::new().stall_after(own));
        first.cancel().unwrap();
        let job = first.retry().unwrap();
        clock.advance(ms(3));
        let other = jobs.register(0).unwrap();
        job.start().unwrap();
        other.start().unwrap();
        for silence in 0..60 {
            let mut expected = Vec::new();
            expected.extend(limit.filter(|limit| silence > *limit).map(|_| job.id()));
            expected.extend((silence > 20).then_some(other.id()));
            let seen = jobs.stalled();
            let mut seen: Vec<_> = seen.iter().map(job_registry::Snapshot::id).collect();
            expected.sort_unstable();
            seen.sort_unstable();
            assert_eq!(seen, expected, "{own:?} after {silence} ms");
            clock.advance(ms(1));
        }
        assert_eq!(job.retry().is_ok(), limit.is_some());
        assert_eq!(jobs.fail_stalled().len(), 1);
        assert_eq!(end_of(&other).0, Status::Failed);
    }
}

/// P8: a registry without a stall limit of its own has jobs that stall after theirs.
#[test]
fn own_limits_need_no_limit_of_the_registry() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder().clock(clock.clone()).build();
    let job = with(&jobs, Options::new().stall_after(ms(5)));
    let other = jobs.register(0).unwrap();
    job.start().unwrap();
    other.start().unwrap();
    clock.advance(ms(6));
    let failed = jobs.fail_stalled();
    assert_eq!(failed, [job.snapshot().unwrap()]);
    let reason = "stalled: no heartbeat for 6ms".to_owned();
    assert_eq!(end_of(&job), (Status::Failed, Some(reason)));
    clock.advance(Duration::MAX);
    assert!(jobs.stalled().is_empty());
}

/// P4: the next job of a slot has none of the options of the one before.
#[test]
fn options_do_not_outlive_their_job() {
    let (jobs, clock) = registry();
    let options = Options::new()
        .deadline(ms(5))
        .retention(Duration::MAX)
        .stall_after(ms(1));
    for _ in 0..3 {
        let job = with(&jobs, options);
        job.note("secret").unwrap();
        job.cancel().unwrap();
        job.remove().unwrap();
        let next = jobs.register(0).unwrap();
        next.start().unwrap();
        clock.advance(ms(20));
        assert_eq!((jobs.sweep(), jobs.stalled()), (Swept::default(), vec![]));
        next.cancel().unwrap();
        let details = next.details().unwrap();
        assert_eq!((details.note, details.reason), (None, None));
        assert_eq!(details.times.removal, Some(jobs.now() + ms(100)));
        next.remove().unwrap();
    }
}

/// P6: a refused registration returns the payload, and plans nothing.
#[test]
fn a_refused_registration_plans_nothing() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .capacity(1)
        .build();
    let job = jobs.register(1).unwrap();
    let options = Options::new().deadline(Duration::ZERO);
    let refused = jobs.register_with(7, options);
    assert!(matches!(refused, Err(RegisterError::Full(7))));
    clock.advance(ms(10));
    assert_eq!(jobs.sweep(), Swept::default());
    assert_eq!(end_of(&job), (Status::Pending, None));
}

/// P6: the hook of a removal gets the reason and the note of a job that a sweep has failed.
#[test]
fn the_hook_sees_how_a_sweep_has_ended_the_job() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hooked = seen.clone();
    let jobs = JobRegistry::builder()
        .retention(Duration::ZERO)
        .clock(ManualClock::new())
        .on_remove(move |record: &job_registry::Record<u32>| {
            let texts = (record.note.clone(), record.reason.clone());
            hooked
                .lock()
                .unwrap()
                .push((record.snapshot.status(), texts));
        })
        .build();
    let job = with(&jobs, Options::new().deadline(Duration::ZERO));
    job.note("first slide").unwrap();
    let swept = jobs.sweep();
    assert_eq!((swept.expired, swept.removed), (1, 1));
    let texts = (
        Some(Arc::from("first slide")),
        Some(Arc::from("deadline exceeded after 0ns")),
    );
    assert_eq!(*seen.lock().unwrap(), [(Status::Failed, texts)]);
}

/// A report of a sweep says what it has done.
#[test]
fn a_report_names_every_number() {
    let (jobs, clock) = registry();
    let removed = jobs.register(0).unwrap();
    let _expired = with(&jobs, Options::new().deadline(ms(10)));
    let stopping = jobs.register(0).unwrap();
    removed.cancel().unwrap();
    stopping.start().unwrap();
    stopping.request_stop("the user left").unwrap();
    clock.advance(Duration::from_secs(30));
    let swept = jobs.sweep();
    assert_eq!((swept.removed, swept.expired, swept.cancelled), (1, 1, 1));
    let text = "1 removed, 1 expired, 1 cancelled, 0 busy, 0 panicked";
    assert_eq!(swept.to_string(), text);
}
