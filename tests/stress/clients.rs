//! The guide's own test: five concurrent clients.

use crate::watchdog::in_time;
use crate::{Files, SECOND};
use job_registry::{JobRegistry, ManualClock, Progress, Status};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

/// P1, P2, P3 and P6, scenario 8: each client has two workers, heartbeats, late updates, and a
/// poller. Each job ends cleanly and is removed with its files.
#[test]
fn five_clients_at_once_end_cleanly_and_leave_nothing() {
    in_time(|| {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .stall_after(SECOND)
            .build();
        let deleted = Arc::new(AtomicUsize::new(0));
        let start = Barrier::new(5);
        thread::scope(|s| {
            for _ in 0..5 {
                s.spawn(|| serve_one_client(&jobs, &deleted, &start));
            }
        });
        assert_eq!(jobs.counts().completed, 5);
        assert_eq!(deleted.load(Ordering::SeqCst), 0, "no job is removed early");
        clock.advance(SECOND);
        assert_eq!(jobs.sweep().removed, 5);
        assert_eq!(deleted.load(Ordering::SeqCst), 5);
        assert!(jobs.is_empty());
    });
}

fn serve_one_client(jobs: &JobRegistry<Files>, deleted: &Arc<AtomicUsize>, start: &Barrier) {
    const PAGES: u64 = if cfg!(miri) { 2 } else { 200 };
    let files = Files {
        deleted: deleted.clone(),
        pages: Vec::new(),
    };
    start.wait();
    let job = jobs.register(files).unwrap();
    job.remove_after(SECOND).unwrap();
    job.start().unwrap();
    thread::scope(|s| {
        // Each of two threads draws every other page, so that every other report is late.
        let work = |half: u64| {
            let job = &job;
            move || {
                for page in (half..PAGES).step_by(2) {
                    job.update(|files| files.pages.push(page)).unwrap();
                    let at_least = Progress::ratio(page, PAGES).unwrap();
                    assert!(job.advance(at_least).unwrap() >= at_least);
                    job.heartbeat().unwrap();
                }
            }
        };
        let workers = [s.spawn(work(0)), s.spawn(work(1))];
        let poller = s.spawn(|| {
            let mut seen = jobs.snapshot(job.id()).unwrap();
            while !seen.status().is_ended() {
                let next = jobs.snapshot(job.id()).unwrap();
                assert!(next.version() >= seen.version(), "{next:?} after {seen:?}");
                assert!(jobs.stalled().is_empty());
                seen = next;
            }
            seen
        });
        for worker in workers {
            worker.join().unwrap();
        }
        job.complete().unwrap();
        let end = poller.join().unwrap();
        assert_eq!(
            (end.status(), end.progress()),
            (Status::Completed, Progress::DONE)
        );
    });
    let mut pages = jobs
        .read(job.id(), |record| record.payload.pages.clone())
        .unwrap();
    pages.sort_unstable();
    assert!(pages.into_iter().eq(0..PAGES), "each page once");
}
