//! Registration once for each key of a client, in all processes.

use super::server::{Server, checks, with_server};
use crate::script::Parts;
use crate::{Error, Keys, Once};
use job_registry::{Error as Refusal, JobId, Key, KeyLife};
use redis::Commands;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn id(once: &Once<Vec<String>>) -> Option<JobId> {
    match once {
        Once::New(job) => Some(job.id()),
        Once::Existing { id } => Some(*id),
        Once::Mismatch => None,
    }
}

async fn keys(server: &Server, parts: &Parts, life: KeyLife) -> Keys<Vec<String>> {
    let builder = server
        .builder("deck", parts)
        .retention(Duration::ZERO)
        .capacity(3);
    Keys::new(builder.connect().await.unwrap(), life)
}

fn client_keys(server: &Server) -> usize {
    let keys: Vec<String> = server.admin().keys("jr1:*:k:*").unwrap();
    keys.len()
}

checks! {
    async fn a_key_leads_to_its_job_for_its_life(server, parts) {
        for life in [KeyLife::UntilRemoved, KeyLife::WhileLive] {
            let (here, there) = (keys(server, parts, life).await, keys(server, parts, life).await);
            let jobs = server.jobs("deck").await;
            let key = Key::new("order 66").fingerprint("10 slides");
            let first = here.register(&key, &vec!["a".to_owned()]).await.unwrap();
            let Once::New(job) = first else { panic!("the key is new") };
            let again = there.register(&key, &Vec::new()).await.unwrap();
            assert!(matches!(again, Once::Existing { id } if id == job.id()));
            for other in [Key::new("order 66"), Key::new("order 66").fingerprint("12 slides")] {
                let once = there.register(&other, &Vec::new()).await.unwrap();
                assert!(matches!(once, Once::Mismatch), "{once:?}");
            }
            job.cancel().await.unwrap();
            let ended = there.register(&key, &Vec::new()).await.unwrap();
            let is_new = matches!(ended, Once::New(_));
            assert_eq!(is_new, life == KeyLife::WhileLive);
            let second = id(&ended).unwrap();
            assert_eq!(second == job.id(), !is_new);
            // The key of the second job outlives the first one's removal.
            job.remove().await.unwrap();
            assert_eq!(client_keys(server), usize::from(is_new));
            if let Once::New(second) = ended {
                second.cancel().await.unwrap();
                tokio::time::sleep(Duration::from_millis(3)).await;
                assert_eq!(jobs.sweep().await.unwrap().removed, 1);
            }
            assert_eq!((client_keys(server), jobs.counts().await.unwrap().total()), (0, 0));
            let anew = here.register(&key, &Vec::new()).await.unwrap();
            let Once::New(anew) = anew else { panic!("the key leads to a removed job") };
            anew.cancel().await.unwrap();
            anew.remove().await.unwrap();
        }
    }

    async fn a_known_key_leads_to_its_job_while_the_registry_is_full_or_closed(server, parts) {
        let keys = keys(server, parts, KeyLife::UntilRemoved).await;
        let mut owners = Vec::new();
        for name in ["a", "b", "c"] {
            owners.push(keys.register(&Key::new(name), &Vec::new()).await.unwrap());
        }
        let full = keys.register(&Key::new("d"), &Vec::new()).await.map(drop);
        assert_eq!(full, Err(Refusal::Full.into()));
        assert_eq!(client_keys(server), 3, "a refused registration leaves a key");
        let known = async || id(&keys.register(&Key::new("b"), &Vec::new()).await.unwrap());
        assert_eq!(known().await, id(&owners[1]));
        keys.registry().close();
        assert_eq!(known().await, id(&owners[1]));
        let closed = keys.register(&Key::new("d"), &Vec::new()).await.map(drop);
        assert_eq!(closed, Err(Refusal::Closed.into()));
        for owner in owners {
            let Once::New(job) = owner else { panic!("the key was new") };
            let _ = job.detach();
        }
    }

    async fn a_key_that_moves_meanwhile_leads_to_its_new_job(server, parts) {
        let here = keys(server, parts, KeyLife::UntilRemoved).await;
        let there = keys(server, parts, KeyLife::UntilRemoved).await;
        let (jobs, key) = (there.registry().clone(), Key::new("order 66"));
        let register = async |keys: &Keys<_>| keys.register(&key, &Vec::new()).await.unwrap();
        let Once::New(old) = register(&there).await else { panic!("a known key") };
        // The key has been looked up, and the registration is on its way.
        let faults = &here.registry().state.store.faults;
        faults.plan([None]);
        let (reached, resume) = faults.lose_call_and_hold();
        let meanwhile = async {
            reached.notified().await;
            old.cancel().await.unwrap();
            old.remove().await.unwrap();
            let Once::New(new) = register(&there).await else { panic!("a known key") };
            resume.notify_one();
            new.detach()
        };
        let (once, new) = tokio::join!(register(&here), meanwhile);
        assert!(matches!(once, Once::Existing { id } if id == new), "{once:?}");
        jobs.cancel(new).await.unwrap();
    }

    async fn of_many_registrations_with_one_key_one_is_new(server, parts) {
        let mut all = Vec::new();
        for _ in 0..8 {
            all.push(keys(server, parts, KeyLife::WhileLive).await);
        }
        for round in 0..20 {
            let mut tasks = Vec::new();
            let barrier = Arc::new(tokio::sync::Barrier::new(all.len()));
            for keys in all.clone() {
                let barrier = barrier.clone();
                tasks.push(tokio::spawn(async move {
                    barrier.wait().await;
                    let once = keys.register(&Key::new([round]), &Vec::new()).await.unwrap();
                    let is_new = matches!(once, Once::New(_));
                    let id = id(&once).unwrap();
                    if let Once::New(job) = once {
                        let _ = job.detach();
                    }
                    (id, is_new)
                }));
            }
            let mut results = Vec::new();
            for task in tasks {
                results.push(task.await.unwrap());
            }
            assert!(results.iter().all(|(id, _)| *id == results[0].0));
            assert_eq!(results.iter().filter(|(_, is_new)| *is_new).count(), 1);
            let jobs = server.jobs("deck").await;
            jobs.cancel(results[0].0).await.unwrap();
            jobs.remove(results[0].0).await.unwrap();
        }
    }

    async fn a_registration_whose_answer_is_lost_is_new(server, parts) {
        let keys = keys(server, parts, KeyLife::UntilRemoved).await;
        let faults = &keys.registry().state.store.faults;
        faults.plan([None]);
        faults.lose_answer();
        let once = keys.register(&Key::new("a"), &Vec::new()).await.unwrap();
        let Once::New(job) = once else { panic!("it takes its own job for another's") };
        assert_eq!(keys.registry().state.store.seen.resends.load(Ordering::SeqCst), 1);
        let _ = job.detach();
    }
}

#[test]
fn a_key_that_always_moves_ends_the_call() {
    with_server(async |server| {
        // A lookup that finds no job, although the key leads to one.
        let mut parts = Parts::default();
        let lookup = parts
            .own
            .iter_mut()
            .find(|(name, _)| *name == "lookup")
            .unwrap();
        lookup.1 = lookup.1.replace("return id and { id } or {}", "return {}");
        let keys = keys(server, &parts, KeyLife::UntilRemoved).await;
        let first = keys.register(&Key::new("a"), &Vec::new()).await.unwrap();
        let again: Result<(), Error> = keys.register(&Key::new("a"), &Vec::new()).await.map(drop);
        assert_eq!(again, Err(Refusal::Busy.into()));
        let Once::New(job) = first else {
            panic!("the key is new")
        };
        let _ = job.detach();
    });
}
