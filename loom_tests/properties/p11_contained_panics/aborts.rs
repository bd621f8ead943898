//! Asynchronous tasks that are dropped while they own a job.
//!
//! The smallest program that could violate P11 here: a task that owns a job is aborted while
//! another thread completes that job. A violation looks like a job that runs forever, or like two
//! endings.

use super::super::harness::{block_on, call, check, claim, percent, registry, running, spawn};
use crate::sync::{AtomicUsize, Ordering};
use crate::{Job, Status, StepError};
use shuttle::future::yield_now;
use std::sync::Arc;
use std::time::Duration;

/// State shared by an abort and its task. Shuttle's own state is invisible to the scheduler of the
/// models, and this atomic stands in for it.
type Gate = Arc<AtomicUsize>;

fn gate() -> Gate {
    Arc::new(AtomicUsize::new(0))
}

/// Aborts as every runtime does: by dropping the task at an `await`.
async fn may_be_aborted(gate: &Gate) {
    gate.fetch_add(1, Ordering::AcqRel);
    yield_now().await;
}

/// Works in three steps, and owns its job.
async fn work(job: Job<i32>, gate: Gate) {
    may_be_aborted(&gate).await;
    if job.update(|pages| *pages += 1).is_err() {
        return;
    }
    may_be_aborted(&gate).await;
    let _ = call!(job.advance(percent(40.0)));
    may_be_aborted(&gate).await;
    let _ = call!(job.complete());
}

/// Aborts the task concurrently. Returns whether the abort came before its end.
fn abort<R: Send + 'static>(task: shuttle::future::JoinHandle<R>, gate: &Gate) -> bool {
    let (handle, gate) = (task.abort_handle(), gate.clone());
    let client = spawn(move || {
        gate.fetch_add(1, Ordering::AcqRel);
        handle.abort();
    });
    client.join().unwrap();
    block_on(task).is_err()
}

/// A client disconnects, and the server drops the future that answers it at any of its steps.
#[test]
fn an_aborted_task_leaves_no_job_running() {
    let claim = claim!(an_aborted_task_leaves_no_job_running, [P2, P11], [36]);
    let abandoned = |pages, percent| (Status::Failed, pages, percent);
    let outcomes = [
        abandoned(0, 0),
        abandoned(1, 0),
        abandoned(1, 40),
        (Status::Completed, 1, 100),
    ];
    check(&claim, &outcomes, &[], || {
        let (jobs, job) = running(0);
        let (id, gate) = (job.id(), gate());
        let task = shuttle::future::spawn(work(job, gate.clone()));
        let aborted = abort(task, &gate);
        let record = jobs.get(id).unwrap();
        let status = record.snapshot.status();
        assert_eq!(aborted, status == Status::Failed);
        let text = aborted.then_some("abandoned");
        assert_eq!(record.reason.as_deref(), text);
        let percent = record.snapshot.progress().ppm() / 10_000;
        (status, record.payload, percent)
    });
}

/// A third thread cancels the job during the abort.
#[test]
fn an_abort_and_a_cancellation_make_one_ending() {
    let claim = claim!(an_abort_and_a_cancellation_make_one_ending, [P2, P11], [36]);
    let failed = StepError::Ended(Status::Failed);
    let completed = StepError::Ended(Status::Completed);
    let outcomes = [
        (true, Ok(())),
        (false, Ok(())),
        (true, Err(failed)),
        (false, Err(completed)),
    ];
    check(&claim, &outcomes, &[], || {
        let (jobs, job) = running(0);
        let (id, gate) = (job.id(), gate());
        let other = {
            let jobs = jobs.clone();
            spawn(move || call!(jobs.cancel(id)))
        };
        let task = shuttle::future::spawn(work(job, gate.clone()));
        let aborted = abort(task, &gate);
        let cancelled = other.join().unwrap();
        let expected = match cancelled {
            Ok(()) => Status::Cancelled,
            Err(StepError::Ended(status)) => status,
            Err(refused) => panic!("{refused}"),
        };
        assert_eq!(jobs.snapshot(id).unwrap().status(), expected);
        (aborted, cancelled)
    });
}

/// A task that watches a job is aborted while it waits. Its registration is removed, and the job's
/// next step wakes nothing.
#[test]
fn an_aborted_watcher_leaves_no_registration() {
    let claim = claim!(
        an_aborted_watcher_leaves_no_registration,
        [P7, P9, P11],
        [36, 38]
    );
    check(&claim, &[true, false], &[], || {
        let (jobs, _) = registry(|builder| builder.retention(Duration::MAX));
        let id = jobs.register(0).unwrap().detach();
        let (mut watch, gate) = (jobs.watch(id).unwrap(), gate());
        let waiting = gate.clone();
        let task = shuttle::future::spawn(async move {
            while watch.changed().await.is_some() {
                waiting.fetch_add(1, Ordering::AcqRel);
            }
        });
        let other = {
            let jobs = jobs.clone();
            spawn(move || call!(jobs.cancel(id)).unwrap())
        };
        let aborted = abort(task, &gate);
        other.join().unwrap();
        let registrations = format!("{:?}", jobs.state.table.watchers());
        assert!(
            !registrations.contains("Entry"),
            "a registration has leaked: {registrations}"
        );
        assert_eq!(call!(jobs.remove(id)), Ok(0));
        aborted
    });
}
