//! Requested stops: a worker is asked to stop, and the registry sees to it.

use crate::time::SetClock;
use crate::wakers::waker;
use crate::watchdog::in_time;
use job_registry::{Job, JobRegistry, ManualClock, Progress, RetryError, Status, StepError, Swept};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(30);
/// The last millisecond of the grace.
const JUST_BEFORE: Duration = Duration::from_millis(29_999);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn registry(grace: Duration) -> (JobRegistry<u32>, ManualClock) {
    let clock = ManualClock::new();
    let builder = JobRegistry::builder().clock(clock.clone());
    (builder.stop_grace(grace).build(), clock)
}

fn running(jobs: &JobRegistry<u32>) -> Job<u32> {
    let job = jobs.register(0).unwrap();
    job.start().unwrap();
    job
}

fn end_of(job: &Job<u32>) -> (Status, Option<String>) {
    let details = job.details().unwrap();
    let reason = details.reason.as_deref().map(str::to_owned);
    (details.snapshot.status(), reason)
}

fn ended(status: Status, reason: &str) -> (Status, Option<String>) {
    (status, Some(reason.to_owned()))
}

/// P13: when the grace is over, one sweep leaves no stopping job, and none is cancelled before.
#[test]
fn grace_and_one_sweep_leave_no_stopping_job() {
    let (jobs, clock) = registry(GRACE);
    let stopping: Vec<_> = (0..500).map(|_| running(&jobs)).collect();
    let others = [running(&jobs), jobs.register(0).unwrap()];
    for job in &stopping {
        assert_eq!(job.request_stop("the user left"), Ok(Status::Stopping));
        assert!(job.is_stop_requested());
    }
    assert_eq!(jobs.counts().stopping, 500);
    clock.advance(JUST_BEFORE);
    assert_eq!(jobs.sweep(), Swept::default());
    assert_eq!(jobs.counts().stopping, 500);
    clock.advance(ms(1));
    let swept = jobs.sweep();
    assert_eq!((swept.cancelled, swept.expired, swept.removed), (500, 0, 0));
    let counts = jobs.counts();
    assert_eq!((counts.stopping, counts.cancelled), (0, 500));
    for job in &stopping {
        assert_eq!(end_of(job), ended(Status::Cancelled, "the user left"));
        assert_eq!(job.details().unwrap().times.ended, Some(GRACE));
    }
    for job in &others {
        assert!(!job.is_stop_requested());
    }
    assert_eq!(jobs.sweep(), Swept::default());
}

/// P13: the grace counts from the request, and heartbeats, notes and updates do not prolong it.
#[test]
fn signs_of_life_do_not_prolong_the_grace() {
    let (jobs, clock) = registry(ms(10));
    let job = running(&jobs);
    clock.advance(ms(100));
    job.request_stop("the user left").unwrap();
    for n in 0..10 {
        job.heartbeat().unwrap();
        job.note("removing files").unwrap();
        job.update(|payload| *payload = n).unwrap();
        assert_eq!(job.request_stop("again"), Err(StepError::Stopping));
        assert_eq!(jobs.sweep().cancelled, 0);
        clock.advance(ms(1));
    }
    assert_eq!(jobs.sweep().cancelled, 1);
    assert_eq!(end_of(&job), ended(Status::Cancelled, "the user left"));
    assert_eq!(job.heartbeat(), Err(StepError::Ended(Status::Cancelled)));
}

/// P13: a grace of zero, one that is rounded up, and one that never ends.
#[test]
fn graces_of_any_length_are_kept() {
    for (grace, after) in [
        (Duration::ZERO, Some(0)),
        (Duration::from_nanos(1), Some(1)),
        (Duration::from_micros(1_500), Some(2)),
        (ms(7), Some(7)),
        (Duration::MAX, None),
        (ms(u64::MAX), None),
    ] {
        let (jobs, clock) = registry(grace);
        let job = running(&jobs);
        job.request_stop("the user left").unwrap();
        for now in 0..10 {
            let is_over = after.is_some_and(|after| after <= now);
            jobs.sweep();
            let is_cancelled = end_of(&job).0 == Status::Cancelled;
            assert_eq!(is_cancelled, is_over, "{grace:?} after {now} ms");
            clock.advance(ms(1));
        }
        clock.advance(Duration::MAX);
        let cancelled = jobs.sweep().cancelled;
        // A sweep at the end of time finds what never ends, too.
        assert!(after.is_none() || cancelled == 0);
    }
}

/// P13: a grace that begins between two milliseconds is not shortened, and ends at the next
/// millisecond of the registry.
#[test]
fn a_grace_that_begins_within_a_millisecond_is_kept() {
    for micros in [1, 500, 900, 999] {
        let clock = SetClock::default();
        let builder = JobRegistry::builder().clock(clock.clone());
        let jobs = builder.stop_grace(ms(1)).build();
        let job = running(&jobs);
        clock.show(Duration::from_micros(micros));
        job.request_stop("the user left").unwrap();
        clock.show(Duration::from_micros(1_999));
        assert_eq!(jobs.sweep().cancelled, 0, "from {micros} µs");
        clock.show(ms(2));
        assert_eq!(jobs.sweep().cancelled, 1, "from {micros} µs");
    }
}

/// P13: a stopping job whose lock is held is busy for a sweep, and is cancelled by the next.
#[test]
fn a_locked_job_is_cancelled_by_the_next_sweep() {
    in_time(|| {
        let (jobs, clock) = registry(GRACE);
        let job = running(&jobs);
        job.request_stop("the user left").unwrap();
        clock.advance(GRACE);
        let guard = job.lock().unwrap();
        assert_eq!(jobs.sweep(), Swept::default(), "a sweep under a lock");
        let swept = thread::scope(|scope| scope.spawn(|| jobs.sweep()).join().unwrap());
        assert_eq!((swept.cancelled, swept.busy), (0, 1));
        drop(guard);
        let swept = jobs.sweep();
        assert_eq!((swept.cancelled, swept.busy), (1, 0));
        assert_eq!(end_of(&job).0, Status::Cancelled);
    });
}

/// P2: a pending job is cancelled at once by a request, and an ended or stopping job refuses it.
#[test]
fn a_stop_depends_on_the_status() {
    let (jobs, _clock) = registry(GRACE);
    let pending = jobs.register(0).unwrap();
    assert!(!pending.is_stop_requested());
    assert_eq!(pending.request_stop("no need"), Ok(Status::Cancelled));
    assert_eq!(end_of(&pending), ended(Status::Cancelled, "no need"));
    assert!(pending.is_stop_requested());

    let job = running(&jobs);
    assert_eq!(jobs.request_stop(job.id(), "first"), Ok(Status::Stopping));
    let before = job.details().unwrap();
    assert_eq!(job.request_stop("second"), Err(StepError::Stopping));
    assert_eq!(job.start(), Err(StepError::AlreadyStarted));
    assert_eq!(job.advance(Progress::DONE), Err(StepError::Stopping));
    let not_yet = RetryError::NotRetryable(Status::Stopping);
    assert_eq!(job.retry().unwrap_err(), not_yet);
    assert!(job.remove().is_err());
    assert_eq!(job.details().unwrap(), before, "a refused call changed it");

    for (end, status) in ENDINGS {
        let job = running(&jobs);
        end(&job).unwrap();
        let before = job.details().unwrap();
        let refused = Err(StepError::Ended(status));
        assert_eq!(job.request_stop("too late"), refused);
        assert_eq!(job.details().unwrap(), before);
    }
}

type Ending = fn(&Job<u32>) -> Result<(), StepError>;

const ENDINGS: [(Ending, Status); 4] = [
    (Job::complete, Status::Completed),
    (|job| job.fail("no ink"), Status::Failed),
    (Job::cancel, Status::Cancelled),
    (|job| job.cancel_because("shutdown"), Status::Cancelled),
];

/// P2 and P13: every ending of a stopping job stands, and the end of the grace does not undo it. A
/// cancelled job keeps the reason of the stop unless it gets one of its own.
#[test]
fn a_stop_never_undoes_an_ending() {
    let reasons = [
        None,
        Some("no ink"),
        Some("the user left"),
        Some("shutdown"),
    ];
    for ((end, status), reason) in ENDINGS.into_iter().zip(reasons) {
        for by_guard in [false, true] {
            let (jobs, clock) = registry(GRACE);
            let job = running(&jobs);
            job.advance(Progress::of(1, 2)).unwrap();
            job.request_stop("the user left").unwrap();
            job.update(|payload| *payload += 1).unwrap();
            if by_guard {
                let guard = job.lock().unwrap();
                match (status, reason) {
                    (Status::Completed, _) => guard.complete().unwrap(),
                    (Status::Failed, _) => guard.fail("no ink"),
                    (_, Some("shutdown")) => guard.cancel_because("shutdown"),
                    _ => guard.cancel(),
                }
            } else {
                end(&job).unwrap();
            }
            let before = job.details().unwrap();
            assert_eq!(before.snapshot.status(), status);
            assert_eq!(before.reason.as_deref(), reason);
            let progress = if status == Status::Completed { 100 } else { 50 };
            assert_eq!(before.snapshot.progress(), Progress::of(progress, 100));
            clock.advance(GRACE);
            let swept = jobs.sweep();
            assert_eq!((swept.cancelled, swept.expired), (0, 0));
            assert_eq!(job.details().unwrap(), before);
            assert_eq!(jobs.get(job.id()).unwrap().payload, 1);
        }
    }
}

/// P11: a stopping job whose owner is dropped or whose update panics fails, for that reason.
#[test]
fn a_stopping_job_fails_as_a_running_one_does() {
    let (jobs, _clock) = registry(GRACE);
    let job = running(&jobs);
    let id = job.id();
    job.request_stop("the user left").unwrap();
    drop(job);
    let details = jobs.details(id).unwrap();
    assert_eq!(details.snapshot.status(), Status::Failed);
    assert_eq!(details.reason.as_deref(), Some("abandoned"));

    let job = running(&jobs);
    job.request_stop("the user left").unwrap();
    let update = std::panic::AssertUnwindSafe(|| {
        job.update(|_| std::panic::resume_unwind(Box::new("boom")))
    });
    assert!(std::panic::catch_unwind(update).is_err());
    assert_eq!(end_of(&job), ended(Status::Failed, "panicked: boom"));
}

/// P10: a stop belongs to its attempt: the next one is not asked to stop, and the handle of the old
/// one cannot ask.
#[test]
fn a_stop_ends_with_its_attempt() {
    let (jobs, clock) = registry(GRACE);
    let first = running(&jobs);
    first.request_stop("the user left").unwrap();
    first.cancel().unwrap();
    let second = jobs.retry(first.id()).unwrap();
    assert_eq!(end_of(&second), (Status::Pending, None));
    assert_eq!(first.request_stop("again"), Err(StepError::Superseded));
    assert_eq!(first.cancel_because("again"), Err(StepError::Superseded));
    assert!(first.is_stop_requested() && !second.is_stop_requested());
    second.start().unwrap();
    clock.advance(GRACE);
    assert_eq!(jobs.sweep(), Swept::default());
    assert_eq!(end_of(&second), (Status::Running, None));
    // The grace of a later attempt is its own.
    second.request_stop("now").unwrap();
    clock.advance(JUST_BEFORE);
    assert_eq!(jobs.sweep().cancelled, 0);
    clock.advance(ms(1));
    assert_eq!(jobs.sweep().cancelled, 1);
    assert_eq!(end_of(&second), ended(Status::Cancelled, "now"));
}

/// P2 and P13: a requested stop and each kind of ending race. Whatever comes first, the ending
/// stands, and its reason is one of those that its order permits.
#[test]
fn a_stop_races_with_every_ending() {
    const ROUNDS: usize = if cfg!(miri) { 5 } else { 300 };
    let jobs = JobRegistry::builder().build();
    for (end, status) in ENDINGS {
        for _ in 0..ROUNDS {
            let job = running(&jobs);
            let (stopped, ended) = thread::scope(|scope| {
                let stop = scope.spawn(|| job.request_stop("the user left"));
                let end = scope.spawn(|| end(&job));
                (stop.join().unwrap(), end.join().unwrap())
            });
            assert_eq!(ended, Ok(()));
            let (now, reason) = end_of(&job);
            assert_eq!(now, status);
            match stopped {
                Ok(seen) => assert_eq!(seen, Status::Stopping),
                Err(error) => assert_eq!(error, StepError::Ended(status)),
            }
            let kept = stopped.is_ok().then_some("the user left");
            let expected = match status {
                Status::Failed => Some("no ink"),
                Status::Completed => None,
                _ if reason.as_deref() == Some("shutdown") => Some("shutdown"),
                _ => kept,
            };
            assert_eq!(reason.as_deref(), expected);
            job.remove().unwrap();
        }
    }
}

/// P13: of several requests one succeeds, and its reason is kept.
#[test]
fn one_of_several_requests_succeeds() {
    const ROUNDS: usize = if cfg!(miri) { 5 } else { 200 };
    let (jobs, _clock) = registry(GRACE);
    for _ in 0..ROUNDS {
        let job = running(&jobs);
        let ask = |n: usize| (n, job.request_stop(n.to_string()));
        let asked: Vec<_> = thread::scope(|scope| {
            let asking: Vec<_> = (0..3).map(|n| scope.spawn(move || ask(n))).collect();
            asking.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let won: Vec<_> = asked.iter().filter(|(_, asked)| asked.is_ok()).collect();
        assert_eq!(won.len(), 1, "{asked:?}");
        assert_eq!(end_of(&job), ended(Status::Stopping, &won[0].0.to_string()));
        job.cancel().unwrap();
    }
}

fn poll(future: &mut Pin<&mut impl Future<Output = ()>>, waker: &Waker) -> bool {
    future
        .as_mut()
        .poll(&mut Context::from_waker(waker))
        .is_ready()
}

/// Returns a waker that counts its first wake.
fn counter(woken: &Arc<AtomicUsize>) -> Waker {
    let woken = woken.clone();
    waker(move || {
        woken.fetch_add(1, Ordering::SeqCst);
    })
}

/// P9: a worker that waits for a stop is woken by a request, by an end, and by a retry.
#[test]
fn stop_requested_resolves_when_the_work_should_stop() {
    let stops: [fn(&Job<u32>); 5] = [
        |job| assert!(job.request_stop("the user left").is_ok()),
        |job| job.cancel().unwrap(),
        |job| job.fail("no ink").unwrap(),
        |job| job.complete().unwrap(),
        |job| {
            job.fail("no ink").unwrap();
            let _ = job.retry().unwrap().detach();
        },
    ];
    for stop in stops {
        let (jobs, _clock) = registry(GRACE);
        let job = running(&jobs);
        let woken = Arc::new(AtomicUsize::new(0));
        let mut waiting = pin!(job.stop_requested());
        let count = counter(&woken);
        assert!(!poll(&mut waiting, &count), "nobody asked");
        // Other changes wake it, and it waits again.
        job.note("first slide").unwrap();
        job.advance(Progress::of(1, 2)).unwrap();
        assert_eq!(woken.swap(0, Ordering::SeqCst), 1);
        let count = counter(&woken);
        assert!(!poll(&mut waiting, &count), "nobody asked");
        stop(&job);
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        assert!(poll(&mut waiting, Waker::noop()));
        assert!(job.is_stop_requested());
        // A later call resolves at once.
        assert!(poll(&mut pin!(job.stop_requested()), Waker::noop()));
        if let Ok(status) = job.snapshot().map(|seen| seen.status()) {
            if status.is_ended() && job.remove().is_ok() {
                assert!(poll(&mut pin!(job.stop_requested()), Waker::noop()));
            }
        }
    }
}

/// P9: a stop is not lost to a future that was dropped while it waited, nor to one that was not yet
/// polled. A worker on another thread wakes in time.
#[test]
fn stop_requested_is_cancel_safe() {
    in_time(|| {
        let (jobs, _clock) = registry(GRACE);
        let job = running(&jobs);
        for _ in 0..100 {
            let mut dropped = pin!(job.stop_requested());
            assert!(!poll(&mut dropped, Waker::noop()));
        }
        let mut unpolled = pin!(job.stop_requested());
        jobs.request_stop(job.id(), "the user left").unwrap();
        assert!(poll(&mut unpolled, Waker::noop()));
        pollster::block_on(job.stop_requested());

        let job = running(&jobs);
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                pollster::block_on(job.stop_requested());
                job.advance(Progress::DONE)
            });
            thread::sleep(ms(1));
            jobs.request_stop(job.id(), "the user left").unwrap();
            assert_eq!(worker.join().unwrap(), Err(StepError::Stopping));
        });
    });
}

/// P9: the sweep that cancels a stopping job wakes its watchers with the end.
#[test]
fn watchers_learn_that_a_sweep_has_cancelled_a_job() {
    let (jobs, clock) = registry(GRACE);
    let job = running(&jobs);
    let mut watch = job.watch().unwrap();
    let mut next = || match pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(item) => item.map(|seen| seen.status()),
        Poll::Pending => panic!("the watch waits"),
    };
    assert_eq!(next(), Some(Status::Running));
    job.request_stop("the user left").unwrap();
    assert_eq!(next(), Some(Status::Stopping));
    clock.advance(GRACE);
    jobs.sweep();
    assert_eq!(next(), Some(Status::Cancelled));
    assert_eq!(next(), None);
}

/// P8: a stopping job that falls silent stalls as a running one does, and can then be retried.
#[test]
fn a_stopping_job_can_stall() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stall_after(ms(10))
        .stop_grace(Duration::MAX)
        .build();
    for by_retry in [false, true] {
        let job = jobs.register(0).unwrap();
        job.start().unwrap();
        job.request_stop("the user left").unwrap();
        clock.advance(ms(10));
        assert_eq!((jobs.stalled().len(), jobs.fail_stalled().len()), (0, 0));
        clock.advance(ms(1));
        assert_eq!(jobs.stalled(), [job.snapshot().unwrap()]);
        if by_retry {
            let second = job.retry().unwrap();
            assert_eq!(second.attempt(), 2);
        } else {
            assert_eq!(jobs.fail_stalled().len(), 1);
            let stalled = ended(Status::Failed, "stalled: no heartbeat for 11ms");
            assert_eq!(end_of(&job), stalled);
        }
    }
}

/// P1 and P7: the last attempt cannot be retried, not even while it is stopping and has stalled. The
/// refusal changes nothing.
#[test]
#[cfg_attr(miri, ignore = "it needs 65,535 attempts")]
fn the_last_attempt_is_not_retried_while_it_stops() {
    in_time(|| {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .stall_after(ms(10))
            .stop_grace(Duration::MAX)
            .build();
        let mut job = running(&jobs);
        while job.attempt() < u32::from(u16::MAX) {
            job.cancel().unwrap();
            job = job.retry().unwrap();
        }
        job.start().unwrap();
        job.request_stop("the user left").unwrap();
        // Each retry records a heartbeat that is later than the one before.
        clock.advance(Duration::from_secs(100));
        let before = job.details().unwrap();
        assert_eq!(jobs.stalled(), [before.snapshot]);
        assert_eq!(job.retry().unwrap_err(), RetryError::AttemptsExhausted);
        assert_eq!(job.details(), Ok(before));
    });
}

/// P6: a job that a sweep cancels is kept for its retention and then removed.
#[test]
fn a_cancelled_job_is_kept_for_its_retention() {
    for retention in [Duration::ZERO, ms(5)] {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(retention)
            .stop_grace(GRACE)
            .build();
        let id = running(&jobs).detach();
        jobs.request_stop(id, "the user left").unwrap();
        clock.advance(GRACE);
        let swept = jobs.sweep();
        let at_once = usize::from(retention.is_zero());
        assert_eq!((swept.cancelled, swept.removed), (1, at_once));
        clock.advance(retention);
        assert_eq!(jobs.sweep().removed, 1 - at_once);
        assert!(jobs.is_empty());
    }
}
