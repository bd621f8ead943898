//! Calls whose answers, or which themselves, are lost once. Each takes effect once, and its answer is
//! that of the first sending, or `Unknown`.

use super::server::{MANUAL_CLOCK, Server, checks, with};
use crate::script::{Parts, Script};
use crate::{Error, Job, JobRegistry, Unavailable};
use job_registry::{Error as Refusal, Options, Progress, Status};
use redis::Commands;
use std::sync::atomic::Ordering;
use std::time::Duration;

type Jobs = JobRegistry<Vec<String>>;

const UNKNOWN: Error = Error::Unavailable(Unavailable::Unknown);

/// Returns a registry on a clock that stands still at 1,000 ms, with short limits.
async fn jobs(server: &Server, parts: &Parts) -> Jobs {
    let parts = Parts {
        clock: MANUAL_CLOCK.to_owned(),
        ..parts.clone()
    };
    let _: () = server.admin().set("jr1:{deck/0}:clock", 1000).unwrap();
    let builder = server
        .builder("deck", &parts)
        .stall_after(Duration::from_millis(10));
    builder.retention(Duration::ZERO).connect().await.unwrap()
}

fn tick(server: &Server, millis: u64) {
    let _: u64 = server.admin().incr("jr1:{deck/0}:clock", millis).unwrap();
}

async fn running(jobs: &Jobs) -> Job<Vec<String>> {
    let job = jobs.register(&Vec::new()).await.unwrap();
    job.start().await.unwrap();
    job
}

/// Makes the store's next call lose its answer, or itself.
fn lose(jobs: &Jobs, answer: bool) {
    let faults = &jobs.state.store.faults;
    if answer {
        faults.lose_answer();
    } else {
        faults.lose_call();
    }
}

fn resends(jobs: &Jobs) -> u64 {
    assert!(
        jobs.state.store.faults.is_empty(),
        "a planned fault was not met"
    );
    jobs.state.store.seen.resends.load(Ordering::SeqCst)
}

/// Number of changes that the scripts have made.
fn changes(server: &Server) -> u64 {
    let changes: Option<u64> = server.admin().hget("jr1:{deck/0}:count", "seq").unwrap();
    changes.unwrap_or(0)
}

/// A note whose answer is lost, and other changes before it is sent again.
async fn note_and_meanwhile(
    server: &Server,
    parts: &Parts,
    answer: bool,
    others: usize,
) -> (Result<(), Error>, String) {
    let (jobs, other) = (jobs(server, parts).await, jobs(server, parts).await);
    let job = running(&jobs).await;
    let id = job.id();
    let (reached, resume) = if answer {
        jobs.state.store.faults.lose_answer_and_hold()
    } else {
        jobs.state.store.faults.lose_call_and_hold()
    };
    let note = tokio::spawn(async move { (job.note("first").await, job.detach()) });
    reached.notified().await;
    for number in 0..others {
        other.note(id, format!("other {number}")).await.unwrap();
    }
    resume.notify_one();
    let (result, _) = note.await.unwrap();
    assert_eq!(resends(&jobs), 1);
    let note = other.details(id).await.unwrap().note.unwrap();
    (result, note.to_string())
}

#[test]
fn a_call_that_was_sent_to_a_server_that_dies_is_unknown() {
    with(Server::lasting(), async |server| {
        let builder = server.builder::<Vec<String>>("deck", &Parts::default());
        let jobs = builder
            .call_within(Duration::from_millis(1500))
            .connect()
            .await
            .unwrap();
        let job = jobs.register(&Vec::new()).await.unwrap();
        let id = job.detach();
        let (reached, resume) = jobs.state.store.faults.lose_answer_and_hold();
        let sender = jobs.clone();
        let starting = tokio::spawn(async move { sender.start(id).await });
        reached.notified().await;
        server.kill();
        resume.notify_one();
        assert_eq!(starting.await.unwrap(), Err(UNKNOWN));
        // Nobody listens: the call is not sent.
        let not_sent = Error::Unavailable(Unavailable::NotSent);
        assert_eq!(jobs.start(id).await, Err(not_sent.clone()));
        assert_eq!(jobs.snapshot(id).await.map(drop), Err(not_sent));
        server.restart();
        assert!(jobs.snapshot(id).await.is_ok());
    });
}

checks! {
    async fn an_update_of_a_payload_that_has_changed_meanwhile_is_made_again(server, parts) {
        let (jobs, other) = (jobs(server, parts).await, jobs(server, parts).await);
        let id = running(&jobs).await.detach();
        jobs.state.store.faults.plan([None]);
        let (reached, resume) = jobs.state.store.faults.lose_call_and_hold();
        let sender = jobs.clone();
        let runs = tokio::spawn(async move {
            let mut runs = 0;
            let updated = sender.update(id, |files| {
                runs += 1;
                files.push("first".to_owned());
            });
            updated.await.unwrap();
            runs
        });
        reached.notified().await;
        // A note is no change of the payload.
        other.update(id, |files| files.push("second".to_owned())).await.unwrap();
        resume.notify_one();
        assert_eq!(runs.await.unwrap(), 2);
        assert_eq!(jobs.get(id).await.unwrap().payload, ["second", "first"]);
        let before = jobs.snapshot(id).await.unwrap().version();
        jobs.note(id, "x").await.unwrap();
        let mut runs = 0;
        jobs.update(id, |_| runs += 1).await.unwrap();
        assert_eq!(runs, 1);
        assert!(jobs.snapshot(id).await.unwrap().version() > before);
    }

    async fn a_resend_that_is_rejected_is_unknown(server, parts) {
        let jobs = jobs(server, parts).await;
        let id = running(&jobs).await.detach();
        let texts = format!("jr1:{{deck/0}}:p:{id}");
        let kept = format!("kept:{id}");
        let mut admin = server.admin();
        let (reached, resume) = jobs.state.store.faults.lose_call_and_hold();
        let sender = jobs.clone();
        let noting = tokio::spawn(async move { sender.note(id, "x").await });
        reached.notified().await;
        let _: () = admin.rename(&texts, &kept).unwrap();
        let _: () = admin.set(&texts, "another user's").unwrap();
        resume.notify_one();
        assert_eq!(noting.await.unwrap(), Err(UNKNOWN));
        assert_eq!(jobs.note(id, "x").await.unwrap_err().name(), "rejected");
        let _: () = admin.rename(&kept, &texts).unwrap();
    }

    async fn an_id_is_not_registered_twice(server, parts) {
        let jobs = jobs(server, parts).await;
        let job = running(&jobs).await;
        let before = server.dump();
        let store = &jobs.state.store;
        let (_, name) = store.mint();
        let arguments = ["other nonce", "10", "[]", "json", "", "", "", "", "", &name];
        let arguments = arguments.map(|text| text.as_bytes().to_vec());
        let taken = store.change(Script::Register, job.id(), None, &arguments).await;
        assert_eq!(taken.map(drop).unwrap_err().name(), "rejected");
        assert_eq!(server.dump(), before);
        // As if the answer had been lost.
        lose(&jobs, false);
        let taken = store.change(Script::Register, job.id(), None, &arguments).await;
        assert_eq!(taken.map(drop).unwrap_err().name(), "rejected");
        assert_eq!(server.dump(), before);
        let _ = job.detach();
    }

    async fn an_emptied_store_registers_no_ids_of_the_one_before(server, parts) {
        let jobs = jobs(server, parts).await;
        for reopened in [false, true] {
            let _: () = redis::cmd("FLUSHALL").query(&mut server.admin()).unwrap();
            if reopened {
                server.jobs("deck").await;
            }
            let job = jobs.register(&Vec::new()).await.unwrap();
            let other = server.jobs("deck").await;
            assert!(other.snapshot(job.id()).await.is_ok());
            let _ = job.detach();
        }
    }

    async fn attempts_run_out(server, parts) {
        let jobs = jobs(server, parts).await;
        let job = running(&jobs).await;
        job.fail("again").await.unwrap();
        let key = format!("jr1:{{deck/0}}:j:{}", job.id());
        let state = |attempt: u64| (attempt << 23 | 5 << 20).to_string();
        let _: () = server.admin().hset(&key, "v", state(65_534)).unwrap();
        let last = jobs.retry(job.id()).await.unwrap();
        assert_eq!(last.attempt(), 65_535);
        last.fail("for good").await.unwrap();
        let exhausted = Err(Refusal::AttemptsExhausted.into());
        assert_eq!(last.retry().await.map(drop), exhausted);
    }

    /// Scenarios 44 and 45.
    async fn every_change_takes_effect_once_and_has_its_first_answer(server, parts) {
        let jobs = jobs(server, parts).await;
        for answer in [true, false] {
            let before = (resends(&jobs), changes(server));
            lose(&jobs, answer);
            let options = Options::new().deadline(Duration::from_millis(500));
            let job = jobs.register_with(&Vec::new(), options).await.unwrap();
            lose(&jobs, answer);
            assert_eq!(job.start().await, Ok(()));
            lose(&jobs, answer);
            let part = Progress::percent(50.0).unwrap();
            assert_eq!(job.advance(part).await, Ok(part));
            lose(&jobs, answer);
            assert_eq!(job.note("half").await, Ok(()));
            lose(&jobs, answer);
            assert_eq!(job.report(Progress::DONE, "whole").await, Ok(()));
            lose(&jobs, answer);
            assert_eq!(job.heartbeat().await, Ok(()));
            // The read that precedes the change is not marked, and repeated.
            jobs.state.store.faults.plan([None]);
            lose(&jobs, answer);
            assert_eq!(job.update(|files| files.push("a".to_owned())).await, Ok(()));
            lose(&jobs, answer);
            assert_eq!(job.request_stop("enough").await, Ok(Status::Stopping));
            lose(&jobs, answer);
            assert_eq!(job.remove_after(Duration::MAX).await, Ok(()));
            lose(&jobs, answer);
            assert_eq!(job.fail("broken").await, Ok(()));
            lose(&jobs, answer);
            let second = job.retry().await.unwrap();
            assert_eq!(second.attempt(), 2);
            second.start().await.unwrap();
            assert_eq!(jobs.get(job.id()).await.unwrap().payload, ["a"]);
            // The heartbeat of a retry in the same millisecond is one later.
            tick(server, 12);
            // Two walks precede the verdict: the second finds no more.
            jobs.state.store.faults.plan([None, None]);
            lose(&jobs, answer);
            let failed = jobs.fail_stalled().await.unwrap();
            assert_eq!(
                failed.iter().map(job_registry::Snapshot::id).collect::<Vec<_>>(),
                [job.id()]
            );
            let third = second.retry().await.unwrap();
            tick(server, 500);
            jobs.state.store.faults.plan([None]);
            lose(&jobs, answer);
            assert_eq!(jobs.sweep().await.unwrap().expired, 1);
            // Its retention of zero lets the same sweep remove it.
            assert_eq!(jobs.snapshot(third.id()).await, Err(Refusal::Gone.into()));
            let last = running(&jobs).await;
            last.cancel().await.unwrap();
            let other = last.id();
            lose(&jobs, answer);
            assert_eq!(jobs.remove(other).await, Ok(()));
            let after = (resends(&jobs), changes(server));
            assert_eq!(after.0 - before.0, 14, "a planned fault made no resend");
            // Register, start, advance, note, report, update, stop, keep, fail, retry, start,
            // verdict, retry, deadline, removal, and four of the last job.
            assert_eq!(
                after.1 - before.1,
                19,
                "a change took effect twice, or not at all"
            );
        }
        assert_eq!(jobs.state.store.seen.unknown.load(Ordering::SeqCst), 0);
    }

    async fn a_swept_removal_whose_answer_is_lost_is_counted_once(server, parts) {
        let jobs = jobs(server, parts).await;
        let job = running(&jobs).await;
        job.cancel().await.unwrap();
        jobs.state.store.faults.plan([None]);
        lose(&jobs, true);
        assert_eq!(jobs.sweep().await.unwrap().removed, 1);
        assert_eq!(resends(&jobs), 1);
    }

    async fn a_later_change_is_not_overwritten_by_a_resend(server, parts) {
        // The note was overwritten: whether it took effect cannot be told.
        for others in [1, 2] {
            let last = format!("other {}", others - 1);
            assert_eq!(
                note_and_meanwhile(server, parts, true, others).await,
                (Err(UNKNOWN), last)
            );
        }
        assert_eq!(
            note_and_meanwhile(server, parts, true, 0).await,
            (Ok(()), "first".to_owned())
        );
        // The note was not sent. With one other change, that can be told.
        assert_eq!(
            note_and_meanwhile(server, parts, false, 0).await,
            (Ok(()), "first".to_owned())
        );
        assert_eq!(
            note_and_meanwhile(server, parts, false, 1).await,
            (Ok(()), "first".to_owned())
        );
        let unsure = note_and_meanwhile(server, parts, false, 2).await;
        assert_eq!(unsure, (Err(UNKNOWN), "other 1".to_owned()));
    }

    async fn a_resend_by_id_does_not_reach_a_later_attempt(server, parts) {
        let (jobs, other) = (jobs(server, parts).await, jobs(server, parts).await);
        let id = running(&jobs).await.detach();
        let (reached, resume) = jobs.state.store.faults.lose_answer_and_hold();
        let sender = jobs.clone();
        let failing = tokio::spawn(async move { sender.fail(id, "first").await });
        reached.notified().await;
        let second = other.retry(id).await.unwrap();
        second.start().await.unwrap();
        resume.notify_one();
        assert_eq!(failing.await.unwrap(), Err(UNKNOWN));
        assert_eq!(other.snapshot(id).await.unwrap().status(), Status::Running);
        let _ = second.detach();
    }

    async fn a_refusal_of_a_call_that_was_never_made_is_exact(server, parts) {
        let (jobs, other) = (jobs(server, parts).await, jobs(server, parts).await);
        let id = running(&jobs).await.detach();
        let (reached, resume) = jobs.state.store.faults.lose_call_and_hold();
        let sender = jobs.clone();
        let completing = tokio::spawn(async move { sender.complete(id).await });
        reached.notified().await;
        other.cancel(id).await.unwrap();
        resume.notify_one();
        let refused = Error::Refused(Refusal::Ended(Status::Cancelled));
        assert_eq!(completing.await.unwrap(), Err(refused));
    }

    async fn a_removal_is_told_from_that_of_another(server, parts) {
        let (jobs, other) = (jobs(server, parts).await, jobs(server, parts).await);
        for is_forgotten in [false, true] {
            let id = running(&jobs).await.detach();
            jobs.cancel(id).await.unwrap();
            let (reached, resume) = jobs.state.store.faults.lose_call_and_hold();
            let sender = jobs.clone();
            let removing = tokio::spawn(async move { sender.remove(id).await });
            reached.notified().await;
            other.remove(id).await.unwrap();
            if is_forgotten {
                let _: () = server
                    .admin()
                    .del(format!("jr1:{{deck/0}}:f:{id}"))
                    .unwrap();
            }
            resume.notify_one();
            let expected = if is_forgotten {
                UNKNOWN
            } else {
                Refusal::Gone.into()
            };
            assert_eq!(removing.await.unwrap(), Err(expected));
        }
        // Every other change of a job that was removed meanwhile is unknown.
        let id = running(&jobs).await.detach();
        let (reached, resume) = jobs.state.store.faults.lose_answer_and_hold();
        let sender = jobs.clone();
        let cancelling = tokio::spawn(async move { sender.cancel(id).await });
        reached.notified().await;
        other.remove(id).await.unwrap();
        resume.notify_one();
        assert_eq!(cancelling.await.unwrap(), Err(UNKNOWN));
    }

    async fn a_job_that_is_removed_before_its_registration_is_answered_is_not_registered_again(server, parts) {
        let (jobs, other) = (jobs(server, parts).await, jobs(server, parts).await);
        let (reached, resume) = jobs.state.store.faults.lose_answer_and_hold();
        let sender = jobs.clone();
        let registering = tokio::spawn(async move { sender.register(&Vec::new()).await });
        reached.notified().await;
        let id = other.page(crate::Cursor::default(), 1).await.unwrap().jobs[0].id();
        other.cancel(id).await.unwrap();
        other.remove(id).await.unwrap();
        resume.notify_one();
        let job = registering.await.unwrap().unwrap();
        assert_eq!((job.id(), job.attempt()), (id, 1));
        assert_eq!(job.start().await, Err(Refusal::Gone.into()));
        assert_eq!(other.counts().await.unwrap().total(), 0);
    }

    async fn calls_end_in_time_and_say_whether_they_were_sent(server, parts) {
                let builder = server.builder::<Vec<String>>("deck", parts);
        let builder = builder.call_within(Duration::from_millis(300));
        let jobs = builder
            .answer_within(Duration::from_millis(100))
            .connect()
            .await
            .unwrap();
        let job = jobs.register(&Vec::new()).await.unwrap();
        server.signal("STOP");
        assert_eq!(job.start().await, Err(UNKNOWN));
        let not_sent = Error::Unavailable(Unavailable::NotSent);
        assert_eq!(job.snapshot().await.map(drop), Err(not_sent.clone()));
        // There is no connection any more: the call is not sent.
        assert_eq!(job.note("late").await, Err(not_sent));
        server.signal("CONT");
        assert!(job.details().await.unwrap().note.is_none());
        let _ = job.detach();
    }

    /// Scenario 47.
    async fn scripts_that_are_gone_are_loaded_again(server, parts) {
        let jobs = jobs(server, parts).await;
        let job = running(&jobs).await;
        let _: () = redis::cmd("SCRIPT")
            .arg("FLUSH")
            .query(&mut server.admin())
            .unwrap();
        assert_eq!(job.note("again").await, Ok(()));
        assert_eq!(
            resends(&jobs),
            0,
            "a call that was not executed is not a resend"
        );
        let _ = job.detach();
    }
}
