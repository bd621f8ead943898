//! P1, P2, P4, P5, P6, P8, P9, P10, P11 on one thread at a time: in every history, the registry
//! answers each call as the specification does, and has the same state afterwards. With the
//! features `tracing` and `metrics`, it also emits exactly the events and metrics of each call, in
//! order.
//!
//! `PROPTEST_CASES` sets the number of histories. A failing history is written to
//! `main.regressions` beside this file and is tried first from then on: commit it.

#![cfg(not(any(loom, shuttle)))] // proptest is not built under the checkers

mod api {
    pub(crate) use job_registry::*;
}
mod coverage;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod emitted;
mod forge;
mod guarded;
#[cfg(not(all(feature = "metrics", feature = "tracing")))]
mod not_emitted;
mod pair;
mod payload;
mod plan;
mod real;
mod script;
#[path = "../../loom_tests/spec/mod.rs"]
mod spec;
mod waiting;

#[cfg(not(all(feature = "metrics", feature = "tracing")))]
use not_emitted as emitted;
use pair::Pair;
use plan::{Machine, Plan, Step};
use proptest::test_runner::{Config, FileFailurePersistence};
use proptest_state_machine::{StateMachineTest, prop_state_machine};

/// Number of histories, unless `PROPTEST_CASES` is set.
const CASES: u32 = 100;
/// Number of calls, or of sections under a lock, in the longest history.
const LONGEST: usize = 200;

struct ModelBased;

impl StateMachineTest for ModelBased {
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
        // `PROPTEST_DISABLE_FAILURE_PERSISTENCE` turns this off, because a mutant's failures are
        // not regressions.
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
    fn every_history_matches_the_specification(sequential 1..=LONGEST => ModelBased);
}
