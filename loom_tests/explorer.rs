//! Every small program: all sequences of calls of a size, on all threads, from every state that matters.
//!
//! Each program is explored to its end. Every outcome of it must be one that some order of its calls on the
//! specification gives; under shuttle that order must also respect real time, so that the calls are
//! linearizable (Herlihy and Wing, TOPLAS 1990; the search is Wing and Gong's, JPDC 1993). And every outcome that the
//! calls have one after the other, in whatever order, must have been seen.

#[path = "explorer/alphabet.rs"]
mod alphabet;
#[path = "explorer/history.rs"]
mod history;
#[path = "explorer/judge.rs"]
mod judge;
#[path = "explorer/program.rs"]
mod program;
#[path = "explorer/real.rs"]
mod real;

use super::harness;
use alphabet::Start;
use judge::{Outcome, RealTime, explains, in_sequence};
use program::{Program, programs};
use std::sync::Arc;

/// What came of one program.
struct Verdict {
    executions: u64,
    outcomes: Vec<Outcome>,
}

fn explore(program: &Program, bound: Option<usize>) -> Verdict {
    let model = {
        let program = Arc::new(program.clone());
        move || {
            let outcome = real::execute(&program);
            (outcome, history::real_time(&program))
        }
    };
    let explored = harness::outcomes(bound, model);
    assert!(explored.completed, "{program}: not to its end");
    let seen: Vec<(Outcome, Option<RealTime>)> = explored.outcomes;
    for (outcome, real_time) in &seen {
        assert!(
            explains(program, outcome, real_time.as_ref()),
            "{program}: no order of the calls explains {outcome:?}, {real_time:?}"
        );
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (outcome, _) in seen {
        if !outcomes.contains(&outcome) {
            outcomes.push(outcome);
        }
    }
    for expected in in_sequence(program) {
        assert!(
            outcomes.contains(&expected),
            "{program}: {expected:?} was never seen. Seen: {outcomes:?}"
        );
    }
    Verdict {
        executions: explored.executions,
        outcomes,
    }
}

#[test]
fn try_it() {
    let lengths: Vec<usize> = std::env::var("LENGTHS")
        .unwrap_or("1,1".into())
        .split(',')
        .map(|n| n.parse().unwrap())
        .collect();
    let every: usize = std::env::var("EVERY")
        .unwrap_or("1".into())
        .parse()
        .unwrap();
    for start in Start::ALL {
        let all = programs(start, &lengths);
        let began = std::time::Instant::now();
        let (mut n, mut executions, mut outcomes, mut worst) = (0, 0, 0, (0, String::new()));
        for program in all.iter().step_by(every) {
            let t = std::time::Instant::now();
            let result = std::panic::catch_unwind(|| {
                explore(
                    program,
                    std::env::var("BOUND").ok().map(|b| b.parse().unwrap()),
                )
            });
            match result {
                Ok(verdict) => {
                    n += 1;
                    executions += verdict.executions;
                    outcomes += verdict.outcomes.len();
                    if t.elapsed().as_micros() > worst.0 {
                        worst = (
                            t.elapsed().as_micros(),
                            format!("{program} {}", verdict.executions),
                        );
                    }
                }
                Err(e) => {
                    let text = e.downcast_ref::<String>().cloned().unwrap_or_default();
                    eprintln!("FAILED {program}: {}", &text[..text.len().min(600)]);
                }
            }
        }
        eprintln!(
            "{start:?}: of {} {n} programs, {executions} executions, {outcomes} outcomes, {:?}, worst {worst:?}",
            all.len(),
            began.elapsed()
        );
    }
}
