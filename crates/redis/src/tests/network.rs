//! Connections that break, servers that stop and die, and what is left of the calls.

use super::proxy::{Cut, Proxy};
use super::server::{Server, builder, with, with_server};
use crate::id::random;
use crate::script::Parts;
use crate::{Error, JobRegistry, Keys, Once, Unavailable};
use job_registry::{Error as Refusal, JobId, Key, KeyLife, Progress, Status};
use redis::Commands;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

type Jobs = JobRegistry<Vec<String>>;

async fn through(proxy: &Proxy) -> Jobs {
    let builder = builder(&proxy.url(), "deck", &Parts::default());
    builder
        .answer_within(Duration::from_millis(400))
        .connect()
        .await
        .unwrap()
}

#[test]
fn a_call_takes_effect_once_wherever_its_connection_is_cut() {
    with_server(async |server| {
        let proxy = Proxy::start(server.port).await;
        let jobs = through(&proxy).await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        job.start().await.unwrap();
        let cuts = [
            Cut::BeforeTheCall,
            Cut::BeforeTheAnswer,
            Cut::WithinTheAnswer,
            Cut::Late,
            Cut::Slow(Duration::from_millis(600)),
        ];
        let key = format!("jr1:{{deck/0}}:j:{}", job.id());
        let revision = || -> u64 { server.admin().hget(&key, "r").unwrap() };
        for (number, cut) in cuts.into_iter().enumerate() {
            let before = (
                revision(),
                jobs.state.store.seen.resends.load(Ordering::SeqCst),
            );
            proxy.plan([Some(cut)]);
            // The new connection opens the namespace by a script, too.
            job.note(format!("note {number}")).await.unwrap();
            let resends = jobs.state.store.seen.resends.load(Ordering::SeqCst);
            assert_eq!(proxy.struck().last(), Some(&cut), "the cut did not strike");
            assert!(resends > before.1, "{cut:?} makes no resend");
            assert_eq!(
                revision(),
                before.0 + 1,
                "{cut:?} makes the call take effect twice"
            );
        }
        // An answer that is slow, and not too slow, is waited for.
        proxy.plan([Some(Cut::Slow(Duration::from_millis(100)))]);
        let before = jobs.state.store.seen.resends.load(Ordering::SeqCst);
        job.note("slow").await.unwrap();
        assert_eq!(jobs.state.store.seen.resends.load(Ordering::SeqCst), before);
        job.complete().await.unwrap();
    });
}

#[test]
fn a_call_that_is_delivered_late_is_not_executed_any_more() {
    with_server(async |server| {
        let proxy = Proxy::start(server.port).await;
        let (jobs, other) = (through(&proxy).await, server.jobs("deck").await);
        let id = jobs.register(&Vec::new()).await.unwrap().detach();
        proxy.plan([Some(Cut::Late)]);
        jobs.note(id, "first").await.unwrap();
        other.note(id, "second").await.unwrap();
        other.note(id, "third").await.unwrap();
        let before = server.dump();
        assert_eq!(proxy.deliver().await, 1, "the call was not delivered");
        assert_eq!(
            server.dump(),
            before,
            "a call of a connection that was given up is executed"
        );
    });
}

/// The end of a job as its worker knows it.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    Completed,
    Unsure,
}

/// Works on jobs through a proxy that cuts at random, and returns what each worker knows.
async fn work(jobs: Jobs, count: usize, unknown: Arc<AtomicU64>) -> BTreeMap<JobId, (Known, u64)> {
    let mut known = BTreeMap::new();
    for _ in 0..count {
        // An unknown registration has no owner.
        let Ok(job) = jobs.register(&Vec::new()).await else {
            unknown.fetch_add(1, Ordering::SeqCst);
            continue;
        };
        let (mut certain, mut appended) = (true, 0);
        let mut note = |result: Result<(), Error>| match result {
            Ok(()) => true,
            Err(Error::Unavailable(Unavailable::Unknown)) => {
                unknown.fetch_add(1, Ordering::SeqCst);
                certain = false;
                false
            }
            Err(other) => panic!("a worker alone is refused: {other:?}"),
        };
        if note(job.start().await) {
            for step in 1..=4 {
                note(job.advance(Progress::of(step, 5)).await.map(drop));
                if note(job.update(|files| files.push(step.to_string())).await) {
                    appended += 1;
                }
            }
            note(job.complete().await);
        }
        let known_end = if certain {
            Known::Completed
        } else {
            Known::Unsure
        };
        known.insert(job.detach(), (known_end, appended));
    }
    known
}

#[test]
fn workers_behind_a_network_that_cuts_lose_and_repeat_nothing() {
    with_server(async |server| {
        let unknown: Arc<AtomicU64> = Arc::default();
        let (mut workers, mut proxies, mut registries) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..4 {
            let proxy = Proxy::start(server.port).await;
            let jobs = through(&proxy).await;
            let cuts = [
                Some(Cut::BeforeTheCall),
                Some(Cut::BeforeTheAnswer),
                Some(Cut::WithinTheAnswer),
                Some(Cut::Late),
            ];
            proxy.plan((0..600).map(|_| {
                let [kind] = random::<1>();
                cuts.get(usize::from(kind) / 8).copied().flatten()
            }));
            workers.push(tokio::spawn(work(jobs.clone(), 12, unknown.clone())));
            proxies.push(proxy);
            registries.push(jobs);
        }
        let mut known = BTreeMap::new();
        for worker in workers {
            known.extend(worker.await.unwrap());
        }
        for proxy in &proxies {
            proxy.deliver().await;
        }
        let jobs = server.jobs("deck").await;
        for (id, (end, appended)) in &known {
            let record = jobs.get(*id).await.unwrap();
            if *end == Known::Completed {
                assert_eq!(record.snapshot.status(), Status::Completed);
                assert_eq!(
                    record.payload,
                    ["1", "2", "3", "4"],
                    "an update is lost or repeated"
                );
            }
            let files = record.payload.len() as u64;
            assert!(files >= *appended, "an acknowledged update is lost");
            assert!(
                record.payload.is_sorted() && files <= 4,
                "{:?}",
                record.payload
            );
        }
        // The faults have struck, and were met by resends.
        let struck: Vec<Cut> = proxies.iter().flat_map(Proxy::struck).collect();
        for cut in [
            Cut::BeforeTheCall,
            Cut::BeforeTheAnswer,
            Cut::WithinTheAnswer,
            Cut::Late,
        ] {
            let times = struck.iter().filter(|there| **there == cut).count();
            assert!(times > 3, "{cut:?} struck {times} times");
        }
        let resends = registries.iter().map(|jobs| &jobs.state.store.seen.resends);
        let resends: u64 = resends.map(|resends| resends.load(Ordering::SeqCst)).sum();
        assert!(
            resends >= struck.len() as u64 / 2,
            "{resends} resends for {} cuts",
            struck.len()
        );
        assert!(known.values().any(|(end, _)| *end == Known::Completed));
        println!(
            "{} cuts, {resends} resends, {} unknown",
            struck.len(),
            unknown.load(Ordering::SeqCst)
        );
    });
}

#[test]
fn a_server_that_stops_for_a_while_executes_a_call_once() {
    with_server(async |server| {
        let builder = server.builder::<Vec<String>>("deck", &Parts::default());
        let jobs = builder
            .answer_within(Duration::from_millis(150))
            .connect()
            .await
            .unwrap();
        let job = jobs.register(&Vec::new()).await.unwrap();
        job.start().await.unwrap();
        for round in 1..=5_usize {
            server.signal("STOP");
            let update = job.update(|files| files.push(String::new()));
            let resumed = async {
                sleep(Duration::from_millis(400)).await;
                server.signal("CONT");
            };
            let (updated, ()) = tokio::join!(update, resumed);
            updated.unwrap();
            assert_eq!(jobs.get(job.id()).await.unwrap().payload.len(), round);
        }
        assert!(jobs.state.store.seen.links.load(Ordering::SeqCst) > 5);
        job.complete().await.unwrap();
    });
}

/// Scenario 69.
#[test]
fn with_appendfsync_always_a_killed_server_loses_nothing_acknowledged() {
    with(Server::lasting(), async |server| {
        let jobs = server.jobs("deck").await;
        let mut acknowledged = Vec::new();
        let mut unknown = 0;
        for round in 0..5 {
            let sender = jobs.clone();
            let registering = tokio::spawn(async move {
                let (mut known, mut unknown) = (Vec::new(), 0);
                for _ in 0..400 {
                    match sender.register(&Vec::new()).await {
                        Ok(job) => match job.start().await {
                            Ok(()) => known.push((job.detach(), Status::Running)),
                            Err(_) => unknown += 1,
                        },
                        Err(_) => unknown += 1,
                    }
                }
                (known, unknown)
            });
            sleep(Duration::from_millis(30 + 20 * round)).await;
            server.kill_and_restart();
            let (known, unsure) = registering.await.unwrap();
            acknowledged.extend(known);
            unknown += unsure;
        }
        assert!(
            acknowledged.len() > 1000,
            "{} jobs, {unknown} unknown",
            acknowledged.len()
        );
        for (id, status) in acknowledged {
            assert_eq!(
                jobs.snapshot(id).await.map(|seen| seen.status()),
                Ok(status)
            );
        }
        assert!(
            jobs.state.store.seen.links.load(Ordering::SeqCst) >= 6,
            "the kills did not strike"
        );
    });
}

#[test]
fn an_id_of_a_server_that_was_emptied_is_not_found() {
    with_server(async |server| {
        let jobs = server.jobs("deck").await;
        let id = jobs.register(&Vec::new()).await.unwrap().detach();
        let _: () = redis::cmd("FLUSHALL").query(&mut server.admin()).unwrap();
        // This process still has the secret, until it connects again.
        assert_eq!(jobs.snapshot(id).await, Err(Refusal::Gone.into()));
        let other = server.jobs("deck").await;
        assert_eq!(other.snapshot(id).await, Err(Refusal::NotFound.into()));
        // The ids of its later registrations are known to the other processes.
        let job = jobs.register(&Vec::new()).await.unwrap();
        assert_eq!(
            other.snapshot(job.id()).await,
            jobs.snapshot(job.id()).await
        );
        let _: () = redis::cmd("FLUSHALL").query(&mut server.admin()).unwrap();
        let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
        let once = keys.register(&Key::new("order 66"), &Vec::new()).await;
        let Ok(Once::New(by_key)) = once else {
            panic!("{once:?}")
        };
        let again = keys.register(&Key::new("order 66"), &Vec::new()).await;
        assert!(matches!(again, Ok(Once::Existing { id }) if id == by_key.id()));
        let third = server.jobs("deck").await;
        assert!(third.snapshot(by_key.id()).await.is_ok());
        assert_eq!(
            third.snapshot(job.id()).await,
            Err(Refusal::NotFound.into())
        );
        let _ = (job.detach(), by_key.detach());
    });
}

/// Scenario 49.
#[test]
fn a_replica_that_accepts_writes_is_not_used() {
    with_server(async |primary| {
        let port = primary.port.to_string();
        let writable = [
            "--replicaof",
            "127.0.0.1",
            &port,
            "--replica-read-only",
            "no",
        ];
        let replica = Server::with(&writable);
        wait_for_replica(primary, &replica).await;
        let builder = replica.builder::<Vec<String>>("deck", &Parts::default());
        let connected = builder.call_within(Duration::from_millis(300)).connect();
        let error = connected.await.unwrap_err();
        assert_eq!(error.name(), "unusable");
        assert!(error.to_string().contains("is a replica"), "{error}");
    });
}

/// Scenario 77.
#[test]
fn a_failover_loses_a_suffix_and_nothing_worse() {
    with_server(async |primary| {
        let replication = Proxy::start(primary.port).await;
        let port = replication.port.to_string();
        let replica = Server::with(&["--replicaof", "127.0.0.1", &port]);
        let jobs = primary.jobs("deck").await;
        let mut acknowledged = Vec::new();
        for number in 0..300 {
            // The replica loses its primary at some point: what follows is lost with the primary.
            if number == 200 {
                wait_for_replica(primary, &replica).await;
                replication.close();
            }
            let job = jobs.register(&vec![number.to_string()]).await.unwrap();
            job.start().await.unwrap();
            acknowledged.push(job.detach());
        }
        primary.signal("STOP");
        let _: () = redis::cmd("REPLICAOF")
            .arg(&["NO", "ONE"])
            .query(&mut replica.admin())
            .unwrap();
        let promoted = replica.jobs("deck").await;
        let mut lost = 0;
        for (number, id) in acknowledged.iter().enumerate() {
            match promoted.get(*id).await {
                Ok(record) => {
                    assert_eq!(record.payload, [number.to_string()]);
                    assert!(record.snapshot.status() <= Status::Running);
                    assert_eq!(lost, 0, "a job is lost that is older than one that is not");
                }
                // The secret is older than the jobs: they are gone, and not unknown.
                Err(error) => {
                    assert_eq!(error, Refusal::Gone.into());
                    lost += 1;
                }
            }
        }
        assert_eq!(lost, 100);
        assert_eq!(promoted.audit().await.unwrap(), Vec::<String>::new());
        primary.signal("CONT");
    });
}

/// Scenario 48.
#[test]
fn a_client_of_a_demoted_server_finds_the_new_primary() {
    with_server(async |old| {
        let new = Server::with(&["--replicaof", "127.0.0.1", &old.port.to_string()]);
        let proxy = Proxy::start(old.port).await;
        let jobs = through(&proxy).await;
        let job = jobs.register(&Vec::new()).await.unwrap();
        wait_for_replica(old, &new).await;
        let replica_of = |server: &Server, of: [&str; 2]| {
            let _: () = redis::cmd("REPLICAOF")
                .arg(&of)
                .query(&mut server.admin())
                .unwrap();
        };
        replica_of(&new, ["NO", "ONE"]);
        // The connections stay, and lead to a replica.
        replica_of(old, ["127.0.0.1", &new.port.to_string()]);
        proxy.lead_to(new.port);
        assert_eq!(job.start().await, Ok(()));
        assert_eq!(
            job.snapshot().await.map(|seen| seen.status()),
            Ok(Status::Running)
        );
        job.complete().await.unwrap();
        assert_eq!(new.jobs("deck").await.counts().await.unwrap().completed, 1);
        replica_of(old, ["NO", "ONE"]);
    });
}

#[test]
fn a_resend_in_a_history_with_fewer_changes_takes_effect_once() {
    with_server(async |old| {
        let new = Server::with(&["--replicaof", "127.0.0.1", &old.port.to_string()]);
        let proxy = Proxy::start(old.port).await;
        let jobs = through(&proxy).await;
        let id = jobs.register(&Vec::new()).await.unwrap().detach();
        wait_for_replica(old, &new).await;
        let _: () = redis::cmd("REPLICAOF")
            .arg(&["NO", "ONE"])
            .query(&mut new.admin())
            .unwrap();
        // The new primary does not have these changes, nor the numbers that the client has seen.
        for number in 0..20 {
            jobs.note(id, format!("lost {number}")).await.unwrap();
        }
        let (lost, resend) = jobs.state.store.faults.lose_answer_and_hold();
        let (lost_twice, go_on) = jobs.state.store.faults.lose_answer_and_hold();
        let sender = jobs.clone();
        let noting = tokio::spawn(async move { sender.note(id, "mine").await });
        lost.notified().await;
        proxy.lead_to(new.port);
        resend.notify_one();
        lost_twice.notified().await;
        let other = new.jobs("deck").await;
        assert_eq!(
            other.details(id).await.unwrap().note.as_deref(),
            Some("mine")
        );
        other.note(id, "second").await.unwrap();
        other.note(id, "third").await.unwrap();
        go_on.notify_one();
        let unknown = Error::Unavailable(Unavailable::Unknown);
        assert_eq!(noting.await.unwrap(), Err(unknown));
        let note = other.details(id).await.unwrap().note;
        assert_eq!(note.as_deref(), Some("third"), "the note is written twice");
    });
}

/// Waits until the replica has everything.
pub(crate) async fn wait_for_replica(primary: &Server, replica: &Server) {
    let seq = |server: &Server| -> Option<u64> {
        server.admin().hget("jr1:{deck/0}:count", "seq").unwrap()
    };
    for _ in 0..500 {
        if seq(primary) == seq(replica) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the replica does not follow");
}
