//! P2, P6 and P7: a shutdown leaves no live job that it does not report, and keeps its time.
//!
//! The smallest programs that could violate it: a shutdown beside one call that adds a job, and a
//! shutdown beside work that hangs. A violation looks like a live job behind a clean report, or like
//! a late report.

use super::{at, check_timed, ms, registry, sample};
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

/// Closes the registry and waits until it is idle, beside a spawn. Returns whether that was
/// accepted, and the status of its job when the wait was over.
fn idle_beside_a_spawn() -> (bool, Option<Status>) {
    let jobs = registry::<()>(|builder| builder.retention(Duration::MAX));
    let runtime = Runtime::new(1);
    let spawns = {
        let (jobs, handle) = (jobs.clone(), runtime.handle().clone());
        at(0, move || {
            let _entered = handle.enter();
            let work = async |_: crate::sync::Arc<Job<()>>| {
                sleep(ms(5)).await;
                Ok(())
            };
            jobs.spawn((), work).is_ok()
        })
    };
    let closes = at(0, move || {
        jobs.close();
        block_on(jobs.idle());
        let seen = jobs.iter().next().map(|seen| seen.status());
        assert_eq!(jobs.state.works.running(), []);
        seen
    });
    let outcome = (spawns.join().unwrap(), closes.join().unwrap());
    at(1, move || drop(runtime)).join().unwrap();
    outcome
}

/// A spawn beside a close is refused, or its work has returned when the registry is idle.
#[test]
fn spawn_beside_a_close_is_refused_or_waited_for() {
    let claim = claim!(spawn_beside_a_close_is_refused_or_waited_for, [P2, P6], []);
    let outcomes = [(false, None), (true, Some(Status::Completed))];
    check_timed(&claim, &outcomes, &[], idle_beside_a_spawn);
}

/// A registration beside a shutdown is refused, or its job is cancelled. The shutdown has three
/// threads, which are too many to explore.
#[test]
fn shutdown_cancels_or_refuses_a_registration() {
    let outcomes = [(false, 0), (true, 1)];
    sample(
        "shutdown_cancels_or_refuses_a_registration",
        2_000,
        &outcomes,
        || {
            let jobs = registry::<()>(|builder| builder);
            let registers = {
                let jobs = jobs.clone();
                at(0, move || jobs.register(()).map(Job::detach).is_ok())
            };
            let shuts = at(0, move || {
                let (report, took) = shut_down(&jobs, cancel(20));
                assert!(report.is_clean() && took < ms(20), "{report} {took:?}");
                let counts = jobs.counts();
                assert_eq!(
                    (report.cancelled, counts.total(), counts.live()),
                    (counts.cancelled, counts.cancelled, 0)
                );
                report.cancelled
            });
            (registers.join().unwrap(), shuts.join().unwrap())
        },
    );
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
