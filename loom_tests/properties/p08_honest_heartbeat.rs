//! P8, honest heartbeat: a beat that returned `Ok` is never followed by a stall verdict from before it,
//! and nothing is recorded for a job that has ended.
//!
//! The smallest program that could violate it: one thread beats, one judges, and both say that it went
//! well. A violation looks like a job that failed as stalled and whose last beat is as old as the clock.

use super::harness::{call, check, claim, percent, race, registry};
use crate::sync::facade::record::this_thread;
use crate::{Clock, JobId, JobRegistry, Status, StepError};
use std::time::Duration;

/// A running job that has been silent for too long.
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
fn an_accepted_beat_prevents_the_verdict() {
    let claim = claim!(an_accepted_beat_prevents_the_verdict, [P8], [14, 21]);
    check(&claim, &[(true, false), (false, true)], &[], || {
        let (jobs, id) = silent();
        let (beat, failed) = race(
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
        if beat.is_ok() {
            assert_eq!(
                seen.status(),
                Status::Running,
                "failed although the beat was taken"
            );
            assert_eq!(seen.last_heartbeat(), Duration::from_millis(10));
        } else {
            assert_eq!(beat, Err(StepError::Ended(Status::Failed)));
            assert_eq!(
                (seen.status(), seen.last_heartbeat()),
                (Status::Failed, Duration::ZERO)
            );
            assert_eq!(failed, [seen]);
        }
        (beat.is_ok(), !failed.is_empty())
    });
}

/// A refused beat means that the job has ended for everybody, although the verdict takes two words.
#[test]
fn a_refused_beat_means_that_the_job_has_ended() {
    let claim = claim!(a_refused_beat_means_that_the_job_has_ended, [P8, P2], [14]);
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
                        let beat = call!(jobs.heartbeat(id)).is_ok();
                        (beat, call!(jobs.snapshot(id)).unwrap().status())
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

/// Nothing of an ended job moves, its last beat included.
#[test]
fn no_beat_lands_on_an_ended_job() {
    let claim = claim!(no_beat_lands_on_an_ended_job, [P2, P8], [7, 17]);
    check(&claim, &[(true, true), (false, false)], &[], || {
        let (jobs, clock) = registry(|builder| builder.retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        clock.advance(Duration::from_millis(10));
        let (beat, ended) = race(
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
        (beat, ended.last_heartbeat() == Duration::from_millis(10))
    });
}

/// A step other than a beat does not prevent the verdict, and survives it.
#[test]
fn an_advance_beside_the_verdict_is_kept_or_refused() {
    let claim = claim!(
        an_advance_beside_the_verdict_is_kept_or_refused,
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

/// A beat beside an ending leaves two words that agree. Where they do not, looking at them never ends; so the looks are
/// in the threads, where the checker counts.
#[test]
fn a_look_comes_to_its_end_beside_a_beat_and_a_seal() {
    let claim = claim!(
        a_look_comes_to_its_end_beside_a_beat_and_a_seal,
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
            let look = move |jobs: &JobRegistry<()>| jobs.snapshot(id).unwrap().status();
            let (seen, _) = race(
                {
                    let jobs = jobs.clone();
                    move || (jobs.heartbeat(id).is_ok(), look(&jobs))
                },
                {
                    let jobs = jobs.clone();
                    move || {
                        jobs.cancel(id).unwrap();
                        look(&jobs)
                    }
                },
            );
            seen
        },
    );
}

/// Time is further on for the first thread than for the second: no shared clock, and therefore less to explore.
pub(super) struct Skewed;

impl Clock for Skewed {
    fn now(&self) -> Duration {
        Duration::from_millis([0, 2, 1][this_thread()])
    }
}

/// Of two beats the later one stands, in whichever order they arrive.
#[test]
fn a_beat_that_arrives_late_moves_nothing_back() {
    let claim = claim!(a_beat_that_arrives_late_moves_nothing_back, [P8], [6, 17]);
    check(&claim, &[2, 1], &[], || {
        let (jobs, _) = registry(|builder| builder.clock(Skewed).retention(Duration::MAX));
        let id = jobs.register(()).unwrap().detach();
        call!(jobs.start(id)).unwrap();
        let beat = |jobs: JobRegistry<()>| {
            move || {
                call!(jobs.heartbeat(id)).unwrap();
                call!(jobs.snapshot(id)).unwrap().last_heartbeat()
            }
        };
        let (late, early) = race(beat(jobs.clone()), beat(jobs.clone()));
        let stands = call!(jobs.snapshot(id)).unwrap().last_heartbeat();
        assert_eq!((late, stands), (early.max(late), late));
        early.as_millis()
    });
}
