//! P8, honest heartbeat: after an accepted heartbeat, no stall verdict from before it takes effect.
//! Nothing is recorded for a job that has ended.
//!
//! The smallest program that could violate it: one thread sends a heartbeat, one judges, and both
//! succeed. A violation looks like a job that failed as stalled although its last heartbeat is as
//! recent as the clock.

use super::harness::{ModelClock, call, check, claim, percent, race, registry};
use crate::sync::facade::record::this_thread;
use crate::{Clock, JobId, JobRegistry, Options, Status, StepError};
use std::time::Duration;

/// Returns a running job whose silence exceeds the limit.
fn silent() -> (JobRegistry<()>, JobId) {
    let (jobs, clock) = registry(|builder| {
        builder
            .retention(Duration::MAX)
            .stall_after(Duration::from_millis(5))
    });
    let id = jobs.register(()).unwrap().detach();
    call!(jobs.start(id)).unwrap();
    clock.advance(Duration::from_millis(10));
    (jobs, id)
}

#[test]
fn an_accepted_heartbeat_prevents_the_verdict() {
    let claim = claim!(an_accepted_heartbeat_prevents_the_verdict, [P8], [14, 21]);
    check(&claim, &[(true, false), (false, true)], &[], || {
        let (jobs, id) = silent();
        let (heartbeat, failed) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.heartbeat(id))
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.fail_stalled())
            },
        );
        let seen = call!(jobs.snapshot(id)).unwrap();
        if heartbeat.is_ok() {
            assert_eq!(
                seen.status(),
                Status::Running,
                "failed although the heartbeat was accepted"
            );
            assert_eq!(seen.last_heartbeat(), Duration::from_millis(10));
        } else {
            assert_eq!(heartbeat, Err(StepError::Ended(Status::Failed)));
            assert_eq!(
                (seen.status(), seen.last_heartbeat()),
                (Status::Failed, Duration::ZERO)
            );
            assert_eq!(failed, [seen]);
        }
        (heartbeat.is_ok(), !failed.is_empty())
    });
}

/// A refused heartbeat means that the job has ended for every observer, although the verdict takes
/// two words.
#[test]
fn a_refused_heartbeat_means_that_the_job_has_ended() {
    let claim = claim!(
        a_refused_heartbeat_means_that_the_job_has_ended,
        [P8, P2],
        [14]
    );
    check(
        &claim,
        &[
            (true, Status::Running),
            (true, Status::Completed),
            (false, Status::Completed),
        ],
        &[],
        || {
            let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
            let id = jobs.register(()).unwrap().detach();
            call!(jobs.start(id)).unwrap();
            let (seen, ()) = race(
                {
                    let jobs = jobs.clone();
                    move || {
                        let heartbeat = call!(jobs.heartbeat(id)).is_ok();
                        (heartbeat, call!(jobs.snapshot(id)).unwrap().status())
                    }
                },
                {
                    let jobs = jobs.clone();
                    move || call!(jobs.complete(id)).unwrap()
                },
            );
            seen
        },
    );
}

/// Nothing of an ended job changes, including its last heartbeat.
#[test]
fn no_heartbeat_is_recorded_for_an_ended_job() {
    let claim = claim!(no_heartbeat_is_recorded_for_an_ended_job, [P2, P8], [7, 17]);
    check(&claim, &[(true, true), (false, false)], &[], || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        clock.advance(Duration::from_millis(10));
        let (heartbeat, ended) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.heartbeat(id)).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.cancel(id)).unwrap();
                    call!(jobs.snapshot(id)).unwrap()
                }
            },
        );
        assert_eq!(
            call!(jobs.snapshot(id)).unwrap(),
            ended,
            "an ended job has changed"
        );
        (
            heartbeat,
            ended.last_heartbeat() == Duration::from_millis(10),
        )
    });
}

/// A step other than a heartbeat does not prevent the verdict, and an accepted one is kept.
#[test]
fn an_advance_during_the_verdict_is_kept_or_refused() {
    let claim = claim!(
        an_advance_during_the_verdict_is_kept_or_refused,
        [P1, P8],
        [14]
    );
    check(&claim, &[true, false], &[], || {
        let (jobs, id) = silent();
        let (advanced, failed) = race(
            {
                let jobs = jobs.clone();
                move || call!(jobs.advance(id, percent(40.0))).is_ok()
            },
            {
                let jobs = jobs.clone();
                move || call!(jobs.fail_stalled())
            },
        );
        let seen = call!(jobs.snapshot(id)).unwrap();
        assert_eq!(failed, [seen]);
        assert_eq!(seen.progress() == percent(40.0), advanced);
        advanced
    });
}

/// A heartbeat during an ending leaves two consistent words. On inconsistent words a snapshot never
/// returns. The threads therefore take the snapshots themselves, where the checker counts their
/// steps.
#[test]
fn a_snapshot_returns_during_a_heartbeat_and_an_ending() {
    let claim = claim!(
        a_snapshot_returns_during_a_heartbeat_and_an_ending,
        [P8, P7],
        [17]
    );
    let (running, cancelled) = (Status::Running, Status::Cancelled);
    check(
        &claim,
        &[(true, running), (true, cancelled), (false, cancelled)],
        &[],
        || {
            let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
            let id = jobs.register(()).unwrap().detach();
            jobs.start(id).unwrap();
            clock.advance(Duration::from_millis(10));
            let status = move |jobs: &JobRegistry<()>| jobs.snapshot(id).unwrap().status();
            let (seen, _) = race(
                {
                    let jobs = jobs.clone();
                    move || (jobs.heartbeat(id).is_ok(), status(&jobs))
                },
                {
                    let jobs = jobs.clone();
                    move || {
                        jobs.cancel(id).unwrap();
                        status(&jobs)
                    }
                },
            );
            seen
        },
    );
}

/// A clock that is further ahead for the first thread than for the second. It is not shared, so
/// there is less to explore.
pub(super) struct Skewed;

impl Clock for Skewed {
    fn now(&self) -> Duration {
        Duration::from_millis([0, 2, 1][this_thread()])
    }
}

/// The later of two heartbeats stands, in either order of arrival.
#[test]
fn a_late_heartbeat_moves_nothing_back() {
    let claim = claim!(a_late_heartbeat_moves_nothing_back, [P8], [6, 17]);
    check(&claim, &[2, 1], &[], || {
        let (jobs, _) = registry(|builder| builder.clock(Skewed).retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        call!(jobs.start(id)).unwrap();
        let heartbeat = |jobs: JobRegistry<()>| {
            move || {
                call!(jobs.heartbeat(id)).unwrap();
                call!(jobs.snapshot(id)).unwrap().last_heartbeat()
            }
        };
        let (late, early) = race(heartbeat(jobs.clone()), heartbeat(jobs.clone()));
        let stands = call!(jobs.snapshot(id)).unwrap().last_heartbeat();
        assert_eq!((late, stands), (early.max(late), late));
        early.as_millis()
    });
}

/// Returns a registry whose jobs stall after 5 ms, and options of a job that never stalls.
fn patient() -> (JobRegistry<()>, ModelClock, Options) {
    let (jobs, clock) = registry(|builder| {
        builder
            .retention(Duration::MAX)
            .stall_after(Duration::from_millis(5))
    });
    (jobs, clock, Options::new().stall_after(Duration::MAX))
}

/// A scan that finds a new job judges it by the job's own limit.
#[test]
fn a_new_job_is_judged_by_its_own_limit() {
    let claim = claim!(a_new_job_is_judged_by_its_own_limit, [P8], []);
    check(&claim, &[false, true], &[], || {
        let (jobs, clock, options) = patient();
        let (_, found) = race(
            {
                let jobs = jobs.clone();
                move || jobs.register_with((), options).unwrap().detach()
            },
            {
                let jobs = jobs.clone();
                move || {
                    let Some(seen) = jobs.iter().next() else {
                        return false;
                    };
                    call!(jobs.start(seen.id())).unwrap();
                    clock.advance(Duration::from_millis(10));
                    assert_eq!(call!(jobs.stalled()), []);
                    true
                }
            },
        );
        found
    });
}

/// A scan meets a job with a limit of its own while the job is removed. The scan judges it by no
/// other limit.
#[test]
fn a_removed_job_is_judged_by_no_other_limit() {
    let claim = claim!(a_removed_job_is_judged_by_no_other_limit, [P4, P8], []);
    check(&claim, &[()], &[], || {
        let (jobs, clock, options) = patient();
        let id = jobs.register_with((), options).unwrap().detach();
        call!(jobs.start(id)).unwrap();
        clock.advance(Duration::from_millis(10));
        race(
            {
                let jobs = jobs.clone();
                move || assert_eq!(call!(jobs.stalled()), [])
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.cancel(id)).unwrap();
                    call!(jobs.remove(id)).unwrap();
                }
            },
        );
    });
}
