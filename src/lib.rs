//! A registry of long-running jobs: a service accepts a job, answers with an id, and lets clients follow
//! the progress while tasks and threads work on it.
//!
//! [`JobRegistry<T>`] is the map of jobs that every such service writes by hand, with its races taken
//! out: progress never goes backward, the first ending wins, a late write never reaches a finished or a
//! removed job, a heartbeat never revives a dead one, a nested lock is an error and not a hang, and ended jobs
//! leave, with everything they own.
//!
//! ```
//! use job_registry::{JobRegistry, Progress, Status};
//!
//! let jobs = JobRegistry::new(); // clones are the same registry
//! let job = jobs.register(Vec::new())?; // the payload is yours; `job` owns the job
//! let id = job.id(); // for the client: 22 letters and digits that cannot be guessed
//! std::thread::spawn(move || {
//!     job.start().unwrap();
//!     for page in 0..8 {
//!         job.update(|pages| pages.push(page)).unwrap(); // under this job's lock
//!         job.advance(Progress::ratio(page, 8).unwrap()).unwrap(); // under none
//!     }
//!     job.complete().unwrap(); // dropped without an ending, the job would fail as abandoned
//! });
//! # let mut watch = jobs.watch(id)?;
//! # while pollster::block_on(watch.changed()).is_some() {}
//! let seen = jobs.snapshot(id)?; // never waits
//! println!("{}: {}", seen.status(), seen.progress());
//! # assert_eq!(seen.status(), Status::Completed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The idea: words that only grow
//!
//! A job's vital state is one 64-bit word, `generation | attempt | status | progress`, in which every legal step
//! makes the number larger, and a write is a compare-and-exchange that refuses to go down. "No backward progress",
//! "no write after the end", "no write after cleanup" and "no stale writer" are therefore one
//! fact, *the word never decreases*, and not four checks that somebody can forget. A second such word holds the
//! last heartbeat. Everything else of a job is behind a small mutex of its own; there is no lock around the
//! registry.
//!
//! # Invariants
//!
//! 1. A slot's state word, the watched bit left out, never decreases. A removed job's generation never comes back;
//!    a slot whose 2²⁴ − 1 generations are used up is retired.
//! 2. A slot's beat word never decreases, and takes no beat of a job that has ended.
//! 3. A start, an ending and a retry are decided on the beat word by the holder of the job's lock, and settled on the
//!    state word before the lock is released, by whoever comes first. They happen at that instant, for
//!    everybody.
//! 4. What the body says of an ending (its reason, its time) is written before the ending is decided.
//! 5. A removed job is told to its watchers, shown to the hook, and dropped, before its slot is free.
//! 6. A thread holds at most one job's lock, across all registries. A call that would take a second is refused
//!    with `WouldDeadlock` before it waits.
//! 7. Foreign code (wakers, hooks, payload drops, an owner's drop) never runs under a lock of the registry: what comes up
//!    under one waits until it has been released. Closures run under the lock of their own job, and no other. (A registry whose
//!    last handle a closure drops goes there and then, with its payloads, as any value would.)
//! 8. The inner locks (free list, due queue, watchers) are leaves: nothing is acquired under them. The free list alone has
//!    several, which it takes in one order.
//!
//! From 6, 7 and 8 follows that no cycle of waits can exist: a thread that waits for a job's lock holds
//! none, and whoever holds an inner lock waits for nothing.
//!
//! # Consistency
//!
//! Every call is linearizable: it takes effect at one instant between its beginning and its return.
//! [`snapshot`](JobRegistry::snapshot), [`get`](JobRegistry::get) and [`read`](JobRegistry::read) are of one instant of one
//! job. Not so what speaks of several: [`iter`](JobRegistry::iter), [`counts`](JobRegistry::counts) and
//! [`stalled`](JobRegistry::stalled) see each job at an instant of its own, and [`len`](JobRegistry::len) may differ
//! from their sum while jobs come and go. [`sweep`](JobRegistry::sweep) and [`fail_stalled`](JobRegistry::fail_stalled) are
//! one step for each job that they touch.
//!
//! # Limitations
//!
//! * In memory and in one process: a restart forgets everything, and ids from before it are not found.
//! * A job's lock is a blocking mutex. Hold it shortly, on async threads above all.
//! * 65 535 attempts a job, and heartbeats for 4.3 years after the registry was built: later ones are
//!   recorded as of that instant, and silence after it is not counted.
//! * Memory does not shrink: the slots of a spike (less than 100 bytes each, besides the payload) stay and are used again.
//!   Up to 64 of them are kept for each of the threads that gave them back.
//!   Payloads and texts are freed at removal. A retired slot stays unused: one for every 16 million jobs.
//! * Each call of [`remove_after`](JobRegistry::remove_after) with an earlier deadline than the one before, of the
//!   same job or of an earlier one in its slot, leaves four bytes in the due queue until that one.
//! * Times are kept in milliseconds. Deadlines round up, never down. A removal that would be due 146 million years after the
//!   registry was built, or later, never happens.
//! * A removal that is due happens at the next sweep, not by itself: attach a reaper or sweep.
//! * A clock that jumps back postpones removals and stall verdicts; it does no other harm.
//!
//! # When not to use it, and its neighbours
//!
//! * **A mutexed map** is enough where one thread writes, or where nobody would notice the races above. It serialises
//!   all jobs; a registry serialises none, and polling takes no lock at all.
//! * **`DashMap`** and other concurrent maps give you the map. The rules (forward only, one ending, fencing, removal
//!   that respects readers) remain yours to write, and a guard that is held while another method of the map is
//!   called deadlocks. For data that are no jobs they are the right thing.
//! * **moka** is a cache: it evicts by size and age whether or not the work is done. Use it for results that
//!   can be computed again.
//! * **A job queue** (over Redis, Postgres or a broker) survives restarts, spreads work over machines and
//!   retries by itself. If you need that, this crate is at most its face to the clients.
//! * If nobody asks for the progress, a `JoinHandle` will do.
//!
//! # Features
//!
//! * `tokio` (on by default): [`spawn`](JobRegistry::spawn), [`spawn_blocking`](JobRegistry::spawn_blocking),
//!   [`heartbeat_every`](Job::heartbeat_every), [`spawn_reaper`](JobRegistry::spawn_reaper),
//!   [`shutdown`](JobRegistry::shutdown), [`TokioClock`]. Everything else works without.
//! * `tracing`: a span for each job's work, and events for what happens to it.
//! * `metrics`: counters, times and gauges for whatever recorder is installed.
//! * `serde`: ids, statuses, progress, snapshots, records and errors in a stable form.
//! * `loom`, `shuttle`: for models of your own. With `--cfg loom` and the feature, a registry may be put inside a
//!   `loom::model`; with `--cfg loom` alone it is an ordinary one. Likewise shuttle.

#![forbid(unsafe_code)]
// The few calls that services make all the time are inlined whole. What is handed on through memory is written in parts and read
// in whole, for which a processor waits longer than the call takes; docs/performance.md has the numbers.
#![allow(clippy::inline_always)]
#![cfg_attr(not(feature = "tokio"), allow(rustdoc::broken_intra_doc_links))]

mod api;
mod core;
mod slots;
mod sync;
#[cfg(feature = "tokio")]
mod task;
mod telemetry;
mod types;

pub use crate::core::removal::Swept;
pub use api::builder::Builder;
pub use api::guard::JobGuard;
pub use api::job::Job;
pub use api::registry::JobRegistry;
pub use api::watch::Watch;
#[cfg(feature = "tokio")]
pub use task::{Heartbeat, Shutdown};
#[cfg(feature = "metrics")]
pub use telemetry::describe_metrics;
#[cfg(feature = "tokio")]
pub use types::clock::TokioClock;
pub use types::clock::{Clock, ManualClock, SystemClock};
pub use types::error::{
    LockError, LookupError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
pub use types::id::{JobId, ParseIdError};
pub use types::progress::{Progress, ProgressError};
pub use types::snapshot::{Counts, Record, Snapshot, Status, Times};

/// Which changes of a slot any thread may make: the guarantee, for the checkers.
#[cfg(test)]
#[path = "../loom_tests/guarantee/mod.rs"]
mod guarantee;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../loom_tests/mod.rs"]
mod loom_tests;

#[cfg(all(test, environment, not(any(loom, shuttle))))]
#[path = "../loom_tests/environment/mod.rs"]
mod environment_tests;

#[cfg(all(test, not(any(loom, shuttle))))]
#[cfg_attr(environment, allow(clippy::duplicate_mod))] // so has the other suite
#[path = "../tests/against_spec/left_behind.rs"]
mod left_behind;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
