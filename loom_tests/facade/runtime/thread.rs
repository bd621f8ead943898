//! Threads that park until a virtual time, as `std::thread`.

use super::signal::{End, Signal};
pub(crate) use super::time::Instant;
use super::time::sleep_until;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// A thread that can be unparked. The signal counts the calls of [`unpark`](Self::unpark).
#[derive(Clone, Debug)]
pub(crate) struct Thread(Signal);

impl Thread {
    fn new() -> Self {
        Self(Signal::new(0))
    }

    pub(crate) fn unpark(&self) {
        self.0.raise();
    }
}

shuttle::thread_local! {
    static CURRENT: RefCell<Thread> = RefCell::new(Thread::new());
    /// The count of [`Thread::unpark`] that the thread saw when it last left a park.
    static SEEN: Cell<u64> = Cell::new(0);
}

pub(crate) fn current() -> Thread {
    CURRENT.with(|current| current.borrow().clone())
}

/// Returns the present time of [`Instant`].
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn park() {
    park_until(None);
}

pub(crate) fn park_timeout(timeout: Duration) {
    park_until(Some(now() + timeout));
}

fn park_until(until: Option<Instant>) {
    let mut waiting = current().0.waiting();
    let mut sleep = until.map(sleep_until);
    shuttle::future::block_on(poll_fn(|cx| {
        let is_unparked = |calls| SEEN.with(|seen| seen.replace(calls) != calls);
        if waiting.poll(cx, is_unparked).is_ready() {
            return Poll::Ready(());
        }
        let sleep = sleep.as_mut();
        sleep.map_or(Poll::Pending, |sleep| Pin::new(sleep).poll(cx))
    }));
}

/// A spawned thread, and its result.
#[derive(Debug)]
pub(crate) struct JoinHandle<T> {
    thread: Thread,
    end: End,
    result: Arc<Mutex<Option<T>>>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn thread(&self) -> &Thread {
        &self.thread
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.end.has_come()
    }

    /// Waits for the thread. A thread that panics fails the model, so that this returns no error.
    pub(crate) fn join(self) -> std::thread::Result<T> {
        self.end.wait();
        let result = self.result.lock().unwrap().take();
        result.ok_or_else(|| Box::new("the thread has no result") as _)
    }
}

/// Spawns a thread. An execution does not end before the thread has.
pub(crate) fn spawn<F, T>(name: &str, f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let handle = JoinHandle {
        thread: Thread::new(),
        end: End::new(),
        result: Arc::default(),
    };
    let (thread, end, result) = (
        handle.thread.clone(),
        handle.end.clone(),
        handle.result.clone(),
    );
    let builder = shuttle::thread::Builder::new().name(name.to_owned());
    builder.spawn(move || {
        CURRENT.with(|current| current.replace(thread));
        let returned = f();
        *result.lock().unwrap() = Some(returned);
        end.end();
    })?;
    Ok(handle)
}
