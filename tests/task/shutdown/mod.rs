//! `close`, `idle` and `shutdown`: no new jobs, an end for the present ones, nothing left behind, and
//! a report. P2, P6 and P7.

mod races;

use crate::{Drops, SECOND, settle};
use job_registry::{JobRegistry, Phases, RegisterError, RetryError, Status};
use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const SHORT: Duration = Duration::from_millis(50);
/// Cancels at once, and waits for the work.
pub(crate) const CANCEL: Phases = cancel(LONG);

pub(crate) const fn cancel(cancel: Duration) -> Phases {
    Phases {
        finish: Duration::ZERO,
        stop: Duration::ZERO,
        cancel,
    }
}

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

    let report = jobs.shutdown(CANCEL).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.stopped, report.cancelled), (0, 5));
    assert_eq!(
        report.to_string(),
        "0 stopped, 5 cancelled; still 0 live, 0 working, 0 being removed"
    );
    assert_eq!(
        (jobs.len(), drops.count()),
        (7, 3),
        "ended jobs can be read"
    );
    assert_eq!(jobs.remove_ended().removed, 7);
    assert!(jobs.is_empty());
    assert_eq!(drops.count(), 7 + 3, "seven payloads and three futures");
    drop(pending);
}

/// P6: a registration after the shutdown is refused, and its caller gets the payload back.
#[tokio::test]
async fn closed_registry_refuses_jobs() {
    let jobs = JobRegistry::new();
    assert!(jobs.shutdown(CANCEL).await.is_clean());
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
    let (first, second) = tokio::join!(jobs.shutdown(CANCEL), jobs.shutdown(CANCEL));
    assert!(first.is_clean() && second.is_clean());
    assert_eq!(first.cancelled + second.cancelled, 20);
    let third = jobs.shutdown(cancel(Duration::ZERO)).await;
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
    let id = jobs.spawn_blocking(drops.token(), move |job| {
        begun.send(()).unwrap();
        may_go_on.recv().unwrap();
        report.send(job.heartbeat()).unwrap();
        Ok(())
    });
    let id = id.unwrap();
    has_begun.await.unwrap();
    let before = Instant::now();
    let first = in_time(jobs.shutdown(cancel(SHORT))).await;
    assert!(before.elapsed() >= SHORT);
    assert_eq!(
        (first.cancelled, &first.live, &first.working),
        (1, &vec![], &vec![id])
    );
    assert!(!first.is_clean());
    assert_eq!(jobs.remove_ended().removed, 1);

    go_on.send(()).unwrap();
    assert_eq!(reported.await.unwrap(), Err(job_registry::StepError::Gone));
    let second = jobs.shutdown(CANCEL).await;
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

    let first = in_time(jobs.shutdown(cancel(SHORT))).await;
    assert_eq!((first.cancelled, first.live), (0, vec![live.id()]));
    assert!(first.working.is_empty());
    assert_eq!((jobs.len(), drops.count()), (2, 0));
    for (go_on, holder) in holders {
        go_on.send(()).unwrap();
        holder.join().unwrap();
    }
    assert_eq!(failed.retry().unwrap_err(), RetryError::Closed);
    assert_eq!(live.snapshot().unwrap().status(), Status::Pending);
    let second = jobs.shutdown(CANCEL).await;
    assert!(second.is_clean() && second.cancelled == 1, "{second}");
    assert_eq!(jobs.remove_ended().removed, 2);
    assert_eq!(drops.count(), 2);
}

/// P7: the deadline holds even if the thread of the shutdown holds a lock.
#[tokio::test]
async fn shutdown_under_a_guard_ends_at_its_deadline() {
    let jobs = JobRegistry::new();
    let held = jobs.register(()).unwrap();
    let other = jobs.register(()).unwrap();
    let guard = held.lock().unwrap();
    let report = in_time(jobs.shutdown(cancel(SHORT))).await;
    assert!(!report.is_clean() && !report.live.is_empty(), "{report}");
    drop(guard);
    assert!(jobs.shutdown(CANCEL).await.is_clean());
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
    assert!(jobs.shutdown(CANCEL).await.is_clean());
    for watcher in watchers {
        let last = timeout(LONG, watcher).await.expect("the stream ends");
        assert_eq!(last.unwrap(), Some(Status::Cancelled));
    }
}

/// A shutdown goes on if its future is dropped, as documented.
#[tokio::test]
async fn dropped_shutdown_goes_on() {
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
    assert!(timeout(SHORT, jobs.shutdown(CANCEL)).await.is_err());
    assert!(matches!(
        jobs.register(drops.token()),
        Err(RegisterError::Closed(_))
    ));
    assert_eq!(jobs.counts().cancelled, 1);
    go_on.send(()).unwrap();
    assert!(jobs.shutdown(CANCEL).await.is_clean());
    assert_eq!(jobs.remove_ended().removed, 1);
}

/// P7: a shutdown needs no runtime.
#[test]
fn shutdown_works_without_a_runtime() {
    let jobs = JobRegistry::new();
    let job = jobs.register(1).unwrap();
    let report = pollster::block_on(jobs.shutdown(CANCEL));
    assert!(report.is_clean() && report.cancelled == 1, "{report}");
    assert_eq!(job.snapshot().unwrap().status(), Status::Cancelled);
}

/// P7: a shutdown returns with any times, and with the longest ones it waits for a slow job.
#[tokio::test]
async fn shutdown_with_any_times_returns() {
    let times = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(1),
        Duration::from_millis(u64::MAX),
        Duration::MAX,
    ];
    for finish in times {
        for (stop, cancel) in times.into_iter().zip(times) {
            let jobs = JobRegistry::new();
            let pending = jobs.register(()).unwrap();
            let slow = jobs.spawn((), async |job| {
                job.stop_requested().await;
                Ok(())
            });
            tokio::task::yield_now().await;
            let phases = Phases {
                finish,
                stop,
                cancel,
            };
            let shutdown = tokio::spawn(jobs.shutdown(phases));
            if finish > Duration::from_secs(1) {
                // With the longest times, the first phase waits for the jobs.
                pending.cancel().unwrap();
                jobs.request_stop(slow.unwrap(), "moved").unwrap();
            }
            let report = in_time(shutdown).await.unwrap();
            assert!(report.live.is_empty(), "{phases:?}: {report:?}");
            assert_eq!(jobs.counts().live(), 0, "{phases:?}: {report:?}");
        }
    }
}

/// P13: each phase does its part, in order, and its reason is the shutdown.
#[tokio::test]
async fn phases_follow_each_other() {
    let jobs = JobRegistry::new();
    let (finish, may_finish) = oneshot::channel::<()>();
    let finishes = jobs.spawn((), async |_| Ok(may_finish.await?)).unwrap();
    let stops = jobs
        .spawn((), async |job| {
            job.stop_requested().await;
            Err("stopped after page 3".into())
        })
        .unwrap();
    let deaf = jobs.spawn((), async |_| pending().await).unwrap();
    let waits = jobs.register(()).unwrap();
    settle().await;
    let shutdown = jobs.shutdown(Phases {
        finish: 2 * SHORT,
        stop: 2 * SHORT,
        cancel: LONG,
    });
    finish.send(()).unwrap();
    let report = in_time(shutdown).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.stopped, report.cancelled), (3, 1));
    let seen = [finishes, stops, deaf, waits.id()].map(|id| {
        let details = jobs.details(id).unwrap();
        (details.snapshot.status(), details.reason)
    });
    let reason = || Some("shutdown".into());
    let expected = [
        (Status::Completed, None),
        (Status::Cancelled, reason()),
        (Status::Cancelled, reason()),
        (Status::Cancelled, reason()),
    ];
    assert_eq!(seen, expected);
}

/// P7: a shutdown whose jobs finish returns before its times are over.
#[tokio::test]
async fn shutdown_returns_as_soon_as_all_is_done() {
    let jobs = JobRegistry::new();
    let id = jobs.spawn((), async |_| Ok(())).unwrap();
    let report = in_time(jobs.shutdown(Phases {
        finish: Duration::MAX,
        stop: Duration::MAX,
        cancel: Duration::MAX,
    }))
    .await;
    assert_eq!(report, job_registry::Shutdown::default());
    assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Completed);
}

/// P7: a runtime of which every thread is busy does not delay the shutdown, nor does a full pool of
/// blocking threads.
#[test]
fn shutdown_keeps_its_time_beside_a_busy_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let jobs = JobRegistry::new();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (release, may_release) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let _in_runtime = runtime.enter();
    let blocks = {
        let begun = begun.clone();
        jobs.spawn((), async move |_| {
            begun.send(()).unwrap();
            let _ = may_go_on.recv();
            Ok(())
        })
    };
    let fills = jobs.spawn_blocking((), move |_| {
        begun.send(()).unwrap();
        let _ = may_release.recv();
        Ok(())
    });
    has_begun.recv().unwrap();
    has_begun.recv().unwrap();
    let queued = jobs.spawn_blocking((), |_| panic!("ran")).unwrap();
    let start = std::time::Instant::now();
    let report = pollster::block_on(jobs.shutdown(cancel(SHORT)));
    assert!(start.elapsed() >= SHORT, "returned early");
    assert_eq!(report.cancelled, 3);
    assert!(report.live.is_empty());
    let mut working = vec![blocks.unwrap(), fills.unwrap(), queued];
    working.sort_unstable();
    assert_eq!(report.working, working);
    drop((go_on, release));
    let report = pollster::block_on(jobs.shutdown(CANCEL));
    assert!(report.is_clean() && report.cancelled == 0, "{report}");
}

/// P7: a waker that hangs when its job is asked to stop delays the other jobs and the shutdown no
/// further than the phases say.
#[test]
fn shutdown_keeps_its_time_beside_a_hung_waker() {
    use std::task::{Context, Wake, Waker};

    struct Hangs(std::sync::Mutex<mpsc::Receiver<()>>);

    impl Wake for Hangs {
        fn wake(self: std::sync::Arc<Self>) {
            let _ = self.0.lock().unwrap().recv();
        }
    }

    let jobs = JobRegistry::new();
    let (go_on, may_go_on) = mpsc::channel();
    let hangs = Waker::from(std::sync::Arc::new(Hangs(may_go_on.into())));
    let watched = jobs.register(()).unwrap();
    watched.start().unwrap();
    let mut watch = jobs.watch(watched.id()).unwrap();
    let mut cx = Context::from_waker(&hangs);
    while std::pin::pin!(watch.changed()).poll(&mut cx).is_ready() {}
    let other = jobs.register(()).unwrap();
    let phases = Phases {
        finish: Duration::ZERO,
        stop: SHORT,
        cancel: SHORT,
    };
    let report = pollster::block_on(jobs.shutdown(phases));
    assert!(report.live.is_empty(), "{report}");
    assert_eq!(jobs.counts().live(), 0);
    drop((go_on, other));
}

/// P6: while the registry is open, `idle` waits for the jobs of its beginning and for all work.
#[tokio::test]
async fn idle_waits_for_jobs_and_work() {
    let jobs = JobRegistry::new();
    timeout(LONG, jobs.idle()).await.expect("nothing is there");
    let (end, may_end) = oneshot::channel::<()>();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let ends = jobs.spawn((), async |_| Ok(may_end.await?)).unwrap();
    let cancelled = jobs
        .spawn_blocking((), move |_| Ok(may_go_on.recv()?))
        .unwrap();
    let pending = jobs.register(()).unwrap();
    jobs.close();
    let idle = tokio::spawn({
        let jobs = jobs.clone();
        async move { jobs.idle().await }
    });
    settle().await;
    while jobs.snapshot(cancelled).unwrap().status() == Status::Pending {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    jobs.cancel(cancelled).unwrap();
    pending.cancel().unwrap();
    end.send(()).unwrap();
    crate::end_of(&jobs, ends).await;
    tokio::time::sleep(SHORT).await;
    assert!(!idle.is_finished(), "blocking work runs");
    go_on.send(()).unwrap();
    in_time(idle).await.unwrap();
    assert_eq!(jobs.counts().live(), 0);
}

/// P6: work counts from the spawn on, even if nothing has polled it, and until it is dropped.
#[test]
fn work_that_has_not_begun_counts() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let jobs = JobRegistry::new();
    let id = {
        let _in_runtime = runtime.enter();
        jobs.spawn((), async |_| Ok(())).unwrap()
    };
    let report = pollster::block_on(jobs.shutdown(cancel(Duration::ZERO)));
    assert_eq!((report.cancelled, &report.working), (1, &vec![id]));
    drop(runtime);
    let report = pollster::block_on(jobs.shutdown(CANCEL));
    assert!(report.is_clean(), "{report}");
}

/// P9: everybody who waits until nothing runs is woken.
#[test]
fn every_waiter_learns_that_the_registry_is_idle() {
    crate::watchdog::in_time(|| {
        let jobs = JobRegistry::new();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let job = jobs.register(()).unwrap();
        let worker = thread::spawn(move || job.run(|_| Ok(may_go_on.recv()?)));
        while jobs.counts().running == 0 {
            thread::yield_now();
        }
        let id = jobs.iter().next().unwrap().id();
        jobs.cancel(id).unwrap();
        let waiters = [(); 3].map(|()| {
            let jobs = jobs.clone();
            thread::spawn(move || pollster::block_on(jobs.idle()))
        });
        thread::sleep(SHORT);
        go_on.send(()).unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(worker.join().unwrap().is_err());
    });
}

/// P12: a job that was asked to stop before keeps the reason of that stop.
#[test]
fn shutdown_keeps_the_reason_of_an_earlier_stop() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    job.request_stop("moved").unwrap();
    let report = pollster::block_on(jobs.shutdown(cancel(LONG)));
    assert_eq!(report.cancelled, 1);
    let reason = jobs.details(job.id()).unwrap().reason;
    assert_eq!(reason.as_deref(), Some("moved"));
}

/// P9: the waker of the last poll is woken, and not that of the first.
#[test]
fn shutdown_wakes_the_task_that_polled_last() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    struct Counts(AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    crate::watchdog::in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(()).unwrap();
        let mut shutdown = std::pin::pin!(jobs.shutdown(Phases {
            finish: LONG,
            ..CANCEL
        }));
        let tasks = [(); 2].map(|()| Arc::new(Counts(AtomicUsize::new(0))));
        for task in &tasks {
            let waker = Waker::from(task.clone());
            let polled = shutdown.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        job.cancel().unwrap();
        while tasks[1].0.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        assert_eq!(tasks[0].0.load(Ordering::SeqCst), 0);
        assert!(pollster::block_on(shutdown).is_clean());
    });
}
