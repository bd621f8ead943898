//! The models: small concurrent programs that a checker explores.
//!
//! `RUSTFLAGS="--cfg loom" cargo test` runs them under loom, and
//! `RUSTFLAGS="--cfg shuttle" cargo test` runs the same bodies under shuttle. Loom also tries the
//! stale values that the memory orderings allow. Its runs are exhaustive, or bounded to the number
//! of preemptions that a model states. Shuttle treats every atomic as `SeqCst` and needs no bound.
//! Its scheduler explores one interleaving of those that differ in commuting steps only.
//!
//! | folder | contents |
//! |---|---|
//! | `harness` | exploration under either checker, outcomes, the ledger, the timeline of a failure |
//! | `spec` | the sequential specification: what each call answers |
//! | `explorer` | generated programs over the calls, each compared with `spec` |
//! | `properties` | models by hand, a module for each property P1 to P12 |
//! | `task` | models by hand of the task layer, under shuttle on a modelled runtime |
//! | `flawed` | flawed registries, each with the model that detects its bug |
//! | `seeded` | patches that put one bug each into the library |
//! | `facade` | the checkers' side of `src/sync`: atomics, locks and the record of an execution |
//! | `guarantee` | the table of steps that any thread may make on a slot |
//! | `environment` | each call alone among all steps that `guarantee` permits to other threads |
//!
//! `explorer` and `properties` complement each other. `explorer` generates every small program over
//! the calls. `properties` has what those calls cannot express: re-entrant wakers, hooks and
//! destructors, panics, aborts, and slots whose generations are used up. The header of each module
//! states the property, the smallest program that could violate it, and what a violation looks
//! like.
//!
//! `flawed`, `seeded` and the models themselves show that the checks can fail: a model fails if an
//! outcome that it names as necessary never occurs.
//!
//! `src/lib.rs` and `src/sync` compile `guarantee`, `facade` and `environment` as modules of their
//! own.
//!
//! Every model builds a registry, spawns and joins in its main thread. Calls that race run in
//! spawned threads. Loom does not explore all interleavings of the main thread, and shuttle's
//! scheduler ignores it. `harness/canaries.rs` fails once loom no longer has this limitation.

mod harness;

mod api {
    pub(crate) use crate::*;
}
mod explorer;
mod flawed;
mod properties;
mod spec;
#[cfg(all(shuttle, not(loom), feature = "tokio"))]
mod task;
