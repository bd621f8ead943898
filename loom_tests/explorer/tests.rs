//! Tests of the explorer's parts: each of them can fail.

use super::super::spec::{Refusal, Ret};
use super::judge::{Outcome, RealTime, explains, in_sequence};
use super::program::Program;

fn program(text: &str) -> Program {
    text.parse().unwrap()
}

/// Returns the program's first sequential outcome.
fn outcome(program: &Program) -> Outcome {
    in_sequence(program, None).remove(0)
}

#[test]
fn two_endings_are_not_explained() {
    let program = program("Running: Complete | Cancel");
    let mut outcome = outcome(&program);
    assert!(explains(&program, &outcome, None));
    outcome.answers = vec![vec![vec![Ret::Done]], vec![vec![Ret::Done]]];
    assert!(!explains(&program, &outcome, None));
}

#[test]
fn a_wrong_final_answer_is_not_explained() {
    let program = program("Running: Complete | Advance");
    let mut outcome = outcome(&program);
    outcome.last.pop();
    outcome.last.push(Ret::Count(7));
    assert!(!explains(&program, &outcome, None));
}

#[test]
fn an_order_against_real_time_is_not_explained() {
    let program = program("Pending: Start | Advance");
    let all = in_sequence(&program, None);
    let refused = |outcome: &&Outcome| outcome.answers[1][0] == [Ret::Refused(Refusal::NotStarted)];
    let outcome = all.iter().find(refused).unwrap();
    // Number of each thread's calls that had returned before, by thread and call.
    let overlap: RealTime = vec![vec![vec![0, 0]], vec![vec![0, 0]]];
    let after: RealTime = vec![vec![vec![0, 0]], vec![vec![1, 0]]];
    assert!(explains(&program, outcome, Some(&overlap)));
    assert!(!explains(&program, outcome, Some(&after)));
}

/// A bound on preemptions reduces the outcomes that must be seen.
#[test]
fn fewer_preemptions_make_fewer_sequences() {
    let program = program("Pending: Start, Complete | Advance, Snapshot");
    let count = |preemptions| in_sequence(&program, preemptions).len();
    assert_eq!(
        [count(Some(0)), count(Some(1)), count(Some(2)), count(None)],
        [2, 4, 6, 6]
    );
}

#[test]
fn a_sweep_skips_a_job_only_while_it_is_locked() {
    let program = program("Due: Sweep | Snapshot");
    let mut outcome = outcome(&program);
    outcome.answers[0][0] = vec![Ret::Count(0)];
    assert!(!explains(&program, &outcome, None));
}

#[test]
fn a_program_is_what_it_is_displayed_as() {
    for text in [
        "Running: Fail, Retry | Snapshot",
        "Due: Sweep | Keep | Watch",
    ] {
        assert_eq!(program(text).to_string(), text);
    }
    assert!("Running: Fall | Retry".parse::<Program>().is_err());
    assert!("Walking: Fail".parse::<Program>().is_err());
}
