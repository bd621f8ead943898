//! Exploring under shuttle.

pub(in crate::loom_tests) use shuttle::{future::block_on, thread::JoinHandle, thread::spawn};

use super::reduction::Reduction;
use super::{Bounds, Effort};
use crate::sync::facade::{announce, record};
use shuttle::MaxSteps;
use shuttle::scheduler::{DfsScheduler, Scheduler};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than the largest model has; one that reaches it has not come to its end.
const LIMIT: u64 = 2_000_000;

/// Of one execution. Far more than there are in any: one that comes to it goes round in circles.
const STEPS: usize = 20_000;

/// Every execution, up to the order of steps that commute.
pub(in crate::loom_tests) fn explore(
    _: Effort,
    model: impl Fn() + Send + Sync + 'static,
) -> Option<Bounds> {
    let (scheduler, completed) = Reduction::new(LIMIT);
    run(scheduler, model);
    completed.get().then(Bounds::default)
}

/// As a scheduler has it.
pub(in crate::loom_tests) fn run(
    scheduler: impl Scheduler + 'static,
    model: impl Fn() + Send + Sync + 'static,
) {
    let mut config = shuttle::Config::new();
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.silence_warnings = true; // that every order is taken for SeqCst is what loom is there for
    shuttle::Runner::new(scheduler, config).run(model);
}

/// Every order of all steps, if there are fewer than `most`.
pub(in crate::loom_tests) fn depth_first(
    most: usize,
    model: impl Fn() + Send + Sync + 'static,
) -> bool {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = executions.clone();
    run(DfsScheduler::new(Some(most), false), move || {
        counted.fetch_add(1, Ordering::Relaxed);
        begin();
        model();
    });
    executions.load(Ordering::Relaxed) < most
}

/// An execution begins, of a scheduler that does not know of it.
pub(in crate::loom_tests) fn begin() {
    record::reset();
    announce::reset();
}
