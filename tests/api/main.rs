//! Tests each call of the API, with its errors and its edge cases, in a module for each subject.
//!
//! A body that could hang runs under [`watchdog::in_time`], so that a deadlock is a failure and not
//! a build that never ends.
#![cfg(not(any(loom, shuttle)))]

mod capacity;
mod deadlock;
mod details;
mod display;
mod error;
mod full;
mod guard;
mod ids;
mod keys;
mod near_texts;
mod note;
mod options;
mod overdue;
mod page;
mod panics;
mod progress;
mod query;
mod reaper;
mod reentrancy;
mod removal;
mod run;
#[cfg(feature = "serde")]
mod serde;
mod stop;
mod time;
mod version;
mod wakers;
mod watch;
#[path = "../common/watchdog.rs"]
mod watchdog;
