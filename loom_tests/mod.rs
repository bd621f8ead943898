//! The models: small concurrent programs that a checker explores to the end.
//!
//! `RUSTFLAGS="--cfg loom" cargo test` runs them under loom, `RUSTFLAGS="--cfg shuttle" cargo test` runs
//! the same bodies under shuttle's depth-first search. A module for each property; its header says what
//! would break it and what that would look like.
//!
//! The rule for all of them: the model's main thread builds a registry, spawns and joins. What is
//! checked happens in spawned threads, because loom does not explore everything that the main thread does
//! (tokio-rs/loom#392, #166).

#[cfg(loom)]
mod canaries;
mod harness;

mod api {
    pub(crate) use crate::*;
}
mod explorer;
mod spec;

mod p01_forward_only;
mod p02_one_ending;
mod p03_no_lost_update;
mod p04_no_use_after_cleanup;
mod p05_no_early_cleanup;
mod p06_no_leak;
mod p07_no_deadlock;
mod p08_honest_heartbeat;
mod p09_no_lost_wakeup;
mod p10_fencing;
mod p11_contained_panics;
mod p12_one_instant;

mod zoo;
