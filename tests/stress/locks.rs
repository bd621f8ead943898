//! A lock that is held for a long time. P7.

use crate::SECOND;
use crate::watchdog::in_time;
use job_registry::{JobRegistry, LockError, ManualClock, Progress, Status, StepError};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// P7, scenarios 3 and 43: a held lock blocks the calls that need this lock, and no others.
#[test]
fn held_lock_blocks_only_the_calls_that_need_it() {
    in_time(|| {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(Duration::ZERO)
            .stall_after(SECOND)
            .build();
        let job = jobs.register(()).unwrap();
        let id = job.id();
        job.start().unwrap();
        let ended = jobs.register(()).unwrap();
        ended.cancel().unwrap();
        clock.advance(2 * SECOND);
        let (done, is_done) = channel();

        let guard = job.lock().unwrap();
        let bystander = thread::spawn({
            let jobs = jobs.clone();
            move || {
                assert_eq!(jobs.try_lock(id).unwrap_err(), LockError::Busy);
                assert_eq!(jobs.stalled().len(), 1);
                assert_eq!(
                    jobs.fail_stalled(),
                    [],
                    "a locked job is left to the next call"
                );
                assert_eq!(jobs.heartbeat(id), Ok(()));
                assert_eq!(jobs.advance(id, Progress::DONE), Ok(Progress::DONE));
                assert_eq!(jobs.snapshot(id).unwrap().progress(), Progress::DONE);
                assert!(pollster::block_on(jobs.watch(id).unwrap().changed()).is_some());
                assert_eq!(jobs.counts().total(), 2);
                assert_eq!(jobs.sweep().removed, 1);
                let other = jobs.register(()).unwrap();
                other.start().unwrap();
                other.update(|()| ()).unwrap();
                other.complete().unwrap();
                done.send(()).unwrap();
                // This call waits until the guard ends the job.
                assert_eq!(jobs.cancel(id), Err(StepError::Ended(Status::Completed)));
            }
        });
        is_done
            .recv()
            .expect("all of it works while the guard is held");
        guard.complete().unwrap();
        bystander.join().unwrap();
    });
}
