//! Room for as many jobs as the capacity states. P6.

use crate::watchdog::in_time;
use job_registry::{JobId, JobRegistry, RegisterError};
use std::collections::HashSet;
use std::thread;
use std::time::Duration;

/// P6 and P12, scenario 8: there are more threads than magazines of free slots, and exactly as many
/// slots as jobs at a time. No registration is refused, and the registry can be filled again
/// afterwards.
#[test]
fn full_capacity_is_usable_by_all_threads() {
    const THREADS: usize = if cfg!(miri) { 18 } else { 40 };
    const EACH: usize = if cfg!(miri) { 2 } else { 3 };
    in_time(|| {
        let jobs = JobRegistry::builder()
            .capacity(THREADS * EACH)
            .retention(Duration::MAX)
            .build();
        thread::scope(|s| {
            for seed in 0..THREADS {
                let jobs = &jobs;
                s.spawn(move || come_and_go(jobs, seed, EACH));
            }
        });
        assert!(jobs.is_empty());
        let all: HashSet<_> = (0..THREADS * EACH)
            .map(|number| register(&jobs, number))
            .collect();
        assert_eq!(all.len(), THREADS * EACH);
        let refused = jobs.register(7).map(|job| job.id());
        assert!(
            matches!(refused, Err(RegisterError::Full(7))),
            "{refused:?}"
        );
    });
}

/// Holds up to `most` jobs at a time, each with its own payload.
fn come_and_go(jobs: &JobRegistry<usize>, seed: usize, most: usize) {
    let mut held = Vec::new();
    for round in 0..if cfg!(miri) { 5 } else { 500 } {
        let payload = 1_000_000 * seed + round;
        if held.len() < most && (round * (seed + 1)) % 5 < 3 {
            held.push((register(jobs, payload), payload));
        } else if !held.is_empty() {
            remove(jobs, held.remove(round % held.len()));
        }
    }
    for job in held {
        remove(jobs, job);
    }
}

fn register(jobs: &JobRegistry<usize>, payload: usize) -> JobId {
    let job = jobs.register(payload).expect("others hold fewer than all");
    job.detach()
}

fn remove(jobs: &JobRegistry<usize>, (id, payload): (JobId, usize)) {
    jobs.cancel(id).unwrap();
    assert_eq!(jobs.remove(id), Ok(payload), "a slot has two jobs");
}
