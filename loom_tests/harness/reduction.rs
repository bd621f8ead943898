//! A scheduler for shuttle that explores every execution to the end, up to the order of steps that
//! commute.
//!
//! Shuttle's own depth-first search takes every order of all steps, which no model of more than a few
//! steps survives. Two steps that touch different objects, or only read the same one, lead to the same
//! state in either order. Two well-known reductions leave out all but one order of those and nothing else:
//!
//! * *Dynamic partial-order reduction*, with source sets (Abdulla, Aronis, Jonsson and Sagonas, POPL 2014): another
//!   thread is tried in a state only if some later step races with the step that was taken there, and none of those
//!   that could lead to the other order has been tried.
//! * *Sleep sets* (Godefroid, LNCS 1032, 1996): after a step of a thread has been explored from a state, the thread
//!   sleeps there until somebody does something that conflicts with that step. An execution in which
//!   everybody sleeps repeats one that has been explored, and is cut short.
//!
//! What a step touches is known because `src/sync/shuttle_ops.rs` announces it. A thread that waits for a lock which
//! is held is not scheduled before the lock is free: trying in vain changes nothing. A step that touches nothing (a
//! thread that starts, or joins) is taken at once.
//!
//! The main thread of a model has no part in this. It spawns, joins, and looks when all is over.

use crate::sync::facade::announce::{self, Access, Kind};
use crate::sync::facade::record;
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use std::cell::Cell;
use std::rc::Rc;

/// A state of the current execution, and the step that was taken there.
struct Choice {
    /// Threads that need not be tried, and what the step of each touched.
    asleep: Vec<(TaskId, Vec<Access>)>,
    enabled: Vec<TaskId>,
    /// To be tried, or tried already.
    chosen: Vec<TaskId>,
    taken: TaskId,
    touched: Vec<Access>,
    /// By thread: how many steps of the execution happened before the end of this one, as far as anybody can tell.
    after: Vec<usize>,
}

pub(in crate::loom_tests) struct Reduction {
    path: Vec<Choice>,
    step: usize,
    /// Whether the step that was taken last is still to be noted.
    open: bool,
    began: bool,
    limit: u64,
    completed: Rc<Cell<bool>>,
}

impl Reduction {
    /// Ends after `limit` executions; the flag says whether that was the end.
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

    /// The step that was taken last is over: notes what it touched, and where that calls for another order.
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

    /// The last step of the path is new: which earlier steps it races with, and what is to be tried instead of them.
    fn find_races(&mut self) {
        let (before, last) = self.path.split_at_mut(self.step - 1);
        let step = &mut last[0];
        let own = before.iter().rev().find(|other| other.taken == step.taken);
        let past = own.map_or(Vec::new(), |other| other.after.clone());
        let conflicts = |other: &Choice| {
            let is_thread = other.taken != step.taken && usize::from(other.taken) != 0;
            is_thread && conflict(&other.touched, &step.touched)
        };
        step.after.clone_from(&past);
        let mut races = Vec::new();
        for (at, other) in before
            .iter()
            .enumerate()
            .filter(|(_, other)| conflicts(other))
        {
            if !knows(&past, at, other.taken) && !releases_for(&other.touched, &step.touched) {
                // A race with an earlier step that led to this one is settled there.
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

    /// Who sleeps in the state that the path leads to.
    fn asleep(&self) -> Vec<(TaskId, Vec<Access>)> {
        let Some(last) = self.path.last() else {
            return Vec::new();
        };
        let sleeps_on = |(task, touched): &&(TaskId, Vec<Access>)| {
            *task != last.taken && !conflict(touched, &last.touched)
        };
        last.asleep.iter().filter(sleeps_on).cloned().collect()
    }

    /// A state that has not been seen before. `None` if everything that can happen has been explored.
    fn first_choice(&self, runnable: &[&Task]) -> Option<Choice> {
        let asleep = self.asleep();
        let sleeps = |task: &TaskId| asleep.iter().any(|(sleeper, _)| sleeper == task);
        let tasks = || runnable.iter().map(|task| task.id());
        let enabled: Vec<_> = tasks().filter(|task| !waits(*task)).collect();
        let mut awake = enabled.iter().filter(|task| !sleeps(task));
        let local = enabled.iter().find(|task| next(**task).is_none());
        // Where nobody can go on, shuttle shall see the deadlock.
        let stuck = runnable.first().filter(|_| enabled.is_empty());
        let taken = local
            .or_else(|| awake.next())
            .copied()
            .or(stuck.map(|task| task.id()))?;
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

/// Whether a step happened before what has this `after`.
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

/// Who can begin in the state before the step at `at`, so that everything happens that did not need that step, and
/// then `step`: each thread whose first step of those needs none of the others.
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

/// Whether the first step releases a lock that the second one takes. The second cannot come before it, whatever else the two
/// touch: the race is between the second step and the one that took the lock.
fn releases_for(first: &[Access], second: &[Access]) -> bool {
    let ordered = |a: &Access, b: &Access| {
        a.object == b.object && a.kind == Kind::Unlock && b.kind == Kind::Lock
    };
    first.iter().any(|a| second.iter().any(|b| ordered(a, b)))
}

/// What a thread will do first when it runs.
fn next(task: TaskId) -> Option<Access> {
    announce::next(usize::from(task))
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
        record::reset();
        announce::reset();
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
        unreachable!("models draw no random numbers")
    }
}
