//! Threads that sleep, and the time that they measure: what the reaper and a shutdown run on.
//!
//! They are the standard library's, so that nothing that a runtime does delays them. In a model of
//! this crate, time is a number.

use std::io;

pub(crate) use std::thread::park_timeout;
pub(crate) use std::time::Instant;

/// Starts a thread, which nobody joins.
pub(crate) fn spawn(name: &str, f: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(f).map(drop)
}
