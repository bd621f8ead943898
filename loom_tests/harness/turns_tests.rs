//! The words' ordered form shows what every order of accesses shows, and nothing else.
//!
//! The programs are all sequences of operations on two words, up to the names of the threads.

use super::super::programs::programs;
use super::{is_complete, spawn};
use crate::sync::AtomicWord;
use crate::sync::facade::record;
use loom::sync::atomic::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Look(usize),
    /// A look and an exchange, as nearly every step has them.
    Raise(usize),
}

use Operation::{Look, Raise};
const ALL: [Operation; 4] = [Look(0), Look(1), Raise(0), Raise(1)];

type Program = [Vec<Operation>];
/// What each thread found, then the words at the end.
type Outcome = Vec<Vec<u64>>;

/// SlotState never fall, so that each exchange sets a bit of its own.
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
                    Look(word) => words[word].load(Ordering::Acquire),
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
    /// Of the threads that are between a look and its exchange.
    looked: Vec<Option<u64>>,
}

/// Takes every order, an access at a time.
fn every_order(program: &Program, state: &State, all: &mut BTreeSet<Outcome>) {
    let mut over = true;
    for (thread, operations) in program.iter().enumerate() {
        let number = state.found[thread].len();
        let Some(operation) = operations.get(number) else {
            continue;
        };
        over = false;
        let mut next = state.clone();
        match (*operation, state.looked[thread]) {
            (Look(word), _) => next.found[thread].push(state.words[word]),
            (Raise(word), None) => next.looked[thread] = Some(state.words[word]),
            (Raise(word), Some(looked)) => {
                let found = state.words[word];
                if found == looked {
                    next.words[word] |= bit(thread, number);
                }
                next.looked[thread] = None;
                next.found[thread].push(if found == looked { found } else { !found });
            }
        }
        every_order(program, &next, all);
    }
    if over {
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
            looked: vec![None; threads],
        };
        let mut all = BTreeSet::new();
        every_order(program, &state, &mut all);
        assert_eq!(explored(program), all, "{program:?}");
    }
}

#[test]
fn two_threads_of_two_operations_show_every_order() {
    let pairs = ALL.iter().flat_map(|a| ALL.iter().map(|b| vec![*a, *b]));
    compare_all(2, &pairs.collect::<Vec<_>>());
}

#[test]
fn three_threads_of_one_operation_show_every_order() {
    compare_all(3, &ALL.map(|operation| vec![operation]));
}

#[test]
fn three_threads_that_look_and_raise_show_every_order() {
    let sequences = [vec![Look(0), Raise(1)], vec![Look(1), Raise(0)]];
    compare_all(3, &sequences);
}
