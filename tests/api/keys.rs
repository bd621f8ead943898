//! `Keys`: one job for each key.

use crate::watchdog::in_time;
use job_registry::{
    Clock, JobId, JobRegistry, Key, KeyLife, Keys, LookupError, ManualClock, Once, Options,
    RegisterError, WhenFull,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const LIVES: [KeyLife; 2] = [KeyLife::WhileLive, KeyLife::UntilRemoved];

/// Registers and returns the id of a new job.
fn new<T: Send + 'static>(keys: &Keys<T>, key: &Key, payload: T) -> JobId {
    match keys.register(key.clone(), payload).unwrap() {
        Once::New(job) => job.detach(),
        other => panic!("{other:?}"),
    }
}

/// Registers and returns the id of the job that has the key, and the payload.
fn existing<T: Send + 'static>(keys: &Keys<T>, key: &Key, payload: T) -> (JobId, T) {
    match keys.register(key.clone(), payload).unwrap() {
        Once::Existing { id, payload } => (id, payload),
        other => panic!("{other:?}"),
    }
}

/// P4: a known key returns its job's id, and the payload comes back. Another key is another job.
#[test]
fn known_key_registers_nothing() {
    for life in LIVES {
        let jobs = JobRegistry::new();
        let keys = Keys::new(jobs.clone(), life);
        let (a, b) = (Key::new("a"), Key::new("b"));
        let id = new(&keys, &a, 1);
        assert_eq!(existing(&keys, &a, 2), (id, 2));
        assert_ne!(new(&keys, &b, 3), id);
        jobs.start(id).unwrap();
        assert_eq!(existing(&keys.clone(), &a, 4), (id, 4));
        assert_eq!((jobs.len(), keys.len()), (2, 2));
        assert_eq!(jobs.get(id).unwrap().payload, 1);
        // A registration without a key is not affected, nor are the keys of others.
        assert_ne!(jobs.register(5).unwrap().detach(), id);
        let others = Keys::new(jobs.clone(), life);
        assert_ne!(new(&others, &a, 6), id);
    }
}

/// P4: keys of any length, of any bytes and of none are keys of their own.
#[test]
fn keys_are_any_bytes() {
    let keys = Keys::new(JobRegistry::new(), KeyLife::UntilRemoved);
    let long = vec![7; 1 << 20];
    let all: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\xff", b"a", b"ab", &long];
    let ids = all.map(|bytes| new(&keys, &Key::new(bytes), ()));
    for (bytes, id) in all.iter().zip(ids) {
        assert_eq!(existing(&keys, &Key::new(bytes), ()), (id, ()));
    }
    assert_eq!(keys.len(), all.len());
}

/// A key of another fingerprint is a mismatch, also of an empty one or of none. Key and fingerprint
/// are compared apart.
#[test]
fn another_fingerprint_is_a_mismatch() {
    let key = Key::new("ab");
    let all = [
        key.clone(),
        key.clone().fingerprint(""),
        key.clone().fingerprint("c"),
        key.clone().fingerprint([0; 16]),
    ];
    for known in &all {
        let jobs = JobRegistry::new();
        let keys = Keys::new(jobs.clone(), KeyLife::WhileLive);
        let id = new(&keys, known, 0);
        for (n, other) in (1..).zip(&all) {
            match keys.register(other.clone(), n).unwrap() {
                Once::Existing { id: same, payload } => {
                    assert!(std::ptr::eq(known, other));
                    assert_eq!((same, payload), (id, n));
                }
                Once::Mismatch { payload } => {
                    assert!(!std::ptr::eq(known, other));
                    assert_eq!(payload, n);
                }
                Once::New(job) => panic!("{job:?}"),
            }
        }
        let _ = new(&keys, &Key::new("a").fingerprint("bc"), 5);
        // The fingerprint lives as long as the key.
        jobs.cancel(id).unwrap();
        let next = new(&keys, &Key::new("ab").fingerprint("d"), 6);
        assert_ne!(next, id);
    }
}

/// P4: under `WhileLive`, the end frees the key. Under `UntilRemoved`, the removal does.
#[test]
fn key_lives_as_long_as_it_states() {
    for life in LIVES {
        let jobs = JobRegistry::new();
        let keys = Keys::new(jobs.clone(), life);
        let key = Key::new("a");
        let id = new(&keys, &key, 1);
        jobs.cancel(id).unwrap();
        if life == KeyLife::UntilRemoved {
            assert_eq!(existing(&keys, &key, 2), (id, 2));
            jobs.remove(id).unwrap();
        }
        let next = new(&keys, &key, 3);
        assert_ne!(next, id);
        assert_eq!(existing(&keys, &key, 4), (next, 4));
        assert_eq!(keys.len(), 1);
    }
}

/// P4 and P10: a retried job keeps its key, also through a purge while it is ended.
#[test]
fn retried_job_keeps_its_key() {
    for life in LIVES {
        let jobs = JobRegistry::new();
        let keys = Keys::new(jobs.clone(), life);
        let key = Key::new("a");
        let id = new(&keys, &key, 0);
        jobs.cancel(id).unwrap();
        // The others purge the shard several times, and so does the call.
        for n in 0..3_000u32 {
            let _ = new(&keys, &Key::new(n.to_le_bytes()), n);
        }
        keys.purge();
        assert_eq!(keys.len(), 3_001);
        let job = jobs.retry(id).unwrap();
        assert_eq!(existing(&keys, &key, 1), (id, 1));
        drop(job);
    }
}

/// P4: a refused registration leaves no key, and a known key is found in a full registry.
#[test]
fn full_registry_refuses_new_keys_and_finds_known_ones() {
    for capacity in [0, 1] {
        let jobs = JobRegistry::builder().capacity(capacity).build();
        let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
        let (a, b) = (Key::new("a"), Key::new("b"));
        let id = (capacity == 1).then(|| new(&keys, &a, 1));
        let refused = keys.register(b.clone(), 2).unwrap_err();
        assert!(matches!(refused, RegisterError::Full(2)), "{refused:?}");
        assert_eq!(keys.len(), capacity);
        if let Some(id) = id {
            assert_eq!(existing(&keys, &a, 3), (id, 3));
            jobs.cancel(id).unwrap();
            jobs.remove(id).unwrap();
            assert_ne!(new(&keys, &b, 4), id);
        }
    }
}

/// P4: a key is found in a closed registry as long as its job is there, and no other is stored.
#[test]
fn closed_registry_refuses_new_keys_and_finds_known_ones() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
        let (a, b) = (Key::new("a"), Key::new("b"));
        let id = new(&keys, &a, 1);
        jobs.close();
        assert_eq!(existing(&keys, &a, 2), (id, 2));
        let refused = keys.register(b, 3).unwrap_err();
        assert!(matches!(refused, RegisterError::Closed(3)), "{refused:?}");
        assert_eq!(keys.len(), 1);
    });
}

/// P6: a key makes room as any registration does. The key of the removed job leads to a new one.
#[test]
fn new_key_makes_room() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .capacity(2)
        .clock(clock.clone())
        .when_full(WhenFull::RemoveOldestEnded)
        .build();
    let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
    let all = ["a", "b", "c"].map(Key::new);
    let [a, b] = [0, 1].map(|n| new(&keys, &all[n], n));
    for id in [b, a] {
        clock.advance(Duration::from_millis(1));
        jobs.cancel(id).unwrap();
    }
    // A known key needs no room.
    assert_eq!(existing(&keys, &all[1], 2), (b, 2));
    let _ = new(&keys, &all[2], 3);
    assert_eq!(jobs.snapshot(b), Err(LookupError::Gone));
    let next = new(&keys, &all[1], 4);
    assert_eq!(jobs.snapshot(a), Err(LookupError::Gone));
    assert_eq!(existing(&keys, &all[1], 5), (next, 5));
    let refused = keys.register(all[0].clone(), 6).unwrap_err();
    assert!(matches!(refused, RegisterError::Full(6)), "{refused:?}");
}

/// P7: registrations work under a guard, also with the key of the job that it locks.
#[test]
fn keys_work_under_a_guard() {
    in_time(|| {
        let jobs = JobRegistry::new();
        for life in LIVES {
            let keys = Keys::new(jobs.clone(), life);
            let (a, b) = (Key::new("a"), Key::new("b"));
            let id = new(&keys, &a, 1);
            let guard = jobs.lock(id).unwrap();
            assert_eq!(existing(&keys, &a, 2), (id, 2));
            let other = new(&keys, &b, 3);
            keys.purge();
            assert_eq!(keys.len(), 2);
            drop(guard);
            assert!(jobs.lock(other).is_ok());
        }
    });
}

/// P7: the clock, the hook and the payload's destructor may use the keys of the registry that calls
/// them.
#[test]
fn user_code_may_use_the_keys() {
    #[derive(Clone, Default)]
    struct Own(Arc<OnceLock<Keys<Payload>>>);
    struct Payload(Own);

    impl Own {
        fn use_keys(&self) {
            let Some(keys) = self.0.get() else { return };
            assert!(keys.len() <= 8);
            keys.purge();
        }
    }

    impl Clock for Own {
        fn now(&self) -> Duration {
            self.use_keys();
            Duration::ZERO
        }
    }

    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.use_keys();
        }
    }

    in_time(|| {
        let own = Own::default();
        let hook = own.clone();
        let jobs = JobRegistry::builder()
            .capacity(2)
            .clock(own.clone())
            .when_full(WhenFull::RemoveOldestEnded)
            .on_remove(move |_| {
                hook.use_keys();
                let Some(keys) = hook.0.get() else { return };
                // The key of the job that is being removed.
                let nested = keys.register(Key::new([0]), Payload(Own::default()));
                assert!(matches!(nested, Err(RegisterError::Full(_))), "{nested:?}");
            })
            .build();
        let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
        own.0.set(keys.clone()).unwrap();
        for n in 0..8 {
            let id = new(&keys, &Key::new([n]), Payload(own.clone()));
            jobs.cancel(id).unwrap();
        }
        assert_eq!(jobs.removal_panics(), 0);
    });
}

/// P6: keys of removed jobs do not pile up, and a purge leaves none of them.
#[test]
fn keys_of_removed_jobs_are_purged() {
    let jobs = JobRegistry::new();
    let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
    let kept = new(&keys, &Key::new("kept"), 0);
    for n in 0..10_000u32 {
        let id = new(&keys, &Key::new(n.to_le_bytes()), n);
        jobs.cancel(id).unwrap();
        jobs.remove(id).unwrap();
        assert!(keys.len() <= 16 * 32, "{} keys of 2 jobs", keys.len());
    }
    assert!(keys.len() > 1);
    keys.purge();
    assert_eq!(keys.len(), 1);
    assert_eq!(existing(&keys, &Key::new("kept"), 1), (kept, 1));
    assert!(!keys.is_empty());
}

/// A log shows no bytes of a key.
#[test]
fn keys_are_not_printed() {
    let key = Key::new("a secret").fingerprint("a body");
    let keys = Keys::new(JobRegistry::new(), KeyLife::WhileLive);
    let first = keys.register(key.clone(), ()).unwrap();
    let texts = [
        format!("{key:?} {keys:?} {first:?}"),
        format!("{:?}", keys.register(key, ()).unwrap()),
        format!("{:?}", keys.register(Key::new("a secret"), ()).unwrap()),
    ];
    for (text, name) in texts.iter().zip(["New", "Existing", "Mismatch"]) {
        assert!(text.contains(name), "{text}");
        assert!(!text.contains("secret") && !text.contains("body"), "{text}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Register(u8, u8),
    Bare,
    End(usize),
    Retry(usize),
    Remove(usize),
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..6, 0u8..3).prop_map(|(key, print)| Step::Register(key, print)),
        1 => Just(Step::Bare),
        2 => (0usize..64).prop_map(Step::End),
        1 => (0usize..64).prop_map(Step::Retry),
        1 => (0usize..64).prop_map(Step::Remove),
        1 => Just(Step::Purge),
    ]
}

proptest! {
    /// P4, P6, P10: a key leads to the last job that it registered, as long as the job lives.
    #[test]
    fn keys_match_a_map(
        while_live in any::<bool>(),
        capacity in 0usize..8,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let jobs = JobRegistry::builder().capacity(capacity).build();
        let life = LIVES[usize::from(!while_live)];
        let keys = Keys::new(jobs.clone(), life);
        let (mut expected, mut ids) = (BTreeMap::<u8, (JobId, u8)>::new(), Vec::new());
        for (n, step) in steps.into_iter().enumerate() {
            let nth = |n: usize| ids.get(n % ids.len().max(1)).copied();
            match step {
                Step::Register(key, print) => {
                    let known = expected.get(&key).filter(|(id, _)| {
                        let seen = jobs.snapshot(*id);
                        seen.is_ok_and(|seen| !(while_live && seen.status().is_ended()))
                    });
                    // The key 0 has no bytes, and the fingerprint 0 is none.
                    let mut given = Key::new(vec![key; key.into()]);
                    if print > 0 {
                        given = given.fingerprint([print]);
                    }
                    let is_full = jobs.len() == capacity;
                    match (known.copied(), keys.register(given, n)) {
                        (Some((id, of)), Ok(Once::Existing { id: found, payload })) => {
                            prop_assert_eq!((id, of, n), (found, print, payload));
                        }
                        (Some((_, of)), Ok(Once::Mismatch { payload })) => {
                            prop_assert!(of != print && payload == n);
                        }
                        (None, Ok(Once::New(job))) => {
                            prop_assert!(!is_full && !ids.contains(&job.id()));
                            ids.push(job.detach());
                            expected.insert(key, (ids[ids.len() - 1], print));
                        }
                        (None, Err(RegisterError::Full(payload))) => {
                            prop_assert!(is_full && payload == n);
                        }
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                Step::Bare => ids.extend(jobs.register(n).map(job_registry::Job::detach)),
                Step::End(n) => {
                    let _ = nth(n).map(|id| jobs.cancel(id));
                }
                Step::Retry(n) => {
                    let _ = nth(n).map(|id| jobs.retry(id).map(job_registry::Job::detach));
                }
                Step::Remove(n) => {
                    let _ = nth(n).map(|id| jobs.remove(id));
                }
                Step::Purge => {
                    keys.purge();
                    let there = |(id, _): &(JobId, u8)| jobs.snapshot(*id).is_ok();
                    prop_assert_eq!(keys.len(), expected.values().filter(|it| there(it)).count());
                }
            }
        }
    }
}

/// P5: a job that is registered with a key has its own deadline. A later registration of the key
/// does not change it.
#[test]
fn job_of_a_key_keeps_its_deadline() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder().clock(clock.clone()).build();
    let keys = Keys::new(jobs.clone(), KeyLife::WhileLive);
    let key = Key::new("order 66");
    let second = Duration::from_secs(1);
    let deadline = |seconds| Options::new().deadline(second * seconds);
    let Once::New(job) = keys.register_with(key.clone(), 1, deadline(2)).unwrap() else {
        panic!("the key is new");
    };
    let again = keys.register_with(key.clone(), 2, deadline(9)).unwrap();
    assert!(matches!(again, Once::Existing { id, payload: 2 } if id == job.id()));
    clock.advance(second);
    assert_eq!(jobs.sweep().expired, 0);
    clock.advance(second);
    assert_eq!(jobs.sweep().expired, 1);
    assert!(matches!(keys.register(key, 3), Ok(Once::New(_))));
}
