//! Every small program: all sequences of calls of a size, on all threads, from every relevant
//! state.
//!
//! Each outcome of a program must be one that some order of its calls on the specification gives.
//! Under shuttle that order must also respect real time, so that the calls are linearizable
//! (Herlihy and Wing, TOPLAS 1990). The search is Wing and Gong's (JPDC 1993). Conversely, every
//! outcome of the calls one after the other must occur, in all orders that the bound on preemptions
//! permits.

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

/// P1, P12, P13.
#[test]
fn every_program_is_linearizable_from_an_overdue_stop() {
    explore_all(Start::Stopping);
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

/// Explores all sets of the chosen size, or one program.
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

/// Outcomes of executions, each with the real-time order of the calls.
type Seen = HashSet<(Outcome, Option<RealTime>)>;

/// Result of the exploration of one program.
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
        panic!("{name}: the exploration did not finish");
    };

    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let outcomes: HashSet<_> = seen.into_iter().map(|(outcome, _)| outcome).collect();
    // With three threads, loom omits some interleavings within a bound, but none without a
    // preemption.
    let preemptions = |bound| if program.threads.len() > 2 { 0 } else { bound };
    for expected in in_sequence(program, within.ordered.map(preemptions)) {
        assert!(
            outcomes.contains(&expected),
            "{name}: {expected:?} never occurred. Seen: {outcomes:?}"
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

/// Whether loom must have seen every outcome that shuttle has. Its bound must permit every order of
/// the calls. One more preemption is necessary if a call can find the lock held. Programs of three
/// threads need it as well. Loom explores all of `Due: Sweep | Watch | Watch` only without a bound.
fn loom_has_all(program: &Program, bound: Option<usize>) -> bool {
    let threads = &program.threads;
    let calls: usize = threads.iter().map(Vec::len).sum();
    let tries = threads.iter().flatten().any(|letter| letter.tries_a_lock());
    let is_one_less = threads.len() == 2 && !tries;
    bound.is_none_or(|bound| bound >= calls - usize::from(is_one_less))
}
