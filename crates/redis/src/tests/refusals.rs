//! Calls that the server or its keys do not allow: each gets a clear error and changes nothing.

use super::server::{Server, checks, with, with_server};
use crate::script::{Parts, Script};
use crate::steps::heartbeats;
use crate::{Durability, Error, Job, JobRegistry, Keys, Once};
use job_registry::{Error as Refusal, JobId, Key, KeyLife, Options, Status};
use redis::Commands;
use std::time::Duration;

fn name<R>(result: Result<R, Error>) -> &'static str {
    result.map(drop).expect_err("a refused call").name()
}

/// Returns a registry whose jobs use every sorted set.
async fn jobs(server: &Server, parts: &Parts) -> JobRegistry<Vec<String>> {
    let builder = server
        .builder("deck", parts)
        .stall_after(Duration::from_secs(60));
    builder
        .stop_grace(Duration::from_secs(60))
        .connect()
        .await
        .unwrap()
}

/// Puts another user's value in the place of a key, which is kept under another name if it was there.
/// Returns whether the key can have such a value.
fn is_taken(admin: &mut redis::Connection, key: &str, kept: Option<&String>, value: &str) -> bool {
    let (of_job, counts) = (key.contains(":j:"), key.ends_with("count"));
    match (value, kept) {
        ("text", _) => {
            let _: () = admin.set(key, "another user's").unwrap();
        }
        ("hash", _) if of_job || counts => {
            let field = if of_job { "name" } else { "seq" };
            let _: () = admin.hset(key, field, "another user's").unwrap();
        }
        // A part of what has to be there.
        ("part", Some(kept)) if of_job || counts => {
            let mut copy = redis::cmd("COPY");
            let copied: u8 = copy.arg(kept).arg(key).query(admin).unwrap();
            assert_eq!(copied, 1);
            if counts {
                let fields = ["1", "2", "3", "4", "5", "6"].map(|status| (status, "x"));
                let _: () = admin.hset_multiple(key, &fields).unwrap();
            } else {
                let _: () = admin.hdel(key, "r").unwrap();
            }
        }
        _ => return false,
    }
    true
}

/// Whether a call writes a key of this kind, or reads what this value lacks.
fn writes(kind: &str, value: &str, call: &str) -> bool {
    match (kind, value) {
        // A note reads no count of a status.
        ("count", "part") => call != "note" && call != "heartbeat",
        // A heartbeat reads no revision.
        ("count", _) | ("j", "part") => call != "heartbeat",
        ("run", _) => ["start", "complete", "heartbeat"].contains(&call),
        ("due", _) => !["start", "note", "heartbeat"].contains(&call),
        ("all", _) => ["register", "remove"].contains(&call),
        ("p", _) => ["stop", "note", "retry", "remove"].contains(&call),
        ("f", _) => call == "remove",
        _ => true,
    }
}

/// Makes a call that writes each kind of key, for each key that another user has taken.
async fn keys_of_other_types(server: &Server, parts: &Parts) -> Result<(), String> {
    let jobs = jobs(server, parts).await;
    let options = Options::new().deadline(Duration::from_secs(600));
    let begin = async || -> Job<Vec<String>> {
        let job = jobs.register_with(&Vec::new(), options).await.unwrap();
        job.start().await.unwrap();
        job
    };
    let (live, ended) = (begin().await, begin().await);
    ended.fail("over").await.unwrap();
    let pending = jobs.register_with(&Vec::new(), options).await.unwrap();
    // One job whose removal is due, and one that has stalled.
    let none = Vec::new();
    let at_once = Options::new().retention(Duration::ZERO);
    let over = jobs.register_with(&none, at_once).await.unwrap();
    over.cancel().await.unwrap();
    let stalls = Options::new().stall_after(Duration::ZERO);
    let silent = jobs.register_with(&none, stalls).await.unwrap();
    silent.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let of_job = |kind: &str, id: JobId| format!("jr1:{{deck/0}}:{kind}:{id}");
    let shared = |name: &str| format!("jr1:{{deck/0}}:{name}");
    let mut admin = server.admin();
    let mut taken = vec![shared("count"), shared("run"), shared("due"), shared("all")];
    for kind in ["j", "p", "f"] {
        taken.extend([live.id(), ended.id(), pending.id()].map(|id| of_job(kind, id)));
    }
    for key in taken {
        let kept = format!("kept:{key}");
        let is_there: bool = admin.exists(&key).unwrap();
        if is_there {
            let _: () = admin.rename(&key, &kept).unwrap();
        }
        for value in ["text", "hash", "part"] {
            if !is_taken(&mut admin, &key, is_there.then_some(&kept), value) {
                continue;
            }
            let before = server.dump();
            // Those that write the key fail. Those that do not write it are not called.
            let kind = key[13..].split(':').next().unwrap().to_owned();
            let writes = |call: &str| writes(&kind, value, call);
            let touches =
                |job: &Job<_>| !key[13..].contains(':') || key.ends_with(&job.id().to_string());
            let mut results = Vec::new();
            if touches(&pending) && writes("start") {
                results.push(("start", pending.start().await));
            }
            if touches(&live) && writes("complete") {
                results.push(("complete", live.complete().await));
            }
            if touches(&live) && writes("stop") {
                results.push(("stop", live.request_stop("x").await.map(drop)));
            }
            if touches(&live) && writes("note") {
                results.push(("note", live.note("x").await));
            }
            if touches(&live) && writes("heartbeat") {
                results.push(("heartbeat", live.heartbeat().await));
            }
            if touches(&ended) && writes("retry") {
                results.push(("retry", ended.retry().await.map(|job| _ = job.detach())));
            }
            if touches(&ended) && writes("remove") {
                results.push(("remove", ended.remove().await));
            }
            if !key[13..].contains(':') && writes("register") {
                let registered = jobs.register_with(&Vec::new(), options).await;
                results.push(("register", registered.map(|job| _ = job.detach())));
            }
            if !key[13..].contains(':') {
                results.push(("sweep", jobs.sweep().await.map(drop)));
                results.push(("verdict", jobs.fail_stalled().await.map(drop)));
            }
            // Only a removal writes `f`, and a start writes no text.
            let is_idle = kind == "f" || kind == "p" && touches(&pending);
            if results.is_empty() && !is_idle {
                return Err(format!("no call writes {key}"));
            }
            for (call, result) in results {
                match result {
                    Err(Error::Rejected(_)) => {}
                    other => return Err(format!("{call} with another {key} answers {other:?}")),
                }
            }
            if server.dump() != before {
                return Err(format!(
                    "a refused call has changed something beside another {key}"
                ));
            }
            let _: () = admin.del(&key).unwrap();
        }
        if is_there {
            let _: () = admin.rename(&kept, &key).unwrap();
        }
    }
    for job in [live, ended, pending, over, silent] {
        let _ = job.detach();
    }
    Ok(())
}

/// Scenario 71.
#[test]
fn a_server_that_is_out_of_memory_accepts_endings_and_no_jobs() {
    with_server(async |server| {
        let jobs = jobs(server, &Parts::default()).await;
        let mut running = Vec::new();
        for _ in 0..3 {
            let job = jobs.register(&vec!["a".repeat(1000)]).await.unwrap();
            job.start().await.unwrap();
            running.push(job);
        }
        let mut admin = server.admin();
        let mut limit = |bytes: &str| {
            let set = ["SET", "maxmemory", bytes];
            let _: () = redis::cmd("CONFIG").arg(&set).query(&mut admin).unwrap();
        };
        limit("1");
        let before = server.dump();
        assert_eq!(name(jobs.register(&Vec::new()).await), "rejected");
        assert_eq!(name(running[0].note("x").await), "rejected");
        assert_eq!(server.dump(), before);
        running[0].heartbeat().await.unwrap();
        running[0].complete().await.unwrap();
        running[1].fail("x").await.unwrap();
        assert!(jobs.snapshot(running[2].id()).await.is_ok());
        running[2].cancel().await.unwrap();
        jobs.remove(running[0].id()).await.unwrap();
        running[1].remove_after(Duration::ZERO).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(jobs.sweep().await.unwrap().removed, 1);
        // A process may also connect.
        assert_eq!(server.jobs("deck").await.counts().await.unwrap().total(), 1);
        limit("0");
    });
}

/// Scenario 49.
#[test]
fn a_demoted_server_answers_nothing() {
    with_server(async |server| {
        let builder = server.builder::<Vec<String>>("deck", &Parts::default());
        let jobs = builder
            .call_within(Duration::from_millis(300))
            .connect()
            .await
            .unwrap();
        let job = jobs.register(&Vec::new()).await.unwrap();
        let mut admin = server.admin();
        // A replica of nobody answers with an old state.
        let replica = ["127.0.0.1", "1"];
        let _: () = redis::cmd("REPLICAOF")
            .arg(&replica)
            .query(&mut admin)
            .unwrap();
        assert_eq!(name(job.start().await), "not_sent");
        assert_eq!(name(jobs.snapshot(job.id()).await), "not_sent");
        assert_eq!(name(jobs.counts().await), "not_sent");
        let _: () = redis::cmd("REPLICAOF")
            .arg(&["NO", "ONE"])
            .query(&mut admin)
            .unwrap();
        assert_eq!(job.start().await, Ok(()));
        let _ = job.detach();
    });
}

/// Scenarios 55 and 70.
#[test]
fn an_eviction_policy_and_another_layout_are_refused() {
    with_server(async |server| {
        let connect = async |namespace: &str| {
            JobRegistry::<Vec<String>>::connect(server.url(), namespace)
                .await
                .map(drop)
        };
        let mut admin = server.admin();
        let mut policy = |name: &str| {
            let set = ["SET", "maxmemory-policy", name];
            let _: () = redis::cmd("CONFIG").arg(&set).query(&mut admin).unwrap();
        };
        policy("allkeys-lru");
        let refused = connect("deck").await.unwrap_err();
        assert!(refused.to_string().contains("allkeys-lru"), "{refused}");
        policy("volatile-lru");
        connect("deck").await.unwrap();
        policy("noeviction");
        let mut admin = server.admin();
        let meta = "jr1:{other/0}:meta";
        let _: () = admin
            .hset_multiple(meta, &[("secret", "x"), ("layout", "7")])
            .unwrap();
        let refused = connect("other").await.unwrap_err();
        assert!(refused.to_string().contains('7'), "{refused}");
        let _: () = admin.del(meta).unwrap();
        let refused = connect("a{b}").await.unwrap_err();
        assert!(refused.to_string().contains("namespace"), "{refused}");
        let refused = JobRegistry::<()>::connect("http://secret@host", "deck")
            .await
            .unwrap_err();
        assert!(!refused.to_string().contains("secret"), "{refused}");
    });
}

/// Connects as users that lack one right each.
async fn users_without_rights(server: &Server, parts: &Parts) -> Result<(), String> {
    let rules = crate::names::ACL_RULES;
    let lacking = [
        ("resetchannels", "PUBLISH"),
        ("-zadd", "ZADD"),
        ("-publish", "PUBLISH"),
        ("-subscribe", "SUBSCRIBE"),
        ("-hincrby", "HINCRBY"),
        ("-client|kill", "CLIENT"),
        ("resetkeys ~jr1:other", "NOPERM"),
        ("", ""),
    ];
    for (lack, command) in lacking {
        let mut user = redis::cmd("ACL");
        user.arg(&["SETUSER", "worker", "reset", "on", ">word"]);
        user.arg(rules.split(' ').collect::<Vec<_>>())
            .arg(lack.split_whitespace().collect::<Vec<_>>());
        let _: () = user.query(&mut server.admin()).unwrap();
        let url = format!("redis://worker:word@127.0.0.1:{}/", server.port);
        let builder = super::server::builder::<Vec<String>>(&url, "deck", parts);
        match (builder.connect().await, command) {
            (Ok(jobs), "") => {
                let job = jobs
                    .register(&Vec::new())
                    .await
                    .map_err(|error| error.to_string())?;
                let mut watch = job.watch().await.map_err(|error| error.to_string())?;
                let _ = watch.changed().await;
                job.cancel().await.map_err(|error| error.to_string())?;
                let last = tokio::time::timeout(Duration::from_secs(3), watch.changed()).await;
                last.map_err(|_| "the hint does not come".to_owned())?;
            }
            (Ok(_), command) => return Err(format!("a user without {command} connects")),
            (Err(refused), command) => {
                let text = refused.to_string();
                if command.is_empty() || !text.contains(command) || !text.contains("jr1:") {
                    return Err(format!("for {command} the refusal is {text:?}"));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_user_without_a_right_is_told_which() {
    with_server(async |server| {
        users_without_rights(server, &Parts::default())
            .await
            .unwrap();
        let wrong = format!("redis://worker:wrong@127.0.0.1:{}/", server.port);
        let refused = JobRegistry::<()>::connect(wrong, "deck").await.unwrap_err();
        assert_eq!(refused.name(), "unusable");
    });
}

#[test]
fn durability_is_that_of_the_server() {
    for (options, expected) in [
        (
            &["--appendonly", "yes", "--appendfsync", "always"][..],
            Durability::Always,
        ),
        (&["--appendonly", "yes"][..], Durability::EverySecond),
        (
            &["--appendonly", "yes", "--appendfsync", "no"][..],
            Durability::None,
        ),
        (&["--appendonly", "no"][..], Durability::None),
    ] {
        with(Server::with(options), async |server| {
            assert_eq!(server.jobs("deck").await.durability(), expected);
        });
    }
}

#[test]
fn a_server_that_is_not_there_is_unusable_in_time() {
    super::server::run(async {
        let builder = JobRegistry::<()>::builder("redis://127.0.0.1:1/", "deck");
        let refused = builder
            .call_within(Duration::from_millis(100))
            .connect()
            .await;
        assert_eq!(name(refused), "unusable");
    });
}

checks! {
    /// Scenario 66.
    async fn a_job_that_cannot_be_read_hides_no_other(server, parts) {
        let builder = server.builder::<Vec<String>>("deck", parts);
        let builder = builder.stall_after(Duration::ZERO).retention(Duration::ZERO);
        let jobs = builder.connect().await.unwrap();
        let mut admin = server.admin();
        // For each part of a job that may be another user's: a job that has stalled, and one whose
        // removal is due.
        let mut taken = Vec::new();
        for kind in ["j", "j", "p", "f", "k"] {
            for ends in [false, true] {
                let id = match kind {
                    "k" => {
                        let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
                        let once = keys.register(&Key::new(format!("{ends}")), &Vec::new()).await;
                        let Ok(Once::New(job)) = once else { panic!("{once:?}") };
                        job.detach()
                    }
                    _ => jobs.register(&Vec::new()).await.unwrap().detach(),
                };
                jobs.start(id).await.unwrap();
                if ends {
                    jobs.cancel(id).await.unwrap();
                }
                taken.push((kind, ends, id));
            }
        }
        let mut readable = Vec::new();
        for ends in [false, true] {
            let job = jobs.register(&Vec::new()).await.unwrap();
            job.start().await.unwrap();
            if ends {
                job.cancel().await.unwrap();
            }
            readable.push(job);
        }
        let mut kept = Vec::new();
        for (number, (kind, ends, id)) in taken.iter().enumerate() {
            let mut key = format!("jr1:{{deck/0}}:{kind}:{id}");
            if *kind == "k" {
                let names: Vec<String> = admin.keys("jr1:{deck/0}:k:*").unwrap();
                let leads = |name: &String| {
                    let leads: Option<String> = redis::cmd("HGET").arg(name).arg("id").query(&mut server.admin()).unwrap_or_default();
                    leads == Some(id.to_string())
                };
                key = names.into_iter().find(leads).unwrap();
            }
            let there: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query(&mut admin).unwrap();
            kept.push((key.clone(), there));
            if number < 2 {
                // One field that is no number: the end, or the silence.
                let field = if *ends { "d" } else { "l" };
                let _: () = admin.hset(&key, field, "another user's").unwrap();
            } else {
                let _: () = admin.set(&key, "another user's").unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let beats: Vec<_> = taken.iter().map(|(_, _, id)| (*id, None)).collect();
        let live = (readable[0].id(), None);
        let beats: Vec<_> = beats.into_iter().chain([live]).collect();
        let beats = heartbeats(&jobs.state.store, &beats).await.unwrap();
        assert_eq!(beats.last(), Some(&Ok(())));
        let unreadable = |beat: &&Result<(), Error>| matches!(beat, Err(Error::Rejected(_)));
        // A heartbeat reads the hash alone, and no time of the end.
        assert_eq!(beats.iter().filter(unreadable).count(), 3);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(name(jobs.fail_stalled().await), "rejected");
        // The job whose key is another user's is judged: a verdict needs no key of a client.
        assert_eq!(jobs.snapshot(taken[8].2).await.unwrap().status(), Status::Failed);
        assert_eq!(name(jobs.sweep().await), "rejected");
        for job in &readable {
            assert_eq!(jobs.snapshot(job.id()).await, Err(Refusal::Gone.into()));
        }
        assert_eq!(jobs.stalled().await, Ok(vec![]));
        // A job that is not in a sorted set is not added to it.
        let ended = [taken[1].2];
        let judged = jobs.state.store.change_all(Script::Verdict, &ended, None, &[]);
        judged.await.unwrap();
        let key = "jr1:{deck/0}:run";
        let place: Option<f64> = admin.zscore(key, ended[0].to_string()).unwrap();
        assert_eq!(place, None);
        // They have been put off for a minute.
        assert_eq!(jobs.sweep().await.unwrap().removed, 0);
        for (key, there) in kept {
            let _: () = admin.del(&key).unwrap();
            if let Some(there) = there {
                let _: () = redis::cmd("RESTORE").arg(&key).arg(0).arg(there).query(&mut admin).unwrap();
            }
        }
        // Their places come back with the next change.
        for (_, _, id) in taken {
            jobs.remove_after(id, Duration::MAX).await.unwrap();
            jobs.remove_after(id, Duration::from_secs(60)).await.unwrap();
            let _ = jobs.cancel(id).await;
        }
    }

    /// Scenario 50.
    async fn keys_of_other_types_are_refused_before_the_first_write(server, parts) {
        keys_of_other_types(server, parts).await.unwrap();
    }

    async fn a_sweep_that_cannot_count_removes_nothing(server, parts) {
        let jobs = jobs(server, parts).await;
        let at_once = Options::new().retention(Duration::ZERO);
        // One of two removals could be counted.
        for completes in [false, true] {
            let job = jobs.register_with(&Vec::new(), at_once).await.unwrap();
            job.start().await.unwrap();
            if completes {
                job.complete().await.unwrap();
            } else {
                job.cancel().await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (mut admin, key) = (server.admin(), "jr1:{deck/0}:count");
        let completed: String = admin.hget(key, "4").unwrap();
        let _: () = admin.hset(key, "4", "x").unwrap();
        let before = server.dump();
        assert_eq!(name(jobs.sweep().await), "rejected");
        assert_eq!(server.dump(), before);
        let _: () = admin.hset(key, "4", completed).unwrap();
    }

    async fn each_right_that_is_lacking_is_told(server, parts) {
        users_without_rights(server, parts).await.unwrap();
    }
}
