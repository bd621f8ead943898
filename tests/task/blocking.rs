//! `spawn_blocking`: P2 and P11 for tasks that block a thread.

use crate::{Drops, end_of, error_of};
use job_registry::{JobRegistry, LockError, Progress, Status, StepError};
use std::sync::mpsc;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// P2 and P11: the tasks succeed, return an error, and panic.
#[tokio::test]
async fn blocking_task_ends_its_job_by_its_result() {
    let jobs = JobRegistry::new();
    let ids = [
        jobs.spawn_blocking(0, |job| Ok(job.update(|n| *n += 1)?)),
        jobs.spawn_blocking(0, |job| Ok(job.start()?)),
        jobs.spawn_blocking(0, |_| Err("no such font".into())),
        jobs.spawn_blocking(0, |_| panic!("no such font")),
    ];
    let expected = [
        (Status::Completed, None),
        (Status::Failed, Some("the job has been started already")),
        (Status::Failed, Some("no such font")),
        (Status::Failed, Some("panicked: no such font")),
    ];
    for (id, (status, reason)) in ids.into_iter().zip(expected) {
        let id = id.unwrap();
        assert_eq!(end_of(&jobs, id).await.status(), status);
        assert_eq!(error_of(&jobs, id).as_deref(), reason);
    }
}

/// P2: nothing interrupts the thread; its next step, of any kind, returns the ending.
#[tokio::test]
async fn blocking_task_learns_of_a_cancel_from_its_next_step() {
    let jobs = JobRegistry::new();
    let (begun, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (report, reported) = oneshot::channel();
    let id = jobs
        .spawn_blocking((), move |job| {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            let answers = (
                job.heartbeat(),
                job.advance(Progress::DONE),
                job.update(|()| ()),
            );
            report.send(answers).unwrap();
            Ok(answers.0?)
        })
        .unwrap();
    has_begun.await.unwrap();
    jobs.cancel(id).unwrap();
    go_on.send(()).unwrap();
    let ended = Status::Cancelled;
    assert_eq!(
        reported.await.unwrap(),
        (
            Err(StepError::Ended(ended)),
            Err(StepError::Ended(ended)),
            Err(LockError::Ended(ended))
        )
    );
    assert!(jobs.shutdown(crate::shutdown::CANCEL).await.is_clean());
}

/// P2: a job that is cancelled while it waits for a thread is never run.
#[test]
fn blocking_task_cancelled_before_it_has_a_thread_never_runs() {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let jobs = JobRegistry::new();
    runtime.block_on(async {
        let (begun, has_begun) = oneshot::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let has_thread = jobs
            .spawn_blocking((), move |_| {
                begun.send(()).unwrap();
                Ok(may_go_on.recv()?)
            })
            .unwrap();
        has_begun.await.unwrap();
        let (run, has_run) = oneshot::channel();
        let waits = jobs
            .spawn_blocking((), move |_| {
                run.send(()).unwrap();
                Ok(())
            })
            .unwrap();
        jobs.cancel(waits).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(end_of(&jobs, has_thread).await.status(), Status::Completed);
        assert!(has_run.await.is_err(), "the task was dropped unused");
        assert_eq!(jobs.snapshot(waits).unwrap().status(), Status::Cancelled);
    });
}

/// P2, scenario 36: a task that a dropped runtime refuses leaves its job abandoned.
#[test]
fn tasks_for_a_dropped_runtime_abandon_their_jobs() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _context = handle.enter();
    let jobs = JobRegistry::new();
    let drops = Drops::default();
    let (blocks, awaits) = (drops.token(), drops.token());
    let ids = [
        jobs.spawn_blocking((), |_| {
            drop(blocks);
            panic!("ran")
        }),
        jobs.spawn((), async |_| {
            drop(awaits);
            panic!("ran")
        }),
    ];
    for id in ids.map(Result::unwrap) {
        assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Failed);
        assert_eq!(error_of(&jobs, id).as_deref(), Some("abandoned"));
    }
    assert_eq!(drops.count(), 2);
}

/// P7: a blocking task may hold its job's lock for long, and other threads get `Busy`.
#[tokio::test]
async fn blocking_task_may_hold_its_lock_for_long() {
    let jobs = JobRegistry::new();
    let (locked, is_locked) = oneshot::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let id = jobs
        .spawn_blocking(0, move |job| {
            job.update(|n| {
                locked.send(()).unwrap();
                may_go_on.recv().unwrap();
                *n = 1;
            })?;
            Ok(())
        })
        .unwrap();
    is_locked.await.unwrap();
    assert_eq!(jobs.try_lock(id).unwrap_err(), LockError::Busy);
    assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Running);
    go_on.send(()).unwrap();
    assert_eq!(end_of(&jobs, id).await.status(), Status::Completed);
    assert_eq!(jobs.remove(id), Ok(1));
}
