//! Asynchronous tasks that are dropped while they own a job.
//!
//! The smallest program that could violate P11 here: a task that owns a job is aborted while somebody completes that
//! job. A violation looks like a job that runs for ever, or like two endings.

use super::super::harness::{block_on, call, check, claim, percent, registry, running, spawn};
use crate::sync::{AtomicUsize, Ordering};
use crate::{Job, Status, StepError};
use shuttle::future::yield_now;
use std::sync::Arc;
use std::time::Duration;

/// What an abort and the task have in common. Shuttle keeps it where the scheduler of the models cannot see it: this stands
/// for it.
type Gate = Arc<AtomicUsize>;

fn gate() -> Gate {
    Arc::new(AtomicUsize::new(0))
}

/// Aborts by dropping, as every runtime does it: at an `await`.
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

/// Whether the task was aborted.
fn abort<R: Send + 'static>(task: shuttle::future::JoinHandle<R>, gate: &Gate) -> bool {
    let (handle, gate) = (task.abort_handle(), gate.clone());
    let client = spawn(move || {
        gate.fetch_add(1, Ordering::AcqRel);
        handle.abort();
    });
    client.join().unwrap();
    block_on(task).is_err()
}

/// A client goes away and the server drops the future that answers it, wherever it is.
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
        assert_eq!(record.error.as_deref(), text);
        let percent = record.snapshot.progress().ppm() / 10_000;
        (status, record.payload, percent)
    });
}

/// The same, while a third thread cancels the job.
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

/// A task that follows a job is aborted while it waits: its seat is free, and the job's next step wakes nobody.
#[test]
fn an_aborted_watcher_is_in_nobodys_way() {
    let claim = claim!(
        an_aborted_watcher_is_in_nobodys_way,
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
        let seats = format!("{:?}", jobs.state.table.watchers());
        assert!(!seats.contains("Entry"), "a seat has leaked: {seats}");
        assert_eq!(call!(jobs.remove(id)), Ok(0));
        aborted
    });
}
