//! P2, P6 and P7: a shutdown leaves no live job that it does not report, and keeps its time.
//!
//! The smallest programs that could violate it: a shutdown beside one call that adds a job, and a
//! shutdown beside work that hangs. A violation looks like a live job behind a clean report, or like
//! a late report.

use super::{at, check_timed, ms, registry};
use crate::loom_tests::harness::{block_on, claim};
use crate::sync::facade::runtime::{Runtime, sleep};
use crate::sync::rt::park_for;
use crate::{Job, JobRegistry, Phases, Shutdown, Status};
use std::time::Duration;

const fn cancel(millis: u64) -> Phases {
    Phases {
        finish: Duration::ZERO,
        stop: Duration::ZERO,
        cancel: ms(millis),
    }
}

/// Shuts down at the time `when`. Returns the report, and the time that it took.
fn shut_down(jobs: &JobRegistry<()>, phases: Phases) -> (Shutdown, Duration) {
    let start = jobs.now();
    let report = block_on(jobs.shutdown(phases));
    (report, jobs.now().saturating_sub(start))
}

/// A spawn is refused, or its job is cancelled and its task has returned.
#[test]
fn shutdown_cancels_or_refuses_a_spawned_job() {
    let claim = claim!(shutdown_cancels_or_refuses_a_spawned_job, [P2, P6], []);
    let outcomes = [(false, 0), (true, 1)];
    check_timed(&claim, &outcomes, &[], || {
        let jobs = registry::<()>(|builder| builder);
        let runtime = Runtime::new(1);
        let spawns = {
            let (jobs, handle) = (jobs.clone(), runtime.handle().clone());
            at(0, move || {
                let _entered = handle.enter();
                let work = async |_: crate::sync::Arc<Job<()>>| {
                    sleep(ms(1000)).await;
                    Ok(())
                };
                jobs.spawn((), work).is_ok()
            })
        };
        let shuts = {
            let jobs = jobs.clone();
            at(0, move || {
                let (report, took) = shut_down(&jobs, cancel(20));
                assert!(report.is_clean() && took < ms(20), "{report} {took:?}");
                assert_eq!(jobs.counts().live(), 0);
                (report.cancelled, jobs.len())
            })
        };
        let is_spawned = spawns.join().unwrap();
        let (cancelled, seen) = shuts.join().unwrap();
        assert_eq!(cancelled, seen);
        at(1, move || drop(runtime)).join().unwrap();
        (is_spawned, cancelled)
    });
}

/// Blocking work hangs. The time is kept, and the report names the job.
#[test]
fn shutdown_keeps_its_time_beside_work_that_hangs() {
    let claim = claim!(shutdown_keeps_its_time_beside_work_that_hangs, [P7], []);
    check_timed(&claim, &[()], &[], || {
        let jobs = registry::<()>(|builder| builder.retention(Duration::MAX));
        let job = jobs.register(()).unwrap();
        let id = job.id();
        let hangs = at(0, move || {
            let _ = job.run(|_| {
                park_for(ms(1000));
                Ok(())
            });
        });
        let shuts = {
            let jobs = jobs.clone();
            at(5, move || shut_down(&jobs, cancel(20)))
        };
        let (report, took) = shuts.join().unwrap();
        assert_eq!((report.cancelled, &report.working), (1, &vec![id]));
        assert!(report.live.is_empty() && took == ms(20), "{took:?}");
        hangs.join().unwrap();
    });
}

/// The phases of a job that finishes, stops or hears nothing, which is decided by when it looks.
#[test]
fn phases_follow_each_other() {
    let claim = claim!(phases_follow_each_other, [P2, P13], []);
    let outcomes = [
        (Status::Completed, 0, 0),
        (Status::Cancelled, 1, 0),
        (Status::Cancelled, 1, 1),
    ];
    check_timed(&claim, &outcomes[..1], &[], || phases(8));
    check_timed(&claim, &outcomes[1..2], &[], || phases(18));
    check_timed(&claim, &outcomes[2..], &[], || phases(28));
}

/// Shuts down with 10 ms for each phase, beside a job that looks for a stop after `looks` and then
/// ends. Returns its status, and how many jobs were stopped and cancelled.
fn phases(looks: u64) -> (Status, usize, usize) {
    let jobs = registry::<()>(|builder| builder.retention(Duration::MAX));
    let job = jobs.register(()).unwrap();
    let id = job.id();
    let works = at(0, move || {
        let _ = job.run(|job| {
            park_for(ms(looks));
            if job.is_stop_requested() {
                return Err("stopped".into());
            }
            Ok(())
        });
    });
    let shuts = {
        let jobs = jobs.clone();
        at(1, move || {
            let phase = ms(10);
            let phases = Phases {
                finish: phase,
                stop: phase,
                cancel: phase,
            };
            shut_down(&jobs, phases)
        })
    };
    let (report, _) = shuts.join().unwrap();
    works.join().unwrap();
    assert!(report.is_clean(), "{report}");
    let status = jobs.snapshot(id).unwrap().status();
    (status, report.stopped, report.cancelled)
}
