//! A registry of long-running jobs. A service accepts a job, answers with an id, and lets clients
//! follow the progress while tasks and threads work on it.
//!
//! [`JobRegistry<T>`] is the map of jobs that every such service writes by hand, with its races
//! excluded. Progress never goes backward, and the first ending wins. A late write reaches neither
//! a finished nor a removed job, and a heartbeat never revives a dead one. A nested lock is an
//! error and not a hang. Ended jobs are removed with everything they own.
//!
//! ```
//! use job_registry::{Error, JobRegistry, Progress, Status};
//!
//! let jobs = JobRegistry::new(); // clones are the same registry
//! let job = jobs.register(Vec::new())?; // the payload is yours; `job` owns the job
//! let id = job.id(); // for the client: 22 letters and digits that cannot be guessed
//! std::thread::spawn(move || -> Result<(), Error> {
//!     job.start()?;
//!     for page in 0..8 {
//!         job.update(|pages| pages.push(page))?; // under this job's lock
//!         job.advance(Progress::ratio(page + 1, 8)?)?; // without a lock
//!     }
//!     Ok(job.complete()?) // dropped without an ending, the job would fail as abandoned
//! });
//! # let mut watch = jobs.watch(id)?;
//! # while pollster::block_on(watch.changed()).is_some() {}
//! let seen = jobs.snapshot(id)?; // never waits
//! println!("{}: {}", seen.status(), seen.progress());
//! # assert_eq!(seen.status(), Status::Completed);
//! # Ok::<(), Error>(())
//! ```
//!
//! The [guide] has recipes, the [times](guide::choosing_times) to choose, and the
//! [limits](guide::limits) with the neighbouring crates.
//!
//! # The idea: words that only grow
//!
//! A job's vital state is one 64-bit word, `generation | attempt | status | progress`. Every legal
//! step makes this number larger. A write is a compare-exchange that refuses to make it smaller.
//! One fact, *the word never decreases*, therefore replaces four checks. It excludes backward
//! progress, and writes after the end, after the removal, and by an old attempt.
//!
//! A second word of this kind holds the last heartbeat, and a third counts all other changes that a
//! client can see. The payload is behind a mutex of its own, and so are times and texts. No lock
//! covers the registry.
//!
//! # Invariants
//!
//! 1. A slot's state word never decreases, apart from the watched bit. A removed job's generation
//!    never comes back. A slot that has used its last generation is retired.
//! 2. A slot's heartbeat word never decreases. It takes no heartbeat of a job that has ended.
//! 3. A start, an ending and a retry are decided on the heartbeat word by the holder of the job's
//!    lock. They are settled on the state word before the lock is released, by the first thread
//!    that gets there. All threads see the change at that instant.
//! 4. Times and texts of a job are behind a lock of their own. A note, a requested stop, an ending,
//!    a retry and a removal hold it from their first write until the state word says the same. The
//!    times of registration and start are stored before the state word that shows them. After that,
//!    they change only under the lock. A thread that holds the lock therefore reads the job at one
//!    instant, without the job's lock.
//! 5. A removed job is announced to its watchers, shown to the hook, and dropped or returned. Its
//!    slot is free only after all of that.
//! 6. A thread holds at most one job's lock, across all registries. A call that would take a second
//!    one is refused with `WouldDeadlock` before it waits.
//! 7. Wakers, hooks, destructors and subscribers never run on a thread that holds a lock of a
//!    registry. They are deferred until the lock is released. Closures, a payload's `clone` and the
//!    clock may run under the lock of their own job, and under no other. A closure that drops the
//!    last handle of a registry drops it immediately, with its payloads.
//! 8. The inner locks are leaves: no other lock is taken under them. They are those of the free
//!    list, the due queues, the oldest ended jobs, the watchers, the timer heartbeats, the running
//!    work, the removal under way, and the reports of a shutdown. The free list alone has several,
//!    and takes them in one order. Under the lock of a job's times and texts, only leaves are
//!    taken. The lock of [`Keys`] is taken before those of the free list and of an empty slot, and
//!    before no other.
//!
//! From 6, 7 and 8 it follows that no cycle of waits can exist. A thread that waits for a job's
//! lock holds no lock. A thread that holds an inner lock waits for nothing, except for a later lock
//! of the free list.
//!
//! # Consistency
//!
//! Every call on one job is linearizable: it takes effect at one instant between its beginning and
//! its return. [`snapshot`](JobRegistry::snapshot), [`get`](JobRegistry::get) and
//! [`read`](JobRegistry::read) return one instant of one job.
//!
//! Calls that cover several jobs are not atomic. [`iter`](JobRegistry::iter),
//! [`page`](JobRegistry::page), [`counts`](JobRegistry::counts) and
//! [`stalled`](JobRegistry::stalled) read each job at a different instant.
//! [`len`](JobRegistry::len) may differ from the sum of the counts while jobs come and go.
//! [`sweep`](JobRegistry::sweep), [`fail_stalled`](JobRegistry::fail_stalled) and
//! [`shutdown`](JobRegistry::shutdown) make one step for each job that they change. After
//! [`close`](JobRegistry::close), no registration and no retry is missed by them.
//!
//! # Limitations
//!
//! Jobs are in memory and in one process: a restart forgets them. Nothing happens by time alone,
//! unless a [reaper](JobRegistry::spawn_reaper) is attached. [Limits](guide::limits) has the
//! numbers, and says when to use a mutexed map, a concurrent map, a cache or a job queue instead.
//!
//! # Features
//!
//! * `tokio` (on by default): [`spawn`](JobRegistry::spawn),
//!   [`spawn_blocking`](JobRegistry::spawn_blocking), [`heartbeat_every`](Job::heartbeat_every),
//!   [`reap`](JobRegistry::reap) and [`TokioClock`]. All other calls work without it, also
//!   [`Job::run`], [`spawn_reaper`](JobRegistry::spawn_reaper), [`idle`](JobRegistry::idle) and
//!   [`shutdown`](JobRegistry::shutdown).
//! * `tracing`: a span for each job's work, and events for its changes.
//! * `metrics`: counters, times and gauges for the installed recorder.
//! * `serde`: ids, statuses, progress, snapshots, records and errors in a stable form.
//! * `loom`, `shuttle`: for models of your own. With `--cfg loom` and the feature `loom`, a
//!   registry takes part in a `loom::model`. With `--cfg loom` alone it is an ordinary registry.
//!   Shuttle is used in the same way.

#![forbid(unsafe_code)]
// The most frequent calls are inlined whole. A value that is passed through memory is written in
// parts and read whole. That defeats the processor's store forwarding, and takes longer than the
// call itself. See docs/internals/performance.md.
#![allow(clippy::inline_always)]
#![cfg_attr(not(feature = "tokio"), allow(rustdoc::broken_intra_doc_links))]

mod api;
mod core;
#[cfg(any(doc, doctest))]
pub mod guide;
mod slots;
mod sync;
mod task;
mod telemetry;
mod types;

pub use crate::core::removal::Swept;
pub use api::builder::Builder;
pub use api::guard::JobGuard;
pub use api::job::Job;
pub use api::keys::{Key, KeyLife, Keys, Once};
pub use api::registry::JobRegistry;
pub use api::watch::Watch;
#[cfg(feature = "tokio")]
pub use task::Heartbeat;
pub use task::{Phases, Reaper, Shutdown};
#[cfg(feature = "metrics")]
pub use telemetry::describe_metrics;
#[cfg(feature = "tracing")]
pub use telemetry::log_full_ids;
#[cfg(feature = "tokio")]
pub use types::clock::TokioClock;
pub use types::clock::{Clock, ManualClock, SystemClock};
pub use types::cursor::{Cursor, Page, ParseCursorError};
pub use types::error::{
    Error, LockError, LookupError, ReadError, RegisterError, RemoveError, RetryError, StepError,
};
pub use types::failure::Failure;
pub use types::id::{JobId, ParseIdError, ShortId};
pub use types::options::Options;
pub use types::progress::{Progress, ProgressError};
pub use types::snapshot::{Counts, Details, Record, Snapshot, Times};
pub use types::status::Status;
pub use types::version::{ParseVersionError, PartsError, Version};
pub use types::when_full::WhenFull;

/// The guarantee for the checkers: the changes of a slot that any thread may make.
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
// `environment_tests` includes `loom_tests/spec`, too.
#[cfg_attr(environment, allow(clippy::duplicate_mod))]
#[path = "../tests/model_based/left_behind.rs"]
mod left_behind;

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
