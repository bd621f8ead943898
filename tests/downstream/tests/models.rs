//! The service's models: one of its own atomics under each checker, and two of the registry if the
//! service asks for that. A checker would see a call on ordinary types as one instant, and miss the
//! races inside it.

#![cfg(any(loom, shuttle))]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[cfg(loom)]
use loom as checker;
#[cfg(all(shuttle, not(loom)))]
use shuttle as checker;

/// Explores `model`, with two preemptions under loom. Returns the number of executions and the
/// distinct results.
fn explore<O: PartialEq + Send + 'static>(
    model: impl Fn() -> O + Send + Sync + 'static,
) -> (u64, Vec<O>) {
    let seen = Arc::new((AtomicU64::new(0), Mutex::new(Vec::new())));
    let counted = {
        let seen = Arc::clone(&seen);
        move || {
            let outcome = model();
            seen.0.fetch_add(1, Ordering::Relaxed);
            let mut outcomes = seen.1.lock().unwrap();
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        }
    };
    #[cfg(loom)]
    {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(counted);
    }
    // The seed is fixed, because a depth-first search does not finish here.
    #[cfg(all(shuttle, not(loom)))]
    shuttle::Runner::new(
        shuttle::scheduler::RandomScheduler::new_from_seed(1, 1_000),
        shuttle::Config::default(),
    )
    .run(counted);
    let outcomes = std::mem::take(&mut *seen.1.lock().unwrap());
    (seen.0.load(Ordering::Relaxed), outcomes)
}

#[test]
fn own_model_keeps_working() {
    use checker::sync::atomic::AtomicU64;
    let (executions, outcomes) = explore(|| {
        let visits = checker::sync::Arc::new(AtomicU64::new(0));
        let threads = [1, 2].map(|_| {
            let visits = checker::sync::Arc::clone(&visits);
            checker::thread::spawn(move || {
                let seen = visits.load(Ordering::SeqCst);
                visits.store(seen + 1, Ordering::SeqCst);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        visits.load(Ordering::SeqCst)
    });
    assert!(executions > 1);
    assert!(
        outcomes.contains(&1) && outcomes.contains(&2),
        "{outcomes:?}"
    );
}

/// A registry without the checker's types is built on a thread of a model, whose stack is small.
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
#[test]
fn an_ordinary_registry_fits_the_stack_of_a_model() {
    let (_, outcomes) = explore(|| {
        let built = checker::thread::spawn(|| {
            let jobs = job_registry::JobRegistry::new();
            let job = jobs.register([0_u8; 16]).unwrap();
            job.cancel().unwrap();
            jobs.len()
        });
        built.join().unwrap()
    });
    assert_eq!(outcomes, [1]);
}

#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
mod of_the_registry {
    use super::explore;
    use downstream::{Decks, RETENTION, thread};
    use job_registry::{ManualClock, Status};

    #[test]
    fn a_cancel_races_the_worker() {
        let (executions, outcomes) = explore(|| {
            let decks = Decks::new(ManualClock::new());
            let (id, worker) = decks.submit(0);
            let client = {
                let decks = decks.clone();
                thread::spawn(move || {
                    let seen = decks.snapshot(id).unwrap().status();
                    (seen, decks.cancel(id).is_ok())
                })
            };
            let completed = worker.join().unwrap().is_ok();
            let (seen, cancelled) = client.join().unwrap();
            assert!(completed != cancelled, "one ending");
            (seen, decks.snapshot(id).unwrap().status())
        });
        println!("a_cancel_races_the_worker: {executions} executions");
        assert!(executions > 1, "{executions} executions");
        // The last two results need the client to run between two steps of the worker. A checker
        // cannot interrupt a call on ordinary types.
        for expected in [
            (Status::Pending, Status::Cancelled),
            (Status::Completed, Status::Completed),
            (Status::Running, Status::Cancelled),
            (Status::Running, Status::Completed),
        ] {
            assert!(outcomes.contains(&expected), "{outcomes:?}");
        }
    }

    /// An assertion in the hook fails the model, and is not contained by the sweep.
    #[test]
    fn a_failed_assertion_in_the_hook_fails_the_model() {
        let failed = std::panic::catch_unwind(|| {
            explore(|| {
                let clock = ManualClock::new();
                let jobs = job_registry::JobRegistry::builder()
                    .clock(clock)
                    .retention(std::time::Duration::ZERO)
                    .on_remove(|_| panic!("the file is still there"))
                    .build();
                jobs.register(()).unwrap().cancel().unwrap();
                jobs.sweep().removed
            })
        });
        let panic = failed.expect_err("the hook's panic was contained");
        let message = panic.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(message.contains("the file is still there"), "{message}");
    }

    #[test]
    fn a_snapshot_races_the_removal() {
        let (executions, outcomes) = explore(|| {
            let clock = ManualClock::new();
            let decks = Decks::new(clock.clone());
            let (id, worker) = decks.submit(0);
            worker.join().unwrap().unwrap();
            clock.advance(RETENTION);
            let sweeper = {
                let decks = decks.clone();
                thread::spawn(move || decks.tidy().removed)
            };
            let reader = thread::spawn(move || decks.snapshot(id).ok().map(|seen| seen.status()));
            assert_eq!(sweeper.join().unwrap(), 1);
            reader.join().unwrap()
        });
        println!("a_snapshot_races_the_removal: {executions} executions");
        assert!(executions > 1, "{executions} executions");
        for expected in [Some(Status::Completed), None] {
            assert!(outcomes.contains(&expected), "{outcomes:?}");
        }
    }
}
