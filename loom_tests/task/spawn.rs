//! P2 and P5: a spawned job ends once, by its result, by another call, or as abandoned.
//!
//! The smallest program that could violate it: the runtime goes at one of the job's awaits. A
//! violation looks like a job that is live although nothing works on it.

use super::{at, check_timed, ms, registry};
use crate::loom_tests::harness::claim;
use crate::sync::facade::runtime::{Runtime, sleep, yield_now};
use crate::{Progress, Status};

/// Returns how a spawned job ends if its runtime is dropped at the time `gone`. The job's work
/// awaits at 0 and until 10.
fn ending(gone: u64) -> (Status, Option<String>) {
    let jobs = registry::<()>(|builder| builder.retention(std::time::Duration::MAX));
    let runtime = Runtime::new(1);
    let entered = runtime.handle().enter();
    let id = jobs
        .spawn((), async |job| {
            job.advance(Progress::percent(10.0)?)?;
            yield_now().await;
            sleep(ms(10)).await;
            Ok(())
        })
        .unwrap();
    drop(entered);
    at(gone, move || drop(runtime)).join().unwrap();
    let details = jobs.details(id).unwrap();
    let reason = details.reason.map(|reason| reason.to_string());
    (details.snapshot.status(), reason)
}

fn abandoned() -> (Status, Option<String>) {
    (Status::Failed, Some("abandoned".to_owned()))
}

#[test]
fn job_of_a_runtime_that_goes_at_once_is_abandoned() {
    let claim = claim!(
        job_of_a_runtime_that_goes_at_once_is_abandoned,
        [P2, P5],
        []
    );
    check_timed(&claim, &[abandoned()], &[], || ending(0));
}

#[test]
fn job_of_a_runtime_that_goes_ends_once() {
    let claim = claim!(job_of_a_runtime_that_goes_ends_once, [P2, P5], []);
    let completed = (Status::Completed, None);
    check_timed(&claim, &[completed, abandoned()], &[], || ending(10));
}

/// The work is done when the grace of a requested stop has passed and a sweep cancels.
#[test]
fn stopping_job_completes_or_is_cancelled() {
    let claim = claim!(stopping_job_completes_or_is_cancelled, [P2, P13], []);
    let outcomes = [Status::Completed, Status::Cancelled];
    check_timed(&claim, &outcomes, &[], || {
        let jobs = registry::<()>(|builder| {
            builder
                .retention(std::time::Duration::MAX)
                .stop_grace(ms(5))
        });
        let runtime = Runtime::new(1);
        let entered = runtime.handle().enter();
        let id = jobs
            .spawn((), async |_| {
                sleep(ms(15)).await;
                Ok(())
            })
            .unwrap();
        drop(entered);
        let stops = {
            let jobs = jobs.clone();
            at(10, move || jobs.request_stop(id, "the user left").unwrap())
        };
        let sweeps = {
            let jobs = jobs.clone();
            at(15, move || {
                jobs.sweep();
            })
        };
        stops.join().unwrap();
        sweeps.join().unwrap();
        at(5, move || drop(runtime)).join().unwrap();
        jobs.snapshot(id).unwrap().status()
    });
}
