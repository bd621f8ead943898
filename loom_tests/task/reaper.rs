//! P5, P6, P8 and P13: the reaper carries out what is due in time, and nothing before.
//!
//! The smallest programs that could violate it: a time is brought forward while the reaper falls
//! asleep, and a hook hangs. A violation looks like a job that is live or there after its time.

use super::{at, check_timed, ms, registry};
use crate::loom_tests::harness::claim;
use crate::sync::rt::park_for;
use crate::{JobRegistry, LookupError, Options, Status};
use std::time::Duration;

/// Returns the status of a job, or `None` after its removal.
fn status(jobs: &JobRegistry<u8>, id: crate::JobId) -> Option<Status> {
    match jobs.snapshot(id) {
        Ok(seen) => Some(seen.status()),
        Err(LookupError::Gone) => None,
        Err(other) => panic!("{other}"),
    }
}

/// A job with a deadline is registered while the reaper begins, falls asleep or sleeps, and is
/// failed at that deadline.
#[test]
fn earlier_deadline_wakes_the_reaper() {
    let claim = claim!(earlier_deadline_wakes_the_reaper, [P13], []);
    for when in [0, 5] {
        check_timed(
            &claim,
            &[(Status::Pending, Status::Failed)],
            &[],
            move || {
                let jobs = registry::<u8>(|builder| builder.retention(Duration::MAX));
                let far = Options::new().deadline(ms(1000));
                let _far = jobs.register_with(0, far).unwrap().detach();
                jobs.spawn_reaper().unwrap();
                let registers = {
                    let jobs = jobs.clone();
                    at(when, move || {
                        let near = Options::new().deadline(ms(10));
                        let job = jobs.register_with(1, near).unwrap();
                        park_for(ms(9));
                        let before = job.snapshot().unwrap().status();
                        park_for(ms(2));
                        (before, job.snapshot().unwrap().status())
                    })
                };
                drop(jobs);
                registers.join().unwrap()
            },
        );
    }
}

/// A job with the first stall limit of the registry starts while the reaper has nothing to do.
#[test]
fn first_stall_limit_wakes_the_reaper() {
    let claim = claim!(first_stall_limit_wakes_the_reaper, [P8], []);
    check_timed(&claim, &[(Status::Running, Status::Failed)], &[], || {
        let jobs = registry::<u8>(|builder| builder.retention(Duration::MAX));
        jobs.spawn_reaper().unwrap();
        let registers = {
            let jobs = jobs.clone();
            at(0, move || {
                let limit = Options::new().stall_after(ms(10));
                let job = jobs.register_with(1, limit).unwrap();
                job.start().unwrap();
                park_for(ms(10));
                let before = job.snapshot().unwrap().status();
                // A check is at most an eighth of the limit, and 10 ms at least, after the time.
                park_for(ms(12));
                (before, job.snapshot().unwrap().status())
            })
        };
        drop(jobs);
        registers.join().unwrap()
    });
}

/// A job ends while the reaper falls asleep, and is removed at its time.
#[test]
fn ended_job_is_removed_in_time() {
    let claim = claim!(ended_job_is_removed_in_time, [P5, P6], []);
    check_timed(&claim, &[(Some(Status::Cancelled), None)], &[], || {
        let jobs = registry::<u8>(|builder| builder.retention(ms(10)));
        jobs.spawn_reaper().unwrap();
        let ends = {
            let jobs = jobs.clone();
            at(0, move || {
                let id = jobs.register(1).unwrap().detach();
                jobs.cancel(id).unwrap();
                park_for(ms(9));
                let before = status(&jobs, id);
                park_for(ms(2));
                (before, status(&jobs, id))
            })
        };
        drop(jobs);
        ends.join().unwrap()
    });
}

/// The hook of a removal hangs. A deadline is kept all the same, and the hang is reported.
#[test]
fn hook_that_hangs_delays_no_deadline() {
    let claim = claim!(hook_that_hangs_delays_no_deadline, [P7, P13], []);
    check_timed(&claim, &[(Some(Status::Failed), true)], &[], || {
        let jobs = registry::<u8>(|builder| {
            builder.retention(ms(10)).on_remove(|record| {
                if record.payload == 0 {
                    park_for(ms(3000));
                }
            })
        });
        let hangs = jobs.register(0).unwrap().detach();
        jobs.cancel(hangs).unwrap();
        let reaper = jobs.spawn_reaper().unwrap();
        let looks = {
            let jobs = jobs.clone();
            at(15, move || {
                let options = Options::new().deadline(ms(10)).retention(Duration::MAX);
                let id = jobs.register_with(1, options).unwrap().detach();
                park_for(ms(12));
                let seen = status(&jobs, id);
                park_for(ms(1000));
                (seen, reaper.hangs().is_some_and(|(id, _)| id == hangs))
            })
        };
        drop(jobs);
        looks.join().unwrap()
    });
}

/// The registry goes while both threads of its reaper fall asleep, and both end.
#[test]
fn reaper_ends_with_its_registry() {
    let claim = claim!(reaper_ends_with_its_registry, [P6], []);
    check_timed(&claim, &[()], &[], || {
        let jobs = registry::<u8>(|builder| builder.retention(ms(10)));
        jobs.spawn_reaper().unwrap();
        let ends = {
            let jobs = jobs.clone();
            at(0, move || drop(jobs.register(1).unwrap()))
        };
        let goes = at(0, move || drop(jobs));
        ends.join().unwrap();
        goes.join().unwrap();
    });
}

/// The reaper is stopped while both of its threads fall asleep, and both end, although the registry
/// stays.
#[test]
fn stopped_reaper_ends() {
    let claim = claim!(stopped_reaper_ends, [P6], []);
    check_timed(&claim, &[0], &[], || {
        let jobs = registry::<u8>(|builder| builder.retention(ms(10)));
        let reaper = jobs.spawn_reaper().unwrap();
        let stops = at(0, move || reaper.stop());
        stops.join().unwrap();
        // The threads have a weak reference each.
        let counts = at(5, {
            let state = crate::sync::Arc::downgrade(&jobs.state);
            move || crate::sync::Weak::weak_count(&state) - 1
        });
        let left = counts.join().unwrap();
        drop(jobs);
        left
    });
}
