//! A job from its registration to its removal, with the real clock.

use super::server::with_server;
use crate::{Error, JobRegistry};
use job_registry::{Error as Refusal, Progress, Status};
use std::time::Duration;

/// Scenario 67.
#[test]
fn a_job_is_registered_worked_on_and_removed() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&vec!["intro.png".to_owned()]).await.unwrap();
        let id = job.id();
        job.start().await.unwrap();
        job.report(Progress::percent(40.0).unwrap(), "slide 3")
            .await
            .unwrap();
        let reached = job.advance(Progress::percent(10.0).unwrap()).await.unwrap();
        assert_eq!(reached, Progress::percent(40.0).unwrap());
        let files = job.update(|files| {
            files.push("summary.png".to_owned());
            files.len()
        });
        assert_eq!(files.await, Ok(2));
        job.heartbeat().await.unwrap();
        // Another process sees the same.
        let other = server.jobs("deck").await;
        let details = other.details(id).await.unwrap();
        assert_eq!(details.snapshot.status(), Status::Running);
        assert_eq!(details.note.as_deref(), Some("slide 3"));
        assert!(details.times.started.is_some());
        job.complete().await.unwrap();
        let record = other.get(id).await.unwrap();
        assert_eq!(record.payload, ["intro.png", "summary.png"]);
        assert_eq!(record.snapshot.progress(), Progress::DONE);
        assert_eq!(
            job.complete().await,
            Err(Refusal::Ended(Status::Completed).into())
        );
        assert_eq!(other.remove(id).await, Ok(()));
        assert_eq!(other.snapshot(id).await, Err(Refusal::Gone.into()));
        assert_eq!(jobs.counts().await.unwrap().total(), 0);
    });
}

#[test]
fn an_id_of_another_namespace_is_not_found() {
    with_server(async |server| {
        let (here, there) = (server.jobs("here").await, server.jobs("there").await);
        let id = here.register(&Vec::new()).await.unwrap().detach();
        assert_eq!(there.snapshot(id).await, Err(Refusal::NotFound.into()));
        assert!(here.snapshot(id).await.is_ok());
    });
}

#[test]
fn a_dropped_owner_abandons_its_job() {
    with_server(async |server| {
        let jobs: JobRegistry<Vec<String>> = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        let mut watch = job.watch().await.unwrap();
        let id = job.id();
        drop(job);
        while let Some(seen) = watch.changed().await {
            assert!(!seen.status().is_ended() || seen.status() == Status::Failed);
        }
        let details = jobs.details(id).await.unwrap();
        assert_eq!(details.reason.as_deref(), Some("abandoned"));
    });
}

#[test]
fn a_closed_registry_registers_and_retries_nothing() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        jobs.close();
        assert!(jobs.is_closed());
        job.fail("again").await.unwrap();
        assert_eq!(job.retry().await.map(drop), Err(Refusal::Closed.into()));
        assert_eq!(
            jobs.register(&Vec::new()).await.map(drop),
            Err(Refusal::Closed.into())
        );
        // Another process is not affected.
        let other = server.jobs("deck").await;
        assert_eq!(other.retry(job.id()).await.unwrap().detach(), job.id());
    });
}

#[test]
fn payloads_that_cannot_be_stored_or_read_are_refused() {
    with_server(async |server| {
        let parts = crate::script::Parts::default();
        let small = server.builder("deck", &parts).payload_limit(10);
        let jobs: JobRegistry<String> = small.connect().await.unwrap();
        let refused = jobs.register(&"0123456789".to_owned()).await.map(drop);
        assert_eq!(refused.unwrap_err().name(), "payload_too_large");
        assert_eq!(jobs.counts().await.unwrap().total(), 0);
        let job = jobs.register(&"deck".to_owned()).await.unwrap();
        let before = job.snapshot().await.unwrap();
        let refused = job.update(|payload| payload.push_str("0123456789")).await;
        assert_eq!(refused.unwrap_err().name(), "payload_too_large");
        assert_eq!(job.snapshot().await.unwrap().version(), before.version());
        // The text is no list of texts, and the job can still be read and worked on.
        let other: JobRegistry<Vec<u8>> = server.builder("deck", &parts).connect().await.unwrap();
        let id = job.id();
        assert_eq!(
            other.get(id).await.map(drop).unwrap_err().name(),
            "payload_not_decoded"
        );
        assert_eq!(
            other.update(id, Vec::clear).await.unwrap_err().name(),
            "payload_not_decoded"
        );
        assert!(other.details(id).await.is_ok());
        assert_eq!(other.start(id).await, Ok(()));
        job.complete().await.unwrap();
    });
}

/// Scenario 54.
#[test]
fn values_do_not_fill_the_cache_of_scripts() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        for number in 0..100 {
            let job = jobs.register(&vec![number.to_string()]).await.unwrap();
            job.start().await.unwrap();
            job.note(number.to_string()).await.unwrap();
            job.complete().await.unwrap();
        }
        let memory: String = redis::cmd("INFO")
            .arg("memory")
            .query(&mut server.admin())
            .unwrap();
        let cached = memory
            .lines()
            .find_map(|line| line.strip_prefix("number_of_cached_scripts:"));
        let cached: usize = cached.unwrap().trim().parse().unwrap();
        assert!((4..=20).contains(&cached), "{cached} scripts are cached");
    });
}

#[test]
fn pages_and_counts_show_every_job_once() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let mut registered = Vec::new();
        for _ in 0..250 {
            registered.push(jobs.register(&Vec::new()).await.unwrap().detach());
        }
        let (mut seen, mut cursor) = (Vec::new(), Some(crate::Cursor::default()));
        let mut pages = 0;
        while let Some(start) = cursor {
            let page = jobs
                .page(start.to_string().parse().unwrap(), 110)
                .await
                .unwrap();
            seen.extend(page.jobs.iter().map(job_registry::Snapshot::id));
            cursor = page.next;
            pages += 1;
        }
        assert_eq!((pages, seen), (3, registered));
        assert_eq!(jobs.counts().await.unwrap().pending, 250);
        let none = jobs.page(crate::Cursor::default(), 0).await.unwrap();
        assert_eq!(none.next, Some(crate::Cursor::default()));
    });
}

#[test]
fn notes_and_long_delays_have_limits() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let memory = job_registry::JobRegistry::new();
        let job = jobs.register(&Vec::new()).await.unwrap();
        let there = memory.register(()).unwrap();
        for text in [
            "",
            "ä",
            &"ä".repeat(512),
            &"ä".repeat(513),
            &"€x".repeat(1000),
        ] {
            job.note(text).await.unwrap();
            there.note(text).unwrap();
            assert_eq!(
                job.details().await.unwrap().note,
                there.details().unwrap().note
            );
        }
        job.remove_after(Duration::MAX).await.unwrap();
        job.cancel().await.unwrap();
        assert_eq!(job.details().await.unwrap().times.removal, None);
        let result: Result<(), Error> = job.remove_after(Duration::from_nanos(1)).await;
        assert_eq!(result, Ok(()));
        let times = job.details().await.unwrap().times;
        assert!(times.removal > times.ended);
        there.cancel().unwrap();
    });
}

#[test]
fn a_job_with_a_payload_of_16_bytes_takes_less_than_600_bytes() {
    const JOBS: u64 = 5000;
    const LIMIT: u64 = 600;
    with_server(async |server| {
        let used = || -> u64 {
            let mut admin = server.admin();
            let info: String = redis::cmd("INFO").arg("memory").query(&mut admin).unwrap();
            let line = info
                .lines()
                .find_map(|line| line.strip_prefix("used_memory:"));
            line.unwrap().parse().unwrap()
        };
        let jobs = server.jobs("deck").await;
        let payload = vec!["0123456789ab".to_owned()]; // 16 bytes as JSON
        let before = used();
        for _ in 0..JOBS {
            let _ = jobs.register(&payload).await.unwrap().detach();
        }
        // The server also has buffers, which it empties.
        let mut bytes = u64::MAX;
        for _ in 0..50 {
            bytes = bytes.min((used() - before) / JOBS);
            if bytes < LIMIT {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("a job takes {bytes} bytes");
    });
}
