//! What a thread must know of itself: whether it holds a job's lock, and what it owes others once it
//! does not.
//!
//! This is where the lock rules (invariants 6 and 7 of the crate docs) are kept, for every call at once:
//! [`Held`] is the only way to a job's lock, a thread has one at most, and effects on foreign code
//! (wakers, an owner's drop) that come up meanwhile wait in `deferred` until it is gone.

// The checkers' `thread_local!` has no const form.
#![allow(clippy::missing_const_for_thread_local)]

use crate::error::WouldDeadlock;
#[cfg(not(all(test, any(loom, shuttle))))]
use crate::sync::Ordering;
use crate::sync::{MutexGuard, thread_local};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

thread_local! {
    // Apart, because this one needs no destructor and is therefore there to the thread's very end.
    static LOCK: Cell<Lock> = Cell::new(Lock::None);
    #[cfg(not(all(test, any(loom, shuttle))))]
    static NUMBER: Cell<Option<usize>> = Cell::new(None);
    static DEFERRED: RefCell<Vec<Effect>> = RefCell::new(Vec::new());
    // Registries by their address: few, and mostly none.
    static SWEEPING: RefCell<Vec<usize>> = RefCell::new(Vec::new());
}

/// Number of threads that have a number. Not modelled, because no model asks.
#[cfg(not(all(test, any(loom, shuttle))))]
static THREADS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// What this thread has of jobs' locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    None,
    Held,
    /// Held, and effects wait for its end.
    Owing,
}

/// Code that is not ours, or that takes a job's lock: never run while this thread holds one.
pub(crate) enum Effect {
    Wake(Waker),
    Run(Box<dyn FnOnce()>),
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    Tell(crate::observe::Event),
}

impl Effect {
    fn run(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
            Self::Run(f) => f(),
            #[cfg(any(feature = "tracing", feature = "metrics"))]
            Self::Tell(event) => event.emit(),
        }
    }
}

/// The right of this thread to take one job's lock. It ends with the value, panic or not, and then
/// pays what was deferred: so it has to be dropped after the lock.
#[derive(Debug)]
pub(crate) struct Held {
    // A lock is released by the thread that took it.
    _not_send: PhantomData<MutexGuard<'static, ()>>,
}

impl Held {
    /// Must come before the wait for the lock: afterwards would be too late.
    #[inline]
    pub(crate) fn enter() -> Result<Self, WouldDeadlock> {
        if holds_lock() {
            return Err(WouldDeadlock);
        }
        LOCK.with(|lock| lock.set(Lock::Held));
        Ok(Self {
            _not_send: PhantomData,
        })
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        if LOCK.with(|lock| lock.replace(Lock::None)) == Lock::Owing {
            pay();
        }
    }
}

#[cold]
fn pay() {
    // Not there any more while the thread's locals are destroyed, when nothing is deferred either.
    let effects = DEFERRED.try_with(RefCell::take);
    run(effects.unwrap_or_default());
}

/// Whether this thread holds a job's lock.
#[inline]
pub(crate) fn holds_lock() -> bool {
    LOCK.with(Cell::get) != Lock::None
}

/// Whether this thread holds a job's lock, and whether effects wait for its end.
#[cfg(all(test, environment, not(any(loom, shuttle))))]
pub(crate) fn debt() -> u64 {
    LOCK.with(Cell::get) as u64
}

/// Runs the effects, now or when this thread lets go of the job's lock it holds.
pub(crate) fn defer(effects: impl IntoIterator<Item = Effect>) {
    if !holds_lock() {
        return run(effects);
    }
    let mut effects = Some(effects);
    let kept = DEFERRED.try_with(|deferred| {
        deferred
            .borrow_mut()
            .extend(effects.take().into_iter().flatten());
    });
    match kept {
        Ok(()) => LOCK.with(|lock| lock.set(Lock::Owing)),
        // The thread is being torn down: too early is better than never.
        Err(_) => run(effects.into_iter().flatten()),
    }
}

/// Runs all of them even if one panics, and passes the first panic on, unless one is under way.
fn run(effects: impl IntoIterator<Item = Effect>) {
    despite_panics(effects, Effect::run).resume();
}

/// The first of the panics that were caught. Its value may panic when it is dropped: every value that is not passed on goes
/// through [`discard`].
#[derive(Debug, Default)]
pub(crate) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    /// Runs `f`, and keeps its panic. `None` if it panicked.
    #[inline]
    pub(crate) fn catch<R>(&mut self, f: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.keep(panic);
                None
            }
        }
    }

    #[cold]
    pub(crate) fn keep(&mut self, panic: Box<dyn Any + Send>) {
        match &self.0 {
            None => self.0 = Some(panic),
            Some(_) => discard(panic),
        }
    }

    pub(crate) fn take(&mut self) -> Option<Box<dyn Any + Send>> {
        self.0.take()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn message(&self) -> &str {
        self.0.as_deref().map_or("no message", panic_message)
    }

    /// Passes the panic on, unless one is under way on this thread: a second would end the process.
    #[inline]
    pub(crate) fn resume(mut self) {
        match self.take() {
            Some(panic) if !std::thread::panicking() => resume_unwind(panic),
            Some(panic) => discard(panic),
            None => {}
        }
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        if let Some(panic) = self.take() {
            discard(panic);
        }
    }
}

/// Drops the value of a panic that is not passed on. A panic of its destructor is leaked: nothing says that the next value has
/// a better one.
#[cold]
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(next);
    }
}

/// Runs `f`. `None` if it panicked, and the panic goes no further.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    Panics::default().catch(f)
}

/// Calls `f` with each item. A panic of the iterator or of `f` spares the items after it; the first is
/// returned.
pub(crate) fn despite_panics<I>(
    items: impl IntoIterator<Item = I>,
    mut f: impl FnMut(I),
) -> Panics {
    let mut items = items.into_iter();
    let mut panics = Panics::default();
    loop {
        if let Some(None) = panics.catch(|| items.next().map(&mut f)) {
            return panics;
        }
    }
}

/// The right of this thread to sweep a registry. A hook or a payload's drop that sweeps, or registers, would otherwise sweep
/// within the sweep that called it, and so on, until the stack ends.
pub(crate) struct Sweeping(());

impl Sweeping {
    /// `None` within a sweep of the same registry, and while the thread's locals are destroyed.
    pub(crate) fn enter(registry: usize) -> Option<Self> {
        let entered = SWEEPING.try_with(|sweeping| {
            let mut sweeping = sweeping.borrow_mut();
            let is_first = !sweeping.contains(&registry);
            if is_first {
                sweeping.push(registry);
            }
            is_first
        });
        entered.unwrap_or(false).then(|| Self(()))
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        // The last that was entered is the first that is left.
        let _ = SWEEPING.try_with(|sweeping| sweeping.borrow_mut().pop());
    }
}

/// Whether this thread holds nothing and owes nothing.
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) fn is_idle() -> bool {
    let owes = DEFERRED.with_borrow(|deferred| !deferred.is_empty());
    let sweeps = SWEEPING.with_borrow(|sweeping| !sweeping.is_empty());
    !(holds_lock() || owes || sweeps)
}

/// Returns a number for this thread, from 0 up in the order in which threads ask.
#[cfg(not(all(test, any(loom, shuttle))))]
#[inline]
pub(crate) fn number() -> usize {
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            // ORDERING: Relaxed. Numbers only have to differ.
            let next = THREADS.fetch_add(1, Ordering::Relaxed);
            number.set(Some(next));
            next
        })
    })
}

/// Returns the number that the model gives this thread, which is the same in every execution.
///
/// A dependent's model does not need it: its free lists have one magazine, and nothing else asks.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn number() -> usize {
    crate::sync::record::this_thread()
}

/// The text of a panic, where it has one.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
