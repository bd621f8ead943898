//! Work on jobs, and the end of a process.

use super::server::{Server, with_server};
use crate::script::Parts;
use crate::{Error, JobRegistry};
use job_registry::{Error as Refusal, Failure, JobId, Phases, Progress, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

type Jobs = JobRegistry<Vec<String>>;

const SOON: Duration = Duration::from_secs(20);

/// Phases that end as soon as they can.
fn none() -> Phases {
    Phases {
        finish: Duration::ZERO,
        stop: Duration::ZERO,
        cancel: Duration::ZERO,
    }
}

/// Returns how a job ended, with its reason.
async fn end_of(jobs: &Jobs, id: JobId) -> (Status, Option<String>) {
    let mut watch = jobs.watch(id).await.unwrap();
    let ended = timeout(SOON, async { while watch.changed().await.is_some() {} });
    ended.await.expect("the job ends");
    let details = jobs.details(id).await.unwrap();
    let reason = details.reason.map(|reason| reason.to_string());
    (details.snapshot.status(), reason)
}

/// Returns a registry that gives up on calls soon.
async fn impatient(server: &Server) -> Jobs {
    let builder = server.builder::<Vec<String>>("deck", &Parts::default());
    let builder = builder.answer_within(Duration::from_millis(200));
    let builder = builder.call_within(Duration::from_millis(300));
    builder.connect().await.unwrap()
}

/// Blocking work that hangs until this is dropped.
struct Hung(Arc<AtomicBool>);

impl Drop for Hung {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Tells that it is dropped.
struct Told(Arc<Notify>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[test]
fn the_end_of_the_work_is_that_of_the_job() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let none = Vec::new();
        let id = jobs
            .spawn(&none, async |job| {
                job.advance(Progress::percent(10.0)?).await?;
                job.update(|pages| pages.push("intro".to_owned())).await?;
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(end_of(&jobs, id).await, (Status::Completed, None));
        assert_eq!(jobs.get(id).await.unwrap().payload, ["intro"]);
        let failed = |reason: &str| (Status::Failed, Some(reason.to_owned()));
        let error = async |_| Err("renderer crashed".into());
        let id = jobs.spawn(&none, error).await.unwrap();
        assert_eq!(end_of(&jobs, id).await, failed("renderer crashed"));
        // The next attempt is spawned in the same way.
        let panics = async |_| panic!("page {} is empty", 7);
        jobs.retry(id).await.unwrap().spawn(panics);
        assert_eq!(end_of(&jobs, id).await, failed("panicked: page 7 is empty"));
        let id = jobs.retry(id).await.unwrap().spawn_blocking(|job| {
            Handle::current().block_on(job.note("blocking"))?;
            Ok(())
        });
        assert_eq!(end_of(&jobs, id).await, (Status::Completed, None));
        let panics = |_: &_| panic!("blocked");
        let id = jobs.spawn_blocking(&none, panics).await.unwrap();
        assert_eq!(end_of(&jobs, id).await, failed("panicked: blocked"));
        // A panic before the first `await`, and an ending by the work itself.
        let job = jobs.register(&none).await.unwrap();
        let (id, ended) = (job.id(), job.run(panic_at_once).await);
        assert_eq!(
            (ended, end_of(&jobs, id).await),
            (Ok(()), failed("panicked: at once"))
        );
        let job = jobs.register(&none).await.unwrap();
        let ended = job.run(async |job| Ok(job.cancel().await?)).await;
        assert_eq!(
            ended,
            Err(Error::Refused(Refusal::Ended(Status::Cancelled)))
        );
        timeout(SOON, jobs.idle()).await.unwrap();
    });
}

fn panic_at_once(_: Arc<crate::Job<Vec<String>>>) -> std::future::Ready<Result<(), Failure>> {
    panic!("at once")
}

#[test]
fn work_is_told_to_stop_and_dropped_when_another_process_ends_the_job() {
    with_server(async |server| {
        let (here, there) = (server.jobs("deck").await, server.jobs("deck").await);
        let id = here
            .spawn(&Vec::new(), async |job| {
                job.stop_requested().await?;
                Err("stopped after page 3".into())
            })
            .await
            .unwrap();
        let mut watch = there.watch(id).await.unwrap();
        while watch.changed().await.unwrap().status() == Status::Pending {}
        let asked = there.request_stop(id, "enough").await;
        assert_eq!(asked, Ok(Status::Stopping));
        let stopped = (Status::Cancelled, Some("enough".to_owned()));
        assert_eq!(end_of(&here, id).await, stopped);

        for by_retry in [false, true] {
            let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let told = (begun.clone(), Told(dropped.clone()));
            let id = here
                .spawn(&Vec::new(), async move |_| {
                    told.0.notify_one();
                    std::future::pending::<()>().await;
                    drop(told.1);
                    Ok(())
                })
                .await
                .unwrap();
            timeout(SOON, begun.notified()).await.unwrap();
            there.cancel(id).await.unwrap();
            if by_retry {
                let _ = there.retry(id).await.unwrap().detach();
            }
            timeout(SOON, dropped.notified()).await.unwrap();
            timeout(SOON, here.idle()).await.unwrap();
            let expected = if by_retry {
                Status::Pending
            } else {
                Status::Cancelled
            };
            assert_eq!(there.snapshot(id).await.unwrap().status(), expected);
        }
    });
}

#[test]
fn work_that_is_done_while_the_store_is_away_is_completed_after_it() {
    with_server(async |server| {
        let jobs = impatient(server).await;
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let at_work = (begun.clone(), go_on.clone());
        let id = jobs
            .spawn(&Vec::new(), async move |_| {
                at_work.0.notify_one();
                at_work.1.notified().await;
                Ok(())
            })
            .await
            .unwrap();
        let pending = jobs.register(&Vec::new()).await.unwrap();
        timeout(SOON, begun.notified()).await.unwrap();
        server.signal("STOP");
        let started_later = pending.spawn(async |_| Ok(()));
        go_on.notify_one();
        sleep(Duration::from_secs(1)).await;
        server.signal("CONT");
        assert_eq!(end_of(&jobs, id).await, (Status::Completed, None));
        assert_eq!(
            end_of(&jobs, started_later).await,
            (Status::Completed, None)
        );
    });
}

#[test]
fn a_completion_waits_for_the_lease_of_another() {
    with_server(async |server| {
        let (here, there) = (server.jobs("deck").await, server.jobs("deck").await);
        let go_on = Arc::new(Notify::new());
        let at_work = go_on.clone();
        let id = here
            .spawn(&Vec::new(), async move |_| {
                at_work.notified().await;
                Ok(())
            })
            .await
            .unwrap();
        let mut guard = there.lock(id, Duration::from_secs(60)).await.unwrap();
        go_on.notify_one();
        sleep(Duration::from_millis(200)).await;
        assert!(!there.snapshot(id).await.unwrap().status().is_ended());
        guard.push("last".to_owned());
        guard.release().await.unwrap();
        assert_eq!(end_of(&here, id).await, (Status::Completed, None));
        assert_eq!(here.get(id).await.unwrap().payload, ["last"]);
    });
}

/// The heartbeats of the work have ended with it.
#[test]
fn work_that_is_done_is_not_judged_stalled_while_another_holds_the_lease() {
    with_server(async |server| {
        let silence = Duration::from_secs(3);
        let builder = server.builder::<Vec<String>>("deck", &Parts::default());
        let here = builder.stall_after(silence).connect().await.unwrap();
        let there = server.jobs("deck").await;
        let job = here.register(&Vec::new()).await.unwrap();
        let guard = there.lock(job.id(), Duration::from_secs(60)).await.unwrap();
        let id = job.spawn(async |_| Ok(()));
        sleep(silence + Duration::from_millis(1500)).await;
        guard.release().await.unwrap();
        assert_eq!(there.fail_stalled().await.unwrap(), []);
        assert_eq!(end_of(&here, id).await, (Status::Completed, None));
    });
}

#[test]
fn work_that_is_done_while_the_store_rejects_calls_is_completed_after_it() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let go_on = Arc::new(Notify::new());
        let at_work = go_on.clone();
        let id = jobs
            .spawn(&Vec::new(), async move |_| {
                at_work.notified().await;
                Ok(())
            })
            .await
            .unwrap();
        let allow = |rule: &str| {
            let mut command = redis::cmd("ACL");
            command.arg(&["SETUSER", "default", rule]);
            let _: () = command.query(&mut server.admin()).unwrap();
        };
        while jobs.snapshot(id).await.unwrap().status() != Status::Running {}
        allow("-hset");
        go_on.notify_one();
        sleep(Duration::from_millis(300)).await;
        assert_eq!(jobs.snapshot(id).await.unwrap().status(), Status::Running);
        allow("+hset");
        assert_eq!(end_of(&jobs, id).await, (Status::Completed, None));
    });
}

#[test]
fn a_future_of_work_that_is_dropped_abandons_the_job() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let id = job.id();
        let work = job.run(async |_| std::future::pending().await);
        assert!(timeout(Duration::from_millis(100), work).await.is_err());
        let abandoned = (Status::Failed, Some("abandoned".to_owned()));
        assert_eq!(end_of(&jobs, id).await, abandoned);
    });
}

#[test]
fn a_process_is_idle_when_it_owns_no_job() {
    with_server(async |server| {
        let (here, there) = (server.jobs("deck").await, server.jobs("deck").await);
        let _other = there.register(&Vec::new()).await.unwrap();
        here.idle().await;
        let is_idle = async || {
            timeout(Duration::from_millis(50), here.idle())
                .await
                .is_ok()
        };
        let (one, two) = (
            here.register(&Vec::new()).await.unwrap(),
            here.register(&Vec::new()).await.unwrap(),
        );
        let _ = one.detach();
        assert!(!is_idle().await);
        two.start().await.unwrap();
        two.complete().await.unwrap();
        assert!(is_idle().await);
        let two = two.retry().await;
        assert_eq!(two.unwrap_err().name(), "not_retryable");
        let three = here.register(&Vec::new()).await.unwrap();
        there.cancel(three.id()).await.unwrap();
        assert!(!is_idle().await);
        // The owner learns of the end by a refusal.
        assert_eq!(three.start().await.unwrap_err().name(), "ended");
        assert!(is_idle().await);
        // An owner that is dropped is idle once its job has been abandoned.
        let four = here.register(&Vec::new()).await.unwrap();
        let id = four.id();
        drop(four);
        timeout(SOON, here.idle()).await.unwrap();
        assert_eq!(here.snapshot(id).await.unwrap().status(), Status::Failed);
    });
}

#[test]
fn a_shutdown_finishes_stops_and_cancels_the_jobs_of_its_process() {
    with_server(async |server| {
        let (here, there) = (server.jobs("deck").await, server.jobs("deck").await);
        let other = there.register(&Vec::new()).await.unwrap();
        other.start().await.unwrap();
        let begin = async |f: fn(Arc<crate::Job<_>>) -> Work| {
            let begun = Arc::new(Notify::new());
            let told = begun.clone();
            let id = here
                .spawn(&Vec::new(), async move |job| {
                    told.notify_one();
                    f(job).await
                })
                .await
                .unwrap();
            timeout(SOON, begun.notified()).await.unwrap();
            id
        };
        let quick = begin(|_| {
            Box::pin(async {
                sleep(Duration::from_millis(50)).await;
                Ok(())
            })
        })
        .await;
        let polite = begin(|job| {
            Box::pin(async move {
                job.stop_requested().await?;
                Err("stopped after page 3".into())
            })
        })
        .await;
        let stubborn = begin(|_| Box::pin(std::future::pending())).await;
        let waiting = here.register(&Vec::new()).await.unwrap();
        // Another process has begun an attempt that is none of this one.
        let superseded = here.register(&Vec::new()).await.unwrap();
        there.fail(superseded.id(), "lost").await.unwrap();
        let others = there.retry(superseded.id()).await.unwrap();
        others.start().await.unwrap();
        let hung = Hung(Arc::new(AtomicBool::new(true)));
        let hangs = hung.0.clone();
        let blocking = here
            .spawn_blocking(&Vec::new(), move |_| {
                while hangs.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            })
            .await
            .unwrap();
        let mut phases = none();
        phases.finish = Duration::from_millis(500);
        phases.stop = Duration::from_millis(1500);
        phases.cancel = Duration::from_secs(1);
        let report = timeout(SOON, here.shutdown(phases)).await.unwrap();
        assert_eq!((report.stopped, report.cancelled), (4, 2), "{report}");
        assert_eq!((report.live, report.working), (vec![], vec![blocking]));
        let refused = here.register(&Vec::new()).await.unwrap_err();
        assert_eq!(refused, Error::Refused(Refusal::Closed));
        let shutdown = || (Status::Cancelled, Some("shutdown".to_owned()));
        assert_eq!(end_of(&here, quick).await, (Status::Completed, None));
        for id in [polite, stubborn, waiting.id(), blocking] {
            assert_eq!(end_of(&there, id).await, shutdown());
        }
        // The other process goes on.
        other.advance(Progress::DONE).await.unwrap();
        other.complete().await.unwrap();
        others.advance(Progress::DONE).await.unwrap();
        others.complete().await.unwrap();
        drop(hung);
        timeout(SOON, here.idle()).await.unwrap();
    });
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

#[test]
fn a_shutdown_ends_in_time_while_the_store_is_away() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let mut owners = Vec::new();
        for _ in 0..20 {
            owners.push(jobs.register(&Vec::new()).await.unwrap());
        }
        server.signal("STOP");
        let mut phases = none();
        phases.stop = Duration::from_millis(300);
        phases.cancel = Duration::from_millis(300);
        let begun = Instant::now();
        let report = jobs.shutdown(phases).await;
        // The phases are 0.6 s, and a call alone may take 10 s.
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(
            (report.stopped, report.cancelled, report.live.len()),
            (0, 0, 20)
        );
        assert!(!report.is_clean());
        server.signal("CONT");
        owners.into_iter().for_each(drop);
        timeout(SOON, jobs.idle()).await.unwrap();
    });
}
