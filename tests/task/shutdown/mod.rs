//! `shutdown`: no new jobs, an end for the present ones, nothing left behind, and a report. P2, P6
//! and P7.

mod races;

use crate::{Drops, SECOND, settle};
use job_registry::{JobRegistry, RegisterError, RetryError, Status, TokioClock};
use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// Fails instead of hanging.
pub(crate) async fn in_time<R>(shutdown: impl Future<Output = R>) -> R {
    timeout(LONG, shutdown).await.expect("the deadline is kept")
}

/// P2 and P6: jobs of every status are removed with their payloads and tasks.
#[tokio::test]
async fn shutdown_leaves_nothing() {
    let drops = Drops::default();
    let jobs = JobRegistry::builder().retention(Duration::MAX).build();
    for _ in 0..3 {
        let token = drops.token();
        jobs.spawn(drops.token(), async move |_| {
            let _token = token;
            pending().await
        })
        .unwrap();
    }
    jobs.spawn_blocking(drops.token(), |job| {
        while job.heartbeat().is_ok() {
            thread::yield_now();
        }
        Ok(())
    })
    .unwrap();
    let pending = jobs.register(drops.token()).unwrap();
    let ended = jobs.register(drops.token()).unwrap().detach();
    jobs.cancel(ended).unwrap();
    let later = jobs.register(drops.token()).unwrap().detach();
    jobs.cancel(later).unwrap();
    jobs.remove_after(later, 3600 * SECOND).unwrap();

    let report = jobs.shutdown(LONG).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.cancelled, report.live, report.tasks), (5, 0, 0));
    assert_eq!(
        report.to_string(),
        "5 cancelled, 0 still live, 0 tasks still running"
    );
    assert!(jobs.is_empty());
    assert_eq!(drops.count(), 7 + 3, "seven payloads and three futures");
    drop(pending);
}

/// P6: a registration after the shutdown is refused, and its caller gets the payload back.
#[tokio::test]
async fn closed_registry_refuses_jobs() {
    let jobs = JobRegistry::new();
    assert!(jobs.shutdown(LONG).await.is_clean());
    assert_eq!(
        jobs.register("deck").unwrap_err(),
        RegisterError::Closed("deck")
    );
    let spawned = jobs.spawn("deck", async |_| panic!("ran"));
    assert_eq!(spawned, Err(RegisterError::Closed("deck")));
    let spawned = jobs.spawn_blocking("deck", |_| panic!("ran"));
    assert_eq!(spawned, Err(RegisterError::Closed("deck")));
}

/// P6: a shutdown may be repeated, and called several times at once.
#[tokio::test]
async fn second_shutdown_finds_nothing_to_do() {
    let jobs = JobRegistry::new();
    for _ in 0..20 {
        jobs.spawn((), async |_| pending().await).unwrap();
    }
    let (first, second) = tokio::join!(jobs.shutdown(LONG), jobs.shutdown(LONG));
    assert!(first.is_clean() && second.is_clean());
    assert_eq!(first.cancelled + second.cancelled, 20);
    let third = jobs.shutdown(Duration::ZERO).await;
    assert!(third.is_clean() && third.cancelled == 0);
}

/// P7: a blocking thread that makes no calls is not awaited beyond the deadline, and is counted.
/// Its next call returns `Gone`.
#[tokio::test]
async fn shutdown_does_not_wait_for_a_blocking_thread_beyond_its_deadline() {
    let drops = Drops::default();
    let jobs = JobRegistry::new();
    let (begun, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (report, reported) = oneshot::channel();
    jobs.spawn_blocking(drops.token(), move |job| {
        begun.send(()).unwrap();
        may_go_on.recv().unwrap();
        report.send(job.heartbeat()).unwrap();
        Ok(())
    })
    .unwrap();
    has_begun.await.unwrap();
    let before = Instant::now();
    let first = in_time(jobs.shutdown(SHORT)).await;
    assert!(before.elapsed() >= SHORT);
    assert_eq!((first.cancelled, first.live, first.tasks), (1, 0, 1));
    assert!(!first.is_clean());
    assert_eq!(
        (jobs.len(), drops.count()),
        (0, 1),
        "its job has been removed"
    );

    go_on.send(()).unwrap();
    assert_eq!(reported.await.unwrap(), Err(job_registry::StepError::Gone));
    let second = jobs.shutdown(LONG).await;
    assert!(second.is_clean() && second.cancelled == 0, "{second}");
}

/// P7: a held lock is not awaited beyond the deadline. The job is left for the next shutdown or for
/// its owner.
#[tokio::test]
async fn shutdown_does_not_wait_for_a_lock_beyond_its_deadline() {
    let drops = Drops::default();
    let jobs = JobRegistry::new();
    let live = jobs.register(drops.token()).unwrap();
    let failed = jobs.register(drops.token()).unwrap();
    failed.fail("reason").unwrap();
    // Each lock needs a thread, because a thread holds one lock.
    let (locked, is_locked) = mpsc::channel();
    let hold = |id| {
        let (jobs, locked) = (jobs.clone(), locked.clone());
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let holder = thread::spawn(move || {
            jobs.read(id, |_| {
                locked.send(()).unwrap();
                let _ = may_go_on.recv();
            })
            .unwrap();
        });
        (go_on, holder)
    };
    let holders = [hold(live.id()), hold(failed.id())];
    is_locked.recv().unwrap();
    is_locked.recv().unwrap();

    let first = in_time(jobs.shutdown(SHORT)).await;
    assert_eq!((first.cancelled, first.live, first.tasks), (0, 1, 0));
    assert_eq!((jobs.len(), drops.count()), (2, 0));
    for (go_on, holder) in holders {
        go_on.send(()).unwrap();
        holder.join().unwrap();
    }
    assert_eq!(failed.retry().unwrap_err(), RetryError::Closed);
    assert_eq!(live.snapshot().unwrap().status(), Status::Pending);
    let second = jobs.shutdown(LONG).await;
    assert!(second.is_clean() && second.cancelled == 1, "{second}");
    assert_eq!((jobs.len(), drops.count()), (0, 2));
}

/// P7: the deadline holds even if the thread of the shutdown holds a lock.
#[tokio::test]
async fn shutdown_under_a_guard_ends_at_its_deadline() {
    let jobs = JobRegistry::new();
    let held = jobs.register(()).unwrap();
    let other = jobs.register(()).unwrap();
    let guard = held.lock().unwrap();
    let report = in_time(jobs.shutdown(SHORT)).await;
    assert!(!report.is_clean() && report.live >= 1, "{report}");
    drop(guard);
    assert!(jobs.shutdown(LONG).await.is_clean());
    drop(other);
}

/// P9, scenario 38: an open event stream gets the end and finishes, and delays nothing.
#[tokio::test]
async fn open_watch_learns_of_the_shutdown_and_does_not_block_it() {
    let jobs = JobRegistry::new();
    let ids = [
        jobs.spawn((), async |_| pending().await).unwrap(),
        jobs.register(()).unwrap().detach(),
    ];
    let watchers = ids.map(|id| {
        let mut watch = jobs.watch(id).unwrap();
        tokio::spawn(async move {
            let mut last = None;
            while let Some(seen) = watch.changed().await {
                last = Some(seen.status());
            }
            last
        })
    });
    settle().await;
    assert!(jobs.shutdown(LONG).await.is_clean());
    for watcher in watchers {
        let last = timeout(LONG, watcher).await.expect("the stream ends");
        assert_eq!(last.unwrap(), Some(Status::Cancelled));
    }
}

/// A dropped shutdown leaves the registry closed, and the next call continues, as documented.
#[tokio::test]
async fn dropped_shutdown_can_be_resumed() {
    let drops = Drops::default();
    let jobs = JobRegistry::new();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    jobs.spawn_blocking(drops.token(), move |_| {
        begun.send(()).unwrap();
        Ok(may_go_on.recv()?)
    })
    .unwrap();
    has_begun.await.unwrap();
    assert!(timeout(SHORT, jobs.shutdown(LONG)).await.is_err());
    assert!(matches!(
        jobs.register(drops.token()),
        Err(RegisterError::Closed(_))
    ));
    assert_eq!(jobs.counts().cancelled, 1);
    go_on.send(()).unwrap();
    assert!(jobs.shutdown(LONG).await.is_clean());
    assert!(jobs.is_empty());
}

/// P11: a shutdown that cannot run changes nothing.
#[test]
fn shutdown_outside_a_runtime_panics_and_closes_nothing() {
    let jobs = JobRegistry::<u32>::new();
    let shutdown = || pollster::block_on(jobs.shutdown(Duration::ZERO));
    assert!(std::panic::catch_unwind(shutdown).is_err());
    assert!(jobs.register(1).is_ok(), "it has been closed");
}

/// P7: a shutdown returns with any deadline, and with the longest one it waits for a slow task.
#[tokio::test(start_paused = true)]
async fn shutdown_with_any_deadline_returns() {
    let deadlines = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(1),
        Duration::from_millis(u64::MAX),
        Duration::MAX,
    ];
    for deadline in deadlines {
        let jobs = JobRegistry::builder().clock(TokioClock::new()).build();
        let pending = jobs.register(()).unwrap().detach();
        jobs.start(pending).unwrap();
        let slow = jobs.spawn((), async |_job| {
            // The shutdown cancels the task here.
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            Ok(())
        });
        assert!(slow.is_ok());
        tokio::task::yield_now().await;
        let report = jobs.shutdown(deadline).await;
        assert_eq!(report.cancelled, 2, "{deadline:?}: {report:?}");
        assert_eq!(report.live, 0);
        assert!(
            report.is_clean() || deadline <= Duration::from_millis(1),
            "{deadline:?}: {report:?}"
        );
        assert!(jobs.is_empty());
    }
}
