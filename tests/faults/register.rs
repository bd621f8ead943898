//! Registering where ended jobs take up all the room and nobody sweeps.

use crate::watchdog::in_time;
use job_registry::{JobId, JobRegistry, ManualClock, RegisterError};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A registry that is full of ended jobs, all of them due.
fn full(capacity: usize) -> (JobRegistry<usize>, Vec<JobId>) {
    let jobs = JobRegistry::builder()
        .clock(ManualClock::new())
        .capacity(capacity)
        .retention(Duration::ZERO)
        .build();
    let ids: Vec<_> = (0..capacity)
        .map(|payload| jobs.register(payload).unwrap().detach())
        .collect();
    for id in &ids {
        jobs.cancel(*id).unwrap();
    }
    (jobs, ids)
}

/// Reads a job on a thread of its own until the sender is dropped.
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

/// P6: due jobs that are locked do not keep `register` from the due jobs behind them. Wherever the
/// locked ones lie in the queue, it is refused only when they are all that is left.
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

/// P6: entries of the due queue that come early do not keep `register` from the one job that is due,
/// however many lie before it.
#[test]
fn register_finds_the_due_job_behind_early_entries() {
    in_time(|| {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .capacity(300)
            .build();
        let end = |delay| {
            let id = jobs.register(0).unwrap().detach();
            jobs.cancel(id).unwrap();
            jobs.remove_after(id, Duration::from_millis(delay)).unwrap();
            id
        };
        // All are filed under 6,400 ms, to the step of 64 ms that such a delay has. The one that is due
        // first comes out last.
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
