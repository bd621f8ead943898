//! The reduced search has the same outcomes as shuttle's own search, which takes every
//! interleaving.
//!
//! The programs are all sequences of operations on two atomics and a lock, up to the order of the
//! threads.

use super::programs::programs;
use super::{Effort, depth_first, outcomes, spawn};
use crate::sync::facade::announce::{self, Moment};
use crate::sync::{AtomicU64, Mutex, Ordering};
use std::collections::HashSet;
use std::sync::{Arc, Mutex as StdMutex};

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Operation {
    Load,
    Store,
    Add,
    Exchange,
    /// Loads the other atomic.
    LoadOther,
    /// Adds to the other atomic under the lock.
    Section,
    TrySection,
}

use Operation::{Add, Exchange, Load, LoadOther, Section, Store, TrySection};
const ALL: [Operation; 7] = [Load, Store, Add, Exchange, LoadOther, Section, TrySection];

struct Shared {
    one: AtomicU64,
    other: AtomicU64,
    lock: Mutex<u64>,
}

impl Operation {
    /// Returns the value that the thread observes. `by` distinguishes the operations of a program.
    fn perform(self, shared: &Shared, by: u64) -> u64 {
        let step = |seen: &mut u64| {
            *seen = *seen * 10 + by;
            *seen + shared.other.fetch_add(100 * by, Ordering::SeqCst)
        };
        match self {
            Load => shared.one.load(Ordering::SeqCst),
            Store => {
                shared.one.store(by, Ordering::SeqCst);
                0
            }
            Add => shared.one.fetch_add(10 * by, Ordering::SeqCst),
            Exchange => {
                let found = shared
                    .one
                    .compare_exchange(0, by, Ordering::SeqCst, Ordering::SeqCst);
                found.unwrap_or_else(|found| found)
            }
            LoadOther => shared.other.load(Ordering::SeqCst),
            Section => step(&mut shared.lock.lock()),
            TrySection => shared.lock.try_lock().map_or(7, |mut seen| step(&mut seen)),
        }
    }
}

/// Returns the observed values, the final values, and the number of operations that ended before
/// each one began.
fn execute(program: &[Vec<Operation>]) -> Vec<u64> {
    let shared = Arc::new(Shared {
        one: AtomicU64::new(0),
        other: AtomicU64::new(0),
        lock: Mutex::new(0),
    });
    let spawn = |(thread, operations): (u64, &Vec<Operation>)| {
        let (shared, operations) = (shared.clone(), operations.clone());
        spawn(move || {
            let numbered = operations.iter().zip(3 * thread + 1..);
            let perform = |(operation, by): (&Operation, u64)| {
                announce::call_begins();
                let seen = operation.perform(&shared, by);
                announce::call_ends();
                seen
            };
            numbered.map(perform).collect::<Vec<_>>()
        })
    };
    let threads: Vec<_> = (0..).zip(program).map(spawn).collect();
    let seen = threads.into_iter().map(|thread| thread.join().unwrap());
    let mut seen: Vec<_> = seen.flatten().collect();
    seen.push(shared.one.load(Ordering::SeqCst));
    seen.push(shared.other.load(Ordering::SeqCst));
    seen.push(*shared.lock.lock());
    seen.extend(real_time());
    seen
}

/// Returns, for each operation by thread, how many others had ended when it began.
fn real_time() -> Vec<u64> {
    let mut ended = 0;
    let mut before = Vec::new();
    for moment in announce::moments() {
        match moment {
            Moment::Begins(thread) => before.push((thread, ended)),
            Moment::Ends(_) => ended += 1,
        }
    }
    // A stable sort keeps the order within each thread.
    before.sort_by_key(|(thread, _)| *thread);
    before.into_iter().map(|(_, ended)| ended).collect()
}

/// Returns the number of executions of the reduced search and of the whole one.
fn compare(program: &[Vec<Operation>]) -> (u64, u64) {
    let model = |program: &[Vec<Operation>]| {
        let program = program.to_vec();
        move || execute(&program)
    };
    let reduced = outcomes(Effort::USUAL, model(program));
    assert!(
        reduced.within.is_some(),
        "{program:?}: the exploration did not finish"
    );
    let whole = Arc::new(StdMutex::new((HashSet::new(), 0)));
    let (seen, model) = (whole.clone(), model(program));
    let is_whole = depth_first(1_000_000, move || {
        let outcome = model();
        let mut seen = seen.lock().unwrap();
        seen.0.insert(outcome);
        seen.1 += 1;
    });
    assert!(is_whole, "{program:?} is too large");
    let (whole, executions) = std::mem::take(&mut *whole.lock().unwrap());
    let seen: HashSet<_> = reduced.outcomes.into_iter().collect();
    assert_eq!(seen, whole, "{program:?}");
    (reduced.executions, executions)
}

fn compare_all(threads: usize, sequences: &[Vec<Operation>]) {
    let programs = programs(threads, sequences);
    let (mut reduced, mut whole) = (0, 0);
    for program in &programs {
        let (a, b) = compare(program);
        reduced += a;
        whole += b;
    }
    println!(
        "{} programs: {reduced} executions for {whole}",
        programs.len()
    );
    assert!(reduced < whole);
}

#[test]
fn two_threads_of_two_operations_show_the_same() {
    let pairs = ALL.iter().flat_map(|a| ALL.iter().map(|b| vec![*a, *b]));
    compare_all(2, &pairs.collect::<Vec<_>>());
}

#[test]
fn three_threads_of_one_operation_show_the_same() {
    compare_all(3, &ALL.map(|operation| vec![operation]));
}
