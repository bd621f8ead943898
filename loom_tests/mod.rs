//! The models: small concurrent programs that a checker explores to the end.
//!
//! `RUSTFLAGS="--cfg loom" cargo test` runs them under loom, `RUSTFLAGS="--cfg shuttle" cargo test` runs the
//! same bodies under shuttle. Both explore each of them to its end. Loom also tries the stale values that the memory orders
//! allow, with a bound on preemptions where a model says so. Shuttle takes every atomic for `SeqCst` and has no
//! bound; of the orders that differ in steps which commute it tries one (`harness/reduction.rs`).
//!
//! There are two kinds. `explorer` generates every small program over the calls and compares what it sees with
//! `spec`. The modules `p01` to `p12`, one for each property, are written by hand, for what the explorer's calls cannot say:
//! wakers, hooks and drops that call back, panics, aborts, slots that are used up. The header of each
//! says the property, the smallest program that could violate it, and what a violation looks like.
//!
//! That the checks can fail is shown by `zoo`, small registries that are wrong; by `seeded`, bugs to be put into the
//! real one; and by each model itself, which names outcomes that it must see.
//!
//! The rule for all models: the main thread builds a registry, spawns and joins. What is checked while others
//! run happens in spawned threads, because loom does not explore everything that the main thread does, and because
//! shuttle's scheduler leaves the main thread out. `canaries` notices when loom's part of the reason is gone.

mod harness;

mod api {
    pub(crate) use crate::*;
}
mod explorer;
mod flawed;
mod properties;
mod spec;
