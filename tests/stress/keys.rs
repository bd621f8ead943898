//! One job for each key, whatever other threads do. P4, P6, P7.

use crate::watchdog::in_time;
use crate::{SECOND, rounds};
use job_registry::{
    JobRegistry, Key, KeyLife, Keys, LookupError, ManualClock, Once, RegisterError, WhenFull,
};
use std::collections::{HashMap, HashSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const THREADS: usize = 8;

/// P4 and P6: threads register one key at once, with room for one job only. One gets it, and the
/// others its id; none is refused.
#[test]
fn one_of_all_registrations_of_a_key_is_new() {
    in_time(|| {
        for life in [KeyLife::WhileLive, KeyLife::UntilRemoved] {
            let jobs = JobRegistry::builder().capacity(1).build();
            let keys = Keys::new(jobs.clone(), life);
            let begin = Barrier::new(THREADS);
            for round in 0..rounds(600) {
                let key = Key::new(round.to_le_bytes());
                let register = |number: usize| {
                    begin.wait();
                    match keys.register(key.clone(), number).unwrap() {
                        Once::New(job) => (true, job.detach()),
                        Once::Existing { id, payload } => {
                            assert_eq!(payload, number);
                            (false, id)
                        }
                        Once::Mismatch { .. } => panic!("all are the same"),
                    }
                };
                let all: Vec<_> = thread::scope(|s| {
                    let threads: Vec<_> =
                        (0..THREADS).map(|n| s.spawn(move || register(n))).collect();
                    threads.into_iter().map(|it| it.join().unwrap()).collect()
                });
                assert_eq!(all.iter().filter(|(is_new, _)| *is_new).count(), 1);
                let ids: HashSet<_> = all.into_iter().map(|(_, id)| id).collect();
                assert_eq!((ids.len(), jobs.len()), (1, 1));
                for id in ids {
                    jobs.cancel(id).unwrap();
                    jobs.remove(id).unwrap();
                }
            }
            assert!(jobs.is_empty());
        }
    });
}

/// P4: under `WhileLive`, no key ever has two live jobs, while workers end them and sweeps remove
/// them. An id that a key gives was live when the call began, or later.
#[test]
fn no_key_has_two_live_jobs() {
    const KEYS: usize = 3;
    in_time(|| {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .retention(SECOND)
            .build();
        let keys = Keys::new(jobs.clone(), KeyLife::WhileLive);
        let live = [const { AtomicUsize::new(0) }; KEYS];
        thread::scope(|s| {
            for thread in 0..THREADS {
                let (jobs, keys, live, clock) = (&jobs, &keys, &live, &clock);
                s.spawn(move || {
                    for round in 0..rounds(2_000) {
                        let key = (thread + round * 7) % KEYS;
                        match keys
                            .register(Key::new([u8::try_from(key).unwrap()]), ())
                            .unwrap()
                        {
                            Once::New(job) => {
                                assert_eq!(live[key].fetch_add(1, Ordering::SeqCst), 0);
                                thread::yield_now();
                                live[key].fetch_sub(1, Ordering::SeqCst);
                                job.cancel().unwrap();
                            }
                            Once::Existing { id, .. } => {
                                assert_ne!(jobs.snapshot(id), Err(LookupError::NotFound));
                            }
                            Once::Mismatch { .. } => panic!("there is no fingerprint"),
                        }
                        if round % 16 == thread {
                            clock.advance(SECOND);
                            jobs.sweep();
                        }
                    }
                });
            }
        });
        clock.advance(2 * SECOND);
        jobs.sweep();
        keys.purge();
        assert!(jobs.is_empty() && keys.is_empty());
    });
}

/// P6 and P7: a full registry makes room for new keys, and neither a slot nor a payload is lost.
/// Every payload is in a job that was new, or comes back.
#[test]
fn keys_of_a_full_registry_lose_nothing() {
    const CAPACITY: usize = 40;
    in_time(|| {
        let jobs = JobRegistry::builder()
            .capacity(CAPACITY)
            .when_full(WhenFull::RemoveOldestEnded)
            .build();
        let keys = Keys::new(jobs.clone(), KeyLife::UntilRemoved);
        let new = thread::scope(|s| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let keys = keys.clone();
                    s.spawn(move || {
                        let mut new = HashMap::new();
                        for round in 0..rounds(2_000) {
                            let (key, payload) = (round * 31 % 100, (thread, round));
                            match keys.register(Key::new(key.to_le_bytes()), payload) {
                                Ok(Once::New(job)) => {
                                    job.cancel().unwrap();
                                    assert_eq!(new.insert(job.id(), payload), None);
                                }
                                Ok(Once::Existing { payload: back, .. })
                                | Err(RegisterError::Full(back)) => assert_eq!(back, payload),
                                other => panic!("{other:?}"),
                            }
                        }
                        new
                    })
                })
                .collect();
            let mut new = HashMap::new();
            for thread in threads {
                new.extend(thread.join().unwrap());
            }
            new
        });
        // A thread that has made room may then find that another one has registered its key.
        assert!(new.len() >= CAPACITY);
        assert!((CAPACITY - THREADS..=CAPACITY).contains(&jobs.len()));
        assert_eq!(jobs.removal_panics(), 0);
        for seen in jobs.iter().collect::<Vec<_>>() {
            assert_eq!(jobs.remove(seen.id()), Ok(new[&seen.id()]));
        }
        assert!(jobs.is_empty());
        let again: Vec<_> = (0..CAPACITY)
            .map(|_| jobs.register((0, 0)).unwrap())
            .collect();
        assert!(jobs.register((0, 0)).is_err());
        drop(again);
    });
}
