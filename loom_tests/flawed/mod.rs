//! Registries that are wrong, and the model that catches each.
//!
//! The crate comes from a guide for a Python service with a dictionary of jobs. These are the races it starts from,
//! the mistakes it warns of, and what its own fix leaves open: each as a registry of a few lines, written
//! to be read. Together they are the reason why the crate exists.
//!
//! | file | what it is in the guide |
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
//! Every one of them has to die: `specimen.rs` runs its model in a process of its own, and the test fails unless
//! the checker has found the bug that is named, in so many executions. Nothing here is a data race, which
//! Rust does not allow; a field that Python would let anybody write is a relaxed atomic.

mod files_under_the_lock;
mod forgotten_await;
mod live_record_returned;
mod nested_lock;
mod original;
mod read_outside_the_lock;
mod sleep_inside_the_lock;
mod specimen;
mod two_event_loops;
