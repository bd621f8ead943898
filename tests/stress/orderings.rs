//! Litmus tests for the memory orderings of the registry, meant to be run under Miri.
//!
//! Threads here learn of each other's work through the registry alone. A channel or a join would
//! add an ordering that the registry itself must provide.

use crate::rounds;
use crate::watchdog::in_time;
use job_registry::{JobRegistry, LookupError, ManualClock, Progress, ReadError, Status};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Repeats each of `reads` on its own thread while `work` runs, and once afterwards.
fn beside(work: impl FnOnce() + Send, reads: &[&(dyn Fn() + Sync)]) {
    let over = AtomicBool::new(false);
    thread::scope(|s| {
        for read in reads {
            s.spawn(|| {
                // `Relaxed` orders nothing.
                while !over.load(Ordering::Relaxed) {
                    read();
                }
                read();
            });
        }
        work();
        over.store(true, Ordering::Relaxed);
    });
}

/// P4 and P12, scenario 19: an iteration returns ids that were issued, however often the slot is
/// reused. Such an id finds its own job or none: its nonce is not that of an earlier or later job.
#[test]
fn id_of_a_walk_is_that_of_a_job() {
    in_time(|| {
        let jobs = JobRegistry::builder().capacity(2).build();
        let work = || {
            for payload in 1..=rounds(2_000) as u64 {
                let job = jobs.register(payload).unwrap();
                job.start().unwrap();
                job.advance(Progress::from_ppm(u32::try_from(payload).unwrap()).unwrap())
                    .unwrap();
                job.complete().unwrap();
                assert_eq!(jobs.remove(job.id()), Ok(payload));
            }
        };
        let walk = || {
            for seen in jobs.iter() {
                let id = seen.id();
                match jobs.snapshot(id) {
                    Ok(later) => assert!(later.version() >= seen.version()),
                    Err(error) => assert_eq!(error, LookupError::Gone, "{id} was never issued"),
                }
                match jobs.get(id) {
                    // The progress is the payload, unless it is still zero.
                    Ok(record) => {
                        let ppm = u64::from(seen.progress().ppm());
                        let is_done = seen.status() == Status::Completed;
                        assert!(is_done || [0, record.payload].contains(&ppm), "{record:?}");
                    }
                    Err(error) => assert_eq!(error, ReadError::Gone, "{id} was never issued"),
                }
            }
        };
        beside(work, &[&walk, &walk]);
    });
}

/// P6, scenario 19: an iteration sees every job in a newly published chunk, with its payload.
#[test]
fn new_chunk_is_seen_whole() {
    in_time(|| {
        let jobs = JobRegistry::builder().capacity(4_000).build();
        let work = || {
            for number in 0..if cfg!(miri) { 20 } else { 4_000 } {
                let _ = jobs.register(number).unwrap().detach();
            }
        };
        let walk = || {
            let ids: Vec<_> = jobs.iter().map(|seen| seen.id()).collect();
            // The last ids are the newest.
            for id in ids.iter().rev().take(3) {
                assert_eq!(jobs.get(*id).map(|record| record.snapshot.id()), Ok(*id));
            }
        };
        beside(work, &[&walk]);
        assert_eq!(jobs.iter().count(), jobs.len());
    });
}

/// P1 and P12: two observers of two jobs never disagree on which of two steps came first.
#[test]
fn steps_of_two_jobs_have_one_order() {
    in_time(|| {
        for _ in 0..rounds(300) {
            let jobs = JobRegistry::builder().capacity(2).build();
            let ids = [(); 2].map(|()| jobs.register(()).unwrap().detach());
            for id in ids {
                jobs.start(id).unwrap();
            }
            let one = Progress::from_ppm(1).unwrap();
            let both = |order: [usize; 2]| {
                order.map(|place| jobs.snapshot(ids[place]).unwrap().progress() == one)
            };
            let (here, there) = thread::scope(|s| {
                let steps = ids.map(|id| {
                    s.spawn({
                        let jobs = &jobs;
                        move || jobs.advance(id, one).unwrap()
                    })
                });
                let here = s.spawn(|| both([0, 1]));
                let there = s.spawn(|| both([1, 0]));
                for step in steps {
                    step.join().unwrap();
                }
                (here.join().unwrap(), there.join().unwrap())
            });
            let disagree = here == [true, false] && there == [true, false];
            assert!(
                !disagree,
                "each observer has seen one step without the other"
            );
        }
    });
}

/// P8 and P12: one thread makes a step and loads the heartbeat; another sends a heartbeat and loads
/// the progress. At least one of them sees the other's store, although the two words differ.
#[test]
fn writers_that_read_each_other_do_not_both_miss() {
    in_time(|| {
        for round in 0..rounds(600) {
            let clock = ManualClock::new();
            let jobs = JobRegistry::builder()
                .capacity(1)
                .clock(clock.clone())
                .build();
            let id = jobs.register(()).unwrap().detach();
            jobs.start(id).unwrap();
            clock.advance(Duration::from_millis(5));
            let one = Progress::from_ppm(1).unwrap();
            let steps = || {
                jobs.advance(id, one).unwrap();
                jobs.snapshot(id).unwrap().last_heartbeat() == jobs.now()
            };
            let heartbeats = || {
                jobs.heartbeat(id).unwrap();
                jobs.snapshot(id).unwrap().progress() == one
            };
            // Miri usually runs the first spawned thread to its end.
            let writers: [&(dyn Fn() -> bool + Sync); 2] = match round % 2 {
                0 => [&steps, &heartbeats],
                _ => [&heartbeats, &steps],
            };
            let seen = thread::scope(|s| {
                let writers = writers.map(|writer| s.spawn(writer));
                writers.map(|writer| writer.join().unwrap())
            });
            assert!(
                seen.contains(&true),
                "neither thread has seen the other's write"
            );
        }
    });
}

/// P6 and P12: two threads alternate in the only slot. Each finds it empty and has it alone.
#[test]
fn slot_is_passed_on_empty() {
    in_time(|| {
        let jobs = JobRegistry::builder()
            .capacity(1)
            .retention(Duration::MAX)
            .build();
        let turn = |number: u64| {
            let jobs = &jobs;
            move || {
                let mut accepted = 0;
                while accepted < rounds(300) {
                    // The other thread's `remove` may still be under way when its job is gone.
                    let Ok(job) = jobs.register(number) else {
                        thread::yield_now();
                        continue;
                    };
                    accepted += 1;
                    assert_eq!(jobs.len(), 1);
                    assert_eq!(jobs.get(job.id()).unwrap().payload, number);
                    job.cancel().unwrap();
                    assert_eq!(jobs.remove(job.id()), Ok(number));
                }
            }
        };
        thread::scope(|s| {
            s.spawn(turn(1));
            s.spawn(turn(2));
        });
        assert!(jobs.is_empty());
    });
}
