//! Leases of payloads.

use super::server::{MANUAL_CLOCK, Server, checks, with_server};
use crate::id::Nonce;
use crate::script::Parts;
use crate::{Error, JobRegistry};
use job_registry::{Error as Refusal, Options, Progress, Status};
use redis::Commands;
use std::time::Duration;
use tokio::time::timeout;

const LEASE: Duration = Duration::from_secs(60);
const CLOCK: &str = "jr1:{deck/0}:clock";

type Jobs = JobRegistry<Vec<String>>;

async fn jobs(server: &Server, parts: &Parts) -> Jobs {
    let builder = server.builder::<Vec<String>>("deck", parts);
    builder.connect().await.unwrap()
}

/// Returns a registry whose clock the test moves, in milliseconds.
async fn manual(server: &Server, parts: &Parts) -> Jobs {
    let clock = MANUAL_CLOCK.to_owned();
    let parts = Parts {
        clock,
        ..parts.clone()
    };
    let builder = server.builder::<Vec<String>>("deck", &parts);
    let builder = builder.stall_after(Duration::from_millis(100));
    let builder = builder.stop_grace(Duration::from_millis(100));
    let jobs = builder.connect().await.unwrap();
    pass(server, 1_000);
    jobs
}

fn pass(server: &Server, millis: u64) {
    let _: u64 = server.admin().incr(CLOCK, millis).unwrap();
}

fn page(name: &str) -> String {
    name.to_owned()
}

fn refused<R: std::fmt::Debug>(result: Result<R, Error>, refusal: Refusal) {
    assert_eq!(result.unwrap_err(), Error::Refused(refusal));
}

fn lost<R: std::fmt::Debug>(result: Result<R, Error>) {
    assert_eq!(result.unwrap_err(), Error::LockLost);
}

/// Whether the hash of a job names a lease.
fn has_lease(server: &Server, id: job_registry::JobId) -> bool {
    let key = format!("jr1:{{deck/0}}:j:{id}");
    let fields: Vec<Option<String>> = server.admin().hmget(key, &["f", "m"]).unwrap();
    assert_eq!(fields[0].is_some(), fields[1].is_some());
    fields[0].is_some()
}

checks! {
    async fn a_locked_job_is_written_and_ended_by_its_guard_alone(server, parts) {
        let (here, there) = (jobs(server, parts).await, jobs(server, parts).await);
        let job = here.register(&vec![page("intro")]).await.unwrap();
        let id = job.id();
        let pending = there.lock(id, LEASE).await.unwrap();
        refused(here.request_stop(id, "").await, Refusal::Busy);
        pending.release().await.unwrap();
        job.start().await.unwrap();
        let mut guard = job.lock(LEASE).await.unwrap();
        assert_eq!(*guard, [page("intro")]);
        let before = there.snapshot(id).await.unwrap().version();
        refused(there.try_lock(id, LEASE).await, Refusal::Busy);
        refused(job.try_lock(LEASE).await, Refusal::Busy);
        refused(there.complete(id).await, Refusal::Busy);
        refused(there.fail(id, "").await, Refusal::Busy);
        refused(there.cancel(id).await, Refusal::Busy);
        refused(job.complete().await, Refusal::Busy);
        let update = there.update(id, |pages| pages.push(page("other")));
        assert!(timeout(Duration::from_millis(100), update).await.is_err());
        assert_eq!(there.snapshot(id).await.unwrap().version(), before);
        // Everything else goes on.
        assert_eq!(guard.snapshot().await.unwrap().status(), Status::Running);
        assert_eq!(guard.start().await.unwrap_err().name(), "already_started");
        guard.advance(Progress::percent(5.0).unwrap()).await.unwrap();
        guard.report(Progress::percent(6.0).unwrap(), "by the guard").await.unwrap();
        guard.note("and again").await.unwrap();
        guard.heartbeat().await.unwrap();
        let seen = there.read(id, |job| (job.note.unwrap().to_string(), job.payload.len()));
        assert_eq!(seen.await, Ok(("and again".to_owned(), 1)));
        assert_eq!(job.is_stop_requested().await, Ok(false));
        there.report(id, Progress::percent(10.0).unwrap(), "drawing").await.unwrap();
        there.heartbeat(id).await.unwrap();
        there.note(id, "still").await.unwrap();
        there.remove_after(id, Duration::MAX).await.unwrap();
        there.request_stop(id, "enough").await.unwrap();
        assert_eq!(job.is_stop_requested().await, Ok(true));
        guard.push(page("summary"));
        assert_eq!(there.get(id).await.unwrap().payload.len(), 1);
        let before = there.snapshot(id).await.unwrap().version();
        guard.save().await.unwrap();
        assert_eq!(there.get(id).await.unwrap().payload.len(), 2);
        assert!(there.snapshot(id).await.unwrap().version() > before);
        refused(there.complete(id).await, Refusal::Busy);
        guard.renew().await.unwrap();
        guard.push(page("end"));
        let (_, _, before) = here.state.record(id).await.unwrap();
        guard.complete().await.unwrap();
        // A writer that has read before the end does not overwrite it in a later attempt.
        assert!(here.state.record(id).await.unwrap().2 > before);
        let record = there.get(id).await.unwrap();
        assert_eq!(record.payload, ["intro", "summary", "end"].map(page));
        assert_eq!(record.snapshot.status(), Status::Completed);
        assert!(!has_lease(server, id));
        refused(there.lock(id, LEASE).await, Refusal::Ended(Status::Completed));
    }

    async fn a_guard_stores_what_it_is_told_to(server, parts) {
        let jobs = jobs(server, parts).await;
        let job = jobs.register(&vec![page("intro")]).await.unwrap();
        let id = job.id();
        let mut guard = job.lock(LEASE).await.unwrap();
        guard.push(page("kept"));
        guard.release().await.unwrap();
        // A guard that is only read from changes no version.
        let before = jobs.snapshot(id).await.unwrap().version();
        let guard = job.lock(LEASE).await.unwrap();
        assert_eq!(guard.len(), 2);
        guard.release().await.unwrap();
        assert!(!has_lease(server, id));
        // A dropped guard stores nothing, and gives the lease up soon.
        let mut guard = job.lock(LEASE).await.unwrap();
        guard.push(page("dropped"));
        drop(guard);
        let again = jobs.lock(id, LEASE).await.unwrap();
        assert_eq!(*again, ["intro", "kept"].map(page));
        again.release().await.unwrap();
        assert_eq!(jobs.snapshot(id).await.unwrap().version(), before);
        // A payload that is too large is refused, and the lease goes on.
        let mut guard = job.lock(LEASE).await.unwrap();
        guard.push("x".repeat(2 << 20));
        assert_eq!(guard.save().await.unwrap_err().name(), "payload_too_large");
        drop(guard);
        // It is given up all the same.
        let guard = job.lock(LEASE).await.unwrap();
        assert_eq!(guard.len(), 2);
        guard.cancel_because("done with it").await.unwrap();
        assert_eq!(jobs.details(id).await.unwrap().reason.as_deref(), Some("done with it"));
    }

    /// Scenario 60.
    async fn a_lease_is_over_by_the_clock_of_the_server(server, parts) {
        let jobs = manual(server, parts).await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let id = job.id();
        job.start().await.unwrap();
        let second = Duration::from_secs(1);
        let mut old = job.lock(second).await.unwrap();
        old.push(page("old"));
        pass(server, 999);
        refused(jobs.try_lock(id, second).await, Refusal::Busy);
        old.renew().await.unwrap();
        pass(server, 999);
        refused(jobs.try_lock(id, second).await, Refusal::Busy);
        pass(server, 1);
        // Nobody else has it, and it is lost all the same.
        lost(old.save().await);
        lost(old.renew().await);
        let unheld = jobs.steps(id, None);
        let unheld = unheld.end_under_lease(Status::Completed, None, Nonce::random(), None);
        lost(unheld.await);
        let mut second_old = jobs.try_lock(id, second).await.unwrap();
        second_old.push(page("second"));
        pass(server, 1000);
        let new = jobs.try_lock(id, second).await.unwrap();
        let before = server.dump();
        lost(second_old.save().await);
        lost(second_old.renew().await);
        lost(second_old.complete().await);
        lost(old.release().await);
        assert_eq!(server.dump(), before);
        new.fail("late").await.unwrap();
        // The next attempt has no lease.
        let next = jobs.retry(id).await.unwrap();
        assert!(!has_lease(server, id));
        let guard = next.lock(second).await.unwrap();
        pass(server, 1000);
        jobs.cancel(id).await.unwrap();
        assert!(!has_lease(server, id));
        let next = jobs.retry(id).await.unwrap();
        drop(guard);
        next.lock(second).await.unwrap().release().await.unwrap();
    }

    /// Scenario 65.
    async fn verdicts_deadlines_stops_and_retries_wait_for_a_lease(server, parts) {
        let jobs = manual(server, parts).await;
        let limit = Options::new().deadline(Duration::from_millis(200));
        let late = jobs.register_with(&Vec::new(), limit).await.unwrap();
        let (silent, stopping) = (
            jobs.register(&Vec::new()).await.unwrap(),
            jobs.register(&Vec::new()).await.unwrap(),
        );
        for job in [&silent, &stopping] {
            job.start().await.unwrap();
        }
        stopping.request_stop("enough").await.unwrap();
        let mut guards = Vec::new();
        for job in [&late, &silent, &stopping] {
            guards.push(job.lock(Duration::from_secs(1)).await.unwrap());
        }
        pass(server, 500);
        refused(jobs.retry(silent.id()).await, Refusal::Busy);
        // As if the sets were of an earlier version: the scripts decide.
        for job in [&late, &silent, &stopping] {
            for set in ["run", "due"] {
                let key = format!("jr1:{{deck/0}}:{set}");
                let _: u64 = server.admin().zadd(key, job.id().to_string(), 1).unwrap();
            }
        }
        assert_eq!(jobs.fail_stalled().await.unwrap(), []);
        // The next verdict looks at the job when the lease is over, and not again and again.
        let of_silent = silent.id().to_string();
        let next: f64 = server.admin().zscore("jr1:{deck/0}:run", of_silent).unwrap();
        assert!(next >= 2_000.0, "{next}");
        let swept = jobs.sweep().await.unwrap();
        assert_eq!((swept.expired, swept.cancelled, swept.busy), (0, 0, 3));
        assert_eq!(jobs.sweep().await.unwrap().busy, 0);
        pass(server, 500);
        // A retry of a stalled job is one of an attempt that has ended without a word.
        let next = silent.retry().await.unwrap();
        assert!(!has_lease(server, next.id()));
        next.start().await.unwrap();
        pass(server, 200);
        assert_eq!(jobs.fail_stalled().await.unwrap().len(), 2);
        assert_eq!(jobs.sweep().await.unwrap().expired, 1);
        let after = jobs.details(stopping.id()).await.unwrap();
        assert!(after.reason.unwrap().starts_with("stalled"));
    }

    async fn a_stop_is_carried_out_once_the_lease_is_over(server, parts) {
        let jobs = manual(server, parts).await;
        let limit = Options::new().stall_after(Duration::MAX);
        let job = jobs.register_with(&Vec::new(), limit).await.unwrap();
        job.start().await.unwrap();
        let guard = job.lock(Duration::from_secs(1)).await.unwrap();
        job.request_stop("enough").await.unwrap();
        pass(server, 999);
        assert_eq!(jobs.sweep().await.unwrap().cancelled, 0);
        pass(server, 1);
        assert_eq!(jobs.sweep().await.unwrap().cancelled, 1);
        refused(guard.release().await, Refusal::Ended(Status::Cancelled));
    }

    async fn an_error_of_the_work_cancels_a_job_that_was_told_to_stop(server, parts) {
        let jobs = jobs(server, parts).await;
        let (stopped, going) = (
            jobs.register(&Vec::new()).await.unwrap(),
            jobs.register(&Vec::new()).await.unwrap(),
        );
        for job in [&stopped, &going] {
            job.start().await.unwrap();
        }
        stopped.request_stop("enough").await.unwrap();
        for job in [&stopped, &going] {
            job.fail_for_error("page 3".to_owned()).await.unwrap();
        }
        let end = async |id| {
            let details = jobs.details(id).await.unwrap();
            (details.snapshot.status(), details.reason.unwrap().to_string())
        };
        assert_eq!(end(stopped.id()).await, (Status::Cancelled, page("enough")));
        assert_eq!(end(going.id()).await, (Status::Failed, page("page 3")));
    }

    async fn a_guard_whose_answers_are_lost_stores_once(server, parts) {
        let jobs = jobs(server, parts).await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        job.start().await.unwrap();
        let faults = &jobs.state.store.faults;
        faults.lose_answer();
        let mut guard = job.lock(LEASE).await.unwrap();
        guard.push(page("intro"));
        faults.lose_answer();
        guard.save().await.unwrap();
        faults.lose_answer();
        guard.renew().await.unwrap();
        guard.push(page("summary"));
        faults.lose_answer();
        guard.release().await.unwrap();
        let mut guard = job.lock(LEASE).await.unwrap();
        guard.push(page("end"));
        faults.lose_answer();
        guard.complete().await.unwrap();
        assert!(faults.is_empty());
        let record = jobs.get(job.id()).await.unwrap();
        assert_eq!(record.payload, ["intro", "summary", "end"].map(page));
    }
}

#[test]
fn a_superseded_guard_changes_nothing() {
    with_server(async |server| {
        let jobs = manual(server, &Parts::default()).await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let mut guard = job.lock(Duration::from_secs(1)).await.unwrap();
        guard.push(page("late"));
        pass(server, 1000);
        jobs.fail(job.id(), "presumed dead").await.unwrap();
        let _next = jobs.retry(job.id()).await.unwrap();
        let before = server.dump();
        refused(guard.renew().await, Refusal::Superseded);
        refused(guard.save().await, Refusal::Superseded);
        refused(guard.complete().await, Refusal::Superseded);
        assert_eq!(server.dump(), before);
    });
}

#[test]
fn leases_have_limits() {
    with_server(async |server| {
        let jobs = jobs(server, &Parts::default()).await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let hours = |guard: &crate::JobGuard<_>| format!("{guard:?}").contains("3600s");
        let guard = job.lock(Duration::MAX).await.unwrap();
        assert!(hours(&guard));
        guard.release().await.unwrap();
        // It is over at once, nearly.
        let _short = job.lock(Duration::ZERO).await.unwrap();
        let _long = job.lock(LEASE).await.unwrap();
        let _ = job.detach();
    });
}

#[test]
fn a_dropped_lock_call_leaves_no_lease() {
    with_server(async |server| {
        let jobs = jobs(server, &Parts::default()).await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let faults = &jobs.state.store.faults;
        let (reached, resume) = faults.lose_answer_and_hold();
        let call = job.lock(LEASE);
        tokio::select! {
            _ = call => panic!("the answer is lost"),
            () = reached.notified() => {}
        }
        resume.notify_one();
        let guard = job.lock(LEASE).await.unwrap();
        guard.release().await.unwrap();
        assert!(!has_lease(server, job.id()));
    });
}
