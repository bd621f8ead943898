//! The runtime, the threads and the time of the task layer.
//!
//! They are tokio's and the standard library's. In this crate's own models under shuttle, they are
//! a model with virtual time (`loom_tests/facade/runtime`).

#[cfg(all(test, shuttle, not(loom)))]
pub(crate) use crate::sync::facade::runtime::{
    Handle, Id, Instant, Notify, sleep, thread, timeout_at, yield_now,
};
#[cfg(all(feature = "tokio", not(all(test, shuttle, not(loom)))))]
pub(crate) use tokio::{
    runtime::{Handle, Id},
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep, timeout_at},
};

/// Threads, and the time for which they park.
#[cfg(not(all(test, shuttle, not(loom))))]
pub(crate) mod thread {
    pub(crate) use std::thread::{JoinHandle, Thread, current, park, park_timeout};
    pub(crate) use std::time::Instant;

    /// Spawns a thread with a name.
    pub(crate) fn spawn<F, T>(name: &str, f: F) -> std::io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        std::thread::Builder::new().name(name.to_owned()).spawn(f)
    }
}

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

/// Parks this thread until it is unparked, or for a time at most. `Duration::MAX` is no limit.
pub(crate) fn park_for(time: Duration) {
    if time == Duration::MAX {
        thread::park();
    } else {
        thread::park_timeout(time);
    }
}

/// Returns a waker that unparks this thread.
pub(crate) fn unpark_waker() -> Waker {
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    Waker::from(Arc::new(Unpark(thread::current())))
}
