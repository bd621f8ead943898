//! Watches: no change is missed, whatever happens to the messages, and one reader serves them all.

use super::server::{Server, checks, with, with_server};
use crate::script::Parts;
use crate::{JobRegistry, Watch};
use job_registry::{Progress, Status};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Time after which a change has to be seen even if its message is lost.
const WITHOUT_HINT: Duration = Duration::from_secs(9);

async fn until(watch: &mut Watch, status: Status) -> job_registry::Snapshot {
    let mut last = None;
    let reached = timeout(WITHOUT_HINT, async {
        while let Some(seen) = watch.changed().await {
            assert!(
                last.is_none_or(|last| last < seen.version()),
                "a version falls"
            );
            last = Some(seen.version());
            if seen.status() == status {
                return seen;
            }
        }
        panic!("the watch ends before {status}");
    });
    reached
        .await
        .unwrap_or_else(|_| panic!("{status} is not seen in time"))
}

fn kill_subscriptions(server: &Server) {
    let kill = ["KILL", "TYPE", "pubsub"];
    let _: u64 = redis::cmd("CLIENT")
        .arg(&kill)
        .query(&mut server.admin())
        .unwrap();
}

/// Number of scripts that read, since the server began.
fn reads(server: &Server) -> u64 {
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query(&mut server.admin())
        .unwrap();
    let line = stats
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"));
    let calls = line
        .and_then(|line| line.split(['=', ',']).nth(1))
        .unwrap_or("0");
    calls.parse().unwrap()
}

#[test]
fn a_change_whose_message_is_lost_is_seen_all_the_same() {
    with_server(async |server| {
        // Scripts that publish nothing.
        let mut parts = Parts::default();
        let published = "redis.pcall('PUBLISH', job.key, job.v)";
        assert!(parts.prelude.contains(published));
        parts.prelude = parts.prelude.replace(published, "");
        let silent = server
            .builder::<Vec<String>>("deck", &parts)
            .connect()
            .await
            .unwrap();
        let jobs = server.jobs("deck").await;
        let job = silent.register(&Vec::new()).await.unwrap();
        let mut watch = jobs.watch(job.id()).await.unwrap();
        until(&mut watch, Status::Pending).await;
        job.cancel().await.unwrap();
        until(&mut watch, Status::Cancelled).await;
    });
}

/// Scenario 73.
#[test]
fn a_change_during_a_reconnect_is_seen_after_it() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let mut watch = jobs.watch(job.id()).await.unwrap();
        until(&mut watch, Status::Pending).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        for round in 1..=20 {
            let begun = Instant::now();
            kill_subscriptions(server);
            if round == 1 {
                job.start().await.unwrap();
            } else {
                job.advance(Progress::of(round, 20)).await.unwrap();
            }
            timeout(WITHOUT_HINT, watch.changed())
                .await
                .unwrap()
                .unwrap();
            let sooner = begun.elapsed() < Duration::from_secs(2);
            assert!(sooner, "the reconnect was not followed by a read");
        }
        let _ = job.detach();
    });
}

/// Scenario 75.
#[test]
fn the_end_is_seen_although_the_job_has_been_removed() {
    with_server(async |server| {
        let (jobs, other) = (server.jobs("deck").await, server.jobs("deck").await);
        for is_watched_late in [false, true] {
            let job = jobs.register(&Vec::new()).await.unwrap();
            let id = job.id();
            let mut watch = jobs.watch(id).await.unwrap();
            if !is_watched_late {
                until(&mut watch, Status::Pending).await;
            }
            other.cancel_because(id, "over").await.unwrap();
            other.remove(id).await.unwrap();
            until(&mut watch, Status::Cancelled).await;
            assert_eq!(watch.changed().await, None);
            assert_eq!(jobs.watch(id).await.map(drop).unwrap_err().name(), "gone");
        }
    });
}

#[test]
fn a_watch_goes_on_through_retries_if_it_is_told_to() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let mut short = job.watch().await.unwrap();
        let mut long = job.watch().await.unwrap().through_retries();
        job.fail("once").await.unwrap();
        until(&mut short, Status::Failed).await;
        assert_eq!(short.changed().await, None);
        until(&mut long, Status::Failed).await;
        let second = job.retry().await.unwrap();
        second.start().await.unwrap();
        second.complete().await.unwrap();
        assert_eq!(until(&mut long, Status::Completed).await.attempt(), 2);
        assert_eq!(long.changed().await, None);
    });
}

/// Scenario 72.
#[test]
fn a_thousand_watches_of_a_job_share_one_reader() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let mut watches = Vec::new();
        for _ in 0..1000 {
            watches.push(job.watch().await.unwrap());
        }
        for watch in &mut watches {
            until(watch, Status::Pending).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = reads(server);
        job.start().await.unwrap();
        for watch in &mut watches {
            until(watch, Status::Running).await;
        }
        let calls = reads(server) - before;
        assert!(
            (2..20).contains(&calls),
            "{calls} calls for one change and its readers"
        );
        drop(watches);
        // The reader and its subscription are gone.
        subscribers(server, 0).await;
        let _ = job.detach();
    });
}

#[test]
fn thousands_of_watches_come_back_after_a_reconnect() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let mut watched = Vec::new();
        for _ in 0..3000 {
            let job = jobs.register(&Vec::new()).await.unwrap();
            watched.push((job.watch().await.unwrap(), job));
        }
        for (watch, _) in &mut watched {
            until(watch, Status::Pending).await;
        }
        subscribers(server, 3000).await;
        kill_subscriptions(server);
        subscribers(server, 3000).await;
        // The readings after the reconnect are over.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (watch, job) = watched.last_mut().unwrap();
        let begun = Instant::now();
        job.start().await.unwrap();
        until(watch, Status::Running).await;
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "the message is lost"
        );
        for (_, job) in watched {
            let _ = job.detach();
        }
    });
}

/// Waits until so many channels have subscribers.
async fn subscribers(server: &Server, number: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let channels = redis::cmd("PUBSUB")
            .arg("CHANNELS")
            .query(&mut server.admin());
        let channels: Vec<String> = channels.unwrap();
        if channels.len() == number {
            return;
        }
        let there = channels.len();
        assert!(
            Instant::now() < deadline,
            "{there} channels have subscribers"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn watches_go_on_after_the_runtime_of_the_first() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let id = job.id();
        let first = jobs.clone();
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(first.watch(id)).unwrap()
        });
        let mut early = other.join().unwrap();
        let mut late = jobs.watch(id).await.unwrap();
        subscribers(server, 1).await;
        let begun = Instant::now();
        job.start().await.unwrap();
        until(&mut late, Status::Running).await;
        until(&mut early, Status::Running).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "nobody reads");
        let _ = job.detach();
    });
}

#[test]
fn a_watch_is_not_shown_what_another_has_read_before_it() {
    with_server(async |server| {
        // Scripts that publish nothing: the reader of the job reads it every 5 seconds.
        let mut parts = Parts::default();
        let publish = "redis.pcall('PUBLISH', ";
        assert!(parts.prelude.contains(publish));
        parts.prelude = parts.prelude.replace(publish, "tostring(");
        let builder = server.builder::<Vec<String>>("deck", &parts);
        let jobs = builder.connect().await.unwrap();
        let job = jobs.register(&Vec::new()).await.unwrap();
        job.fail("lost").await.unwrap();
        let mut early = job.watch().await.unwrap();
        until(&mut early, Status::Failed).await;
        // The reading after the subscription is over.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let next = job.retry().await.unwrap();
        let mut late = next.watch().await.unwrap();
        until(&mut late, Status::Pending).await;
        next.start().await.unwrap();
        until(&mut late, Status::Running).await;
        next.complete().await.unwrap();
        drop(early);
    });
}

#[test]
fn watches_end_when_their_registry_is_dropped() {
    with_server(async |server| {
        let jobs: JobRegistry<Vec<String>> = server.jobs("deck").await;
        let id = jobs.register(&Vec::new()).await.unwrap().detach();
        let mut watch = jobs.watch(id).await.unwrap();
        until(&mut watch, Status::Pending).await;
        drop(jobs);
        let ended = timeout(Duration::from_secs(2), watch.changed()).await;
        assert_eq!(ended.expect("the watch goes on"), None);
    });
}

#[test]
fn a_watch_waits_while_the_server_is_away() {
    with(Server::lasting(), async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let mut watch = job.watch().await.unwrap();
        until(&mut watch, Status::Pending).await;
        server.kill_and_restart();
        job.cancel().await.unwrap();
        until(&mut watch, Status::Cancelled).await;
    });
}

#[test]
fn a_stop_reaches_the_worker_that_waits_for_it() {
    with_server(async |server| {
        let (jobs, other) = (server.jobs("deck").await, server.jobs("deck").await);
        let job = jobs.register(&Vec::new()).await.unwrap();
        job.start().await.unwrap();
        let waits = timeout(Duration::from_millis(300), job.stop_requested()).await;
        assert!(waits.is_err(), "nobody has asked for a stop");
        other.request_stop(job.id(), "enough").await.unwrap();
        timeout(WITHOUT_HINT, job.stop_requested())
            .await
            .unwrap()
            .unwrap();
        job.cancel().await.unwrap();
        assert_eq!(
            job.details().await.unwrap().reason.as_deref(),
            Some("enough")
        );
    });
}

/// Scenario 74.
#[test]
fn a_change_between_the_first_read_and_the_subscription_is_seen_at_once() {
    with_server(async |server| {
        let (jobs, other) = (server.jobs("deck").await, server.jobs("deck").await);
        // The subscription exists, and each further job is added to it.
        let first = jobs.register(&Vec::new()).await.unwrap();
        let mut watch = first.watch().await.unwrap();
        until(&mut watch, Status::Pending).await;
        for _ in 0..150 {
            let id = other.register(&Vec::new()).await.unwrap().detach();
            let (watch, started) = tokio::join!(jobs.watch(id), other.start(id));
            started.unwrap();
            let begun = Instant::now();
            until(&mut watch.unwrap(), Status::Running).await;
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "the hint was not taken"
            );
        }
        let _ = first.detach();
    });
}

checks! {
    async fn changes_of_another_process_are_seen_at_once(server, parts) {
        let here = server.builder::<Vec<String>>("deck", parts).connect().await.unwrap();
        let there = server.builder::<Vec<String>>("deck", parts).connect().await.unwrap();
        let job = there.register(&Vec::new()).await.unwrap();
        let mut watch = here.watch(job.id()).await.unwrap();
        assert_eq!(until(&mut watch, Status::Pending).await.attempt(), 1);
        // The subscription is there by then.
        tokio::time::sleep(Duration::from_millis(200)).await;
        for (step, status) in [(0, Status::Running), (1, Status::Completed)] {
            let begun = Instant::now();
            if step == 0 {
                job.start().await.unwrap();
            } else {
                job.complete().await.unwrap();
            }
            until(&mut watch, status).await;
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "the hint was not taken"
            );
        }
        assert_eq!(watch.changed().await, None);
    }
}
