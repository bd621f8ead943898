//! [`Signal`]: an announced number for whose change tasks and threads wait.

use super::super::announce::{self, Kind, Object};
use crate::sync::{AtomicU64, Ordering};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// A number that is announced as an atomic is. Clones share it.
///
/// The list of waiters is not announced. A waiter registers in the step of its load, and a change
/// wakes in the step of its write.
#[derive(Clone, Debug)]
pub(super) struct Signal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    value: AtomicU64,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    made: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Signal {
    pub(super) fn new(value: u64) -> Self {
        Self(Arc::new(Shared {
            value: AtomicU64::new(value),
            waiters: Mutex::default(),
        }))
    }

    pub(super) fn load(&self) -> u64 {
        self.0.value.load(Ordering::SeqCst)
    }

    /// Makes one write, and wakes all waiters.
    pub(super) fn change<R>(&self, write: impl FnOnce(&AtomicU64) -> R) -> R {
        let result = write(&self.0.value);
        let woken = std::mem::take(&mut self.0.waiters.lock().unwrap().wakers);
        for (_, waker) in woken {
            waker.wake();
        }
        result
    }

    /// Raises the number by one.
    pub(super) fn raise(&self) {
        self.change(|value| value.fetch_add(1, Ordering::SeqCst));
    }

    /// Tries to clear a bit of the value `from`. Wakes nobody.
    pub(super) fn take_bit(&self, from: u64, bit: u64) -> bool {
        let value = &self.0.value;
        value
            .compare_exchange(from, from & !bit, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    pub(super) fn waiters(&self) -> usize {
        self.0.waiters.lock().unwrap().wakers.len()
    }

    pub(super) fn waiting(&self) -> Waiting {
        Waiting {
            signal: self.clone(),
            key: None,
        }
    }

    /// Blocks the thread until `is_ready` accepts the number.
    pub(super) fn wait(&self, mut is_ready: impl FnMut(u64) -> bool) {
        let mut waiting = self.waiting();
        shuttle::future::block_on(poll_fn(|cx| waiting.poll(cx, &mut is_ready)));
    }
}

/// The end of a task or thread.
#[derive(Clone, Debug)]
pub(super) struct End {
    signal: Signal,
    /// A lock that is held until the end. A thread that waits for nothing else takes it, so that
    /// the scheduler hides that thread until then, and the two do not race.
    gate: Object,
}

impl End {
    pub(super) fn new() -> Self {
        let gate = announce::object();
        announce::holds(gate, true);
        Self {
            signal: Signal::new(0),
            gate,
        }
    }

    /// Ends the task or thread, in one step.
    pub(super) fn end(&self) {
        self.signal.change(|value| {
            value.fetch_add(1, Ordering::SeqCst);
            announce::did(self.gate, Kind::Unlock);
            announce::holds(self.gate, false);
        });
    }

    pub(super) fn has_come(&self) -> bool {
        self.signal.load() != 0
    }

    /// Returns a place for a task, which may wait for other things as well.
    pub(super) fn waiting(&self) -> Waiting {
        self.signal.waiting()
    }

    /// Blocks the thread until the end.
    pub(super) fn wait(&self) {
        announce::will(self.gate, Kind::Lock);
        shuttle::thread::yield_now();
        // Other schedulers than the reduction do not know what an announced lock is.
        let mut waiting = self.signal.waiting();
        shuttle::future::block_on(poll_fn(|cx| {
            waiting.leave();
            if announce::is_held(self.gate) {
                waiting.register(cx);
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        }));
        announce::did(self.gate, Kind::Lock);
    }
}

/// A place among the waiters of a signal, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    signal: Signal,
    key: Option<u64>,
}

impl Waiting {
    /// Loads the number, and registers the waker unless `is_ready` accepts it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        is_ready: impl FnOnce(u64) -> bool,
    ) -> Poll<()> {
        let value = self.signal.load();
        self.leave();
        if is_ready(value) {
            return Poll::Ready(());
        }
        self.register(cx);
        Poll::Pending
    }

    fn register(&mut self, cx: &mut Context<'_>) {
        let mut waiters = self.signal.0.waiters.lock().unwrap();
        waiters.made += 1;
        let key = waiters.made;
        waiters.wakers.push((key, cx.waker().clone()));
        self.key = Some(key);
    }

    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            let mut waiters = self.signal.0.waiters.lock().unwrap();
            waiters.wakers.retain(|(waiter, _)| *waiter != key);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave();
    }
}
