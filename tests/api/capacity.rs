//! The capacity, and registrations that remove due jobs to make room.

use crate::watchdog::in_time;
use job_registry::{JobId, JobRegistry, ManualClock, RegisterError};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Returns a registry that is full of ended jobs, all of them due.
fn full(capacity: usize) -> (JobRegistry<usize>, Vec<JobId>) {
    let jobs = JobRegistry::builder()
        .clock(ManualClock::new())
        .capacity(capacity)
        .retention(Duration::ZERO)
        .sweep_on_register(true)
        .build();
    let ids: Vec<_> = (0..capacity)
        .map(|payload| jobs.register(payload).unwrap().detach())
        .collect();
    for id in &ids {
        jobs.cancel(*id).unwrap();
    }
    (jobs, ids)
}

/// Reads a job on another thread until the sender is dropped.
fn reader(jobs: &JobRegistry<usize>, id: JobId) -> (Sender<()>, JoinHandle<()>) {
    let (jobs, (begun, begins)) = (jobs.clone(), channel());
    let (done, until): (_, Receiver<()>) = channel();
    let reader = std::thread::spawn(move || {
        jobs.read(id, |_| {
            begun.send(()).unwrap();
            let _ = until.recv();
        })
        .unwrap();
    });
    begins.recv().unwrap();
    (done, reader)
}

/// P6: a capacity of zero refuses every job, and a capacity of one admits one job at a time.
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
            "an ended job still occupies its slot"
        );
        assert_eq!(job.remove(), Ok(n));
    }
}

/// P6: `register` finds the due jobs behind due jobs that are locked, wherever those lie in the
/// queue. It is refused only when every remaining job is locked.
#[test]
fn register_removes_what_is_due_behind_locked_jobs() {
    in_time(|| {
        for first in 0..8 {
            let (jobs, ids) = full(10);
            let readers = [first, first + 2].map(|locked| reader(&jobs, ids[locked]));
            for round in 0..8 {
                let job = jobs.register(round);
                let _ = job.expect("the other jobs are due and free").detach();
            }
            let refused = jobs.register(8).unwrap_err();
            assert!(matches!(refused, RegisterError::Full(8)), "{refused:?}");
            for (done, reader) in readers {
                drop(done);
                reader.join().unwrap();
                let _ = jobs.register(9).expect("its reader has gone").detach();
            }
        }
    });
}

/// P6: `register` finds the one due job behind any number of queue entries whose jobs are not due
/// yet.
#[test]
fn register_finds_the_due_job_behind_early_entries() {
    in_time(|| {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .capacity(300)
            .sweep_on_register(true)
            .build();
        let end = |delay| {
            let id = jobs.register(0).unwrap().detach();
            jobs.cancel(id).unwrap();
            jobs.remove_after(id, Duration::from_millis(delay)).unwrap();
            id
        };
        // All entries are queued at 6,400 ms, because such delays are rounded to steps of 64 ms.
        // The job that is due first is listed last.
        let due = end(6_410);
        let others: Vec<_> = (1..300).map(|_| end(6_463)).collect();
        clock.advance(Duration::from_millis(6_420));
        let job = jobs.register(1).expect("one job is due");
        assert!(jobs.snapshot(due).is_err(), "it has made room");
        assert!(others.iter().all(|id| jobs.snapshot(*id).is_ok()));
        let refused = jobs.register(2).unwrap_err();
        assert!(matches!(refused, RegisterError::Full(2)), "{refused:?}");
        drop(job);
    });
}

/// P7: by default, `register` runs no hook and no destructor, however many jobs are due, and is
/// refused at capacity.
#[test]
fn register_removes_nothing_by_default() {
    in_time(|| {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .capacity(3)
            .retention(Duration::ZERO)
            .on_remove(|_| panic!("a registration removes nothing"))
            .build();
        let payload = Arc::new(());
        for _ in 0..2 {
            let id = jobs.register(payload.clone()).unwrap().detach();
            jobs.cancel(id).unwrap();
        }
        clock.advance(Duration::from_secs(1));
        let last = jobs.register(payload.clone()).unwrap();
        let refused = jobs.register(payload.clone()).unwrap_err();
        assert!(matches!(refused, RegisterError::Full(_)), "{refused:?}");
        drop(refused);
        assert_eq!((jobs.len(), Arc::strong_count(&payload)), (3, 4));
        assert_eq!(jobs.sweep().removed, 2);
        drop(last);
    });
}

/// The registration time is read after the removals that make room for the job.
#[test]
fn registration_time_is_after_the_removals_that_make_room() {
    const MINUTE: Duration = Duration::from_secs(60);
    in_time(|| {
        let clock = ManualClock::new();
        let slow = clock.clone();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(MINUTE)
            .sweep_on_register(true)
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
