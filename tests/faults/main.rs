//! What callers do wrong, and what goes wrong in their code: panics, nested locks, calls from within
//! callbacks, ids that are old or forged, delays without end, watchers left behind, files.
//!
//! Every body that could hang runs under [`watchdog::in_time`], so that a deadlock is a failure and not
//! a build that never ends.
#![cfg(not(any(loom, shuttle)))]

mod aborts;
mod callbacks;
mod drops;
mod durations;
mod extremes;
mod files;
mod fractions;
mod hooks;
mod id_texts;
mod ids;
mod leaving;
mod moving_time;
mod near_texts;
mod nested_locks;
mod panics;
mod register;
mod texts;
mod under_a_guard;
mod walks;
mod watchdog;
