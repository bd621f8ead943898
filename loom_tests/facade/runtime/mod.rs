//! A model of the runtime, of threads and of time, for shuttle. `src/task/rt.rs` re-exports it in
//! place of tokio's runtime and the standard library's threads.
//!
//! * **Time** is a number. A clock task, which the scheduler hides unless it alone can run, moves
//!   it to the earliest timer. Loads of the time are therefore not announced.
//! * **A task** is one task of shuttle, and has a thread number of its own. Its abortion is a flag
//!   that is loaded before every poll. Its end is a write that joiners load.
//! * **A wait** loads a [`Signal`](signal::Signal) and registers its waker in the same step, so
//!   that a registration commutes with another one. A notification writes the signal and wakes.
//! * **Blocking work** runs on a modelled thread. A runtime has a bounded number of them.
//!
//! A task or thread that panics fails the model.
//!
//! Not modelled: panics that the runtime catches; the one thread of a current-thread runtime, so
//! that more interleavings of tasks are tried than can happen; cooperative budgets; spurious
//! wakeups of parked threads; threads that cannot be spawned; a runtime without a timer; the
//! millisecond to which tokio's timer rounds up; the order of several tasks that wait for
//! [`Notify::notify_one`].

#![allow(dead_code)] // the names of tokio and the standard library, used or not

mod notify;
mod signal;
mod task;
pub(crate) mod thread;
mod time;

pub(crate) use notify::Notify;
pub(crate) use task::{Handle, Id, Runtime, yield_now};
pub(crate) use time::{
    Instant, VirtualClock, has_timer, reset, sleep, start_clock, timeout, timeout_at,
};
