//! Checks of each call alone, among any number of threads.
//!
//! `RUSTFLAGS="--cfg environment" cargo test --lib environment_tests` runs one call of the real
//! code at a time. Before each of its accesses to a slot, an *environment* makes any sequence of
//! steps that the guarantee (`loom_tests/guarantee`) permits to other threads.
//! `docs/internals/any-number-of-threads.md` proves that the result holds for any number of
//! threads.
//!
//! A call passes if, for each start, each step of the environment and each value seen:
//!
//! * a rule of the guarantee permits each of its own writes;
//! * `loom_tests/spec` gives its answer at an instant between its beginning and its return;
//! * its effect is the one that its answer names;
//! * it wakes the watchers after it has cleared a watched bit;
//! * it returns without the lock and without the slot;
//! * no loop repeats an iteration while nothing has changed.
//!
//! The check also fails unless the call gave every answer that the specification has for it.

mod checker;
mod fixture;
mod graph;
mod judge;
mod ledger;
#[allow(clippy::duplicate_mod)] // each suite includes its own
#[path = "../spec/mod.rs"]
mod spec;
mod tests;

mod api {
    pub(crate) use crate::*;
}

use checker::{CheckedCall, Environment, Report};
use fixture::{Fixture, Kind, Subject};
use graph::{Domain, Graph};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Once;

/// Domain of the calls that load both words as a pair.
const SMALL: Domain = Domain {
    generations: 2,
    attempts: 2,
    times: 2,
    revisions: 0,
    halves: true,
    watches_ended: true,
};

/// Domain in which the environment revises each job. A call that reads the revision is explored in
/// it, too.
const REVISED: Domain = Domain {
    generations: 2,
    attempts: 1,
    times: 1,
    revisions: 2,
    halves: false,
    watches_ended: false,
};

/// Domain of all other calls. With more attempts and times, more steps fit between two accesses.
const LARGE: Domain = Domain {
    attempts: 3,
    times: 4,
    ..SMALL
};

/// Returns the time of the checked call. The environment's heartbeats are earlier than it, equal to
/// it, or later.
const fn now(domain: Domain) -> u64 {
    domain.times / 2
}

/// Ids of two successive jobs of the slot, and two ids that are never issued. The slot holds
/// generations before, at and after each of them.
const IDS: &[Subject] = &[
    Subject::Id(1),
    Subject::Id(2),
    Subject::Forged {
        nonce: 1,
        generation: 2,
    },
    Subject::Forged {
        nonce: 2,
        generation: 1,
    },
];

/// Handles of a job's first attempt, of its second attempt, and of a later job. The environment's
/// retries supersede the first.
const HANDLES: &[Subject] = &[
    Subject::Handle(1, 1),
    Subject::Handle(1, 2),
    Subject::Handle(2, 1),
];

/// Explores one call and returns a report for each id or handle by which it is made.
fn explore(kind: Kind, subjects: &[Subject], domain: Domain, cuts: bool) -> Vec<Report> {
    let environment = Rc::new(Environment::new(Graph::new(domain), cuts));
    crate::sync::facade::environment::set_checker(Some(environment.clone()));
    // Dropped after every fixture, also on a panic. The registry is then dropped without a checker,
    // in the real memory.
    let _uninstall = Uninstall;
    suppress_panic_output();
    let explored = subjects.iter().map(|subject| {
        let mut fixture = Fixture::new(&environment, now(domain));
        let graph = environment.graph();
        let reachable = graph.reachable.iter().copied();
        let checked = CheckedCall {
            from: reachable
                .filter(|memory| kind.can_begin(*subject, &graph.memory(*memory)))
                .collect(),
            call: kind.call(*subject),
            silent_part: kind.silent_part(*subject),
            now: now(domain),
            nonces: fixture.nonces(),
            reads_revision: kind.reads_revision(),
        };
        environment.explore(checked, || {
            if !environment.unchecked(|| fixture.restore()) {
                environment.unchecked(|| fixture = Fixture::new(&environment, now(domain)));
            }
            IN_CALL.set(true);
            let answer = catch_unwind(AssertUnwindSafe(|| fixture.make(kind, *subject)));
            IN_CALL.set(false);
            answer.unwrap_or_else(|panic| resume_unwind(panic))
        })
    });
    explored.collect()
}

/// Removes the checker and the fixture of this thread when it is dropped.
struct Uninstall;

impl Drop for Uninstall {
    fn drop(&mut self) {
        crate::sync::facade::environment::set_checker(None);
        fixture::clear_current();
    }
}

thread_local! {
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
}

/// Suppresses the panic messages of checked calls. Their panics are caught, and reported if they
/// are failures.
fn suppress_panic_output() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IN_CALL.get() {
                default_hook(info);
            }
        }));
    });
}
