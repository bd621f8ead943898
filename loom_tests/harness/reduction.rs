//! A scheduler for shuttle that explores every execution, up to the order of commuting steps.
//!
//! Shuttle's own depth-first search takes every interleaving of all steps, which is feasible for a
//! few steps only. Two steps that touch different objects, or that only read the same one, lead to
//! the same state in either order. Two well-known reductions omit all but one order of such steps,
//! and nothing else:
//!
//! * *Dynamic partial-order reduction*, with source sets (Abdulla, Aronis, Jonsson and Sagonas,
//!   POPL 2014). Another thread is tried in a state on two conditions. A later step races with the
//!   step taken there, and no thread that could lead to the other order has been tried.
//! * *Sleep sets* (Godefroid, LNCS 1032, 1996). Once a thread's step has been explored from a
//!   state, the thread sleeps there until another thread makes a conflicting step. An execution in
//!   which all threads sleep repeats an explored one, and is cut short.
//!
//! `facade/shuttle_ops.rs` announces what a step touches. A thread that waits for a held lock is
//! not scheduled before the lock is free, because a failed attempt changes nothing. A step that
//! touches nothing, as the start of a thread or a join, is taken at once.
//!
//! The main thread of a model takes no part in this. It spawns, joins, and reads the results after
//! all other threads have ended.
//!
//! The clock of virtual time runs only if no other thread can. Each step before it therefore
//! happens before it, and it happens before each later step.

use super::begin;
use crate::sync::facade::announce::{self, Access, Kind};
use crate::sync::facade::runtime::has_timer;
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use std::cell::Cell;
use std::rc::Rc;

/// A state of the current execution, and the step that was taken there.
struct Choice {
    /// Threads that need not be tried, each with the accesses of its step.
    asleep: Vec<(TaskId, Vec<Access>)>,
    enabled: Vec<TaskId>,
    /// Threads that are to be tried or have been tried.
    chosen: Vec<TaskId>,
    taken: TaskId,
    touched: Vec<Access>,
    /// For each thread, the position after its last step that happens before the end of this one.
    after: Vec<usize>,
}

pub(in crate::loom_tests) struct Reduction {
    path: Vec<Choice>,
    step: usize,
    /// Whether the last step still has to be recorded.
    open: bool,
    began: bool,
    limit: u64,
    completed: Rc<Cell<bool>>,
}

impl Reduction {
    /// Creates a scheduler that ends after `limit` executions. The flag says whether the
    /// exploration finished before.
    pub(in crate::loom_tests) fn new(limit: u64) -> (Self, Rc<Cell<bool>>) {
        let completed = Rc::new(Cell::new(false));
        let scheduler = Self {
            path: Vec::new(),
            step: 0,
            open: false,
            began: false,
            limit,
            completed: completed.clone(),
        };
        (scheduler, completed)
    }

    /// Records the accesses of the step that has just ended, and the races that call for another
    /// order.
    fn finish_step(&mut self) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let touched = announce::take_step();
        let is_new = self.step == self.path.len();
        let last = &mut self.path[self.step - 1];
        last.touched = touched;
        if is_new && usize::from(last.taken) != 0 {
            self.find_races();
        }
    }

    /// Finds the earlier steps that race with the path's last step, which is new, and schedules the
    /// alternatives to them.
    fn find_races(&mut self) {
        let (before, last) = self.path.split_at_mut(self.step - 1);
        let step = &mut last[0];
        if is_clock(step.taken) {
            for (at, other) in before.iter().enumerate() {
                let thread = usize::from(other.taken);
                join(&mut step.after, &vec![0; thread + 1]);
                step.after[thread] = at + 1;
            }
            return;
        }
        let own = before.iter().rev().find(|other| other.taken == step.taken);
        let mut past = own.map_or(Vec::new(), |other| other.after.clone());
        let tick = before.iter().rposition(|other| is_clock(other.taken));
        if let Some(tick) = tick {
            join(&mut past, &before[tick].after);
        }
        let conflicts = |other: &Choice| {
            let is_thread = other.taken != step.taken && usize::from(other.taken) != 0;
            is_thread && conflict(&other.touched, &step.touched)
        };
        step.after.clone_from(&past);
        let mut races = Vec::new();
        for (at, other) in before
            .iter()
            .enumerate()
            .skip(tick.map_or(0, |tick| tick + 1))
            .filter(|(_, other)| conflicts(other))
        {
            if !knows(&past, at, other.taken) && !releases_for(&other.touched, &step.touched) {
                // A race with an earlier step that happened before this one is handled there.
                races.retain(|earlier| !knows(&other.after, *earlier, before[*earlier].taken));
                races.push(at);
            }
            join(&mut step.after, &other.after);
        }
        let thread = usize::from(step.taken);
        join(&mut step.after, &vec![0; thread + 1]);
        step.after[thread] = before.len() + 1;
        for at in races {
            let initials = initials(before, step, at);
            let state = &mut before[at];
            if initials.iter().any(|task| state.chosen.contains(task)) {
                continue;
            }
            match initials.iter().find(|task| state.enabled.contains(task)) {
                Some(task) => state.chosen.push(*task),
                None => state.chosen.clone_from(&state.enabled),
            }
        }
    }

    /// Returns the threads that sleep in the state that the path leads to.
    fn asleep(&self) -> Vec<(TaskId, Vec<Access>)> {
        let Some(last) = self.path.last() else {
            return Vec::new();
        };
        if is_clock(last.taken) {
            return Vec::new();
        }
        let sleeps_on = |(task, touched): &&(TaskId, Vec<Access>)| {
            *task != last.taken && !conflict(touched, &last.touched)
        };
        last.asleep.iter().filter(sleeps_on).cloned().collect()
    }

    /// Chooses a step in a new state. `None` if every possible step has been explored.
    fn first_choice(&self, runnable: &[&Task]) -> Option<Choice> {
        let asleep = self.asleep();
        let sleeps = |task: &TaskId| asleep.iter().any(|(sleeper, _)| sleeper == task);
        let tasks = || runnable.iter().map(|task| task.id());
        let enabled: Vec<_> = tasks()
            .filter(|task| !waits(*task) && !is_clock(*task))
            .collect();
        let mut awake = enabled.iter().filter(|task| !sleeps(task));
        let local = enabled.iter().find(|task| next(**task).is_none());
        // If no thread can run, the time moves. Without a timer, shuttle has to report the deadlock.
        let idle = || tasks().filter(|_| enabled.is_empty());
        let stuck = || idle().find(|task| is_clock(*task) == has_timer());
        let taken = local
            .or_else(|| awake.next())
            .copied()
            .or_else(stuck)
            .or_else(|| idle().next())?;
        Some(Choice {
            asleep,
            enabled,
            chosen: vec![taken],
            taken,
            touched: Vec::new(),
            after: Vec::new(),
        })
    }
}

/// Whether the step `at` of `task` happened before the step with this `after`.
fn knows(after: &[usize], at: usize, task: TaskId) -> bool {
    after
        .get(usize::from(task))
        .is_some_and(|steps| *steps > at)
}

fn join(after: &mut Vec<usize>, others: &[usize]) {
    if after.len() < others.len() {
        after.resize(others.len(), 0);
    }
    for (own, others) in after.iter_mut().zip(others) {
        *own = (*own).max(*others);
    }
}

/// Returns the threads that can begin in the state before the step at `at`. The sequence to reorder
/// is all steps that did not depend on that step, and then `step`. A thread is an initial if its
/// first step in the sequence depends on none before it.
fn initials(before: &[Choice], step: &Choice, at: usize) -> Vec<TaskId> {
    let raced = before[at].taken;
    let is_free = |(_, other): &(usize, &Choice)| {
        usize::from(other.taken) != 0 && !knows(&other.after, at, raced)
    };
    let later = (at + 1..).zip(&before[at + 1..]).filter(is_free);
    let free: Vec<(usize, &Choice)> = later.chain([(before.len(), step)]).collect();
    let mut seen = Vec::new();
    let mut initials = Vec::new();
    for (place, (_, one)) in free.iter().enumerate() {
        if seen.contains(&one.taken) {
            continue;
        }
        seen.push(one.taken);
        let needs = |(at, other): &(usize, &Choice)| knows(&one.after, *at, other.taken);
        if !free[..place].iter().any(needs) {
            initials.push(one.taken);
        }
    }
    initials
}

fn conflict(one: &[Access], other: &[Access]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.conflicts(*b)))
}

/// Whether the first step releases a lock that the second one takes. The second cannot precede it,
/// whatever else they touch. The race is between the second step and the earlier acquisition.
fn releases_for(first: &[Access], second: &[Access]) -> bool {
    let ordered = |a: &Access, b: &Access| {
        a.object == b.object && a.kind == Kind::Unlock && b.kind == Kind::Lock
    };
    first.iter().any(|a| second.iter().any(|b| ordered(a, b)))
}

/// Returns the access that a thread makes first when it runs.
fn next(task: TaskId) -> Option<Access> {
    announce::next(usize::from(task))
}

fn is_clock(task: TaskId) -> bool {
    announce::is_clock(usize::from(task))
}

fn waits(task: TaskId) -> bool {
    next(task).is_some_and(|access| access.kind == Kind::Lock && announce::is_held(access.object))
}

impl Scheduler for Reduction {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.finish_step();
        while let Some(last) = self.path.last_mut() {
            let touched = std::mem::take(&mut last.touched);
            last.asleep.push((last.taken, touched));
            let sleeps = |task: &TaskId| last.asleep.iter().any(|(sleeper, _)| sleeper == task);
            if let Some(other) = last.chosen.iter().find(|task| !sleeps(task)) {
                last.taken = *other;
                break;
            }
            self.path.pop();
        }
        if self.began && self.path.is_empty() {
            self.completed.set(true);
            return None;
        }
        self.limit = self.limit.checked_sub(1)?;
        self.began = true;
        self.step = 0;
        begin();
        Some(Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        _current: Option<TaskId>,
        _is_yielding: bool,
    ) -> Option<TaskId> {
        self.finish_step();
        if self.step == self.path.len() {
            self.path.push(self.first_choice(runnable)?);
        }
        self.step += 1;
        self.open = true;
        Some(self.path[self.step - 1].taken)
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("models use no random numbers")
    }
}
