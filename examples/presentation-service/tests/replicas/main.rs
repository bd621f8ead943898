//! Several replicas of the service, on a Redis server that each test starts. `apt-get install
//! redis-server` has it.

#[path = "../common/mod.rs"]
mod common;
mod demo;
mod store;

use common::{PATIENCE, frames, gated, quick, refused};
use redis::Commands;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::time::Duration;
use store::{NAMESPACE, Store, id};

/// A client polls, lists, follows and downloads a presentation at a replica that does not draw it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_presentation_of_one_replica_is_served_by_another() {
    let store = Store::start();
    let (studio, mut gate) = gated();
    let (ours, theirs) = (store.replica(studio).await, store.replica(quick()).await);
    let path = ours.submit(2, "one").await;
    gate.arrived().await;
    assert_eq!(theirs.until(&path, "running").await.attempt, 1);
    let list: Value = theirs.get("/api/presentations").await.json().await.unwrap();
    assert_eq!(list["jobs"][0]["id"], id(&path));
    assert_eq!(list["counts"]["running"], 1);
    assert_eq!(theirs.submit(2, "one").await, path, "the key is known");
    let early = theirs.get(&format!("{path}/file")).await;
    refused(early, StatusCode::CONFLICT).await;

    let events = theirs.get(&format!("{path}/events")).await;
    gate.pass();
    gate.arrived().await;
    gate.pass();
    let events = tokio::time::timeout(PATIENCE, events.text()).await;
    let events = events.expect("the stream ends").unwrap();
    assert_eq!(
        events.matches(r#""status":"completed""#).count(),
        1,
        "{events}"
    );
    assert_eq!(theirs.view(&path).await.payload.slides, 2);
    let file = theirs.file(&path).await;
    assert_eq!(frames(&file), 2);
    assert_eq!(ours.file(&path).await, file);
    let slide = |number| format!("{path}/slides/{number}");
    assert_eq!(theirs.get(&slide(2)).await.status(), StatusCode::OK);
    refused(theirs.get(&slide(3)).await, StatusCode::NOT_FOUND).await;
    store.has(&[format!("{}-1", id(&path))]).await;
}

/// A stop at one replica ends the attempt of another. The retry is drawn where it was requested,
/// and deletes the files of the attempt before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_presentation_is_stopped_and_retried_at_another_replica() {
    let store = Store::start();
    let (studio, mut gate) = gated();
    let (ours, theirs) = (store.replica(studio).await, store.replica(quick()).await);
    let path = ours.submit(3, "one").await;
    gate.arrived().await;
    assert_eq!(
        theirs.ask(Method::DELETE, &path).await.status(),
        StatusCode::ACCEPTED
    );
    gate.pass();
    let ended = theirs.until(&path, "cancelled").await;
    assert_eq!(ended.reason.as_deref(), Some("stopped by a client"));
    assert_eq!(gate.asked.load(std::sync::atomic::Ordering::SeqCst), 1);
    let retried = theirs.ask(Method::POST, &format!("{path}/retry")).await;
    assert_eq!(retried.status(), StatusCode::ACCEPTED);
    assert_eq!(ours.until(&path, "completed").await.attempt, 2);
    assert_eq!(frames(&ours.file(&path).await), 3);
    store.has(&[format!("{}-2", id(&path))]).await;
}

/// A painter whose attempt was superseded stops, and touches no file of the next attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superseded_painter_leaves_the_files_of_the_next_attempt() {
    let store = Store::start();
    let (studio, mut gate) = gated();
    let (ours, theirs) = (store.replica(studio).await, store.replica(quick()).await);
    let path = ours.submit(3, "one").await;
    gate.arrived().await;
    let forced = theirs.ask(Method::DELETE, &format!("{path}?force")).await;
    assert_eq!(forced.status(), StatusCode::OK);
    let retried = theirs.ask(Method::POST, &format!("{path}/retry")).await;
    assert_eq!(retried.status(), StatusCode::ACCEPTED);
    theirs.until(&path, "completed").await;
    let file = theirs.file(&path).await;

    gate.pass();
    let asked = gate.asked.clone();
    // It waits for the work of the replica.
    let stopped = ours.stop(PATIENCE).await;
    assert_eq!((stopped.cancelled, stopped.painting), (0, 0));
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(theirs.view(&path).await.status, "completed");
    assert_eq!(theirs.file(&path).await, file);
    let kept = format!("{}-2", id(&path));
    store.has(std::slice::from_ref(&kept)).await;
    let files = std::fs::read_dir(store.files.path().join(kept)).unwrap();
    assert_eq!(files.count(), 4, "an animation and three pictures");
}

/// The replica that removes a presentation deletes its files, by the id alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_deletes_the_files_of_a_payload_that_does_not_decode() {
    let store = Store::start();
    let retention = Duration::from_secs(2);
    // Orphans would be found by a cleaning as well.
    let ours = store.replica_with(quick(), |config| {
        config.retention = retention;
        config.delete_again = Duration::from_secs(3600);
    });
    let ours = ours.await;
    let path = ours.submit(1, "one").await;
    let theirs = store.replica_with(quick(), |config| {
        config.delete_again = Duration::from_secs(3600);
    });
    let theirs = theirs.await;
    theirs.until(&path, "completed").await;
    store.has(&[format!("{}-1", id(&path))]).await;
    let key = format!("jr1:{{{NAMESPACE}/0}}:p:{}", id(&path));
    let _: () = store.admin().hset(key, "d", "not a payload").unwrap();
    theirs.answers(&path, StatusCode::GONE).await;
    store.has(&[]).await;
}

/// A directory that its process could not delete is found again: that of a removed presentation,
/// and that of a superseded attempt. Others are left alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_files_are_found_again() {
    let store = Store::start();
    let (studio, mut gate) = gated();
    let short = |config: &mut presentation_service::state::Config| {
        config.retention = Duration::from_millis(1);
    };
    let brief = store.replica_with(quick(), short).await;
    let removed = brief.submit(1, "removed").await;
    brief.answers(&removed, StatusCode::GONE).await;
    let ours = store.replica(studio).await;
    let path = ours.submit(1, "live").await;
    gate.arrived().await;
    ours.ask(Method::DELETE, &format!("{path}?force")).await;
    ours.ask(Method::POST, &format!("{path}/retry")).await;
    gate.arrived().await;

    let create = |name: &str| std::fs::create_dir(store.files.path().join(name)).unwrap();
    create(&format!("{}-3", id(&removed)));
    create(&format!("{}-1", id(&path)));
    // An id that the namespace has not issued, and another name.
    let others = ["AAAAAAAAAAAAAAAAAAAAAA-1".to_owned(), "notes".to_owned()];
    for name in &others {
        create(name);
    }
    let mut kept = vec![format!("{}-2", id(&path))];
    kept.extend(others);
    kept.sort();
    store.has(&kept).await;
    gate.pass();
    gate.pass();
    assert_eq!(ours.until(&path, "completed").await.attempt, 2);
}

/// A replica that is told to stop ends its own work, and leaves everything else to the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_replica_ends_its_own_work_alone() {
    let store = Store::start();
    let ((studio, mut gate), (slow, mut other)) = (gated(), gated());
    let (ours, theirs) = (store.replica(studio).await, store.replica(slow).await);
    let done = ours.submit(1, "done").await;
    gate.arrived().await;
    gate.pass();
    ours.until(&done, "completed").await;
    let own = ours.submit(2, "own").await;
    let foreign = theirs.submit(1, "foreign").await;
    gate.arrived().await;
    other.arrived().await;

    let events = ours.get(&format!("{foreign}/events")).await;
    let stopping = tokio::spawn(ours.stop(PATIENCE));
    let events = tokio::time::timeout(PATIENCE, events.text()).await;
    let events = events.expect("the stream of a foreign job ends").unwrap();
    assert!(events.contains("event: shutdown"), "{events}");
    gate.pass();
    gate.arrived().await;
    gate.pass();
    let stopped = stopping.await.unwrap();
    assert_eq!((stopped.cancelled, stopped.painting), (0, 0));
    assert!(!stopped.requests);
    for path in [&done, &own] {
        assert_eq!(theirs.view(path).await.status, "completed");
        assert!(!theirs.file(path).await.is_empty());
    }
    assert_eq!(theirs.view(&foreign).await.status, "running");
    other.pass();
    theirs.until(&foreign, "completed").await;
}

/// Work that does not end in time is asked to stop, with a reason, and can be retried elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_outlasts_the_deadline_is_cancelled() {
    let store = Store::start();
    let (studio, mut gate) = gated();
    let (ours, theirs) = (store.replica(studio).await, store.replica(quick()).await);
    let path = ours.submit(2, "own").await;
    gate.arrived().await;
    let stopped = ours.stop(Duration::from_secs(10)).await;
    assert_eq!((stopped.cancelled, stopped.painting), (1, 1));
    let view = theirs.view(&path).await;
    assert_eq!(
        (&*view.status, view.reason.as_deref()),
        ("cancelled", Some("shutdown"))
    );
    let retried = theirs.ask(Method::POST, &format!("{path}/retry")).await;
    assert_eq!(retried.status(), StatusCode::ACCEPTED);
    assert_eq!(theirs.until(&path, "completed").await.attempt, 2);
    drop(gate);
    assert_eq!(frames(&theirs.file(&path).await), 2);
}

/// While the store is away, nothing is said about a presentation, and its painter waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_503_and_ends_no_attempt() {
    let mut store = Store::start();
    let (studio, mut gate) = gated();
    let ours = store.replica(studio).await;
    let path = ours.submit(2, "one").await;
    gate.arrived().await;
    store.kill();
    gate.pass();
    for part in ["", "/events", "/file", "/slides/1"] {
        let answer = ours.get(&format!("{path}{part}")).await;
        assert!(answer.headers().contains_key("retry-after"), "{part}");
        refused(answer, StatusCode::SERVICE_UNAVAILABLE).await;
    }
    let list = ours.get("/api/presentations").await;
    refused(list, StatusCode::SERVICE_UNAVAILABLE).await;
    store.restart();
    gate.arrived().await;
    gate.pass();
    assert_eq!(ours.until(&path, "completed").await.attempt, 1);
    assert_eq!(frames(&ours.file(&path).await), 2);
}

/// An attempt that waits for a painter has heartbeats, so that the stall verdict covers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_waits_for_a_painter_is_running() {
    let store = Store::start();
    let (studio, mut gate) = gated();
    let ours = store.replica_with(studio, |config| config.painters = 1);
    let ours = ours.await;
    ours.submit(1, "first").await;
    gate.arrived().await;
    let waiting = ours.submit(1, "second").await;
    let first = ours.until(&waiting, "running").await.last_heartbeat;
    let deadline = std::time::Instant::now() + PATIENCE;
    while ours.view(&waiting).await.last_heartbeat == first {
        assert!(std::time::Instant::now() < deadline, "no heartbeats");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ours.view(&waiting).await.progress <= 0.0);
    gate.pass();
    gate.arrived().await;
    gate.pass();
    ours.until(&waiting, "completed").await;
}

/// An attempt that does not end in time fails, which covers those whose replica was killed before
/// their start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_has_a_time_limit() {
    let store = Store::start();
    let (studio, mut gate) = gated();
    let mut sharing = store.sharing();
    sharing.give_up_after = Duration::from_secs(1);
    let ours = store.replica_of(sharing, studio, |_| {}).await;
    let path = ours.submit(1, "one").await;
    gate.arrived().await;
    let reason = ours.until(&path, "failed").await.reason;
    assert_eq!(reason.as_deref(), Some("deadline exceeded after 1s"));
    gate.pass();
}
