//! A time limit for bodies that might hang, and a waker that runs what it is given.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

/// Far longer than any body takes, on a machine however busy.
const PATIENCE: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 30 });

/// Runs `body` on a thread of its own, and fails if it does not return.
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

/// A waker that runs `f` when it is woken for the first time.
pub(crate) fn waker(f: impl FnOnce() + Send + 'static) -> Waker {
    struct Once<F>(Mutex<Option<F>>);

    impl<F: FnOnce() + Send + 'static> Wake for Once<F> {
        fn wake(self: Arc<Self>) {
            let f = self.0.lock().unwrap().take();
            if let Some(f) = f {
                f();
            }
        }
    }

    Waker::from(Arc::new(Once(Mutex::new(Some(f)))))
}
