//! A time limit for bodies that might hang.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Far longer than any body takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 30 });

/// Runs `body` on its own thread, and fails if it does not return in time.
pub(crate) fn in_time<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, finished) = channel();
    let thread = thread::spawn(move || {
        let result = body();
        let _ = done.send(());
        result
    });
    // A body that panics disconnects the channel.
    let finished = finished.recv_timeout(PATIENCE);
    assert!(finished != Err(RecvTimeoutError::Timeout), "the body hangs");
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
