//! `spawn`: the job ends with its task, and the task with its job. P2 and P11.

use crate::{Drops, end_of, error_of, settle};
use job_registry::{JobRegistry, ManualClock, Progress, RegisterError, Status, StepError};
use std::error::Error;
use std::fmt;
use std::future::{Ready, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// P2: the job is started before `f` runs and completed after it.
#[tokio::test]
async fn task_that_returns_ok_completes_its_job() {
    let jobs = JobRegistry::new();
    let id = jobs
        .spawn(1, async |job| {
            assert_eq!(job.snapshot().unwrap().status(), Status::Running);
            assert_eq!(job.start(), Err(StepError::AlreadyStarted));
            job.update(|n| *n += 1).unwrap();
            yield_now().await;
            job.advance(Progress::percent(10.0)?)?;
            Ok(())
        })
        .unwrap();
    let end = end_of(&jobs, id).await;
    assert_eq!(
        (end.status(), end.progress()),
        (Status::Completed, Progress::DONE)
    );
    assert_eq!(jobs.remove(id), Ok(2));
}

/// P2: the error's text is the reason of the failure.
#[tokio::test]
async fn task_that_returns_an_error_fails_its_job() {
    let jobs = JobRegistry::new();
    let id = jobs
        .spawn((), async |_| {
            yield_now().await;
            Err("no such font".into())
        })
        .unwrap();
    assert_eq!(end_of(&jobs, id).await.status(), Status::Failed);
    assert_eq!(error_of(&jobs, id).as_deref(), Some("no such font"));
}

/// P11, scenario 23: the task panics before its first `await`, after it, and before it returns a
/// future.
#[tokio::test]
async fn task_that_panics_fails_its_job() {
    let jobs = JobRegistry::new();
    let ids = [
        jobs.spawn((), async |_| panic!("first")),
        jobs.spawn((), async |_| {
            yield_now().await;
            panic!("later: {}", 7)
        }),
        jobs.spawn((), |_| -> Ready<_> { panic!("before") }),
    ];
    for (id, text) in ids.into_iter().zip(["first", "later: 7", "before"]) {
        let id = id.unwrap();
        assert_eq!(end_of(&jobs, id).await.status(), Status::Failed);
        assert_eq!(error_of(&jobs, id), Some(format!("panicked: {text}")));
    }
}

/// An error that panics when its text is made.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in the error's own text")
    }
}

impl Error for Unspeakable {}

/// An error that panics when its source is asked for.
#[derive(Debug)]
struct Sourceless;

impl fmt::Display for Sourceless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sourceless")
    }
}

impl Error for Sourceless {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        panic!("in the error's source")
    }
}

/// P11: a panic in the error's `Display` or `source` fails the job like any other panic.
#[tokio::test]
async fn error_that_panics_fails_its_job() {
    let jobs = JobRegistry::new();
    let cases = [
        (jobs.spawn((), async |_| Err(Unspeakable)?), "own text"),
        (
            jobs.spawn_blocking((), |_| Err(Unspeakable.into())),
            "own text",
        ),
        (jobs.spawn((), async |_| Err(Sourceless.into())), "source"),
        (jobs.spawn_blocking((), |_| Err(Sourceless)?), "source"),
    ];
    for (id, place) in cases {
        let id = id.unwrap();
        assert_eq!(end_of(&jobs, id).await.status(), Status::Failed);
        let error = error_of(&jobs, id).unwrap();
        assert_eq!(error, format!("panicked: in the error's {place}"));
    }
    assert!(
        jobs.shutdown(crate::shutdown::CANCEL).await.is_clean(),
        "all tasks have gone"
    );
}

/// P2, scenario 13: an ending by another call drops the future at its next `await`, with everything
/// that it holds.
#[tokio::test]
async fn ended_jobs_future_is_dropped_at_its_next_await() {
    type End = fn(&JobRegistry<()>, job_registry::JobId);
    let ends: [(End, Status); 4] = [
        (|jobs, id| jobs.cancel(id).unwrap(), Status::Cancelled),
        (|jobs, id| jobs.fail(id, "reason").unwrap(), Status::Failed),
        (|jobs, id| jobs.complete(id).unwrap(), Status::Completed),
        (
            |jobs, id| jobs.lock(id).unwrap().cancel(),
            Status::Cancelled,
        ),
    ];
    for (end, status) in ends {
        let jobs = JobRegistry::new();
        let drops = Drops::default();
        let token = drops.token();
        let id = jobs
            .spawn((), async move |_| {
                let _token = token;
                pending().await
            })
            .unwrap();
        settle().await;
        assert_eq!(drops.count(), 0);
        end(&jobs, id);
        settle().await;
        assert_eq!(drops.count(), 1, "{status}");
        assert_eq!(jobs.snapshot(id).unwrap().status(), status);
    }
}

/// P2: a job that was ended before the first poll of its task is never run.
#[tokio::test]
async fn job_ended_before_its_task_began_never_runs() {
    let jobs = JobRegistry::new();
    let (run, has_run) = oneshot::channel();
    let id = jobs
        .spawn((), async move |_| {
            run.send(()).unwrap();
            Ok(())
        })
        .unwrap();
    jobs.cancel(id).unwrap();
    assert!(has_run.await.is_err(), "the task was dropped unused");
    assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Cancelled);
}

/// P2: the task may end its own job. Its result is then ignored.
#[tokio::test]
async fn ending_by_the_task_itself_stands() {
    let jobs = JobRegistry::new();
    let id = jobs
        .spawn((), async |job| {
            job.cancel().unwrap();
            Err("too late".into())
        })
        .unwrap();
    assert_eq!(end_of(&jobs, id).await.status(), Status::Cancelled);
    settle().await;
    assert_eq!(error_of(&jobs, id), None);
}

/// P2, scenario 36: a task that is dropped with its runtime leaves no running job behind, even if
/// the task has not begun.
#[test]
fn jobs_of_a_dropped_runtime_are_abandoned() {
    let jobs = JobRegistry::new();
    let drops = Drops::default();
    let runtime = Runtime::new().unwrap();
    let (begun, has_begun) = oneshot::channel();
    let token = drops.token();
    let running = runtime.block_on(async {
        let id = jobs
            .spawn((), async move |_| {
                let _token = token;
                begun.send(()).unwrap();
                pending().await
            })
            .unwrap();
        has_begun.await.unwrap();
        id
    });
    let context = runtime.enter();
    let late = jobs.spawn((), async |_| pending().await).unwrap();
    drop(context);
    drop(runtime);
    assert_eq!(drops.count(), 1);
    for id in [running, late] {
        assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Failed);
        assert_eq!(error_of(&jobs, id).as_deref(), Some("abandoned"));
    }
}

/// P2: the job lives as long as its owner is held, even after the task.
#[tokio::test]
async fn shared_owner_outlives_the_task() {
    let jobs = JobRegistry::new();
    let (share, shared) = oneshot::channel();
    let id = jobs
        .spawn((), async move |job| {
            share.send(job).ok().unwrap();
            pending().await
        })
        .unwrap();
    let job = shared.await.unwrap();
    assert_eq!(Arc::strong_count(&job), 2, "the task has the other");
    job.heartbeat().unwrap();
    job.complete().unwrap();
    settle().await;
    assert_eq!(Arc::strong_count(&job), 1);
    assert_eq!(jobs.snapshot(id).unwrap().status(), Status::Completed);
}

/// P6: a refused spawn returns the payload and does not call `f`.
#[tokio::test]
async fn refused_spawn_returns_the_payload() {
    let jobs = JobRegistry::builder().capacity(0).build();
    let async_refused = jobs.spawn("deck", async |_| panic!("ran")).unwrap_err();
    let blocking_refused = jobs.spawn_blocking("deck", |_| panic!("ran")).unwrap_err();
    for refused in [async_refused, blocking_refused] {
        assert_eq!(refused, RegisterError::Full("deck"));
    }
}

/// P6: a spawn outside a runtime registers nothing.
#[test]
fn spawn_outside_a_runtime_registers_nothing() {
    let jobs = JobRegistry::new();
    let panic = catch_unwind(AssertUnwindSafe(|| jobs.spawn((), async |_| Ok(()))));
    assert!(panic.is_err());
    let panic = catch_unwind(AssertUnwindSafe(|| jobs.spawn_blocking((), |_| Ok(()))));
    assert!(panic.is_err());
    assert!(jobs.is_empty());
}

/// P2 and P3: many tasks run on several threads, and every third one is cancelled at some point.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn every_task_of_many_has_one_ending() {
    let jobs = JobRegistry::new();
    let drops = Drops::default();
    let ids: Vec<_> = (0..300)
        .map(|n| {
            let token = drops.token();
            jobs.spawn(0, async move |job| {
                let _token = token;
                for step in 0..20 {
                    job.update(|count| *count += 1)?;
                    job.advance(Progress::ratio(step, 20)?).ok();
                    yield_now().await;
                }
                assert!(n % 3 != 1, "one in three");
                Ok(())
            })
            .unwrap()
        })
        .collect();
    for id in ids.iter().skip(2).step_by(3) {
        let _ = jobs.cancel(*id);
    }
    for (n, id) in ids.into_iter().enumerate() {
        let end = end_of(&jobs, id).await.status();
        match n % 3 {
            0 => assert_eq!(end, Status::Completed),
            1 => assert_eq!(end, Status::Failed),
            _ => assert!(matches!(end, Status::Cancelled | Status::Completed)),
        }
        assert!(end != Status::Completed || jobs.remove(id) == Ok(20));
    }
    assert!(jobs.shutdown(crate::shutdown::CANCEL).await.is_clean());
    assert_eq!(drops.count(), 300);
}

/// P8: a spawned job is registered after the removals that make room for it, however slow their
/// hooks are. It is started when its task runs, and ended when its work is done.
#[tokio::test]
async fn spawned_job_has_the_times_of_its_work() {
    const MINUTE: Duration = Duration::from_secs(60);
    for blocking in [false, true] {
        let clock = ManualClock::new();
        let slow = clock.clone();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(MINUTE)
            .stall_after(MINUTE)
            .sweep_on_register(true)
            .on_remove(move |_| slow.advance(MINUTE))
            .build();
        for _ in 0..2 {
            let old = jobs.register(()).unwrap().detach();
            jobs.cancel(old).unwrap();
        }
        clock.advance(MINUTE);
        let work = clock.clone();
        let id = if blocking {
            jobs.spawn_blocking((), move |_| {
                work.advance(MINUTE);
                Ok(())
            })
        } else {
            jobs.spawn((), async move |_| {
                work.advance(MINUTE);
                Ok(())
            })
        };
        let id = id.unwrap();
        let mut watch = jobs.watch(id).unwrap();
        while watch.changed().await.is_some() {}
        let record = jobs.get(id).unwrap();
        assert_eq!(record.snapshot.status(), Status::Completed);
        let times = record.times;
        // The old jobs are due after a minute, and each of their hooks takes a minute.
        assert_eq!(times.registered, 3 * MINUTE, "{times:?}");
        assert_eq!(times.started, Some(3 * MINUTE), "{times:?}");
        assert_eq!(record.snapshot.last_heartbeat(), 3 * MINUTE);
        assert_eq!(times.ended, Some(4 * MINUTE), "{times:?}");
        assert_eq!(times.removal, Some(5 * MINUTE), "{times:?}");
    }
}
