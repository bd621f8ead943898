//! Jobs that are registered and removed concurrently. P4 and P6.

use crate::watchdog::in_time;
use crate::{Files, SECOND};
use job_registry::{JobId, JobRegistry, LookupError, ManualClock, Progress, StepError};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

fn run_one(jobs: &JobRegistry<Files>, deleted: &Arc<AtomicUsize>) -> JobId {
    let files = Files {
        deleted: deleted.clone(),
        pages: vec![],
    };
    let job = jobs.register(files).unwrap();
    job.start().unwrap();
    job.update(|files| files.pages.push(1)).unwrap();
    job.complete().unwrap();
    assert_eq!(
        jobs.read(job.id(), |record| record.payload.pages.len()),
        Ok(1)
    );
    job.id()
}

/// P4 and P6, scenarios 7, 11 and 19: four threads work while the table grows. Every payload is
/// dropped once, every id is new, and old ids stay gone.
#[test]
fn registered_and_removed_jobs_leave_nothing_behind() {
    const THREADS: usize = 4;
    in_time(|| {
        let jobs = JobRegistry::new();
        let deleted = Arc::new(AtomicUsize::new(0));
        let issued = Mutex::new(HashSet::new());
        // In later rounds a thread holds more jobs at a time.
        let rounds = || (1..if cfg!(miri) { 2 } else { 60 }).map(|round| round * 5);
        thread::scope(|s| {
            for _ in 0..THREADS {
                s.spawn(|| {
                    for size in rounds() {
                        let ids: Vec<_> = (0..size).map(|_| run_one(&jobs, &deleted)).collect();
                        for id in &ids {
                            drop(jobs.remove(*id).unwrap());
                            assert_eq!(jobs.advance(*id, Progress::DONE), Err(StepError::Gone));
                        }
                        issued.lock().unwrap().extend(ids);
                    }
                });
            }
        });
        let total = THREADS * rounds().sum::<usize>();
        assert!(jobs.is_empty());
        assert_eq!(jobs.iter().count(), 0);
        assert_eq!(deleted.load(Ordering::SeqCst), total);
        let issued = issued.into_inner().unwrap();
        assert_eq!(issued.len(), total, "no id was issued twice");
        assert!(
            issued
                .iter()
                .all(|id| jobs.snapshot(*id) == Err(LookupError::Gone))
        );
    });
}

/// P6, scenario 25: of several sweeps and registrations, exactly one removes each due job and calls
/// the hook once.
#[test]
fn concurrent_sweeps_remove_each_job_once() {
    const JOBS: usize = if cfg!(miri) { 20 } else { 4_000 };
    /// Registrations, each of which removes up to two due jobs.
    const MORE: usize = if cfg!(miri) { 2 } else { 50 };
    in_time(|| {
        let hooks = Arc::new(AtomicUsize::new(0));
        let deleted = Arc::new(AtomicUsize::new(0));
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(SECOND)
            .sweep_on_register(true)
            .on_remove({
                let hooks = hooks.clone();
                move |_| {
                    hooks.fetch_add(1, Ordering::SeqCst);
                }
            })
            .build();
        for _ in 0..JOBS {
            run_one(&jobs, &deleted);
        }
        clock.advance(SECOND);
        let swept: usize = thread::scope(|s| {
            let sweepers = [(); 3].map(|()| s.spawn(|| jobs.sweep().removed));
            // `register` removes two due jobs, unless a sweep has removed them first.
            for _ in 0..MORE {
                drop(jobs.register(Files {
                    deleted: deleted.clone(),
                    pages: vec![],
                }));
            }
            sweepers
                .map(|sweeper| sweeper.join().unwrap())
                .into_iter()
                .sum()
        });
        assert!((JOBS - 2 * MORE..=JOBS).contains(&swept), "{swept}");
        assert_eq!(jobs.len(), MORE);
        assert_eq!(deleted.load(Ordering::SeqCst), JOBS);
        assert_eq!(hooks.load(Ordering::SeqCst), JOBS);
    });
}
