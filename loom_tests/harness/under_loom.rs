//! Exploration under loom.

pub(in crate::loom_tests) use loom::{future::block_on, thread::JoinHandle};

#[path = "turns_tests.rs"]
mod turns_tests;

use super::{Bounds, Effort};
use crate::sync::facade::record;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Explores the interleavings and then the stale values. Returns the bounds within which each
/// exploration finished.
#[allow(clippy::unnecessary_wraps)] // shuttle may not finish
pub(in crate::loom_tests) fn explore(
    effort: Effort,
    model: impl Fn() + Send + Sync + 'static,
) -> Option<Bounds> {
    let model: Arc<Model> = Arc::new(model);
    crate::sync::loom_atomic::set_weak(false);
    let ordered = tighten(effort.ordered, effort.most, &model);
    crate::sync::loom_atomic::set_weak(true);
    let weak = tighten(effort.weak, effort.most, &model);
    Some(Bounds { ordered, weak })
}

type Model = dyn Fn() + Send + Sync;

/// Explores with the tightest bound, and then with the others until one is feasible. Returns that
/// bound, or the tightest. Loom with a bound also switches where no two accesses conflict, and so
/// finds interleavings that it omits without one.
fn tighten(bounds: &[Option<usize>], most: usize, model: &Arc<Model>) -> Option<usize> {
    let (tightest, others) = bounds.split_last().expect("there is a bound");
    let is_finished = is_complete(*tightest, None, model);
    assert!(is_finished, "there is no limit on executions");
    let is_enough = |bound: &&Option<usize>| is_complete(**bound, Some(most), model);
    *others.iter().find(is_enough).unwrap_or(tightest)
}

/// Explores, and returns whether there are fewer than `most` executions. Loom stops silently at a
/// limit, so the executions are counted here.
fn is_complete(bound: Option<usize>, most: Option<usize>, model: &Arc<Model>) -> bool {
    let executions = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    // Loom compares the limit before the execution of that number, and only at a checkpoint.
    builder.max_permutations = most.map(|most| most + 1);
    builder.checkpoint_interval = 1;
    builder.max_duration = None;
    builder.preemption_bound = bound;
    builder.max_branches = 10_000;
    let (counted, model) = (executions.clone(), model.clone());
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        SPAWNED.set(0);
        record::reset();
        model();
    });
    most.is_none_or(|most| executions.load(Ordering::Relaxed) < most)
}

thread_local! {
    static SPAWNED: Cell<usize> = const { Cell::new(0) };
}

/// Spawns a thread of the model. A model spawns all threads before its first join, and loom runs
/// none before that.
pub(in crate::loom_tests) fn spawn<R: 'static>(f: impl FnOnce() -> R + 'static) -> JoinHandle<R> {
    SPAWNED.set(SPAWNED.get() + 1);
    crate::sync::loom_atomic::set_threads(SPAWNED.get());
    loom::thread::spawn(f)
}

/// An exploration that reaches its limit stops there and is not complete, for any limit.
#[test]
fn an_exploration_that_is_cut_off_is_not_complete() {
    let executed = Arc::new(AtomicUsize::new(0));
    let counted = executed.clone();
    let model: Arc<Model> = Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let word = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let threads = [(); 2].map(|()| {
            let word = word.clone();
            spawn(move || (0..2).map(|_| word.fetch_add(1, Ordering::AcqRel)).sum())
        });
        let [a, b]: [usize; 2] = threads.map(|thread| thread.join().expect("adds"));
        assert_eq!(a + b, 6);
    });
    let within = |most| {
        executed.store(0, Ordering::Relaxed);
        let is_complete = is_complete(None, most, &model);
        (is_complete, executed.load(Ordering::Relaxed))
    };
    let (_, all) = within(None);
    assert!(all > 3, "there is more than one interleaving");
    assert_eq!(within(Some(all + 1)), (true, all));
    for most in [1, all - 1, all] {
        assert_eq!(within(Some(most)), (false, most));
    }
}
