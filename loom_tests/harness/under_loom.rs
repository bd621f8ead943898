//! Exploring under loom.

pub(in crate::loom_tests) use loom::{future::block_on, thread::JoinHandle};

use crate::sync::record;
use std::cell::Cell;
use std::sync::Arc;

/// To the end, with at most `bound` preemptions in one execution, and with no limit that would end the check
/// silently. Once for the orders of accesses and once for stale values; see `src/sync/loom_atomic.rs`.
pub(in crate::loom_tests) fn explore(
    bound: Option<usize>,
    model: impl Fn() + Send + Sync + 'static,
) -> bool {
    let model = Arc::new(model);
    for weak in [false, true] {
        if std::env::var("FORM").is_ok_and(|f| (f == "weak") != weak) {
            continue;
        }
        crate::sync::loom_atomic::set_weak(weak);
        let mut builder = loom::model::Builder::new();
        builder.max_permutations = None;
        builder.max_duration = None;
        builder.preemption_bound = bound;
        builder.max_branches = 10_000;
        let model = model.clone();
        builder.check(move || {
            SPAWNED.set(0);
            record::reset();
            model();
        });
    }
    true // without a limit, loom returns at the end only
}

thread_local! {
    static SPAWNED: Cell<usize> = const { Cell::new(0) };
}

/// A thread of the model. All are spawned before the first join, and loom runs none before that.
pub(in crate::loom_tests) fn spawn<R: 'static>(f: impl FnOnce() -> R + 'static) -> JoinHandle<R> {
    SPAWNED.set(SPAWNED.get() + 1);
    crate::sync::loom_atomic::set_threads(SPAWNED.get());
    loom::thread::spawn(f)
}
