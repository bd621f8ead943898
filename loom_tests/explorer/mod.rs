//! Every small program: all sequences of calls of a size, on all threads, from every state that matters.
//!
//! Each program is explored to its end. Every outcome of it must be one that some order of its calls on the
//! specification gives; under shuttle that order must also respect real time, so that the calls are
//! linearizable (Herlihy and Wing, TOPLAS 1990; the search is Wing and Gong's, JPDC 1993). And every outcome that the
//! calls have one after the other, in whatever order the bound on preemptions leaves, must have been seen.

mod alphabet;
mod history;
mod judge;
#[cfg(all(shuttle, not(loom)))]
mod large;
mod program;
#[cfg(all(shuttle, not(loom)))]
mod random;
mod real;
mod sets;
mod tests;

use super::harness::{self, Bounds, Effort, failure, ledger};
use alphabet::Start;
use judge::{Outcome, RealTime, can_all_take_effect, explains, in_sequence};
use program::{Program, programs};
use sets::Set;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// P1, P12.
#[test]
fn every_program_is_linearizable_from_a_pending_job() {
    explore_all(Start::Pending);
}

/// P1, P12.
#[test]
fn every_program_is_linearizable_from_a_running_job() {
    explore_all(Start::Running);
}

/// P1, P12.
#[test]
fn every_program_is_linearizable_from_a_due_removal() {
    explore_all(Start::Due);
}

/// P1, P12.
#[test]
fn every_program_is_linearizable_from_a_second_attempt() {
    explore_all(Start::Retried);
}

/// P1, P9, P12.
#[test]
fn no_program_loses_a_wake_from_a_watched_pending_job() {
    explore_all(Start::PendingWatched);
}

/// P1, P9, P12.
#[test]
fn no_program_loses_a_wake_from_a_watched_running_job() {
    explore_all(Start::RunningWatched);
}

/// P1, P9, P12.
#[test]
fn no_program_loses_a_wake_from_a_watched_due_removal() {
    explore_all(Start::DueWatched);
}

/// P1, P9, P12.
#[test]
fn no_program_loses_a_wake_from_a_watched_second_attempt() {
    explore_all(Start::RetriedWatched);
}

/// P1, P4, P9, P12.
#[test]
fn no_program_loses_a_wake_in_a_reused_slot() {
    explore_all(Start::Reused);
}

/// All sets of the size that was asked for, or one program.
fn explore_all(start: Start) {
    if let Ok(program) = std::env::var("JOB_REGISTRY_PROGRAM") {
        let program: Program = program.parse().expect("a program");
        if program.start == start {
            let began = Instant::now();
            let explored = explore(&program, Set::ONE);
            println!("{program}: {explored:?} {:?}", began.elapsed());
        }
        return;
    }
    let sets = sets::sets().into_iter();
    for set in sets.filter(|set| set.starts.contains(&start)) {
        explore_set(set, start);
    }
}

fn explore_set(set: &Set, start: Start) {
    let began = Instant::now();
    let mut all = programs(set.alphabet, start, set.lengths);
    if set.accepted_only {
        all.retain(can_all_take_effect);
    }
    let all: Vec<_> = all.into_iter().step_by(set.one_in).collect();
    let (mut executions, mut outcomes, mut within) = (0, 0, Vec::new());
    for program in &all {
        let explored = explore(program, set.effort);
        executions += explored.executions;
        outcomes += explored.outcomes;
        within.push(explored.within);
    }
    ledger::write(&ledger::Line {
        name: &format!("{}, {start:?}", set.name),
        kind: "programs",
        properties: &["P1", "P12"],
        scenarios: &[],
        programs: all.len(),
        within: &within,
        executions,
        outcomes,
        took: began.elapsed(),
    });
}

/// What an execution has shown, and when its calls began and returned.
type Seen = HashSet<(Outcome, Option<RealTime>)>;

/// What came of one program.
#[derive(Debug)]
struct Explored {
    executions: u64,
    outcomes: usize,
    within: Bounds,
}

fn explore(program: &Program, effort: Effort) -> Explored {
    let seen = Arc::new(Mutex::new(Seen::new()));
    let model = {
        let (program, seen) = (program.clone(), seen.clone());
        move || {
            let shown = real::execute(&program);
            let lock = || seen.lock().unwrap_or_else(PoisonError::into_inner);
            if lock().contains(&shown) {
                return;
            }
            let (outcome, real_time) = &shown;
            assert!(
                explains(&program, outcome, real_time.as_ref()),
                "no order of the calls explains {outcome:?}, {real_time:?}"
            );
            lock().insert(shown);
        }
    };
    let name = program.to_string();
    let again = format!("JOB_REGISTRY_PROGRAM=\"{name}\" ");
    let explored = failure::of(&name, &again, || harness::outcomes(effort, model));
    let Some(within) = explored.within else {
        panic!("{name}: the exploration did not come to its end");
    };

    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let outcomes: HashSet<_> = seen.into_iter().map(|(outcome, _)| outcome).collect();
    // Of three threads, loom does not try all that a bound leaves; what needs no preemption it does.
    let preemptions = |bound| if program.threads.len() > 2 { 0 } else { bound };
    for expected in in_sequence(program, within.ordered.map(preemptions)) {
        assert!(
            outcomes.contains(&expected),
            "{name}: {expected:?} was never seen. Seen: {outcomes:?}"
        );
    }
    if loom_has_all(program, within.ordered) {
        ledger::outcomes(&name, outcomes.iter().map(harness::hash));
    }
    Explored {
        executions: explored.executions,
        outcomes: outcomes.len(),
        within,
    }
}

/// Whether loom should have seen all that shuttle has, within the bound: every order of the calls has to be within it, and a
/// preemption more where one of them answers that another held the lock. Of three threads even that is not enough:
/// loom has all of `Due: Sweep | Watch | Watch` only without a bound.
fn loom_has_all(program: &Program, bound: Option<usize>) -> bool {
    let threads = &program.threads;
    let calls: usize = threads.iter().map(Vec::len).sum();
    let tries = threads.iter().flatten().any(|letter| letter.tries_a_lock());
    let is_one_less = threads.len() == 2 && !tries;
    bound.is_none_or(|bound| bound >= calls - usize::from(is_one_less))
}
