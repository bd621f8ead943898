//! P1, P12: the models' random programs on real threads, in the build that users run.
//!
//! The generator, the calls and the judge are those of the models. `JOB_REGISTRY_ROUNDS` is the
//! number of programs that are run, and `JOB_REGISTRY_SEED` is the first.

mod harness;

#[path = "../../../loom_tests/explorer"]
#[allow(dead_code)] // the sets of all programs are for the checkers
mod explorer {
    mod alphabet;
    mod history;
    mod judge;
    mod program;
    mod random;
    mod real;

    /// Runs the program of this seed once.
    pub(super) fn run(seed: u64) {
        let program = random::program(seed);
        let (outcome, real_time) = real::execute(&program);
        assert!(
            judge::explains(&program, &outcome, real_time.as_ref()),
            "seed {seed}, {program}: no order of the calls explains {outcome:?}, {real_time:?}"
        );
    }
}
#[path = "../../../loom_tests/spec/mod.rs"]
mod spec;

mod api {
    pub(crate) use job_registry::*;
}

pub(crate) mod sync {
    pub(crate) mod facade {
        pub(crate) mod record {
            use std::fmt::Debug;
            use std::rc::Rc;

            /// An event of a timeline, which is not recorded here.
            pub(crate) enum Event {
                Call(#[allow(dead_code)] Rc<dyn Debug>),
                Return(#[allow(dead_code)] Rc<dyn Debug>),
            }
        }
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// P1, P12: some order of the calls explains every result.
#[test]
fn random_programs_on_real_threads_are_linearizable() {
    let (first, rounds) = (
        number("JOB_REGISTRY_SEED", 0),
        number("JOB_REGISTRY_ROUNDS", if cfg!(miri) { 2 } else { 2_000 }),
    );
    for seed in first..first + rounds {
        explorer::run(seed);
    }
    println!("{rounds} programs on real threads, from seed {first}");
}
