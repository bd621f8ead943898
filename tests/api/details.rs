//! Details: times and texts of a job, without its payload and without its lock.

use crate::watchdog::in_time;
use job_registry::{JobRegistry, LookupError, ManualClock, Progress, Status};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// P12: details are those of a record without the payload, in every status.
#[test]
fn details_agree_with_the_record() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(ms(100))
        .build();
    let job = jobs.register(()).unwrap();
    let check = || {
        let details = job.details().unwrap();
        assert_eq!(jobs.details(job.id()), Ok(details.clone()));
        let record = jobs.get(job.id()).unwrap();
        assert_eq!(details.snapshot, record.snapshot);
        assert_eq!(details.times, record.times);
        assert_eq!(
            (&details.note, &details.reason),
            (&record.note, &record.reason)
        );
        clock.advance(ms(10));
        details
    };
    let pending = check();
    assert_eq!((pending.times.started, pending.times.ended), (None, None));
    job.start().unwrap();
    assert_eq!(check().times.started, Some(ms(10)));
    job.report(Progress::of(1, 2), "half").unwrap();
    assert_eq!(check().note.as_deref(), Some("half"));
    job.request_stop("the user left").unwrap();
    let stopping = check();
    assert_eq!(stopping.snapshot.status(), Status::Stopping);
    assert_eq!(stopping.reason.as_deref(), Some("the user left"));
    assert_eq!((stopping.times.ended, stopping.times.removal), (None, None));
    job.cancel().unwrap();
    let ended = check();
    assert_eq!(ended.times.ended, Some(ms(40)));
    assert_eq!(ended.times.removal, Some(ms(140)));
    job.remove_after(Duration::MAX).unwrap();
    assert_eq!(check().times.removal, None);
    let _second = jobs.retry(job.id()).unwrap();
    let retried = check();
    assert_eq!(retried.snapshot.attempt(), 2);
    assert_eq!(retried.times.registered, ms(0));
    assert_eq!((retried.times.started, retried.times.ended), (None, None));
    assert_eq!((retried.note, retried.reason), (None, None));
}

/// P4: a removed job has no details, and neither has a stranger's id.
#[test]
fn details_of_a_missing_job_are_refused() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.note("secret").unwrap();
    job.cancel().unwrap();
    job.remove().unwrap();
    let next = jobs.register(()).unwrap();
    assert_eq!(jobs.details(job.id()), Err(LookupError::Gone));
    assert_eq!(job.details(), Err(LookupError::Gone));
    assert_eq!(next.details().unwrap().note, None);
    let foreign = JobRegistry::new().register(()).unwrap().detach();
    assert_eq!(jobs.details(foreign), Err(LookupError::NotFound));
}

/// P7: details never wait for a worker that holds the job's lock, and work under its own guard.
#[test]
fn details_work_while_the_job_is_locked() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(0).unwrap();
        job.start().unwrap();
        let (locked, is_locked) = channel();
        let (release, released) = channel::<()>();
        thread::scope(|scope| {
            let job = &job;
            scope.spawn(move || {
                let mut guard = job.lock().unwrap();
                *guard += 1;
                guard.note("under the lock").unwrap();
                locked.send(()).unwrap();
                released.recv().unwrap();
                assert_eq!(
                    job.details().unwrap().note.as_deref(),
                    Some("under the lock")
                );
            });
            is_locked.recv().unwrap();
            let details = jobs.details(job.id()).unwrap();
            assert_eq!(details.note.as_deref(), Some("under the lock"));
            assert_eq!(details.snapshot, job.snapshot().unwrap());
            release.send(()).unwrap();
        });
        // Another job's guard does not matter either.
        let other = jobs.register(0).unwrap();
        let guard = other.lock().unwrap();
        assert!(jobs.details(job.id()).is_ok() && jobs.details(other.id()).is_ok());
        drop(guard);
    });
}

/// P7: details work within an update, and within the closure of a read.
#[test]
fn details_work_under_the_callers_own_lock() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(0).unwrap();
        let status = |details: job_registry::Details| details.snapshot.status();
        let under = job.update(|_| jobs.details(job.id()).map(status));
        assert_eq!(under, Ok(Ok(Status::Pending)));
        job.cancel().unwrap();
        let under = jobs.read(job.id(), |_| jobs.details(job.id()).map(status));
        assert_eq!(under, Ok(Ok(Status::Cancelled)));
    });
}

/// P12: the progress and the note of one report are never seen apart, by `details` and by `read`.
#[test]
fn progress_and_note_of_a_report_are_seen_together() {
    const REPORTS: u32 = if cfg!(miri) { 30 } else { 20_000 };
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    job.report(Progress::ZERO, "0").unwrap();
    let is_over = AtomicBool::new(false);
    let together = |progress: Progress, note: Option<&str>| {
        let note: u32 = note.unwrap().parse().unwrap();
        assert_eq!(progress.ppm(), note, "seen apart");
    };
    let start = Barrier::new(3);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            while !is_over.load(Ordering::SeqCst) {
                let seen = jobs.details(job.id()).unwrap();
                together(seen.snapshot.progress(), seen.note.as_deref());
            }
        });
        scope.spawn(|| {
            start.wait();
            while !is_over.load(Ordering::SeqCst) {
                let seen = jobs.read(job.id(), |record| {
                    (record.snapshot.progress(), record.note.clone())
                });
                let (progress, note) = seen.unwrap();
                together(progress, note.as_deref());
            }
        });
        start.wait();
        for ppm in 1..=REPORTS {
            let progress = Progress::from_ppm(ppm).unwrap();
            if ppm % 2 == 0 {
                job.report(progress, ppm.to_string()).unwrap();
            } else {
                let mut guard = job.lock().unwrap();
                guard.report(progress, ppm.to_string()).unwrap();
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
}

/// P12: status, reason and times of an end are seen together, also across retries.
#[test]
fn an_end_is_seen_with_its_reason_and_its_time() {
    const ATTEMPTS: u32 = if cfg!(miri) { 10 } else { 1_000 };
    let jobs = JobRegistry::builder().stop_grace(Duration::MAX).build();
    let mut job = jobs.register(()).unwrap();
    let id = job.id();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let seen = jobs.details(id).unwrap();
                let attempt = seen.snapshot.attempt();
                let (stop, end) = (format!("stop {attempt}"), format!("end {attempt}"));
                let (reason, times) = (seen.reason.as_deref(), seen.times);
                match seen.snapshot.status() {
                    Status::Pending => assert_eq!((reason, times.started), (None, None)),
                    Status::Running => assert_eq!((reason, times.ended), (None, None)),
                    Status::Stopping => assert_eq!((reason, times.ended), (Some(&*stop), None)),
                    Status::Failed => assert_eq!(reason, Some(&*end)),
                    other => panic!("{other}"),
                }
                assert_eq!(times.ended.is_some(), seen.snapshot.status().is_ended());
                let is_started = seen.snapshot.status() != Status::Pending;
                assert_eq!(times.started.is_some(), is_started);
            }
        });
        for attempt in 1..=ATTEMPTS {
            job.start().unwrap();
            job.request_stop(format!("stop {attempt}")).unwrap();
            job.fail(format!("end {attempt}")).unwrap();
            job = job.retry().unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
    });
}
