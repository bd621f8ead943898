//! Random programs under shuttle's random schedulers, too large for any exhaustive exploration.
//! Every sampled execution is linearizable.

use super::super::harness::{self, Bounds, failure, ledger};
use super::judge::explains;
use super::sets::Size;
use super::{random, real};
use shuttle::scheduler::{PctScheduler, RandomScheduler, UrwRandomScheduler};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The scheduler that chooses the steps.
#[derive(Clone, Copy, Debug)]
enum Schedule {
    /// Probabilistic concurrency testing with a depth (Burckhardt, Kothari, Musuvathi and
    /// Nagarakatti, ASPLOS 2010).
    Pct(usize),
    /// Uniform random walk.
    Urw,
    Random,
}

/// P1, P12.
#[test]
fn random_programs_are_linearizable_by_pct() {
    for depth in 2..=5 {
        explore(Schedule::Pct(depth));
    }
}

/// P1, P12.
#[test]
fn random_programs_are_linearizable_in_random_walks() {
    explore(Schedule::Urw);
    explore(Schedule::Random);
}

fn explore(schedule: Schedule) {
    let (programs, executions) = match Size::asked_for() {
        None | Some(Size::Named) => return,
        Some(Size::Small) => (20, 20),
        Some(Size::Quick) => (100, 50),
        Some(Size::Full) => (1_000, 20),
    };
    let began = Instant::now();
    // Each schedule has its own programs.
    let first = match schedule {
        Schedule::Pct(depth) => depth * 1_000_000,
        Schedule::Urw => 6_000_000,
        Schedule::Random => 7_000_000,
    };
    let mut outcomes = 0;
    for seed in first..first + programs {
        outcomes += explore_one(schedule, seed, executions);
    }
    ledger::write(&ledger::Line {
        name: &format!("{programs} random programs, {schedule:?}"),
        kind: "random",
        properties: &["P1", "P12"],
        scenarios: &[],
        programs,
        within: &vec![Bounds::default(); programs],
        executions: u64::try_from(programs * executions).expect("not that many"),
        outcomes,
        took: began.elapsed(),
    });
}

/// Explores one program, and returns the number of its outcomes.
fn explore_one(schedule: Schedule, seed: usize, executions: usize) -> usize {
    let seed = u64::try_from(seed).expect("a small number");
    let program = random::program(seed);
    let name = format!("{program}, {schedule:?}, seed {seed}");
    let outcomes = Arc::new(Mutex::new(HashSet::new()));
    let count = Arc::new(AtomicUsize::new(0));
    let model = {
        let (outcomes, count) = (outcomes.clone(), count.clone());
        move || {
            harness::begin();
            failure::watched(|| {
                let (outcome, real_time) = real::execute(&program);
                assert!(
                    explains(&program, &outcome, real_time.as_ref()),
                    "no order of the calls explains {outcome:?}, {real_time:?}"
                );
                outcomes.lock().unwrap().insert(outcome);
            });
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    failure::of(&name, "", || match schedule {
        Schedule::Pct(depth) => {
            harness::run(PctScheduler::new_from_seed(seed, depth, executions), model);
        }
        Schedule::Urw => harness::run(UrwRandomScheduler::new_from_seed(seed, executions), model),
        Schedule::Random => harness::run(RandomScheduler::new_from_seed(seed, executions), model),
    });
    assert_eq!(count.load(Ordering::Relaxed), executions, "{name}");
    outcomes.lock().unwrap().len()
}
