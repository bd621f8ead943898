//! The words' ordered form has the outcomes of every interleaving, and no others.
//!
//! The programs are all sequences of operations on two words, up to the order of the threads.

use super::super::programs::programs;
use super::{is_complete, spawn};
use crate::sync::AtomicWord;
use crate::sync::facade::record;
use loom::sync::atomic::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Load(usize),
    /// A load and a compare-exchange, the form of nearly every step.
    Raise(usize),
}

use Operation::{Load, Raise};
const ALL: [Operation; 4] = [Load(0), Load(1), Raise(0), Raise(1)];

type Program = [Vec<Operation>];
/// Values that each thread found, and then the final words.
type Outcome = Vec<Vec<u64>>;

/// Returns the bit of an operation. Words never decrease, so each compare-exchange sets a bit of
/// its own.
fn bit(thread: usize, operation: usize) -> u64 {
    1 << (8 * thread + operation)
}

fn explored(program: &Program) -> BTreeSet<Outcome> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let (collect, program) = (seen.clone(), program.to_vec());
    crate::sync::loom_atomic::set_weak(false);
    let model = Arc::new(move || {
        record::without_slots();
        let words = Arc::new([AtomicWord::new(0), AtomicWord::new(0)]);
        let thread = |(thread, operations): (usize, &Vec<Operation>)| {
            let (words, operations) = (words.clone(), operations.clone());
            spawn(move || {
                let perform = |(number, operation): (usize, &Operation)| match *operation {
                    Load(word) => words[word].load(Ordering::Acquire),
                    Raise(word) => {
                        let found = words[word].load(Ordering::Acquire);
                        let raised = found | bit(thread, number);
                        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
                        words[word]
                            .compare_exchange(found, raised, success, failure)
                            .unwrap_or_else(|found| !found)
                    }
                };
                operations.iter().enumerate().map(perform).collect()
            })
        };
        let threads: Vec<_> = program.iter().enumerate().map(thread).collect();
        let mut outcome: Outcome = threads.into_iter().map(|t| t.join().unwrap()).collect();
        outcome.push(words.iter().map(|w| w.load(Ordering::Acquire)).collect());
        collect.lock().unwrap().insert(outcome);
    });
    let model: Arc<super::Model> = model;
    assert!(is_complete(None, None, &model));
    drop(model);
    std::mem::take(&mut seen.lock().unwrap())
}

#[derive(Clone)]
struct State {
    words: [u64; 2],
    found: Vec<Vec<u64>>,
    /// Loaded value of each thread that is between its load and its compare-exchange.
    loaded: Vec<Option<u64>>,
}

/// Collects the outcomes of every interleaving, one access at a time.
fn every_interleaving(program: &Program, state: &State, all: &mut BTreeSet<Outcome>) {
    let mut is_over = true;
    for (thread, operations) in program.iter().enumerate() {
        let number = state.found[thread].len();
        let Some(operation) = operations.get(number) else {
            continue;
        };
        is_over = false;
        let mut next = state.clone();
        match (*operation, state.loaded[thread]) {
            (Load(word), _) => next.found[thread].push(state.words[word]),
            (Raise(word), None) => next.loaded[thread] = Some(state.words[word]),
            (Raise(word), Some(loaded)) => {
                let found = state.words[word];
                if found == loaded {
                    next.words[word] |= bit(thread, number);
                }
                next.loaded[thread] = None;
                next.found[thread].push(if found == loaded { found } else { !found });
            }
        }
        every_interleaving(program, &next, all);
    }
    if is_over {
        let mut outcome = state.found.clone();
        outcome.push(state.words.to_vec());
        all.insert(outcome);
    }
}

fn compare_all(threads: usize, sequences: &[Vec<Operation>]) {
    for program in &programs(threads, sequences) {
        let state = State {
            words: [0; 2],
            found: vec![Vec::new(); threads],
            loaded: vec![None; threads],
        };
        let mut all = BTreeSet::new();
        every_interleaving(program, &state, &mut all);
        assert_eq!(explored(program), all, "{program:?}");
    }
}

#[test]
fn two_threads_of_two_operations_show_every_interleaving() {
    let pairs = ALL.iter().flat_map(|a| ALL.iter().map(|b| vec![*a, *b]));
    compare_all(2, &pairs.collect::<Vec<_>>());
}

#[test]
fn three_threads_of_one_operation_show_every_interleaving() {
    compare_all(3, &ALL.map(|operation| vec![operation]));
}

#[test]
fn three_threads_that_load_and_raise_show_every_interleaving() {
    let sequences = [vec![Load(0), Raise(1)], vec![Load(1), Raise(0)]];
    compare_all(3, &sequences);
}
