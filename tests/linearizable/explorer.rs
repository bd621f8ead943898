//! What the explorer of the models shares with this test.

#![allow(dead_code)] // the sets of all programs are for the checkers

#[path = "../../loom_tests/explorer/alphabet.rs"]
mod alphabet;
#[path = "../../loom_tests/explorer/history.rs"]
mod history;
#[path = "../../loom_tests/explorer/judge.rs"]
mod judge;
#[path = "../../loom_tests/explorer/program.rs"]
mod program;
#[path = "../../loom_tests/explorer/random.rs"]
mod random;
#[path = "../../loom_tests/explorer/real.rs"]
mod real;

/// Runs the program of this seed once.
pub(crate) fn run(seed: u64) {
    let program = random::program(seed);
    let (outcome, real_time) = real::execute(&program);
    assert!(
        judge::explains(&program, &outcome, real_time.as_ref()),
        "seed {seed}, {program}: no order of the calls explains {outcome:?}, {real_time:?}"
    );
}
