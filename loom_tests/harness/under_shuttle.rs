//! Exploration under shuttle.

pub(in crate::loom_tests) use shuttle::{future::block_on, thread::JoinHandle, thread::spawn};

use super::reduction::Reduction;
use super::{Bounds, Effort};
use crate::sync::facade::{announce, record, runtime};
use shuttle::MaxSteps;
use shuttle::scheduler::{DfsScheduler, Schedule, Scheduler, Task, TaskId};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Maximum number of executions, more than the largest model has. A model that reaches it has not
/// finished.
const LIMIT: u64 = 2_000_000;

/// Maximum number of steps of one execution, far more than any has. An execution that reaches it
/// loops forever.
const STEPS: usize = 20_000;

/// Explores every execution, up to the order of commuting steps.
pub(in crate::loom_tests) fn explore(
    _: Effort,
    model: impl Fn() + Send + Sync + 'static,
) -> Option<Bounds> {
    let (scheduler, completed) = Reduction::new(LIMIT);
    run(scheduler, model);
    completed.get().then(Bounds::default)
}

/// Runs the executions that a scheduler chooses.
pub(in crate::loom_tests) fn run(
    scheduler: impl Scheduler + 'static,
    model: impl Fn() + Send + Sync + 'static,
) {
    let mut config = shuttle::Config::new();
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.silence_warnings = true; // loom covers orderings other than SeqCst
    shuttle::Runner::new(scheduler, config).run(model);
}

/// Explores every interleaving of all steps. Returns whether there are fewer than `most`.
pub(in crate::loom_tests) fn depth_first(
    most: usize,
    model: impl Fn() + Send + Sync + 'static,
) -> bool {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = executions.clone();
    let scheduler = HideClock(DfsScheduler::new(Some(most), false));
    run(scheduler, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    executions.load(Ordering::Relaxed) < most
}

/// Another scheduler, which runs the clock of virtual time only if no other task can run.
pub(in crate::loom_tests) struct HideClock<S>(pub(in crate::loom_tests) S);

impl<S: Scheduler> Scheduler for HideClock<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        begin();
        self.0.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let is_clock = |task: &&&Task| announce::is_clock(usize::from(task.id()));
        let mut shown: Vec<_> = runnable
            .iter()
            .filter(|task| !is_clock(task))
            .copied()
            .collect();
        if shown.is_empty() {
            shown = runnable.to_vec();
        }
        self.0.next_task(&shown, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// Begins an execution of a scheduler that does not reset the records itself.
pub(in crate::loom_tests) fn begin() {
    record::reset();
    announce::reset();
    runtime::reset();
}
