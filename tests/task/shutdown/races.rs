//! `shutdown` during other calls. P6 and P7.

use crate::shutdown::{CANCEL, LONG, SHORT, in_time};
use job_registry::{Clock, Job, JobRegistry, RetryError, Status};
use std::future::pending;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// P6 and P7: registrations and spawns that race with the shutdown are refused, or ended by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_race_with_the_shutdown_are_refused_or_ended() {
    for _ in 0..20 {
        let jobs = JobRegistry::new();
        let racer = tokio::spawn({
            let jobs = jobs.clone();
            async move {
                let mut spawned = 0;
                while jobs.spawn((), async |_| pending().await).is_ok() {
                    spawned += 1;
                    tokio::task::yield_now().await;
                }
                spawned
            }
        });
        while jobs.len() < 5 {
            tokio::task::yield_now().await;
        }
        let report = jobs.shutdown(CANCEL).await;
        let live = jobs.counts().live();
        let spawned = racer.await.unwrap();
        assert!(report.is_clean(), "{report}");
        // A registration that was under way was refused, or waited for.
        assert_eq!((report.cancelled, live), (spawned, 0));
        assert_eq!(jobs.len(), spawned);
    }
}

/// A clock whose readings block on one thread, so that a test can stop a call in its middle.
struct Held {
    read: mpsc::SyncSender<()>,
    may_go_on: Mutex<mpsc::Receiver<()>>,
}

const RETRIER: &str = "retrier";

impl Clock for Held {
    fn now(&self) -> Duration {
        if thread::current().name() == Some(RETRIER) {
            let _ = self.read.send(());
            let _ = self.may_go_on.lock().unwrap().recv();
        }
        Duration::ZERO
    }
}

/// P6 and P7: a retry that had begun before the close is refused if it is not yet decided.
#[tokio::test]
async fn retry_that_is_under_way_is_refused_after_the_shutdown() {
    let (read, has_read) = mpsc::sync_channel(1);
    let (go_on, may_go_on) = mpsc::channel();
    let clock = Held {
        read,
        may_go_on: Mutex::new(may_go_on),
    };
    let jobs = JobRegistry::builder().clock(clock).build();
    let failed = jobs.register(()).unwrap().detach();
    jobs.fail(failed, "reason").unwrap();
    let retrier = thread::Builder::new().name(RETRIER.to_owned()).spawn({
        let jobs = jobs.clone();
        move || jobs.retry(failed).map(Job::detach)
    });
    has_read.recv().unwrap();

    let report = in_time(jobs.shutdown(CANCEL)).await;
    assert!(report.is_clean() && report.cancelled == 0, "{report}");
    // From here on, no reading blocks.
    drop((go_on, has_read));
    assert_eq!(retrier.unwrap().join().unwrap(), Err(RetryError::Closed));
    assert_eq!(jobs.snapshot(failed).unwrap().status(), Status::Failed);
}

/// P7: the shutdown does not wait for a reader that begins after the job's end.
#[tokio::test]
async fn shutdown_does_not_wait_for_a_late_reader_of_an_ended_job() {
    let jobs = JobRegistry::new();
    let failed = jobs.register(()).unwrap().detach();
    jobs.fail(failed, "reason").unwrap();
    let (end, may_end) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    jobs.spawn_blocking((), move |_| {
        begun.send(()).unwrap();
        Ok(may_end.recv()?)
    })
    .unwrap();
    has_begun.await.unwrap();
    let shutdown = tokio::spawn({
        let jobs = jobs.clone();
        async move { jobs.shutdown(CANCEL).await }
    });
    tokio::time::sleep(SHORT).await;

    let (locked, is_locked) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let reader = thread::spawn({
        let jobs = jobs.clone();
        move || {
            jobs.read(failed, |_| {
                locked.send(()).unwrap();
                let _ = may_go_on.recv();
            })
        }
    });
    is_locked.recv().unwrap();
    end.send(()).unwrap();
    let report = timeout(LONG / 12, shutdown).await.expect("does not wait");
    assert!(report.unwrap().is_clean());
    assert_eq!(jobs.remove_ended().busy, 1, "what is read stays");
    assert_eq!(jobs.len(), 1);
    drop(go_on);
    reader.join().unwrap().unwrap();
}
