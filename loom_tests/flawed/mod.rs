//! Flawed registries, each with the model that detects its bug.
//!
//! The crate comes from a guide for a Python service with a dictionary of jobs. These are the races
//! in that service, the mistakes that the guide warns of, and the races that its own fix leaves
//! open. Each is a registry of a few lines. They are the reason for this crate.
//!
//! | file | place in the guide |
//! |---|---|
//! | `original.rs` | the service before the fix, without a lock |
//! | `forgotten_await.rs` | mistake 1 |
//! | `sleep_inside_the_lock.rs` | mistake 2 |
//! | `nested_lock.rs` | mistake 3 |
//! | `read_outside_the_lock.rs` | mistake 4 |
//! | `two_event_loops.rs` | the fix, step 4: one `asyncio.Lock` in two threads |
//! | `live_record_returned.rs` | the fix, step 5: the record leaves the lock |
//! | `files_under_the_lock.rs` | the fix, step 6: a slow disk under the one lock |
//!
//! Every bug has to be detected. `case.rs` runs each model in a process of its own. The test fails
//! unless the checker finds the named bug. Nothing here is a data race, which Rust does not allow:
//! a field that any Python code may write is a relaxed atomic.

mod case;
mod files_under_the_lock;
mod forgotten_await;
mod live_record_returned;
mod nested_lock;
mod original;
mod read_outside_the_lock;
mod sleep_inside_the_lock;
mod two_event_loops;
