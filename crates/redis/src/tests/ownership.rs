//! Heartbeats, stall verdicts, sweeps and hooks of several processes.

use super::server::{MANUAL_CLOCK, Server, checks, with_server};
use crate::script::Parts;
use crate::sweep::Trusted;
use crate::{JobRegistry, Reaper, Unavailable};
use job_registry::{Error as Refusal, JobId, Options, Progress, Status};
use redis::Commands;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

async fn until(mut done: impl AsyncFnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done().await {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Scenario 62.
#[test]
fn a_superseded_owner_changes_nothing() {
    with_server(async |server| {
        let (here, there) = (server.jobs("deck").await, server.jobs("deck").await);
        let old = here.register(&Vec::new()).await.unwrap();
        old.start().await.unwrap();
        there.fail(old.id(), "presumed dead").await.unwrap();
        let new = there.retry(old.id()).await.unwrap();
        new.start().await.unwrap();
        let before = server.dump();
        let superseded = crate::Error::Refused(Refusal::Superseded);
        let refused =
            |result: Result<(), crate::Error>| assert_eq!(result, Err(superseded.clone()));
        refused(old.start().await);
        refused(old.advance(Progress::DONE).await.map(drop));
        refused(old.note("late").await);
        refused(old.report(Progress::DONE, "late").await);
        refused(old.heartbeat().await);
        refused(old.update(|files| files.push("late".to_owned())).await);
        refused(old.complete().await);
        refused(old.fail("late").await);
        refused(old.cancel().await);
        refused(old.request_stop("late").await.map(drop));
        refused(old.remove_after(Duration::ZERO).await);
        refused(old.remove().await);
        refused(old.retry().await.map(drop));
        let late = old.heartbeat_every(Duration::from_millis(5));
        drop(old);
        sleep(Duration::from_millis(100)).await;
        drop(late);
        assert_eq!(server.dump(), before);
        // An owner's own retry is another owner as well: a failover may rewind the attempt.
        new.fail("once more").await.unwrap();
        let next = new.retry().await.unwrap();
        assert_ne!(next.fence().nonce, new.fence().nonce);
        next.start().await.unwrap();
        next.complete().await.unwrap();
    });
}

/// Scenario 61.
#[test]
fn heartbeats_of_a_process_go_out_together_and_survive_an_error() {
    with_server(async |server| {
        let builder = server.builder::<Vec<String>>("deck", &Parts::default());
        let builder = builder.stall_after(Duration::from_secs(3));
        let builder = builder.answer_within(Duration::from_millis(400));
        let jobs = builder
            .call_within(Duration::from_millis(400))
            .connect()
            .await
            .unwrap();
        let mut working = Vec::new();
        for _ in 0..150 {
            let job = jobs.register(&Vec::new()).await.unwrap();
            job.start().await.unwrap();
            let heartbeat = job.heartbeat_every(Duration::from_millis(200));
            working.push((job, heartbeat));
        }
        // One of them ends, and another is removed: the others go on.
        working[3].0.complete().await.unwrap();
        working[5].0.cancel().await.unwrap();
        working[5].0.remove().await.unwrap();
        sleep(Duration::from_millis(3200)).await;
        assert_eq!(jobs.fail_stalled().await.unwrap(), []);
        // The server does not answer for a while. No verdict falls, and the heartbeats come back.
        server.signal("STOP");
        sleep(Duration::from_secs(1)).await;
        server.signal("CONT");
        sleep(Duration::from_millis(3200)).await;
        assert_eq!(jobs.fail_stalled().await.unwrap(), []);
        assert_eq!(jobs.counts().await.unwrap().running, 148);
        // Dropping them ends them.
        let jobs_alone: Vec<_> = working.into_iter().map(|(job, _)| job.detach()).collect();
        sleep(Duration::from_millis(3500)).await;
        assert_eq!(jobs.fail_stalled().await.unwrap().len(), 148);
        assert_eq!(jobs_alone.len(), 150);
    });
}

/// Returns once a job has had two more heartbeats.
async fn beats(jobs: &JobRegistry<Vec<String>>, id: JobId) {
    let mut last = jobs.snapshot(id).await.unwrap().last_heartbeat();
    for _ in 0..2 {
        let before = last;
        let moved = async || {
            last = jobs.snapshot(id).await.unwrap().last_heartbeat();
            last > before
        };
        until(moved, "the heartbeats have stopped").await;
    }
}

#[test]
fn heartbeats_by_id_are_those_of_any_attempt() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let id = job.id();
        job.start().await.unwrap();
        let _beating = jobs.heartbeat_every(id, Duration::from_millis(20)).unwrap();
        beats(&jobs, id).await;
        let next = {
            job.fail("lost").await.unwrap();
            job.retry().await.unwrap()
        };
        next.start().await.unwrap();
        // The heartbeats may have found the job ended in between.
        let _again = jobs.heartbeat_every(id, Duration::from_millis(20)).unwrap();
        beats(&jobs, id).await;
        let unknown = jobs.heartbeat_every(JobId::from_bits(7), Duration::from_secs(1));
        assert_eq!(unknown.map(drop), Err(Refusal::NotFound.into()));
        let _ = next.detach();
    });
}

#[test]
fn an_interval_without_end_leaves_the_other_heartbeats_alone() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let (patient, other) = (
            jobs.register(&Vec::new()).await.unwrap(),
            jobs.register(&Vec::new()).await.unwrap(),
        );
        patient.start().await.unwrap();
        other.start().await.unwrap();
        let _never = patient.heartbeat_every(Duration::MAX);
        let _often = other.heartbeat_every(Duration::from_millis(5));
        beats(&jobs, other.id()).await;
        // Another interval of the same job, and one that is added later.
        let _seldom = other.heartbeat_every(Duration::from_secs(3600));
        beats(&jobs, other.id()).await;
        beats(&jobs, other.id()).await;
        let silent = jobs.snapshot(patient.id()).await.unwrap().last_heartbeat();
        sleep(Duration::from_millis(100)).await;
        let seen = jobs.snapshot(patient.id()).await.unwrap();
        assert_eq!(seen.last_heartbeat(), silent);
    });
}

/// Heartbeats of a runtime that has ended begin again on another.
#[test]
fn heartbeats_begin_again_on_another_runtime() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        job.start().await.unwrap();
        let job = Arc::new(job);
        let short = job.clone();
        let ended = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                let heartbeat = short.heartbeat_every(Duration::from_millis(5));
                sleep(Duration::from_millis(50)).await;
                heartbeat
            })
        });
        let _first = tokio::task::spawn_blocking(|| ended.join().unwrap()).await;
        let _second = job.heartbeat_every(Duration::from_millis(5));
        beats(&jobs, job.id()).await;
    });
}

/// A client that disconnects ends the registration of its request. The job is not left pending.
#[test]
fn a_registration_that_nobody_waits_for_is_abandoned() {
    with_server(async |server| {
        let (jobs, other) = (server.jobs("deck").await, server.jobs("deck").await);
        let (reached, _) = jobs.state.store.faults.lose_answer_and_hold();
        let waiting = jobs.clone();
        let request = tokio::spawn(async move { waiting.register(&Vec::new()).await.map(drop) });
        reached.notified().await;
        assert_eq!(other.counts().await.unwrap().pending, 1);
        request.abort();
        let failed = async || other.counts().await.unwrap().failed == 1;
        until(failed, "the job is pending for ever").await;
    });
}

#[test]
fn any_reaper_judges_and_retries_of_the_job_go_on() {
    with_server(async |server| {
        let builder = server.builder::<Vec<String>>("deck", &Parts::default());
        let worker = builder
            .stall_after(Duration::from_millis(100))
            .connect()
            .await
            .unwrap();
        let other: JobRegistry<Vec<String>> = server.jobs("deck").await;
        let reapers: Vec<Reaper> = (0..3)
            .map(|_| other.spawn_reaper(Duration::from_millis(20)))
            .collect();
        let dead = worker.register(&Vec::new()).await.unwrap();
        dead.start().await.unwrap();
        let alive = worker.register(&Vec::new()).await.unwrap();
        alive.start().await.unwrap();
        let _beats = alive.heartbeat_every(Duration::from_millis(20));
        let id = dead.id();
        until(
            async || other.snapshot(id).await.unwrap().status() == Status::Failed,
            "no verdict",
        )
        .await;
        let reason = other.details(id).await.unwrap().reason.unwrap();
        assert!(reason.starts_with("stalled: no heartbeat for "), "{reason}");
        let again = other.retry(id).await.unwrap();
        again.start().await.unwrap();
        again.complete().await.unwrap();
        assert_eq!(dead.heartbeat().await, Err(Refusal::Superseded.into()));
        assert_eq!(alive.snapshot().await.unwrap().status(), Status::Running);
        alive.complete().await.unwrap();
        drop(reapers);
    });
}

#[test]
fn sweeps_of_several_processes_remove_every_job_once() {
    with_server(async |server| {
        let mut sweepers = Vec::new();
        for _ in 0..3 {
            let builder = server.builder::<Vec<String>>("deck", &Parts::default());
            sweepers.push(builder.retention(Duration::ZERO).connect().await.unwrap());
        }
        let mut ids = Vec::new();
        for _ in 0..230 {
            let job = sweepers[0].register(&Vec::new()).await.unwrap();
            job.cancel().await.unwrap();
            ids.push(job.id());
        }
        sleep(Duration::from_millis(5)).await;
        let sweeps = sweepers.iter().cloned();
        let sweeps: Vec<_> = sweeps
            .map(|jobs| tokio::spawn(async move { jobs.sweep().await.unwrap().removed }))
            .collect();
        let mut removed = 0;
        for sweep in sweeps {
            removed += sweep.await.unwrap();
        }
        assert_eq!(removed, ids.len());
        for id in ids {
            assert_eq!(sweepers[1].snapshot(id).await, Err(Refusal::Gone.into()));
        }
    });
}

checks! {
    async fn a_reaper_that_has_reconnected_gives_every_job_its_whole_limit(server, parts) {
        let builder = server.builder::<Vec<String>>("deck", parts);
        let limit = Duration::from_millis(400);
        let jobs = builder.stall_after(limit).connect().await.unwrap();
        let job = jobs.register(&Vec::new()).await.unwrap();
        job.start().await.unwrap();
        sleep(limit * 2).await;
        // By the hash the job is stalled, and the reaper has only begun to watch the clock.
        assert_eq!(jobs.stalled().await.unwrap().len(), 1);
        let begun = Instant::now();
        let _reaper = jobs.spawn_reaper(Duration::from_millis(10));
        sleep(limit / 2).await;
        assert_eq!(job.snapshot().await.unwrap().status(), Status::Running);
        until(
            async || job.snapshot().await.unwrap().status() == Status::Failed,
            "no verdict",
        )
        .await;
        assert!(begun.elapsed() >= limit);
    }

    async fn deadlines_and_stops_are_carried_out_by_any_process(server, parts) {
        let builder = server.builder::<Vec<String>>("deck", parts);
        let jobs = builder
            .stop_grace(Duration::from_millis(400))
            .connect()
            .await
            .unwrap();
        let sweeper = server.jobs("deck").await;
        let options = Options::new().deadline(Duration::from_millis(450));
        let late = jobs.register_with(&Vec::new(), options).await.unwrap();
        let options = Options::new().deadline(Duration::from_secs(600));
        let stopped = jobs.register_with(&Vec::new(), options).await.unwrap();
        stopped.start().await.unwrap();
        stopped.request_stop("enough").await.unwrap();
        let swept = sweeper.sweep().await.unwrap();
        assert_eq!((swept.expired, swept.cancelled, swept.removed), (0, 0, 0));
        sleep(Duration::from_millis(600)).await;
        let swept = sweeper.sweep().await.unwrap();
        assert_eq!((swept.expired, swept.cancelled, swept.removed), (1, 1, 0));
        let reason = late.details().await.unwrap().reason;
        assert_eq!(reason.as_deref(), Some("deadline exceeded after 450ms"));
        assert_eq!(
            stopped.snapshot().await.unwrap().status(),
            Status::Cancelled
        );
    }

    async fn the_hook_runs_before_the_removal_and_a_panic_in_it_keeps_nothing(server, parts) {
        let seen: Arc<Mutex<Vec<(String, Status)>>> = Arc::default();
        let (in_hook, admin) = (seen.clone(), Mutex::new(server.admin()));
        let builder = server.builder::<Vec<String>>("deck", parts);
        let builder = builder.retention(Duration::ZERO).on_remove(move |record| {
            let payload = record
                .payload
                .as_ref()
                .map_or("none", |files| files[0].as_str());
            in_hook
                .lock()
                .unwrap()
                .push((payload.to_owned(), record.snapshot.status()));
            // The job is still there.
            let key = format!("jr1:{{deck/0}}:j:{}", record.snapshot.id());
            let is_there: bool = admin.lock().unwrap().exists(key).unwrap();
            assert!(is_there, "the job has been removed");
            assert!(payload != "b", "the hook of b");
        });
        let jobs = builder.connect().await.unwrap();
        for payload in ["a", "b", "c"] {
            let job = jobs.register(&vec![payload.to_owned()]).await.unwrap();
            job.cancel().await.unwrap();
        }
        // A payload that does not decode.
        let builder = server.builder::<u64>("deck", parts);
        let other = builder.retention(Duration::ZERO).connect().await.unwrap();
        other.register(&7).await.unwrap().cancel().await.unwrap();
        // Due after the sweep.
        let kept = jobs.register(&vec!["kept".to_owned()]).await.unwrap();
        kept.remove_after(Duration::from_secs(600)).await.unwrap();
        kept.cancel().await.unwrap();
        sleep(Duration::from_millis(5)).await;
        let swept = jobs.sweep().await.unwrap();
        assert_eq!((swept.removed, swept.panics.len()), (4, 1));
        assert_eq!(swept.panics[0].1, "the hook of b");
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        let cancelled = |text: &str| (text.to_owned(), Status::Cancelled);
        assert_eq!(seen, ["a", "b", "c", "none"].map(cancelled));
        assert!(kept.snapshot().await.is_ok());
    }

    // An attempt counter that was rewound, as after a failover: two owners of attempt 1.
    /// Scenarios 63 and 64.
    async fn an_owner_of_a_lost_history_is_told_by_its_nonce(server, parts) {
        let jobs = server.builder::<Vec<String>>("deck", parts).connect().await.unwrap();
        let job = jobs.register(&Vec::new()).await.unwrap();
        let key = format!("jr1:{{deck/0}}:j:{}", job.id());
        let set = [key.as_str(), "n", "another"];
        let _: () = redis::cmd("HSET").arg(&set).query(&mut server.admin()).unwrap();
        let superseded = crate::Error::Refused(Refusal::Superseded);
        assert_eq!(job.start().await, Err(superseded.clone()));
        assert_eq!(job.heartbeat().await, Err(superseded.clone()));
        assert_eq!(job.note("late").await, Err(superseded));
    }

    /// Scenario 59.
    async fn times_stay_in_order_when_the_clock_goes_back(server, parts) {
        let clock = MANUAL_CLOCK.to_owned();
        let parts = Parts { clock, ..parts.clone() };
        let limit = Duration::from_millis(10);
        let builder = server.builder::<Vec<String>>("deck", &parts).stall_after(limit);
        let jobs = builder.connect().await.unwrap();
        let mut admin = server.admin();
        let mut set = |millis: u64| {
            let _: () = admin.set("jr1:{deck/0}:clock", millis).unwrap();
        };
        set(5000);
        let job = jobs.register(&Vec::new()).await.unwrap();
        set(4000);
        job.start().await.unwrap();
        job.heartbeat().await.unwrap();
        let at = Duration::from_secs(5);
        assert_eq!(job.snapshot().await.unwrap().last_heartbeat(), at);
        assert_eq!(jobs.fail_stalled().await.unwrap(), []);
        set(3000);
        job.fail("over").await.unwrap();
        let times = job.details().await.unwrap().times;
        assert_eq!((times.started, times.ended), (Some(at), Some(at)));
    }

    /// Scenario 53.
    async fn far_times_and_odd_silences_are_exact(server, parts) {
        let clock = MANUAL_CLOCK.to_owned();
        let parts = Parts { clock, ..parts.clone() };
        let builder = server.builder::<Vec<String>>("deck", &parts);
        let jobs = builder.stall_after(Duration::ZERO).connect().await.unwrap();
        for silence in [1, 10, 999, 1000, 1001, 1010, 1100, 1500, 60_000, 61_001] {
            let job = jobs.register(&Vec::new()).await.unwrap();
            job.start().await.unwrap();
            let _: u64 = server.admin().incr("jr1:{deck/0}:clock", silence).unwrap();
            assert_eq!(jobs.fail_stalled().await.unwrap().len(), 1);
            let silence = Duration::from_millis(silence);
            let reason = job.details().await.unwrap().reason.unwrap();
            assert_eq!(*reason, format!("stalled: no heartbeat for {silence:?}"));
            let far = Duration::from_millis(4_000_000_000_000_001);
            job.remove_after(far).await.unwrap();
            let times = job.details().await.unwrap().times;
            assert_eq!(times.removal, times.ended.map(|ended| ended + far));
            job.remove_after(Duration::from_millis(u64::MAX)).await.unwrap();
            assert_eq!(job.details().await.unwrap().times.removal, None);
        }
    }

    async fn stalls_are_judged_by_the_clock_of_the_server_alone(server, parts) {
        let clock = MANUAL_CLOCK.to_owned();
        let parts = Parts { clock, ..parts.clone() };
        let builder = server.builder::<Vec<String>>("deck", &parts);
        let builder = builder.stall_after(Duration::from_millis(100));
        let jobs = builder.connect().await.unwrap();
        // In the year 1970, and in 2096.
        for jump in [1_000, 4_000_000_000_000_u64] {
            let _: u64 = server.admin().incr("jr1:{deck/0}:clock", jump).unwrap();
            let job = jobs.register(&Vec::new()).await.unwrap();
            job.start().await.unwrap();
            assert_eq!(jobs.stalled().await, Ok(vec![]));
            let _: u64 = server.admin().incr("jr1:{deck/0}:clock", 101).unwrap();
            assert_eq!(jobs.stalled().await.unwrap().len(), 1);
            assert_eq!(jobs.fail_stalled().await.unwrap().len(), 1);
            let _ = job.detach();
        }
    }

    /// Scenarios 51 and 52.
    async fn jobs_with_one_heartbeat_are_all_judged_and_swept(server, parts) {
        let clock = MANUAL_CLOCK.to_owned();
        let parts = Parts { clock, ..parts.clone() };
        let builder = server.builder::<Vec<String>>("deck", &parts);
        let builder = builder.retention(Duration::ZERO).stall_after(Duration::ZERO);
        let jobs = builder.connect().await.unwrap();
        for _ in 0..250 {
            let job = jobs.register(&Vec::new()).await.unwrap();
            job.start().await.unwrap();
            let _ = job.detach();
        }
        // All have one time of the heartbeat.
        let now: u64 = server.admin().incr("jr1:{deck/0}:clock", 1).unwrap();
        // The trust of a reaper begins too late, or ends too early.
        let origin = jobs.state.store.origin().unwrap();
        let at = Instant::now();
        let mut trusted = Trusted { since: now, now, at, origin };
        assert_eq!(jobs.state.fail_stalled(Some(&trusted)).await.unwrap(), []);
        let _: u64 = server.admin().incr("jr1:{deck/0}:clock", 60_000).unwrap();
        assert_eq!(jobs.state.fail_stalled(Some(&trusted)).await.unwrap(), []);
        // It is that of another connection.
        trusted.now = now + 60_000;
        trusted.origin.client_id += 1;
        let not_sent = Err(Unavailable::NotSent.into());
        assert_eq!(jobs.state.fail_stalled(Some(&trusted)).await, not_sent);
        assert_eq!(jobs.stalled().await.unwrap().len(), 250);
        assert_eq!(jobs.fail_stalled().await.unwrap().len(), 250);
        assert_eq!(jobs.sweep().await.unwrap().removed, 250);
    }
}
