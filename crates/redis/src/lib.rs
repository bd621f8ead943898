//! A registry of long-running jobs on Redis or Valkey, for a service with several replicas.
//!
//! [`JobRegistry<T>`] has the vocabulary of [`job_registry`]: the same ids, statuses, progress,
//! versions, snapshots, limits and refusals. The jobs are in a namespace on a server, and every
//! process that connects to it shares them. A poll finds its job at every replica, and a deployment
//! forgets none. Nothing here is a queue: the registry is the face to clients and the arbiter
//! between workers.
//!
//! ```no_run
//! use job_registry::Progress;
//! use job_registry_redis::{Error, JobRegistry};
//! use std::time::Duration;
//!
//! # async fn f() -> Result<(), Error> {
//! let jobs = JobRegistry::<Vec<String>>::builder("redis://localhost", "decks")
//!     .stall_after(Duration::from_secs(30))
//!     .connect()
//!     .await?;
//! let _reaper = jobs.spawn_reaper(Duration::from_secs(1));
//!
//! let job = jobs.register(&Vec::new()).await?;
//! let id = job.id(); // for the client, at every replica
//! job.start().await?;
//! let _beats = job.heartbeat_every(Duration::from_secs(5));
//! for page in 0..8 {
//!     job.update(|files| files.push(format!("{page}.png"))).await?;
//!     job.advance(Progress::of(page + 1, 8)).await?;
//! }
//! job.complete().await?;
//!
//! let mut watch = jobs.watch(id).await?;
//! while let Some(seen) = watch.changed().await {
//!     println!("{}: {}", seen.status(), seen.progress());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Claims
//!
//! | claim | condition |
//! |---|---|
//! | linearizable, job by job | one primary |
//! | nothing acknowledged is lost when the server is killed | `appendfsync always`, and a [repaired file](#the-server) |
//! | a step is never applied twice, whatever is resent | always |
//! | a superseded owner changes nothing | always |
//! | progress never falls, one ending | within one history of the store |
//! | **not** promised: an acknowledged write across a failover, a restore, or `everysec`; one *execution* of the work; reads from replicas; a prompt wake-up | – |
//!
//! A failover, a restore, and a restart without `appendfsync always` begin another history of the
//! store. It has lost the last changes of the one before. A version, and the progress, may then
//! fall.
//!
//! The tests of `src/tests` show the claims. `conformance` compares random histories with the
//! library's sequential specification and with a registry in memory, one client at a time. `linear`
//! records up to eight client processes under faults: cut connections, killed and stopped servers
//! and clients, a full memory and disk, and a clock that jumps. Some of the calls are made under
//! leases that end meanwhile, for the keys of clients, or by the tasks of `run` and `spawn`. Three
//! judges compare each history with the specification: a search, porcupine, and a replay in the
//! order of the server. It also cuts files off, promotes replicas and has a sentinel do so: the
//! changes that are lost are the latest ones. `sim` runs the scripts in memory, and tries every
//! order of the messages of two clients, with a fault at every point: each answer is one that the
//! script gives at an instant between the call and the answer. `resends` and `network` lose, cut
//! and delay calls at chosen points. `ownership` has the superseded owner.
//!
//! # Call by call
//!
//! | call | here and in memory |
//! |---|---|
//! | `start`, `advance`, `complete`, `fail`, `cancel`, `cancel_because`, `request_stop`, `note`, `report`, `remove_after`, `heartbeat` | The same answers, by id and by handle. |
//! | `register`, `register_with` | The same, with the payload by reference. Limits are stored with the job, and hold in every process. |
//! | `retry` | The same answers. A stalled job is retried in one step, and is never seen failed. |
//! | `Keys::register` | The same, for all processes of the namespace. `Once` has no payload. |
//! | `update` | The same answers. It is optimistic: `f` runs again if another writer came first. `Busy` follows after 20 times, which are five to seven seconds, also while another caller has the lease. A panic of `f` changes nothing. |
//! | `lock`, `try_lock` and the guard | A lease, with a copy of the payload that is stored by `save`, `release` and the endings. It ends by the server's clock, and its holder gets `LockLost` then. A dropped guard stores nothing. `lock` tries for five to seven seconds, and returns `Busy` then. |
//! | `snapshot`, `details`, `get` | The same answers. `get` needs no `Clone`. |
//! | `read` | The same answers. `f` runs under no lock. |
//! | `watch` | A watch is no `Stream`, and has no `wait`. The same items, but not at once: a lost message delays a change by up to 7.5 seconds. The last item of a job that was removed more than a minute ago may be missing. |
//! | `iter`, `len` | Not available; `page` and `counts` are. |
//! | `page` | The same, in the order of registration. `Cursor` and `Page` are types of this crate. |
//! | `counts` | Exact, and of one instant. |
//! | `remove` | Returns no payload, and runs no hook. |
//! | `sweep` | The same, by any process. A job whose keys are another user's is an error once the others are done. |
//! | `on_remove` | Runs before the removal and at least once, in the process that sweeps. The payload is `None` if it does not decode. |
//! | `stalled`, `fail_stalled` | The same, by the server's clock. |
//! | `spawn_reaper` | A task with an interval, which ends when its handle is dropped. `last_error` tells whether the store answers. It also guards stall verdicts against a clock that jumps. |
//! | `heartbeat_every` | The heartbeats of a process are sent together. By id, they are for whichever attempt exists. |
//! | `close` | Of this process alone. |
//! | dropping a `Job` | Starts a task that fails the job as `abandoned`. A killed process leaves a running job to the stall verdict, and a pending one to its deadline. |
//! | `now`, `system_time` | The server's time since 1970, and not the time since the registry was built. |
//! | `spawn`, `spawn_blocking`, `Job::run` | The same. While the store is away, the work goes on, and its end is told later. `Job::run` is a future. |
//! | `idle`, `shutdown` | Of the jobs that this process owns or works on. A shutdown begins when its future is polled. |
//! | `remove_ended` | Not available: other processes may serve the ended jobs. |
//! | `when_full`, `sweep_on_register`, `clock` | Not available. |
//! | events of `tracing`, metrics | Not available. |
//!
//! Every call may also return [`Error::Unavailable`], [`Error::Rejected`] or [`Error::Unusable`].
//! None of them is a statement about the job.
//!
//! # Resends
//!
//! A call whose answer is lost is sent again, within the time of
//! [`call_within`](Builder::call_within). The new connection first kills the old one at the server,
//! so that a delayed call is not executed any more. The resend says that it is one, and carries the
//! nonce of the call. If the last change of the job has this nonce, the answer is that of the first
//! sending. If a change since the first sending has been overwritten, it may have been the call's
//! own: the answer is [`Unavailable::Unknown`], and nothing is changed. Otherwise the call was
//! never executed, and is now.
//!
//! The final state of a removed job is kept for a minute, for resends and watches. A server whose
//! clock jumps by a minute during a resend may register a job twice, if the first has ended and
//! been removed.
//!
//! # Time
//!
//! All times are read from the server's clock, once in each step. The times of a job stay in order
//! if the clock goes back. [`stalled`](JobRegistry::stalled) and
//! [`fail_stalled`](JobRegistry::fail_stalled) take the clock as it is. The
//! [reaper](JobRegistry::spawn_reaper) compares it with its own clock before it judges. Deadlines,
//! times to stop and removals take the clock as it is.
//!
//! # The server
//!
//! Redis 7.0 or later, or Valkey, with one primary. Tested with Redis 7.0.15 and 8.0.2, and with
//! Valkey 8.0.1. A cluster is refused. `connect` refuses an eviction policy of all keys, and
//! [`durability`](JobRegistry::durability) says what a killed server keeps. A demoted server
//! answers nothing, reads included. The client connects again until the URL leads to a primary.
//!
//! A server that is killed within a write keeps the beginning of a script in its file. Redis 7.0.15
//! leaves a part of it there when it starts again, so that the start after that may lose
//! acknowledged changes, and execute the part. Run `redis-check-aof --fix` before you start a killed
//! server.
//!
//! A user needs the rules `~jr1:* &jr1:* +@read +@write +@scripting +@pubsub +info +config|get
//! +client|id +client|kill +time`. A missing right is an error of `connect`. Rights that are taken
//! away later may interrupt a script between two writes.
//!
//! When memory is full, endings, stops, heartbeats, verdicts and removals are accepted.
//! Registrations, starts, retries, `advance`, `note` and `update` are rejected.

#![forbid(unsafe_code)]

mod audit;
mod builder;
mod codec;
mod error;
mod follow;
mod guard;
#[cfg(feature = "axum")]
mod http;
mod id;
mod job;
mod link;
mod names;
mod once;
mod owned;
mod page;
mod panics;
mod place;
mod pulse;
mod registry;
mod reply;
mod script;
mod state;
mod steps;
mod store;
mod sweep;
mod task;
#[cfg(test)]
mod tests;
mod watch;

pub use builder::Builder;
pub use codec::{Codec, CodecError, Json};
pub use error::{Error, PayloadError, Unavailable};
pub use guard::JobGuard;
pub use job::Job;
pub use link::Durability;
pub use once::{Keys, Once};
pub use page::{Cursor, Page};
pub use pulse::Heartbeat;
pub use registry::JobRegistry;
pub use sweep::Reaper;
pub use watch::Watch;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
