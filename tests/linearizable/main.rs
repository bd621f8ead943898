//! P1, P12 on real threads, in the build that users run: the random programs that the models are made of.
//!
//! The same generator, the same calls and the same judge as under shuttle. `JOB_REGISTRY_ROUNDS` says how many programs
//! are run, `JOB_REGISTRY_SEED` which is the first.
#![cfg(not(any(loom, shuttle)))]

mod explorer;
mod harness;

mod api {
    pub(crate) use job_registry::*;
}
#[path = "../../loom_tests/spec/mod.rs"]
mod spec;

// What those name by `crate`.
use job_registry::{Job, JobId, JobRegistry, Progress, Record, RegisterError, Snapshot, Watch};
mod sync {
    pub(crate) mod facade {
        pub(crate) mod record {
            use std::fmt::Debug;
            use std::rc::Rc;

            /// Nobody reads a timeline here.
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

/// P1, P12.
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
