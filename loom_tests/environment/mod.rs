//! Each call alone, among any number of threads.
//!
//! `RUSTFLAGS="--cfg environment" cargo test --lib environment_tests` runs one call of the real code at a time. Before each
//! of its accesses to a slot, an *environment* makes any sequence of steps that the guarantee
//! (`src/guarantee.rs`) permits to other threads. `docs/internals/any-number-of-threads.md` has the argument
//! why this holds for any number of threads.
//!
//! A call passes if, for each start, each step of the environment and each value seen:
//!
//! * each of its own writes is in the guarantee,
//! * an instant between its beginning and its return explains its answer, by `loom_tests/spec.rs`, and its effect is
//!   the one that its answer names,
//! * it has woken the watchers after it cleared a watched bit, and kept neither the lock nor the slot,
//! * no loop comes round again while nothing has changed.
//!
//! It fails as well unless every answer that the specification has for it was seen.

mod checker;
mod graph;
mod judge;
mod ledger;
#[allow(clippy::duplicate_mod)] // each suite has its own
#[path = "../spec/mod.rs"]
mod spec;
mod tests;
mod world;

mod api {
    pub(crate) use crate::*;
}

use checker::{Environment, Question, Report};
use graph::{Domain, Graph};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Once;
use world::{Aim, Kind, World};

/// The domain of the calls that observe both words at once.
const OBSERVED: Domain = Domain {
    generations: 2,
    attempts: 2,
    times: 2,
};

/// The domain of all other calls. More attempts and times let more steps come between two accesses.
const LONGER: Domain = Domain {
    attempts: 3,
    times: 4,
    ..OBSERVED
};

/// The call's own time. Beats of the environment are earlier, as late, and later.
const fn now(domain: Domain) -> u64 {
    domain.times / 2
}

/// The ids of a job, of one that was removed or is yet to come, and those that are never issued. The environment's slot holds
/// generations before, at and after each.
const IDS: &[Aim] = &[
    Aim::Id(1),
    Aim::Id(2),
    Aim::Forged {
        nonce: 1,
        generation: 2,
    },
    Aim::Forged {
        nonce: 2,
        generation: 1,
    },
];

/// The handles of a first attempt, which the environment makes an old one, of a second attempt, and of a later job.
const HANDLES: &[Aim] = &[Aim::Handle(1, 1), Aim::Handle(1, 2), Aim::Handle(2, 1)];

/// Results of one call, one for each id or handle by which it is made.
fn explore(kind: Kind, aims: &[Aim], domain: Domain, cuts: bool) -> Vec<Report> {
    let environment = Rc::new(Environment::new(Graph::new(domain), cuts));
    crate::sync::facade::environment::set_checker(Some(environment.clone()));
    // Last, also where this panics: what is dropped then uses the real memory.
    let _over = Over;
    silence_calls();
    let explored = aims.iter().map(|aim| {
        let mut world = World::new(&environment, now(domain));
        let graph = environment.graph();
        let reachable = graph.reachable.iter().copied();
        let question = Question {
            from: reachable
                .filter(|memory| kind.can_begin(*aim, &graph.memory(*memory)))
                .collect(),
            call: kind.call(*aim),
            silent: kind.silent(*aim),
            now: now(domain),
            nonces: world.nonces(),
        };
        environment.explore(question, || {
            if !environment.aside(|| world.is_clean()) {
                environment.aside(|| world = World::new(&environment, now(domain)));
            }
            IN_A_CALL.set(true);
            let answer = catch_unwind(AssertUnwindSafe(|| world.make(kind, *aim)));
            IN_A_CALL.set(false);
            answer.unwrap_or_else(|panic| resume_unwind(panic))
        })
    });
    explored.collect()
}

struct Over;

impl Drop for Over {
    fn drop(&mut self) {
        crate::sync::facade::environment::set_checker(None);
        world::forget();
    }
}

thread_local! {
    static IN_A_CALL: Cell<bool> = const { Cell::new(false) };
}

/// Catches the panic of a call, and shows it if it is a failure.
fn silence_calls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IN_A_CALL.get() {
                shown(info);
            }
        }));
    });
}
