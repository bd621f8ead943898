//! A `Watch` is a `Stream`. P1 and P9.

use crate::{SECOND, end_of};
use job_registry::{JobRegistry, Progress, Snapshot, Status};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_stream::{StreamExt, StreamMap};

/// P9: the usual combinators of streams collect every item up to the end.
#[tokio::test]
async fn stream_ends_with_the_job() {
    let jobs = JobRegistry::new();
    let id = jobs
        .spawn((), async |job| {
            for page in 0..10 {
                job.advance(Progress::ratio(page, 10)?)?;
                yield_now().await;
            }
            Ok(())
        })
        .unwrap();
    // The stream is collected by a task of its own, so that it alternates with the worker.
    let stream = jobs.watch(id).unwrap().collect();
    let collected = timeout(30 * SECOND, tokio::spawn(stream)).await;
    let seen: Vec<Snapshot> = collected.expect("the stream ends").unwrap();
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].version() < pair[1].version())
    );
    let (last, before) = seen.split_last().unwrap();
    assert_eq!(last.status(), Status::Completed);
    assert!(before.iter().all(|seen| !seen.status().is_ended()));
    assert!(
        seen.len() >= 10,
        "on one thread every step is seen: {}",
        seen.len()
    );
}

/// P9: many streams are polled at once, two of them for each job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_of_many_ends() {
    let jobs = JobRegistry::new();
    let mut streams = StreamMap::new();
    for n in 0..100 {
        let id = jobs
            .spawn((), async |job| {
                for percent in 1..=50 {
                    job.advance(Progress::ratio(percent, 100)?)?;
                    yield_now().await;
                }
                Ok(())
            })
            .unwrap();
        streams.insert((n, 0), jobs.watch(id).unwrap());
        streams.insert((n, 1), jobs.watch(id).unwrap());
    }
    let mut ended = 0;
    let all = async {
        while let Some((_, seen)) = streams.next().await {
            ended += usize::from(seen.status() == Status::Completed);
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("a stream does not end");
    assert_eq!(ended, 200);
}

/// P9: `changed` is cancel safe, so that a dropped wait loses no change.
#[tokio::test(start_paused = true)]
async fn dropped_wait_loses_no_change() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    let mut watch = job.watch().unwrap();
    assert!(watch.next().await.is_some());
    for percent in 1..=20 {
        assert!(
            timeout(SECOND, watch.changed()).await.is_err(),
            "nothing has changed"
        );
        if percent == 1 {
            job.start().unwrap();
        }
        let progress = Progress::ratio(percent, 100).unwrap();
        job.advance(progress).unwrap();
        assert_eq!(watch.next().await.unwrap().progress(), progress);
    }
}

/// P8 and P9: a heartbeat is not a change, and wakes no watcher.
#[tokio::test(start_paused = true)]
async fn heartbeats_are_not_stream_items() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    let _heartbeat = job.heartbeat_every(SECOND);
    let mut watch = job.watch().unwrap();
    assert!(watch.next().await.is_some());
    assert!(timeout(100 * SECOND, watch.next()).await.is_err());
}

/// P9: a change by a thread without a runtime wakes a task, even inside `select`.
#[tokio::test]
async fn change_by_a_thread_without_a_runtime_wakes_the_task() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    let id = job.id();
    let (waits, is_waiting) = oneshot::channel();
    let worker = std::thread::spawn(move || {
        is_waiting.blocking_recv().unwrap();
        job.start().unwrap();
        job.complete().unwrap();
    });
    let mut watch = jobs.watch(id).unwrap();
    assert!(watch.next().await.is_some());
    waits.send(()).unwrap();
    tokio::select! {
        seen = watch.next() => assert!(seen.unwrap().status() > Status::Pending),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("the task was not woken"),
    }
    assert_eq!(end_of(&jobs, id).await.status(), Status::Completed);
    worker.join().unwrap();
}
