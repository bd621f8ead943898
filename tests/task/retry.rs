//! Stall and retry of spawned jobs. P8 and P10, scenarios 16, 17, 20 and 21.

use crate::{Drops, SECOND, end_of, error_of, settle};
use job_registry::{JobRegistry, RetryError, Status, StepError, TokioClock};
use std::future::pending;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

fn registry() -> JobRegistry<()> {
    JobRegistry::builder()
        .clock(TokioClock::new())
        .stall_after(10 * SECOND)
        .build()
}

/// P8, scenario 20: the work itself sends heartbeats. A monitor fails the silent job alone, and its
/// task is dropped.
#[tokio::test(start_paused = true)]
async fn silent_task_is_failed_and_dropped() {
    let jobs = registry();
    let drops = Drops::default();
    let token = drops.token();
    let silent = jobs
        .spawn((), async move |_| {
            let _token = token;
            pending().await
        })
        .unwrap();
    let lively = jobs
        .spawn((), async |job| {
            for _ in 0..10 {
                sleep(3 * SECOND).await;
                job.heartbeat()?;
            }
            Ok(())
        })
        .unwrap();
    settle().await;
    for _ in 0..10 {
        assert_eq!(jobs.fail_stalled(), []);
        sleep(SECOND).await;
    }
    sleep(Duration::from_millis(1)).await;
    let failed = jobs.fail_stalled();
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (failed[0].id(), failed[0].status()),
        (silent, Status::Failed)
    );
    assert!(error_of(&jobs, silent).unwrap().starts_with("stalled"));
    settle().await;
    assert_eq!(drops.count(), 1, "its future has been dropped");
    assert_eq!(end_of(&jobs, lively).await.status(), Status::Completed);
}

/// P10, scenarios 16 and 17: a worker that resumes after its stall is superseded, and affects no
/// later attempt.
#[tokio::test]
async fn resumed_worker_is_superseded() {
    let jobs = JobRegistry::new();
    let (begun, has_begun) = oneshot::channel();
    let (report, reported) = oneshot::channel();
    let id = jobs
        .spawn_blocking((), move |job| {
            begun.send(()).unwrap();
            while job.heartbeat() != Err(StepError::Superseded) {
                std::thread::yield_now();
            }
            let ends = [job.complete(), job.cancel(), job.fail("late")];
            report.send(ends).unwrap();
            Ok(())
        })
        .unwrap();
    has_begun.await.unwrap();
    jobs.cancel(id).unwrap();
    let second = jobs.retry(id).unwrap();
    second.start().unwrap();
    assert_eq!(reported.await.unwrap(), [Err(StepError::Superseded); 3]);
    assert!(second.snapshot().unwrap().status() == Status::Running);
    assert_eq!(second.complete(), Ok(()));
}

/// P2 and P10, scenario 21: an ending drops the old attempt's future, even if a retry follows at
/// once.
#[tokio::test]
async fn retried_jobs_old_future_is_dropped() {
    let jobs = registry();
    let drops = Drops::default();
    let token = drops.token();
    let id = jobs
        .spawn((), async move |_| {
            let _token = token;
            pending().await
        })
        .unwrap();
    settle().await;
    jobs.cancel(id).unwrap();
    let second = jobs.retry(id).unwrap();
    settle().await;
    assert_eq!(drops.count(), 1, "the old attempt's future is still there");
    assert_eq!(second.start(), Ok(()));
}

/// P10, scenario 21: the retry of a stalled job, which fails it in the same step, drops the old
/// future as well.
#[tokio::test(start_paused = true)]
async fn stalled_and_retried_jobs_old_future_is_dropped() {
    let jobs = registry();
    let drops = Drops::default();
    let token = drops.token();
    let id = jobs
        .spawn((), async move |_| {
            let _token = token;
            pending().await
        })
        .unwrap();
    settle().await;
    assert_eq!(
        jobs.retry(id).unwrap_err(),
        RetryError::NotRetryable(Status::Running)
    );
    sleep(11 * SECOND).await;
    let second = jobs.retry(id).unwrap();
    assert_eq!(second.snapshot().unwrap().attempt(), 2);
    settle().await;
    assert_eq!(drops.count(), 1, "the old attempt's future is still there");
    assert_eq!(second.start(), Ok(()));
}
