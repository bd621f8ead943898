//! A guard that is held across an `await`, on a thread whose other tasks have jobs of their own. P7.

use crate::{end_of, error_of, settle};
use job_registry::{JobRegistry, Status};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// P7 and P2: a job is run that was spawned meanwhile, and work that returned `Ok` completes its job
/// once the guard has been released.
#[tokio::test]
async fn spawned_jobs_wait_for_a_guard_on_their_thread() {
    let jobs = JobRegistry::new();
    let held = jobs.register(1).unwrap();
    let (end, may_end) = oneshot::channel::<()>();
    let ends = jobs.spawn(2, async |_| Ok(may_end.await?)).unwrap();
    settle().await;
    let guard = held.lock().unwrap();
    let begins = jobs.spawn(3, async |_| Ok(())).unwrap();
    end.send(()).unwrap();
    settle().await;
    let status = |id| jobs.snapshot(id).unwrap().status();
    assert_eq!(status(ends), Status::Running, "it waits for the guard");
    assert_eq!(status(begins), Status::Pending, "it waits for the guard");
    drop(guard);
    for id in [ends, begins] {
        assert_eq!(end_of(&jobs, id).await.status(), Status::Completed);
    }
}

/// P2 and P11: errors and panics of the work wait as well, and their texts are kept.
#[tokio::test]
async fn failures_wait_for_a_guard_on_their_thread() {
    let jobs = JobRegistry::new();
    let held = jobs.register(1).unwrap();
    let (end, may_end) = oneshot::channel::<()>();
    let (panic, may_panic) = oneshot::channel::<()>();
    let fails = jobs
        .spawn(2, async |_| {
            may_end.await?;
            Err("disk full".into())
        })
        .unwrap();
    let panics = jobs
        .spawn(3, async |_| {
            may_panic.await?;
            panic!("page {}", 7)
        })
        .unwrap();
    settle().await;
    let guard = held.lock().unwrap();
    end.send(()).unwrap();
    panic.send(()).unwrap();
    settle().await;
    drop(guard);
    for (id, text) in [(fails, "disk full"), (panics, "panicked: page 7")] {
        assert_eq!(end_of(&jobs, id).await.status(), Status::Failed);
        assert_eq!(error_of(&jobs, id).as_deref(), Some(text));
    }
}

/// P7: the guard belongs to a task of a `LocalSet`, which awaits the end of a spawned job under it,
/// and waits no longer than it asks for.
#[tokio::test(start_paused = true)]
async fn guard_across_an_await_of_a_local_task_delays_its_thread_only() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let jobs = JobRegistry::new();
            let held = jobs.register(1).unwrap();
            let id = jobs.spawn(2, async |_| Ok(())).unwrap();
            let holder = tokio::task::spawn_local({
                let jobs = jobs.clone();
                async move {
                    let guard = held.lock().unwrap();
                    tokio::time::sleep(crate::SECOND).await;
                    let seen = jobs.snapshot(id).unwrap().status();
                    guard.cancel();
                    seen
                }
            });
            assert_eq!(holder.await.unwrap(), Status::Pending);
            assert_eq!(end_of(&jobs, id).await.status(), Status::Completed);
        })
        .await;
}
