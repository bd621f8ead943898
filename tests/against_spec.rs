//! P1, P2, P4, P5, P6, P8, P9, P10, P11 on one thread at a time: the registry answers every call of every
//! history as the specification does, and looks the same afterwards. With the features `tracing` and
//! `metrics`, it also emits the events and metrics of each call, in order, and no others.
//!
//! `PROPTEST_CASES` tries more histories. One that fails is written to `against_spec.regressions` beside this
//! file and is tried first from then on: commit it.

#![cfg(not(any(loom, shuttle)))] // proptest is not built under the checkers

mod api {
    pub(crate) use job_registry::*;
}
#[path = "against_spec/coverage.rs"]
mod coverage;
#[cfg_attr(
    not(all(feature = "metrics", feature = "tracing")),
    path = "against_spec/not_emitted.rs"
)]
#[cfg_attr(
    all(feature = "metrics", feature = "tracing"),
    path = "against_spec/emitted.rs"
)]
mod emitted;
#[path = "against_spec/forge.rs"]
mod forge;
#[path = "against_spec/guarded.rs"]
mod guarded;
#[path = "against_spec/pair.rs"]
mod pair;
#[path = "against_spec/payload.rs"]
mod payload;
#[path = "against_spec/plan.rs"]
mod plan;
#[path = "against_spec/real.rs"]
mod real;
#[path = "against_spec/script.rs"]
mod script;
#[path = "../loom_tests/spec/mod.rs"]
mod spec;
#[path = "against_spec/waiting.rs"]
mod waiting;

use pair::Pair;
use plan::{Machine, Plan, Step};
use proptest::test_runner::{Config, FileFailurePersistence};
use proptest_state_machine::{StateMachineTest, prop_state_machine};

/// How many histories, where `PROPTEST_CASES` says nothing.
const CASES: u32 = 100;
/// Calls (or sections under a lock) in a history.
const LONGEST: usize = 200;

struct AgainstSpec;

impl StateMachineTest for AgainstSpec {
    type SystemUnderTest = Pair;
    type Reference = Machine;

    fn init_test(plan: &Plan) -> Pair {
        Pair::new(plan.spec.limits)
    }

    fn apply(mut pair: Pair, _: &Plan, step: Step) -> Pair {
        pair.play(&step);
        pair
    }

    fn teardown(pair: Pair, _: Plan) {
        pair.finish();
    }
}

fn config() -> Config {
    let default = Config::default();
    Config {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() {
            default.cases
        } else {
            CASES
        },
        // Unless `PROPTEST_DISABLE_FAILURE_PERSISTENCE` says no: a mutant's failures are no regressions.
        failure_persistence: default.failure_persistence.and(Some(Box::new(
            FileFailurePersistence::WithSource("regressions"),
        ))),
        ..Config::default()
    }
}

prop_state_machine! {
    #![proptest_config(config())]

    /// P1, P2, P4, P5, P6, P8, P9, P10 and P11, on one thread at a time.
    #[test]
    fn every_history_matches_the_specification(sequential 1..=LONGEST => AgainstSpec);
}
