//! Concurrent updates and advances. P1 and P3.

use crate::rounds;
use crate::watchdog::in_time;
use job_registry::{Job, JobId, JobRegistry, LockError, Progress};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// P3, scenarios 1 and 9: every other round ends the job in the middle. The result contains each
/// update that returned `Ok`, and no refused one.
#[test]
fn no_update_is_lost_among_many_writers() {
    in_time(|| {
        for round in 0..rounds(40) {
            let jobs = JobRegistry::new();
            let id = jobs.register(0_u64).unwrap().detach();
            jobs.start(id).unwrap();
            let written: u64 = thread::scope(|s| {
                let writers = [(); 6].map(|()| s.spawn(|| write_until_refused(&jobs, id)));
                if round % 2 == 1 {
                    while jobs.get(id).unwrap().payload < EACH / 2 {
                        thread::yield_now();
                    }
                    jobs.complete(id).unwrap();
                }
                writers
                    .into_iter()
                    .map(|writer| writer.join().unwrap())
                    .sum()
            });
            assert_eq!(jobs.get(id).unwrap().payload, written);
            assert!(round % 2 == 1 || written == 6 * EACH);
        }
    });
}

/// Number of updates that a writer makes.
const EACH: u64 = if cfg!(miri) { 4 } else { 100 };

/// Adds one up to [`EACH`] times, and returns how many additions were accepted.
fn write_until_refused(jobs: &JobRegistry<u64>, id: JobId) -> u64 {
    for written in 0..EACH {
        let updated = jobs.update(id, |count| {
            let read = *count;
            // The other threads get a chance to interfere.
            thread::yield_now();
            *count = read + 1;
        });
        if updated.is_err() {
            assert!(matches!(updated, Err(LockError::Ended(_))), "{updated:?}");
            return written;
        }
    }
    EACH
}

/// P1, scenario 6: many threads advance in any order, over several attempts. No observer sees the
/// version fall, by polling, by watching, or in the result of `advance`.
#[test]
fn no_observer_sees_the_version_fall() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(()).unwrap();
        let id = job.id();
        let over = AtomicBool::new(false);
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    let mut seen = None;
                    while !over.load(Ordering::SeqCst) {
                        let version = jobs.snapshot(id).unwrap().version();
                        assert!(Some(version) >= seen, "{version} after {seen:?}");
                        seen = Some(version);
                    }
                });
            }
            let mut watch = jobs.watch(id).unwrap();
            s.spawn(move || {
                let mut seen = None;
                while let Some(next) = pollster::block_on(watch.changed()) {
                    assert!(Some(next.version()) > seen, "{next:?} after {seen:?}");
                    seen = Some(next.version());
                }
            });
            work_in_attempts(job);
            over.store(true, Ordering::SeqCst);
        });
    });
}

/// Advances the job in several attempts. The watcher may see an attempt end, and follows the same
/// job into the next.
fn work_in_attempts(mut job: Job<()>) {
    for _ in 0..if cfg!(miri) { 2 } else { 20 } {
        job.start().unwrap();
        thread::scope(|s| {
            for offset in 0..4 {
                let job = &job;
                s.spawn(move || advance_out_of_order(job, offset));
            }
        });
        assert_eq!(job.snapshot().unwrap().progress().ppm(), STEPS + 3);
        job.fail("again").unwrap();
        job = job.retry().unwrap();
    }
    job.cancel().unwrap();
}

/// Number of advances of each thread.
const STEPS: u32 = if cfg!(miri) { 10 } else { 1_000 };

fn advance_out_of_order(job: &Job<()>, offset: u32) {
    let mut stands = Progress::ZERO;
    for n in 0..STEPS {
        // 7 and the number of steps are coprime, so that every value occurs once.
        let progress = Progress::from_ppm(n * 7 % STEPS + 1 + offset).unwrap();
        let now = job.advance(progress).unwrap();
        assert!(now >= progress && now >= stands);
        stands = now;
    }
}
